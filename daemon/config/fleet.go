package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/pelletier/go-toml/v2"

	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// Fleet says which fleet this machine belongs to, and where its engine is: fleet.toml, which `groat fleet create` and
// `groat fleet join` write. No value in it is secret.
type Fleet struct {
	// ID is the fleet's id: 32 hexadecimal digits.
	ID string `toml:"fleet"`
	// Machine is this machine's name in it.
	Machine string `toml:"machine"`
	// Endpoints are the engine's, as origins.
	Endpoints []string `toml:"endpoints"`
	// CAFile is the absolute path of a PEM file with the authorities of the engine's certificates; empty stands for the
	// system's.
	CAFile string `toml:"ca_file,omitempty"`
	// User is the engine's user; empty where it has none.
	User string `toml:"user,omitempty"`
	// Certificate and Key are the absolute paths of the PEM files that this machine shows to the engine; or both empty.
	Certificate string `toml:"certificate,omitempty"`
	Key         string `toml:"key,omitempty"`
}

var fleetID = regexp.MustCompile(`^[0-9a-f]{32}$`)

const fleetName = "fleet.toml"

func (d Dir) fleetFile() string { return filepath.Join(d.path, fleetName) }

// LoadFleet reads fleet.toml. It returns nil where this machine is in no fleet. The error is an [*Error].
func (d Dir) LoadFleet() (*Fleet, error) {
	if d.off() {
		return nil, nil
	}
	text, err := read(d.fleetFile())
	if text == nil || err != nil {
		return nil, err
	}
	var f Fleet
	if err := decode(d.fleetFile(), text, &f); err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, &Error{File: d.fleetFile(), Message: err.Error(), Hint: Edit(d.fleetFile())}
	}
	return &f, nil
}

// check refuses what cannot be a fleet.
func (f *Fleet) check() error {
	switch {
	case !fleetID.MatchString(f.ID):
		return errors.New("fleet is not the id of a fleet: 32 hexadecimal digits")
	case len(f.Endpoints) == 0:
		return errors.New("endpoints are missing")
	case (f.Certificate == "") != (f.Key == ""):
		return errors.New("certificate and key belong together")
	}
	for _, e := range f.Endpoints {
		if err := origin.Check(e, "an endpoint"); err != nil {
			return err
		}
	}
	for key, path := range map[string]string{"ca_file": f.CAFile, "certificate": f.Certificate, "key": f.Key} {
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Errorf("%s is no absolute path", key)
		}
	}
	return nil
}

// SaveFleet writes fleet.toml atomically. Every error is an [*Error].
func (d Dir) SaveFleet(f Fleet) error {
	if err := d.Writable(); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return &Error{File: d.fleetFile(), Message: "was not written: " + err.Error(), Hint: "groat fleet --help"}
	}
	var text bytes.Buffer
	fmt.Fprint(&text, "# Written by `groat fleet`, which replaces it. No secret is in here.\n")
	if err := toml.NewEncoder(&text).Encode(f); err != nil {
		return &Error{File: d.fleetFile(), Message: "was not written: " + err.Error(), Hint: "groat fleet --help"}
	}
	return replace(d.fleetFile(), text.Bytes())
}

// RemoveFleet deletes fleet.toml, if there is one. The error is an [*Error].
func (d Dir) RemoveFleet() error {
	if d.off() {
		return nil
	}
	err := os.Remove(d.fleetFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &Error{File: d.fleetFile(), Message: "cannot be removed: " + cause(err), Hint: ownpath.DirHint(d.path)}
	}
	return nil
}
