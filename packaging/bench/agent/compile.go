package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

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
