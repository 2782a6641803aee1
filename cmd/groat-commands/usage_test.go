package main

import (
	"slices"
	"strings"
	"testing"
)

// What each command says of itself fits a terminal of the usual width, flags and examples too.
func TestHelpFitsATerminal(t *testing.T) {
	seen := 0
	var look func(path []string)
	look = func(path []string) {
		got := run(t, "", "", append(slices.Clone(path), "--help")...)
		if got.code != 0 || !strings.Contains(got.stdout, "\nUsage:\n  groat") {
			t.Fatalf("%v: %+v", path, got)
		}
		seen++
		for line := range strings.Lines(got.stdout) {
			if line = strings.TrimSuffix(line, "\n"); columns(line) > usualWidth || strings.HasSuffix(line, " ") {
				t.Errorf("groat %s: %d columns: %q", strings.Join(path, " "), columns(line), line)
			}
		}
		_, list, _ := strings.Cut(got.stdout, "\nAvailable Commands:\n")
		list, _, _ = strings.Cut(list, "\n\n")
		for line := range strings.Lines(list) {
			if name := strings.Fields(line)[0]; name != "help" {
				look(append(slices.Clone(path), name))
			}
		}
	}
	look(nil)
	if seen < 30 {
		t.Errorf("only %d commands were found", seen)
	}
}
