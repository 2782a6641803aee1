package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/strictjson"
	"github.com/groat-dev/groat/protocol/visible"
)

// render returns the content of a file: the header field, as curl's "-H @FILE" and GDAL's GDAL_HTTP_HEADER_FILE read it
// (https://curl.se/docs/manpage.html#-H, https://gdal.org/en/stable/user/configoptions.html#networking-options), or the
// token alone, as the WLCG Bearer Token Discovery reads it (https://zenodo.org/records/3937438). Both end with a
// newline.
func render(form, profile string, t grant.Token) (keystore.Secret, error) {
	if form == protocol.FormHeader {
		name, value := t.Header()
		return keystore.NewSecret([]byte(name + ": " + value + "\n")), nil
	}
	if t.Static || t.Visible {
		return keystore.Secret{}, protocol.NewError(protocol.Config,
			fmt.Sprintf("what profile %s has is to be sent as a header only", profile),
			"groat export "+profile+" --header-file FILE")
	}
	return keystore.NewSecret(append(t.Access.AppendTo(nil), '\n')), nil
}

// fileError is what a person is told of a file that cannot be kept.
func fileError(err error) *protocol.Error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e
	}
	if own, ok := errors.AsType[*ownpath.Error](err); ok {
		return protocol.NewError(protocol.Config, own.Error(), own.Hint)
	}
	hint := "groat export"
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		hint = "ls -ld " + visible.Word(filepath.Dir(p.Path))
	}
	return protocol.NewError(protocol.Config, "the file cannot be written: "+err.Error(), hint)
}

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
	PID       int    `json:"pid,omitempty"`
	Began     string `json:"began,omitempty"` // when the process began, in the system's own words
	EndsAt    int64  `json:"ends_at,omitempty"`
	ExpiresAt int64  `json:"expires_at,omitempty"` // of the token in the file
	// Draft and Marks are a trace's.
	Draft string   `json:"draft,omitempty"`
	Marks []string `json:"marks,omitempty"`
}

func (e entry) wanted() Wanted {
	return Wanted{Path: e.Path, Profile: e.Profile, Form: e.Form, PID: e.PID, EndsAt: e.EndsAt}
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
		if checkPath(e.Path) != nil || !validDraft(e.Draft) || !config.ValidName(e.Profile) || e.PID < 0 ||
			e.Form != protocol.FormHeader && e.Form != protocol.FormToken {
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
