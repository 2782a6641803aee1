package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// hash returns the SHA-256 of everything that the part depends on: names and contents, in the order of the names.
func (of part) hash(ctx context.Context, root string, known lists) (string, error) {
	files, err := of.files(ctx, root, known)
	if err != nil {
		return "", err
	}
	all := sha256.New()
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(all, "%s %d %x\n", filepath.ToSlash(name), len(text), sha256.Sum256(text))
	}
	return fmt.Sprintf("%x", all.Sum(nil)), nil
}

// listed is what of "go list -json" is read here.
type listed struct {
	Dir                                   string
	Module                                *struct{ Main bool }
	GoFiles, CgoFiles, SFiles, EmbedFiles []string
}

// files returns the files that the part depends on, sorted, relative to root: those that its packages and what they
// import of this module are built from; of the packages themselves also the tests and testdata; and everything below
// its paths.
func (of part) files(ctx context.Context, root string, known lists) ([]string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, err
	}
	found := map[string]bool{"go.mod": true}
	if _, err := os.Stat(filepath.Join(root, "go.sum")); err == nil {
		found["go.sum"] = true
	}
	add := func(path string) error {
		name, err := filepath.Rel(root, path)
		found[name] = true
		return err
	}
	deps, err := known.list(ctx, root, append([]string{"-deps", "-test"}, of.packages...)...)
	if err != nil {
		return nil, err
	}
	for _, p := range deps {
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.SFiles, p.EmbedFiles) {
			if filepath.IsAbs(name) { // the main function of a test, which go list invents
				continue
			}
			if err := add(filepath.Join(p.Dir, name)); err != nil {
				return nil, err
			}
		}
	}
	own, err := known.list(ctx, root, of.packages...)
	if err != nil {
		return nil, err
	}
	var below []string // directories that are read whole
	for _, p := range own {
		tests, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
		if err != nil {
			return nil, err
		}
		for _, path := range tests {
			if err := add(path); err != nil {
				return nil, err
			}
		}
		below = append(below, filepath.Join(p.Dir, "testdata"))
	}
	for _, path := range of.paths {
		below = append(below, filepath.Join(root, path))
	}
	for _, dir := range below {
		if err := walk(dir, add); err != nil {
			return nil, err
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// walk calls add with every regular file below dir, which need not exist, but for what is installed there.
func walk(dir string, add func(path string) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == dir:
			return nil
		case err != nil:
			return err
		case d.Name() == "node_modules":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.Type().IsRegular():
			return add(path)
		}
		return nil
	})
}

// lists is what "go list" has said of one state of the files, by its arguments: parts ask for the same packages.
type lists map[string][]listed

// list returns the packages of this module that "go list" names.
func (known lists) list(ctx context.Context, root string, args ...string) (ours []listed, err error) {
	asked := strings.Join(args, " ")
	if ours, ok := known[asked]; ok {
		return ours, nil
	}
	defer func() {
		if err == nil {
			known[asked] = ours
		}
	}()
	fields := "-json=Dir,Module,GoFiles,CgoFiles,SFiles,EmbedFiles"
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", fields}, args...)...)
	var complaint strings.Builder
	cmd.Dir, cmd.Stderr = root, &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, complaint.String())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return ours, nil
		} else if err != nil {
			return nil, err
		}
		if p.Module != nil && p.Module.Main {
			ours = append(ours, p)
		}
	}
}
