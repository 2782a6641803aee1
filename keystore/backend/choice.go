package backend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

const (
	fileName = "keystore.json"
	maxFile  = 4 << 20 // ten thousand names of the greatest length, and some
)

// store is one that is used, was used, or is the target of a move.
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

// choice is which store a person uses, as the file keystore.json records it.
type choice struct {
	V int `json:"v"` // 2 where there is a File, Next or Left: an older groat would not look there
	store
	// Profiles are those that may have an item: a keychain cannot be asked which ones do. A name too many does no harm.
	Profiles []string `json:"profiles,omitempty"`
	// Sealed are those that may have an item in the sealed file beside the keychain. It decides for a profile on both
	// lists.
	Sealed []string `json:"sealed,omitempty"`
	// Next is where a move copies to; until it is done the copies count for nothing.
	Next *store `json:"next,omitempty"`
	// Left is what was used before, and is to be erased.
	Left *left `json:"left,omitempty"`
}

// left is a store that was used before, and is to be erased.
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
	b, err := ownfile.Read(path, ownpath.OwnState, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return choice{}, nil
	case err != nil:
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

func valid(use, key string) bool {
	if use == Sealed {
		return slices.Contains([]string{KeyKeychain, KeyCredential, KeyFile, KeyPassphrase}, key)
	}
	return (use == Keychain || use == Memory) && key == ""
}

// save replaces the file. The caller holds choiceLock, and this process the lock of the directory.
func save(dir string, c choice) error {
	c.V = 1
	if c.File != "" || c.Next != nil || c.Left != nil {
		c.V = 2
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fileName)
	return ownfile.Replace(path, ownfile.Beside(path), ownpath.OwnSecret, append(b, '\n'))
}
