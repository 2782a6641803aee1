package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/config"
)

// stateDir returns the directory for what must survive, made and checked: $GROAT_STATE_DIR, else $XDG_STATE_HOME/groat.
func stateDir() (string, error) {
	dir := os.Getenv("GROAT_STATE_DIR")
	if dir == "" {
		home, err := os.UserHomeDir()
		base := os.Getenv("XDG_STATE_HOME")
		switch {
		case runtime.GOOS == "darwin":
			dir = filepath.Join(home, "Library", "Application Support", "groat")
		case filepath.IsAbs(base):
			dir, err = filepath.Join(base, "groat"), nil
		default:
			dir = filepath.Join(home, ".local", "state", "groat")
		}
		if err != nil {
			return "", &refusal{exitConfig, fmt.Errorf("no home directory for the state: %w", err), "set GROAT_STATE_DIR"}
		}
	}
	if !filepath.IsAbs(dir) {
		return "", &refusal{exitConfig, fmt.Errorf("the state directory %q is not absolute", dir), "set GROAT_STATE_DIR to an absolute path"}
	}
	return dir, privateDir(dir, "the state directory")
}

// privateDir makes a directory of mode 0700 where there is none, and refuses one that others could have prepared or could
// change: another owner, another type, any right for others, a parent in which others could put another in its place.
func privateDir(dir, what string) error {
	refuse := func(hint, format string, args ...any) error {
		return &refusal{exitConfig, fmt.Errorf("%s %s "+format, append([]any{what, dir}, args...)...), hint}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err == nil {
		err = os.Mkdir(dir, 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return refuse("ls -ld "+filepath.Dir(dir), "cannot be made: %w", cause(err))
		}
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return refuse("ls -ld "+filepath.Dir(dir), "cannot be used: %w", cause(err))
	}
	if !info.IsDir() {
		return refuse("ls -ld "+dir, "is no directory (a link is refused too)")
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Geteuid() {
		return refuse("ls -ld "+dir, "belongs to another user (uid %d)", uid)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return refuse("chmod 700 "+dir, "is open to others (mode %04o)", mode)
	}
	if unix.Access(dir, unix.W_OK) != nil {
		return refuse("ls -ld "+dir, "cannot be written")
	}
	if err := config.CheckWay(dir); err != nil {
		hint := "ls -ld " + dir
		if c, ok := errors.AsType[*config.Error](err); ok {
			hint = c.Hint
		}
		return refuse(hint, "is no safe place: %w", err)
	}
	return nil
}

func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// lockState makes this the only groatd of the state directory until the file is closed or the process ends.
func lockState(state string) (*os.File, error) {
	path := filepath.Join(state, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, &refusal{exitConfig, fmt.Errorf("the lock %s cannot be opened: %w", path, cause(err)), "ls -l " + path}
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.ReadAt(holder, 0)
		f.Close()
		return nil, &refusal{exitCantCreate, fmt.Errorf("another groatd runs (pid %s)", strings.TrimSpace(string(holder[:n]))), "groat status"}
	}
	if err := f.Truncate(0); err == nil {
		fmt.Fprintln(f, os.Getpid()) // for people; the lock is what counts
	}
	return f, nil
}
