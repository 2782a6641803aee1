package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// record says what setup has written for one tool and profile.
type record struct {
	Version int    `json:"version"`
	Edits   []edit `json:"edits"`
}

// recordVersion is the form of a record that this groat writes and reads.
const recordVersion = 1

// edit is what was done to one file.
type edit struct {
	Path     string    `json:"path"`
	Format   string    `json:"format"`
	Settings []Setting `json:"settings"`
	Lock     string    `json:"lock,omitempty"`
	// Created is set where there was no file before groat made it, for this profile or another one, and Dirs are the
	// directories that were made for it.
	Created bool     `json:"created,omitempty"`
	Dirs    []string `json:"dirs,omitempty"`
	// Copy is the file as it was, and After the SHA-256 of what it became.
	Copy  string `json:"copy,omitempty"`
	After string `json:"after"`

	before []byte // what Copy has
}

func sum(content []byte) string {
	h := sha256.Sum256(content)
	return hex.EncodeToString(h[:])
}

// directory is where records and copies are.
func (m *Machine) directory() string { return filepath.Join(m.State, "setup") }

// What the names of records and of copies end with. Both are beside each other.
const recordSuffix, copySuffix = ".json", ".before"

func (m *Machine) recordPath(tool, profile string) string {
	return filepath.Join(m.directory(), tool+"."+profile+recordSuffix) // no name of a tool has a dot
}

// load returns the record of a tool and profile, with the copies, or nil.
func (m *Machine) load(tool, profile string) (*record, error) {
	path := m.recordPath(tool, profile)
	s, err := read(path)
	if err != nil || !s.there {
		return nil, err
	}
	var r record
	err = json.Unmarshal(s.content, &r)
	if err == nil && r.Version != recordVersion {
		err = errors.New("its version is " + strconv.Itoa(r.Version))
	}
	for i := range r.Edits {
		e := &r.Edits[i]
		if err == nil && formats[e.Format] == nil && (e.Format != formatLink || len(e.Settings) != 1) {
			err = errors.New("its format is " + strconv.Quote(e.Format))
		}
		if e.Copy == "" {
			continue
		}
		e.Copy = filepath.Join(m.directory(), filepath.Base(e.Copy))
		// Without its copy a file is undone setting by setting.
		if c, copyErr := read(e.Copy); copyErr == nil && c.there {
			e.before = c.content
		} else {
			e.After = ""
		}
	}
	if err != nil {
		return nil, &Error{Reason: BadRecord, Path: path, Err: err}
	}
	return &r, nil
}

// store writes a record in the place of an old one, which may be nil, and before that the copies that it has not yet.
// Until it is written no copy of the old one is changed.
func (m *Machine) store(tool, profile string, r, old *record) error {
	dir := m.directory()
	if err := ownpath.System().MayMakeIn(dir); err != nil {
		return &Error{Reason: NotWritten, Path: dir, Err: err}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &Error{Reason: NotWritten, Path: dir, Err: err}
	}
	r.Version = recordVersion
	for i := range r.Edits {
		e := &r.Edits[i]
		if e.Copy != "" || e.Created && len(e.before) == 0 {
			continue
		}
		for n := i; e.Copy == "" || r.has(e) || old.has(e); n++ {
			e.Copy = filepath.Join(dir, tool+"."+profile+"."+strconv.Itoa(n)+"."+
				strings.TrimLeft(filepath.Base(e.Path), ".")+copySuffix)
		}
		if err := overwrite(e.Copy, e.before); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return overwrite(m.recordPath(tool, profile), append(text, '\n'))
}

// has reports whether another edit than e has the copy that e would have.
func (r *record) has(e *edit) bool {
	if r == nil {
		return false
	}
	for i := range r.Edits {
		if other := &r.Edits[i]; other != e && other.Copy == e.Copy {
			return true
		}
	}
	return false
}

// overwrite replaces a file of groat's own, whatever it is like now.
func overwrite(path string, content []byte) error {
	s, err := read(path)
	if err != nil {
		return err
	}
	return s.replace(path, "", content, 0o600)
}

// forget removes a record and its copies.
func (m *Machine) forget(tool, profile string, r *record) error {
	if err := os.Remove(m.recordPath(tool, profile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &Error{Reason: NotWritten, Path: m.recordPath(tool, profile), Err: err}
	}
	for _, e := range r.Edits {
		if e.Copy != "" {
			os.Remove(e.Copy)
		}
	}
	os.Remove(m.directory()) // refused where another record is in it
	return nil
}

// Profiles returns the profiles that a tool is set up for.
func (m *Machine) Profiles(tool string) (profiles []string) {
	entries, _ := os.ReadDir(m.directory())
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if before, profile, _ := strings.Cut(name, "."); ok && before == tool && profile != "" &&
			!strings.ContainsFunc(profile, notInProfile) {
			profiles = append(profiles, profile)
		}
	}
	slices.Sort(profiles)
	return profiles
}

// notInProfile reports what cannot stand in the name of a profile.
func notInProfile(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("._-", c)
}
