package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/protocol/frame"
)

// The log is private and bounded, the newest lines are in it, and nothing that happens to its files is an error.
func TestLogFile(t *testing.T) {
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for name, c := range map[string]struct {
		lines  int                     // before anything happens, and again after it
		change func(path string) error // what happens in between
		newer  int                     // bytes in the file in the end, or -1 for none
		older  int
	}{
		"short":              {3, nil, 6 << 10, -1},
		"as long as allowed": {512, nil, 1 << 20, -1},
		"one line more":      {513, nil, 2 << 10, 1 << 20},
		"three files long":   {1537, nil, 2 << 10, 1 << 20},
		"removed":            {3, os.Remove, 3 << 10, -1},
		"renamed by another": {3, func(path string) error { return os.Rename(path, path+".1") }, 3 << 10, 3 << 10},
		"emptied":            {3, func(path string) error { return os.Truncate(path, 0) }, 3 << 10, -1},
		"a link in its place": {3, func(path string) error {
			os.Remove(path)
			return os.Symlink("/dev/full", path)
		}, -1, -1},
		"a directory where the older one would be": {513, func(path string) error {
			os.Remove(path + ".1")
			return os.MkdirAll(path+".1/x", 0o700)
		}, 2 << 10, -1},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			os.Chmod(state, 0o700)
			path := filepath.Join(state, frame.LogFile)
			l := new(logFile)
			l.open(state)
			write := func() {
				for range c.lines {
					if n, err := l.Write(line); n != len(line) || err != nil {
						t.Fatal(n, err)
					}
				}
			}
			write()
			if c.change != nil {
				if err := c.change(path); err != nil {
					t.Fatal(err)
				}
			}
			write()
			for file, want := range map[string]int{path: c.newer, path + frame.OlderLog: c.older} {
				info, err := os.Lstat(file)
				if err != nil || !info.Mode().IsRegular() {
					info = nil
				}
				switch {
				case info == nil && want >= 0, info != nil && int(info.Size()) != want:
					t.Errorf("%s: %v, want %d bytes", file, info, want)
				case info != nil && info.Mode().Perm() != 0o600:
					t.Errorf("%s has mode %v", file, info.Mode())
				}
			}
		})
	}
}

// What is logged before the directory is known comes first, up to a bound; a directory that others can enter gets
// nothing.
func TestLogBeforeItsDirectoryIsKnown(t *testing.T) {
	state := t.TempDir()
	l := new(logFile)
	for i := range 2000 {
		fmt.Fprintf(l, "early %d\n", i)
	}
	os.Chmod(state, 0o755)
	l.open(state)
	path := filepath.Join(state, frame.LogFile)
	if _, err := os.Lstat(path); err == nil {
		t.Error("a log in a directory that others can enter")
	}
	os.Chmod(state, 0o700)
	l.open(state)
	l.Write([]byte("late\n"))
	text, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(text, []byte("early 0\n")) || !bytes.HasSuffix(text, []byte("\nlate\n")) ||
		len(text) > maxEarly+len("late\n") {
		t.Errorf("%v, %d bytes", err, len(text))
	}
}

// A line that a full disk has cut ends before the next one begins.
func TestLogLineThatWasCut(t *testing.T) {
	state := t.TempDir()
	os.Chmod(state, 0o700)
	l := new(logFile)
	l.open(state)
	l.Write([]byte("first\n"))
	l.torn = true
	l.Write([]byte("second\n"))
	if text, err := os.ReadFile(l.path); err != nil || string(text) != "first\n\nsecond\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// Only /dev/null is nowhere.
func TestDiscarded(t *testing.T) {
	for path, want := range map[string]bool{os.DevNull: true, "/dev/zero": false, t.TempDir(): false} {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if discarded(f) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
