package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// list is the record of what is kept, in the state directory. It holds no secret.
type list struct{ dir string }

const (
	listVersion = 1
	maxList     = 1 << 20 // bytes
)

type contents struct {
	Version int     `json:"version"`
	Exports []entry `json:"exports"`
}

// entry is one file in the record.
type entry struct {
	Path      string `json:"path"`
	Profile   string `json:"profile"`
	Form      string `json:"form"`
	Scope     string `json:"scope,omitempty"`
	Audience  string `json:"audience,omitempty"`
	Hook      string `json:"hook,omitempty"`
	EndsAt    int64  `json:"ends_at,omitempty"`
	ExpiresAt int64  `json:"expires_at,omitempty"` // of the token in the file
	// Draft and Marks are a trace's.
	Draft string   `json:"draft,omitempty"`
	Marks []string `json:"marks,omitempty"`
	// Processes are those as long as which it is kept, until the last of them ends.
	Processes []entryProcess `json:"processes,omitempty"`
}

// entryProcess is a process in the record.
type entryProcess struct {
	PID   int    `json:"pid"`
	Began string `json:"began"` // when, in the system's own words
}

func (e entry) wanted() Wanted {
	return Wanted{Path: e.Path, Variant: Variant{e.Profile, e.Scope, e.Audience}, Form: e.Form, Hook: e.Hook,
		EndsAt: e.EndsAt}
}

func (l list) path() string { return filepath.Join(l.dir, "exports.json") }

// read returns what was recorded; nothing is no error.
func (l list) read() ([]entry, error) {
	if l.dir == "" {
		return nil, nil
	}
	text, err := ownfile.Read(l.path(), ownpath.OwnSecret, maxList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := strictjson.Check(text); err != nil {
		return nil, err
	}
	var c contents
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || c.Version != listVersion || len(c.Exports) > protocol.MaxExports {
		return nil, errors.New("it is not what groatd writes")
	}
	for _, e := range c.Exports {
		if _, known := forms[e.Form]; !known || checkPath(e.Path) != nil || !validDraft(e.Draft) ||
			!config.ValidName(e.Profile) || e.Hook != "" && !config.ValidName(e.Hook) ||
			wire.CheckScope(e.Scope, e.Audience) != nil {
			return nil, errors.New("it names what cannot be kept")
		}
	}
	return c.Exports, nil
}

// write records what is kept.
func (l *list) write(entries []entry) error {
	if l.dir == "" {
		return nil
	}
	text, err := json.Marshal(contents{Version: listVersion, Exports: entries})
	if err != nil {
		return err
	}
	return ownfile.Replace(l.path(), ownfile.Beside(l.path()), ownpath.OwnSecret, text)
}
