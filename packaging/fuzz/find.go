package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// pkg is a package with fuzz targets.
type pkg struct {
	path, dir string
	targets   []string
}

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(\w+ \*testing\.F\)`)

// find returns every package of the module with its targets. A target in a file that is not built on this system is an
// error: nobody would notice that it is never run.
func find(ctx context.Context, dir string) ([]pkg, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles,IgnoredGoFiles,Module",
		"./...")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Dir                           string
			TestGoFiles, XTestGoFiles, IgnoredGoFiles []string
			Module                                    struct{ Path string }
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		found, err := targetsIn(p.Dir, slices.Concat(p.TestGoFiles, p.XTestGoFiles))
		if err != nil {
			return nil, err
		}
		if ignored, err := targetsIn(p.Dir, p.IgnoredGoFiles); err != nil || len(ignored) > 0 {
			return nil, errors.Join(err, fmt.Errorf("%s: not built on this system: %v", p.ImportPath, ignored))
		}
		if len(found) > 0 {
			pkgs = append(pkgs, pkg{strings.TrimPrefix(p.ImportPath, p.Module.Path+"/"), p.Dir, found})
		}
	}
}

// targetsIn returns the targets that some files declare.
func targetsIn(dir string, files []string) (targets []string, err error) {
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			targets = append(targets, string(m[1]))
		}
	}
	return targets, nil
}
