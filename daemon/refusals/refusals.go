// Package refusals remembers across restarts what servers have refused, so that a groatd that is started again and
// again asks no more often than one that runs, and what renewals end at a server. What is remembered is in one file of
// the state directory, which holds no secret and nothing that is made of one.
package refusals

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// File is what is remembered of all profiles. The file is replaced as a whole. One that cannot be read counts as empty:
// that costs one request for each profile, never a credential. The methods are safe for concurrent use.
type File struct {
	path string // empty: nothing outlives the daemon
	log  *zap.Logger

	disk    sync.Mutex // held while the file is replaced
	mu      sync.Mutex
	entries map[string]remembered // :: profile → what is known of it
	changed bool                  // since the file was last written
	writing chan struct{}         // closed when everything is written; nil while nothing is being written
	failed  bool                  // the last write failed, which is logged once
	closing <-chan struct{}       // closed by close
	close   func()
}

// remembered is what is known of one profile.
type remembered struct {
	// Configuration is the fingerprint of the profile's configuration then. With another one a request may succeed.
	Configuration string         `json:"configuration"`
	Blocks        []broker.Block `json:"standing"`
	// Ending is how it was found out that the server ends a session's tokens at each renewal; missing where it was not.
	Ending broker.Ending `json:"refresh_ends_tokens,omitzero"`
	// Narrowing is what a narrower scope has done to the session; missing where that is nothing.
	Narrowing broker.Narrowing `json:"refresh_narrows,omitzero"`
	// Session is how long the session lives; missing where nothing is known of that.
	Session broker.SessionMemory `json:"session,omitzero"`
	// Last: the session ended with the access token of an earlier process.
	Last bool `json:"last_token,omitempty"`
}

// contents is the file as it is written.
type contents struct {
	Version  int                   `json:"version"`
	Profiles map[string]remembered `json:"profiles"`
}

const (
	version = 1
	maxSize = 32 << 20 // of the file, in bytes
	// writeInterval is the least time between two writes, also while all profiles fail after a suspend.
	writeInterval = time.Second
)

// Open reads what an earlier daemon has left in a directory. With an empty dir nothing outlives the daemon.
func Open(dir string, log *zap.Logger) *File {
	closing, cancel := context.WithCancel(context.Background())
	r := &File{log: log, entries: map[string]remembered{}, closing: closing.Done(), close: cancel}
	if dir == "" {
		return r
	}
	r.path = filepath.Join(dir, "refusals.json")
	entries, err := read(r.path)
	switch {
	case err == nil:
		r.entries = entries
	case !errors.Is(err, fs.ErrNotExist):
		log.Warn("what servers have refused before is not known any more", zap.String("file", r.path), zap.Error(err))
	}
	return r
}

func read(path string) (map[string]remembered, error) {
	text, err := ownfile.Read(path, ownpath.OwnSecret, maxSize)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// parse returns all that a text says, or an error if any of it is not what groatd writes.
func parse(text []byte) (map[string]remembered, error) {
	if err := strictjson.Check(text); err != nil {
		return nil, err
	}
	var all contents
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, errors.New("it is not what groatd writes")
	}
	if all.Version != version {
		return nil, fmt.Errorf("its version is %d, not %d", all.Version, version)
	}
	for name, m := range all.Profiles {
		if !config.ValidName(name) || len(m.Configuration) != hex.EncodedLen(sha256.Size) {
			return nil, errors.New("it names what cannot be a profile")
		}
	}
	if all.Profiles == nil {
		all.Profiles = map[string]remembered{}
	}
	return all.Profiles, nil
}

// Remembered returns what is remembered of a profile whose configuration has this fingerprint. What is remembered of
// another configuration is forgotten. fingerprint is called only where something is remembered; it may return "" for a
// profile of which nothing is to be.
func (r *File) Remembered(name string, fingerprint func() string) broker.Remembered {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.entries[name]
	if !ok {
		return broker.Remembered{}
	}
	if m.Configuration != fingerprint() {
		delete(r.entries, name)
		r.write()
		return broker.Remembered{}
	}
	return broker.Remembered{Blocks: m.Blocks, Ending: m.Ending, Narrowing: m.Narrowing, Session: m.Session,
		Last: m.Last}
}

// Record remembers what is known of a profile now in the place of what was before. Nothing is remembered where the
// fingerprint is empty. It does not wait for the disk.
func (r *File) Record(name string, fingerprint func() string, all broker.Remembered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	configuration := ""
	if !all.Empty() {
		configuration = fingerprint()
	}
	if configuration == "" {
		if _, known := r.entries[name]; !known {
			return
		}
		delete(r.entries, name)
	} else {
		m := remembered{Configuration: configuration, Ending: all.Ending, Narrowing: all.Narrowing,
			Session: all.Session, Last: all.Last}
		for _, b := range all.Blocks {
			if _, err := b.MarshalJSON(); err == nil { // one that could not be read again would void the file
				m.Blocks = append(m.Blocks, b)
			}
		}
		r.entries[name] = m
	}
	r.write()
}

// Retain forgets every profile for which known is false.
func (r *File) Retain(known func(name string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.entries)
	maps.DeleteFunc(r.entries, func(name string, _ remembered) bool { return !known(name) })
	if len(r.entries) != before {
		r.write()
	}
}

// write writes the file in the background, if that is not being done. r.mu is held.
func (r *File) write() {
	r.changed = true
	if r.path == "" || r.writing != nil {
		return
	}
	r.writing = make(chan struct{})
	go func() {
		for r.writeOnce() {
			select {
			case <-time.After(writeInterval):
			case <-r.closing:
			}
		}
	}()
}

// writeOnce writes the file if anything has changed, and reports whether it had.
func (r *File) writeOnce() bool {
	r.mu.Lock()
	if !r.changed {
		close(r.writing)
		r.writing = nil
		r.mu.Unlock()
		return false
	}
	r.mu.Unlock()
	r.save()
	return true
}

// save replaces the file by what is known now.
func (r *File) save() error {
	r.disk.Lock()
	defer r.disk.Unlock()
	r.mu.Lock()
	r.changed = false
	text, err := json.Marshal(contents{Version: version, Profiles: r.entries})
	r.mu.Unlock()
	if err == nil {
		err = ownfile.Replace(r.path, ownfile.Beside(r.path), ownpath.OwnState, text)
	}
	r.mu.Lock()
	news := err != nil && !r.failed
	r.failed = err != nil
	r.mu.Unlock()
	if news {
		r.log.Warn("a refusal is not remembered across restarts", zap.String("file", r.path), zap.Error(err))
	}
	return err
}

// Close waits, as long as ctx allows, until everything is written.
func (r *File) Close(ctx context.Context) {
	r.close()
	r.mu.Lock()
	writing := r.writing
	r.mu.Unlock()
	if writing == nil {
		return
	}
	select {
	case <-writing:
	case <-ctx.Done():
	}
}

// forgetLimit is how long a new credential waits until the refusals of the old one are removed.
const forgetLimit = 3 * time.Second

// Forget durably removes what is remembered of a profile, before a new credential is stored for it: no crash and no
// full disk leaves refusals of the old one that would count for the new one. If the file cannot be replaced it is
// deleted. Forget waits for a slow disk for at most 3 s, or as long as ctx allows.
func (r *File) Forget(ctx context.Context, name string) {
	r.mu.Lock()
	_, known := r.entries[name]
	delete(r.entries, name)
	stale := known || r.changed || r.failed || r.writing != nil
	r.mu.Unlock()
	if r.path == "" || !stale {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, forgetLimit)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if r.save() != nil {
			os.Remove(r.path)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
