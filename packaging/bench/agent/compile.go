package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BuildWith builds a program of the repository with its symbols and, unless the name is empty, with one more file in
// its package.
func BuildWith(root, out, pkg, name, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience) // compiling everything anew takes minutes
	defer cancel()
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", out}
	if name != "" {
		added, overlay := out+"-"+name, out+"-overlay.json"
		dir, err := filepath.Abs(filepath.Join(root, pkg))
		if err != nil {
			return err
		}
		replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(dir, name): added}})
		if err != nil {
			return err
		}
		err = errors.Join(os.WriteFile(added, []byte(text), 0o600), os.WriteFile(overlay, replace, 0o600))
		if err != nil {
			return err
		}
		defer os.Remove(added)
		defer os.Remove(overlay)
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", pkg, err, said)
	}
	return nil
}

// CompileFloor builds a floor, a Go package or a C file of packaging/bench/floor, into a directory and returns the
// program's path. Go's are built as the Makefile builds groat, so that two programs differ in nothing but their code.
func CompileFloor(dir, source string) (string, error) {
	name := strings.ReplaceAll(strings.TrimPrefix(source, "./packaging/bench/floor/"), ".", "-")
	out := filepath.Join(dir, name)
	args := []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, source}
	if strings.HasSuffix(source, ".c") {
		args = []string{"cc", "-O2", "-o", out, source}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", source, err, text)
	}
	return out, nil
}
