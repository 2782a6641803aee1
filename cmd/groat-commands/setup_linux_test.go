package main

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// At a terminal groat shows what it would write and asks; only a yes writes it.
func TestSetupAtTerminal(t *testing.T) {
	tier.Needs(t, "git")
	h, env := setupHome(t)
	for _, tt := range []struct {
		answer string
		code   int
	}{{"n\n", report.ExitConfig}, {"\n", report.ExitConfig}, {"y\n", 0}} {
		x := startOnTerminal(t, env, "setup", "git", "work")
		x.expect("groat: write this? [y/N] ")
		if _, err := os.Lstat(gitConfig(h)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("before the answer: %v", err)
		}
		x.write(tt.answer)
		x.end(tt.code)
	}
	if _, err := os.Lstat(gitConfig(h)); err != nil {
		t.Error(err)
	}
}
