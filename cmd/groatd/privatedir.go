package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// privateDir makes a directory of mode 0700 if there is none. It refuses one that other users could have prepared or
// could change: one with another owner or type, with any right for others, or with a parent in which others could
// replace it. It makes no directory below one that belongs to another user. what names the directory in the error, a
// [*refusal].
func privateDir(dir, what string) error {
	refuse := func(hint, format string, args ...any) error {
		return &refusal{exitConfig, fmt.Errorf("%s %s "+format, append([]any{what, dir}, args...)...), hint}
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		e, ok := errors.AsType[*ownpath.Error](ownpath.MakeDir(dir))
		switch {
		case ok && e.Path == dir:
			return refuse(e.Hint, "%s", e.Message)
		case ok:
			return refuse(e.Hint, "is no safe place: %w", e)
		}
	}
	err := ownpath.CheckPrivateDir(dir)
	if e, ok := errors.AsType[*ownpath.Error](err); ok {
		return refuse(e.Hint, "%s", e.Message)
	}
	if err != nil {
		return refuse(ownpath.DirHint(filepath.Dir(dir)), "cannot be used: %w", cause(err))
	}
	if unix.Access(dir, unix.W_OK) != nil {
		return refuse(ownpath.DirHint(dir), "cannot be written")
	}
	if e, ok := errors.AsType[*ownpath.Error](ownpath.Check(dir)); ok {
		return refuse(e.Hint, "is no safe place: %w", e)
	}
	return nil
}

// usableDir returns the error that privateDir would return, and makes no directory.
func usableDir(dir, what string) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return privateDir(dir, what)
	}
	if e, ok := errors.AsType[*ownpath.Error](ownpath.System().MayMakeIn(dir)); ok {
		return &refusal{exitConfig, fmt.Errorf("%s %s cannot be made: %w", what, dir, e), e.Hint}
	}
	above := filepath.Dir(dir)
	for ; above != "/"; above = filepath.Dir(above) {
		if _, err := os.Lstat(above); err == nil {
			break
		}
	}
	if err := unix.Access(above, unix.W_OK); err != nil {
		return &refusal{exitConfig, fmt.Errorf("%s %s cannot be made: %s cannot be written: %w", what, dir, above, err),
			ownpath.DirHint(above)}
	}
	return nil
}

func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
