// Package refusals remembers across restarts what servers have refused, so that a groatd that is started again and again asks
// no more often than one that runs. What is remembered is in one file of the state directory, which holds no secret and
// nothing that is made of one.
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

// File is what is remembered, of all profiles, in a file that is replaced as a whole. A file that cannot be read counts as
// an empty one: that costs one request a profile, never a credential. The methods are safe for concurrent use.
type File struct {
	file string // empty: nothing outlives the daemon
	log  *zap.Logger

	disk    sync.Mutex // held while the file is replaced
	mu      sync.Mutex
	entries map[string]remembered // :: profile → what stands in its way
	changed bool                  // the file does not say it yet
	writing chan struct{}         // closed when everything is written; nil where nobody writes
	failed  bool                  // the last write did; said once
	closed  func()
	closing <-chan struct{}
}

// remembered is what is known of one profile.
type remembered struct {
	// Configuration is the digest of what the profile was when the server said it: another one may fare better.
	Configuration string         `json:"configuration"`
	Blocks        []broker.Block `json:"standing"`
}

// contents is the file as it is written.
type contents struct {
	Version  int                   `json:"version"`
	Profiles map[string]remembered `json:"profiles"`
}

const (
	version = 1
	maxSize = 32 << 20
	// writesApart is the least time between two writes: a resume that fails for all profiles is written down now and then.
	writesApart = time.Second
)

// Open reads what an earlier daemon has left in a directory. With an empty dir nothing outlives the daemon.
func Open(dir string, log *zap.Logger) *File {
	closing, closed := context.WithCancel(context.Background())
	r := &File{log: log, entries: map[string]remembered{}, closing: closing.Done(), closed: closed}
	if dir == "" {
		return r
	}
	r.file = filepath.Join(dir, "refusals.json")
	entries, err := read(r.file)
	switch {
	case err == nil:
		r.entries = entries
	case !errors.Is(err, fs.ErrNotExist):
		log.Warn("what servers have refused before is not known any more", zap.String("file", r.file), zap.Error(err))
	}
	return r
}

func read(file string) (map[string]remembered, error) {
	text, err := ownfile.Read(file, ownpath.OwnSecret, maxSize)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// parse takes all of a text or nothing.
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

// Of returns what is remembered of a profile whose configuration has this fingerprint. What was remembered under another one is
// forgotten, and all of it where the fingerprint is empty. fingerprint is called only where anything is remembered.
func (r *File) Of(name string, fingerprint func() string) []broker.Block {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.entries[name]
	if !ok {
		return nil
	}
	if m.Configuration != fingerprint() {
		delete(r.entries, name)
		r.write()
		return nil
	}
	return m.Blocks
}

// Note remembers what stands in a profile's way now, or that nothing does; nothing is remembered where the fingerprint is empty.
// It does not wait for the disk.
func (r *File) Note(name string, fingerprint func() string, all []broker.Block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	configuration := ""
	if len(all) > 0 {
		configuration = fingerprint()
	}
	if configuration == "" {
		if _, known := r.entries[name]; !known {
			return
		}
		delete(r.entries, name)
	} else {
		m := remembered{Configuration: configuration}
		for _, b := range all {
			if _, err := b.MarshalJSON(); err == nil { // one that could not be read again would cost all the others
				m.Blocks = append(m.Blocks, b)
			}
		}
		r.entries[name] = m
	}
	r.write()
}

// Keep forgets every profile for which known is false.
func (r *File) Keep(known func(name string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.entries)
	maps.DeleteFunc(r.entries, func(name string, _ remembered) bool { return !known(name) })
	if len(r.entries) != before {
		r.write()
	}
}

// write begins to write, if nobody does. r.mu is held.
func (r *File) write() {
	r.changed = true
	if r.file == "" || r.writing != nil {
		return
	}
	r.writing = make(chan struct{})
	go func() {
		for r.writeOnce() {
			select {
			case <-time.After(writesApart):
			case <-r.closing:
			}
		}
	}()
}

// writeOnce writes what has changed, and reports whether something had.
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

// save makes the file what is known now.
func (r *File) save() error {
	r.disk.Lock()
	defer r.disk.Unlock()
	r.mu.Lock()
	r.changed = false
	text, err := json.Marshal(contents{Version: version, Profiles: r.entries})
	r.mu.Unlock()
	if err == nil {
		err = ownfile.Replace(r.file, ownfile.Beside(r.file), text)
	}
	r.mu.Lock()
	news := err != nil && !r.failed
	r.failed = err != nil
	r.mu.Unlock()
	if news {
		r.log.Warn("a refusal is not remembered across restarts", zap.String("file", r.file), zap.Error(err))
	}
	return err
}

// Close waits until everything is written that was noted, as long as ctx allows.
func (r *File) Close(ctx context.Context) {
	r.closed()
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

// forgetLimit is how long a disk may keep a credential from being stored that is no longer what was refused.
const forgetLimit = 3 * time.Second

// Forget is for a credential that is about to be stored. What was said of the one before is not in the file any more when it
// returns, so that no crash and no full disk lets it speak for the new one: where the file cannot be written it goes.
func (r *File) Forget(ctx context.Context, name string) {
	r.mu.Lock()
	_, known := r.entries[name]
	delete(r.entries, name)
	stale := known || r.changed || r.failed || r.writing != nil
	r.mu.Unlock()
	if r.file == "" || !stale {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, forgetLimit)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if r.save() != nil {
			os.Remove(r.file)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
