package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// refusals remembers across restarts what servers have said about profiles, so that a groatd that is started again and again
// asks no more often than one that runs: a file in the state directory, replaced as a whole. It holds no secret and nothing
// that is made of one. A file that cannot be read is as good as none: it costs one request a profile, never a credential.
type refusals struct {
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
	Configuration string     `json:"configuration"`
	Standing      []standing `json:"standing"`
}

// refusalsFile is the file.
type refusalsFile struct {
	Version  int                   `json:"version"`
	Profiles map[string]remembered `json:"profiles"`
}

const (
	refusalsVersion = 1
	maxRefusals     = 32 << 20
	// writesApart is the least time between two writes: a resume that fails for all profiles is written down now and then.
	writesApart = time.Second
)

// openRefusals reads what an earlier daemon has left in a directory.
func openRefusals(dir string, log *zap.Logger) *refusals {
	closing, closed := context.WithCancel(context.Background())
	r := &refusals{log: log, entries: map[string]remembered{}, closing: closing.Done(), closed: closed}
	if dir == "" {
		return r
	}
	r.file = filepath.Join(dir, "refusals.json")
	entries, err := readRefusals(r.file)
	switch {
	case err == nil:
		r.entries = entries
	case !errors.Is(err, fs.ErrNotExist):
		log.Warn("what servers have refused before is not known any more", zap.String("file", r.file), zap.Error(err))
	}
	return r
}

func readRefusals(file string) (map[string]remembered, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || int(owner) != os.Geteuid() {
		return nil, errors.New("it is not a file that only its owner may read and write")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRefusals+1))
	if err != nil {
		return nil, err
	}
	return parseRefusals(text)
}

// parseRefusals takes all of a text or nothing.
func parseRefusals(text []byte) (map[string]remembered, error) {
	if len(text) > maxRefusals {
		return nil, errors.New("it is too large")
	}
	if err := strictjson.Check(text); err != nil {
		return nil, err
	}
	var all refusalsFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, errors.New("it is not what groatd writes")
	}
	if all.Version != refusalsVersion {
		return nil, fmt.Errorf("its version is %d, not %d", all.Version, refusalsVersion)
	}
	for name, m := range all.Profiles {
		if !config.ValidName(name) || len(m.Configuration) != hex.EncodedLen(sha256.Size) {
			return nil, errors.New("it names what cannot be a profile")
		}
		for _, st := range m.Standing {
			if err := st.check(); err != nil {
				return nil, err
			}
		}
	}
	if all.Profiles == nil {
		all.Profiles = map[string]remembered{}
	}
	return all.Profiles, nil
}

// fingerprint is the digest of all that decides what a profile asks, where, and how.
func (p *profile) fingerprint() string {
	plain := p.Profile
	plain.File, plain.Line = "", 0
	text, err := json.Marshal([]any{plain, p.endpoint.Server()})
	if err != nil {
		return "" // no entry has that
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// of returns what was remembered of a profile as it is configured now; of another configuration it is forgotten.
func (r *refusals) of(p *profile) (all []broker.Standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.entries[p.Name]
	if !ok {
		return nil
	}
	if p.ephemeral || m.Configuration != p.fingerprint() {
		delete(r.entries, p.Name)
		r.write()
		return nil
	}
	for _, st := range m.Standing {
		all = append(all, st.restored())
	}
	return all
}

// note remembers what stands in a profile's way now, or that nothing does.
func (r *refusals) note(name string, p *profile, all []broker.Standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(all) == 0 || p == nil || p.ephemeral {
		if _, known := r.entries[name]; !known {
			return
		}
		delete(r.entries, name)
	} else {
		m := remembered{Configuration: p.fingerprint()}
		for _, st := range all {
			if st := standingOf(st); st.check() == nil { // else it could not be read again, and with it all the others
				m.Standing = append(m.Standing, st)
			}
		}
		r.entries[name] = m
	}
	r.write()
}

// keep forgets every profile but these.
func (r *refusals) keep(profiles map[string]*profile) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.entries)
	maps.DeleteFunc(r.entries, func(name string, _ remembered) bool { return profiles[name] == nil })
	if len(r.entries) != before {
		r.write()
	}
}

// write begins to write, if nobody does. r.mu is held.
func (r *refusals) write() {
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
func (r *refusals) writeOnce() bool {
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
func (r *refusals) save() error {
	r.disk.Lock()
	defer r.disk.Unlock()
	r.mu.Lock()
	r.changed = false
	text, err := json.Marshal(refusalsFile{Version: refusalsVersion, Profiles: r.entries})
	r.mu.Unlock()
	if err == nil {
		err = replaceFile(r.file, text)
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

// close waits until everything is written that was noted, as long as ctx allows.
func (r *refusals) close(ctx context.Context) {
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

// replaceFile writes a file of mode 0600 beside the old one and renames it into place. What a crash leaves of an earlier try
// makes room: the state directory is this process's alone.
func replaceFile(file string, text []byte) (err error) {
	next := file + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
