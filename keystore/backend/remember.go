package backend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/groat-dev/groat/keystore"
)

const (
	fileName = "keystore.json"
	maxFile  = 4 << 20 // ten thousand names of the greatest length, and some
)

// store is one that is, was or shall be used.
type store struct {
	Use  string `json:"use"`
	Key  string `json:"key,omitempty"`  // for sealed
	File string `json:"file,omitempty"` // the sealed file's name where it is not "sealed"
}

// file is the sealed file's name.
func (s store) file() string {
	if s.File == "" {
		return files[0]
	}
	return s.File
}

// files are the names that the sealed file may have: a move makes the new one beside the old.
var files = []string{"sealed", "sealed-2"}

// choice is the file keystore.json.
type choice struct {
	V int `json:"v"` // 2 where there is a File, Next or Left: an older groat would not look there
	store
	// Profiles are those that may have an item: a keychain cannot be asked which ones do. A name too many does no harm.
	Profiles []string `json:"profiles,omitempty"`
	// Sealed are those that may have an item in the sealed file beside the keychain. It speaks for who is on both lists.
	Sealed []string `json:"sealed,omitempty"`
	// Next is where a move copies to; until it is done the copies count for nothing.
	Next *store `json:"next,omitempty"`
	// Left is what was used before, and is to be erased.
	Left *left `json:"left,omitempty"`
}

// left is a store that is not used anymore.
type left struct {
	store
	Profiles []string `json:"profiles,omitempty"` // whose items in the keychain may still be there
}

// check refuses what save does not write; what a move leaves must never be what is used.
func (c *choice) check() error {
	var others []store
	if c.Next != nil {
		others = append(others, *c.Next)
	}
	if c.Left != nil {
		others = append(others, c.Left.store)
	}
	for _, s := range append(others, c.store) {
		if !valid(s.Use, s.Key) || !slices.Contains(files, s.file()) {
			return errors.New("it names no keystore that there is")
		}
	}
	for _, s := range others {
		if s.Use == c.Use && s.Use != Sealed || s.Use != Memory && c.Use != Memory && s.file() == c.file() {
			return errors.New("it contradicts itself")
		}
	}
	return nil
}

// load returns the zero choice where nothing is remembered. Its errors name the file.
func load(dir string) (choice, error) {
	path := filepath.Join(dir, fileName)
	// Nonblocking: a FIFO in its place must not hold us up.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return choice{}, nil
	case errors.Is(err, syscall.ELOOP):
		return choice{}, refuse(path, "it is a symbolic link")
	case err != nil:
		return choice{}, fmt.Errorf("%w: %w", keystore.ErrConflict, err)
	}
	defer f.Close()
	if err := check(f); err != nil {
		return choice{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return choice{}, fmt.Errorf("%w: %w", keystore.ErrConflict, err)
	}
	var c choice
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&c); err != nil || d.Decode(new(any)) != io.EOF {
		return choice{}, refuse(path, "it is not the JSON that groat writes")
	}
	if c.V > 2 {
		return choice{}, refuse(path, "it was written by a newer groat; upgrade groat")
	}
	if c.V < 1 {
		return choice{}, refuse(path, "it names no keystore that there is")
	}
	if err := c.check(); err != nil {
		return choice{}, refuse(path, err.Error())
	}
	slices.Sort(c.Profiles)
	slices.Sort(c.Sealed)
	return c, nil
}

func refuse(path, why string) error { return fmt.Errorf("%w: %s: %s", keystore.ErrConflict, path, why) }

func check(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", keystore.ErrConflict, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return refuse(f.Name(), "it is no regular file")
	case !ok || int(st.Uid) != os.Geteuid():
		return refuse(f.Name(), "it belongs to another user")
	case info.Mode().Perm()&0o022 != 0:
		return refuse(f.Name(), "others may write to it")
	}
	return nil
}

func valid(use, key string) bool {
	if use == Sealed {
		return slices.Contains([]string{KeyKeychain, KeyCredential, KeyFile, KeyPassphrase}, key)
	}
	return (use == Keychain || use == Memory) && key == ""
}

// save replaces the file as a whole: after a crash it is the old one or the new one. What the crash left beside it makes room
// for the next, which nobody else writes: the directory is locked, and whoever saves has the turn.
func save(dir string, c choice) error {
	c.V = 1
	if c.File != "" || c.Next != nil || c.Left != nil {
		c.V = 2
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	next := filepath.Join(dir, fileName+".new")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, fileName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
