package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// Save writes profiles.d/NAME.toml atomically: a reader sees the old file or the new one.
func (d Dir) Save(p Profile) error {
	if !ValidName(p.Name) {
		return fmt.Errorf("%q cannot be a profile's name", p.Name)
	}
	if err := private(d.path); err != nil {
		return err
	}
	if err := private(d.profiles()); err != nil {
		return err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Written by `groat login %s`, which replaces it. No secret is in here.\n", p.Name)
	if err := toml.NewEncoder(&text).Encode(p); err != nil {
		return err
	}
	return replace(d.profileFile(p.Name), text.Bytes())
}

// Wrote reports whether a profile stands in a file that Save writes, and not in the person's own.
func (d Dir) Wrote(p Profile) bool { return p.File == d.profileFile(p.Name) }

// Remove deletes profiles.d/NAME.toml and reports whether there was one. A profile of config.toml is the person's to remove.
func (d Dir) Remove(name string) (bool, error) {
	if !ValidName(name) {
		return false, nil
	}
	err := os.Remove(d.profileFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Writable makes sure, without changing anything, that Save would find its directory writable.
func (d Dir) Writable() error {
	if err := private(d.path); err != nil {
		return err
	}
	if err := private(d.profiles()); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.profiles(), ".probe-*")
	if err != nil {
		return &Error{File: d.profiles(), Message: "cannot be written: " + cause(err), Hint: "ls -ld " + d.profiles()}
	}
	f.Close()
	return os.Remove(f.Name())
}

// private makes a directory of mode 0700 where there is none.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &Error{File: dir, Message: "cannot be made: " + cause(err), Hint: "ls -ld " + filepath.Dir(dir)}
	}
	return nil
}

// replace writes a file beside the old one and renames it into place.
func replace(file string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return &Error{File: filepath.Dir(file), Message: "cannot be written: " + cause(err), Hint: "ls -ld " + filepath.Dir(file)}
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return &Error{File: file, Message: "cannot be written: " + cause(err), Hint: "df " + filepath.Dir(file)}
	}
	return os.Rename(f.Name(), file)
}
