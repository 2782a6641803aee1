// Package backup writes and reads the file that carries permanent credentials to another machine. The invariant: the
// file is sealed with a passphrase as a whole, and either all of it is as it was written or nothing of it is used.
// Which credentials go into it, and are taken from it, is package daemon's choice. keystore/sealed/FORMAT.md describes
// the format.
package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
)

// magic is the file's first line; the digit is the format.
const magic = "groat backup 1\r\n"

// MaxFile bounds a backup in bytes: ten thousand profiles take less than a quarter of it.
const MaxFile = 32 << 20

// Backup is the content of the file. The caller owns the items' secrets and wipes them.
type Backup struct {
	Created int64 // Unix seconds
	Entries []Entry
	LeftOut []LeftOut
}

// Entry is a profile with its credential.
type Entry struct {
	Profile string
	Config  string // as package config's Profile.Text
	Item    keystore.Item
}

// LeftOut is a profile whose credential is not in the file.
type LeftOut struct {
	Profile string `json:"profile"`
	Reason  string `json:"reason"`
	Hint    string `json:"hint,omitempty"`
}

// Wipe overwrites every secret.
func (b *Backup) Wipe() {
	for _, e := range b.Entries {
		e.Item.Wipe()
	}
}

// Seal returns the file's bytes, sealed with the passphrase, which stays the caller's.
func (b *Backup) Seal(passphrase keystore.Secret) ([]byte, error) {
	left, err := json.Marshal(append([]LeftOut{}, b.LeftOut...))
	if err != nil {
		return nil, err
	}
	var parts []keystore.Secret
	defer func() {
		for _, p := range parts {
			p.Wipe()
		}
	}()
	head := fmt.Appendf(nil, `{"v":1,"created":%d,"left_out":%s,"entries":[`, b.Created, left)
	room := len(head) + len("]}")
	frames := make([][]byte, 0, len(b.Entries))
	for _, e := range b.Entries {
		names, err := json.Marshal(map[string]string{"profile": e.Profile, "config": e.Config})
		if err != nil {
			return nil, err
		}
		item, err := keystore.EncodeItem(e.Item)
		if err != nil {
			return nil, fmt.Errorf("profile %q: %w", e.Profile, err)
		}
		frames, parts = append(frames, names[:len(names)-1]), append(parts, item)
		room += len(names) + len(`,"item":},`) + item.Len()
	}
	// Room for all of it, so that append leaves no copy of a secret behind.
	text := append(make([]byte, 0, room), head...)
	for i, frame := range frames {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(text, frame...), `,"item":`...)
		text = append(parts[i].AppendTo(text), '}')
	}
	content := keystore.NewSecret(append(text, "]}"...))
	defer content.Wipe()
	if content.Len() > MaxFile/2 {
		return nil, fmt.Errorf("%w: a backup has at most %d MiB", keystore.ErrTooBig, MaxFile>>21)
	}
	return sealed.Wrap(magic, passphrase, content)
}

// Open returns the content of the file's bytes. A changed file is [keystore.ErrCorrupt], a wrong passphrase
// [keystore.ErrLocked]; then nothing is returned. The passphrase stays the caller's.
func Open(data []byte, passphrase keystore.Secret) (*Backup, error) {
	if later := "groat backup "; bytes.HasPrefix(data, []byte(later)) &&
		!bytes.HasPrefix(data, []byte(magic[:len(later)+2])) {
		return nil, fmt.Errorf("%w: it was written by a newer groat; upgrade groat", keystore.ErrCorrupt)
	}
	content, err := sealed.Unwrap(magic, passphrase, data)
	if err != nil {
		return nil, err
	}
	defer content.Wipe()
	text := content.AppendTo(make([]byte, 0, content.Len()))
	defer clear(text)
	var in struct {
		V       int       `json:"v"`
		Created int64     `json:"created"`
		LeftOut []LeftOut `json:"left_out"`
		Entries []struct {
			Profile string          `json:"profile"`
			Config  string          `json:"config"`
			Item    json.RawMessage `json:"item"`
		} `json:"entries"`
	}
	if json.Unmarshal(text, &in) != nil || in.V < 1 {
		return nil, fmt.Errorf("%w: what is in it cannot be read", keystore.ErrCorrupt)
	}
	if in.V > 1 {
		return nil, fmt.Errorf("%w: it was written by a newer groat; upgrade groat", keystore.ErrCorrupt)
	}
	b := &Backup{Created: in.Created, LeftOut: in.LeftOut}
	for _, e := range in.Entries {
		raw := keystore.NewSecret(e.Item)
		item, err := keystore.DecodeItem(raw)
		raw.Wipe()
		if err == nil && slices.ContainsFunc(b.Entries, func(o Entry) bool { return o.Profile == e.Profile }) {
			item.Wipe()
			err = fmt.Errorf("%w: it stands there twice", keystore.ErrCorrupt)
		}
		if err != nil {
			b.Wipe()
			return nil, fmt.Errorf("profile %q: %w", e.Profile, err)
		}
		b.Entries = append(b.Entries, Entry{e.Profile, e.Config, item})
	}
	return b, nil
}
