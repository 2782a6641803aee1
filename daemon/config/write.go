package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"github.com/pelletier/go-toml/v2"

	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// Save writes profiles.d/NAME.toml atomically: a reader sees the old file or the new one. It refuses a profile that
// Load would refuse afterwards, and then changes nothing. Every error is an [*Error]. undo, which is nil with an error,
// restores the previous file, or removes the file where there was none; no other call may write the profile in between.
func (d Dir) Save(p Profile) (undo func() error, err error) {
	text, err := d.prepare(p)
	if err != nil {
		return nil, err
	}
	file := d.profileFile(p.Name)
	was, err := read(file)
	if err != nil {
		return nil, err
	}
	if err := d.makeDirs(); err != nil {
		return nil, err
	}
	if err := replace(file, text); err != nil {
		return nil, err
	}
	return func() error {
		if was == nil {
			_, err := d.Remove(p.Name)
			return err
		}
		return replace(file, was)
	}, nil
}

// Savable reports, without changing a profile, why [Dir.Save] would not keep this one: Load would refuse it, or its
// directory cannot be written. A sign-in calls it before it asks a person for anything.
func (d Dir) Savable(p Profile) error {
	if _, err := d.prepare(p); err != nil {
		return err
	}
	if _, err := read(d.profileFile(p.Name)); err != nil {
		return err
	}
	return d.Writable()
}

// prepare returns the text of the profile's file, if Load would still read everything with it.
func (d Dir) prepare(p Profile) ([]byte, error) {
	if err := d.on(); err != nil {
		return nil, err
	}
	file := d.profileFile(p.Name)
	refuse := func(hint, reason string) ([]byte, error) {
		return nil, &Error{File: file, Message: "was not written: " + reason, Hint: hint}
	}
	if !ValidName(p.Name) {
		return nil, &Error{File: d.profiles(), Hint: "groat list",
			Message: fmt.Sprintf("%q cannot be a profile's name; %s", p.Name, nameRule)}
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Written by `groat login %s`, which replaces it. No secret is in here.\n", p.Name)
	if err := toml.NewEncoder(&text).Encode(p); err != nil {
		return refuse("groat login "+p.Name, err.Error())
	}
	if text.Len() > maxFile {
		return refuse("groat login "+p.Name, "it would be larger than 8 MiB")
	}
	if !p.canBeShown() {
		return refuse("groat profile show", "its values would take more than 48 KiB; divide it among several profiles")
	}
	again := Profile{}
	err := decode(file, text.Bytes(), &again)
	again.Name, again.File, again.Line = p.Name, p.File, p.Line
	if len(p.Resources) == 0 {
		p.Resources = nil // as it is read again
	}
	if err != nil || !reflect.DeepEqual(p, again) {
		return refuse("groat profile show", "a value in it cannot be written down; leave out what is not plain text")
	}
	again.File = file
	if e, ok := errors.AsType[*Error](again.check(text.Bytes())); ok {
		return refuse("groat profile show", e.Message) // without the line, for there is no file to look at
	}
	c, err := d.Load()
	if err != nil {
		return nil, err
	}
	if broken := c.Broken[p.Name]; broken != nil { // a person wrote that, and it may hold more than this profile says
		return nil, broken
	}
	if other, described := c.Profiles[p.Name]; described && !d.Wrote(other) {
		return nil, &Error{File: other.File, Line: other.Line, Hint: Edit(other.File) + " && groat login " + p.Name,
			Message: fmt.Sprintf("profile %q is described here, in a file that groat never writes", p.Name)}
	}
	return text.Bytes(), nil
}

// maxShown is how many bytes the values of a written profile may take as JSON: "profile" of the protocol answers with
// all of them in one line, which is 64 KiB at most, beside what each key is about.
const maxShown = 48 << 10

func (p Profile) canBeShown() bool {
	size := 0
	for _, key := range keyTable {
		value, _ := p.Get(key.Name)
		text, err := json.Marshal(value)
		if size += len(text); err != nil || size > maxShown {
			return false
		}
	}
	return true
}

// Wrote reports whether a profile is in a file that Save writes, and not in the person's config.toml.
func (d Dir) Wrote(p Profile) bool { return p.File == d.profileFile(p.Name) }

// Remove deletes profiles.d/NAME.toml and reports whether there was one. It does not remove a profile from the person's
// config.toml. The error is an [*Error].
func (d Dir) Remove(name string) (bool, error) {
	if !ValidName(name) || d.off() {
		return false, nil
	}
	file := d.profileFile(name)
	err := os.Remove(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, &Error{File: file, Message: "cannot be removed: " + cause(err),
			Hint: ownpath.DirHint(d.profiles())}
	}
	return true, nil
}

// Removable reports, without changing a profile, why [Dir.Remove] would not remove this one's file, if there is one. A
// logout calls it before it gives anything up.
func (d Dir) Removable(name string) error {
	if !ValidName(name) || d.off() {
		return nil
	}
	if _, err := os.Lstat(d.profileFile(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.Writable()
}

// Writable returns an error unless Save could write its directory. It changes no profile.
func (d Dir) Writable() error {
	if err := d.on(); err != nil {
		return err
	}
	if err := d.makeDirs(); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.profiles(), ".probe-*")
	if err != nil {
		return unwritable(d.profiles(), err)
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return unwritable(d.profiles(), err)
	}
	return nil
}

// on returns an error if the configuration is switched off.
func (d Dir) on() error {
	if d.off() {
		return &Error{File: d.file, Message: "stands in the configuration's place, and keeps no profile but one in " +
			"memory only (--ephemeral)", Hint: "unset GROAT_CONFIG"}
	}
	return nil
}

// makeDirs makes the directories with mode 0700 where they are missing, and refuses those that other users could
// change.
func (d Dir) makeDirs() error {
	return asOurs(ownpath.MakeDir(d.profiles()))
}

func unwritable(dir string, err error) *Error {
	return &Error{File: dir, Message: "cannot be written: " + cause(err), Hint: ownpath.DirHint(dir)}
}

// replace replaces a file. Other processes may write in its directory.
func replace(file string, text []byte) error {
	err := ownfile.Replace(file, ownfile.Unique(file), ownpath.OwnState, text)
	dir := filepath.Dir(file)
	if p, ok := errors.AsType[*fs.PathError](err); ok && p.Op == "open" {
		return unwritable(dir, err)
	}
	if err != nil {
		return &Error{File: file, Message: "cannot be written: " + cause(err), Hint: "df " + visible.Word(dir)}
	}
	return nil
}

// Text returns a profile as [Dir.Save] writes it, for another machine. It holds no secret.
func (p Profile) Text() (string, error) {
	var text bytes.Buffer
	err := toml.NewEncoder(&text).Encode(p)
	return text.String(), err
}

// ParseProfile parses what [Profile.Text] returned, as strictly as a file. where names its origin in errors, for a
// person. Every error is an [*Error].
func ParseProfile(where, name, text string) (Profile, error) {
	p := Profile{}
	if err := decode(where, []byte(text), &p); err != nil {
		return Profile{}, err
	}
	p.Name, p.File, p.Line = name, where, 1
	if err := p.check([]byte(text)); err != nil {
		return Profile{}, err
	}
	p.File, p.Line = "", 0
	return p, nil
}
