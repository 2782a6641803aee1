// Package sealed keeps items in one append-only file of AES-256-GCM records; FORMAT.md is its format.
//
// The invariants: a write counts only once it is on the disk and was read back; a file cut at any byte, or with any bit
// flipped, never yields a wrong item and never costs another record than the one that was hit; and a file that this key
// does not open is not touched. What it is not: protection from a person who has the key, or who can put an older copy
// of all its files in their places.
package sealed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// ErrWrongKey: the file is whole, but sealed with another key or passphrase. It wraps [keystore.ErrLocked].
var ErrWrongKey = fmt.Errorf("%w: the key or passphrase does not fit the sealed file", keystore.ErrLocked)

// ErrInUse: another process has the file open. It wraps [keystore.ErrUnavailable].
var ErrInUse = fmt.Errorf("%w: another process uses the sealed file", keystore.ErrUnavailable)

// writeLimit is how long a write may take; a disk that takes longer keeps the one writer and fails the others.
const writeLimit = 10 * time.Second

// Files say where a store's files are. Only Path is required.
type Files struct {
	Path string
	// FallbackDir is a directory on another file system, of which nothing is expected but that it outlives the process:
	// what the disk of Path does not take is kept there until it does.
	FallbackDir string
	// RollbackDir is a directory that backups leave out. It gets a CACHEDIR.TAG. The highest generation of each profile
	// is kept there, so that a copy of Path that came back from a backup is detected.
	RollbackDir string
	// Disk makes every operation on the store's files; nil is [ownfile.System].
	Disk ownfile.Disk
}

func (f Files) fallbackFile() string { return inDir(f.FallbackDir, "spare", f.Path) }

func (f Files) rollbackFile() string { return inDir(f.RollbackDir, "seen", f.Path) }

// Options say what a store keeps, and how it gets its key.
type Options struct {
	Files
	// Key brings the key without a person. A [Passphrase] without its passphrase stands for one that must be typed.
	Key KeySource
	// KeyName is what people call the place that Key comes from: "keychain", "credential", "file" or "passphrase".
	KeyName string
	// Expected lists the profiles whose items the file should have. nil: that is not known.
	Expected func() []string
	// Changing reports whether a write is under way, whose profile is listed by Expected before the file is made. nil:
	// never.
	Changing func() bool
}

// Store is a sealed file. It opens its file when it is first needed: the key may be in a keychain that is still locked,
// or in a person's head, and neither must keep a daemon from starting. Only Set, Probe and [Store.Unlock] make a file
// that is not there: its key is made anew, and a call that only reads must not do that while the file is moved away for
// a moment.
//
// An open file is locked against every other process. A Store is safe for concurrent use; readers do not wait for a
// writer's disk, but a read of a disk that hangs is not cut short.
type Store struct {
	options Options
	disk    ownfile.Disk
	path    string

	opening chan struct{} // holds a token while someone opens or closes the file; guards closed
	making  atomic.Bool   // a file that was not there is being opened, and is empty at first
	closed  bool          // for good
	isOpen  atomic.Bool   // what follows is set; it is set once

	keys     *keys
	fallback *fallback
	guard    *rollbackGuard
	writer   chan struct{} // holds a token while someone writes; guards suspect
	// suspect: a write failed, the file ends in damage, or something is not in it yet; it is not appended to but
	// rewritten.
	suspect bool

	mu       sync.RWMutex // guards these three; what they point to changes only with the writer's token too
	file     ownfile.File
	index    *index
	released bool // the file was closed; what a late write puts in its place is closed too
}

var _ keystore.Store = (*Store)(nil)

// New returns a store. It neither looks at the files nor asks for the key.
func New(o Options) *Store {
	if o.Disk == nil {
		o.Disk = ownfile.System
	}
	if o.Expected == nil {
		o.Expected = func() []string { return nil }
	}
	if o.Changing == nil {
		o.Changing = func() bool { return false }
	}
	return &Store{options: o, disk: o.Disk, path: o.Path, opening: make(chan struct{}, 1),
		writer: make(chan struct{}, 1)}
}

// Remove removes the files of a store that is closed and no longer used; the key's file goes last. It may be
// repeated; the error wraps [fs.ErrNotExist] where only the sealed file itself was not there.
func (f Files) Remove() error {
	if f.Disk == nil {
		f.Disk = ownfile.System
	}
	err := f.Disk.Remove(f.Path)
	if ownfile.IgnoreNotExist(err) != nil {
		return err
	}
	key, params := f.KeyFile().Path, f.Passphrase(keystore.Secret{}).Params
	var rest error
	for _, path := range []string{f.fallbackFile(), f.rollbackFile(), f.Path, key, params} {
		if path == "" {
			continue
		}
		names := []string{path, ownfile.Beside(path)}
		if path == key || path == params {
			names = append(names, path+".old") // the file that a new store has replaced
		}
		for _, name := range names {
			rest = errors.Join(rest, ownfile.IgnoreNotExist(f.Disk.Remove(name)))
		}
	}
	if rest = errors.Join(rest, ownfile.IgnoreNotExist(f.Disk.SyncDirectory(filepath.Dir(f.Path)))); rest != nil {
		return rest
	}
	return err
}

// Get returns the item of the newest generation, or the one directly before if that is damaged. The caller owns its
// secret.
func (s *Store) Get(ctx context.Context, profile string) (keystore.Item, error) {
	if err := s.openExisting(ctx); err != nil {
		return keystore.Item{}, err
	}
	return s.get(profile)
}

func (s *Store) get(profile string) (keystore.Item, error) {
	for {
		s.mu.RLock()
		t := s.keys.tag(profile)
		file, candidates := s.file, s.index.candidates(t)
		_, damaged := s.index.damage[t]
		s.mu.RUnlock()
		if len(candidates) == 0 && damaged {
			return keystore.Item{}, s.unreadable()
		}
		r, _, err := s.read(file, profile, candidates)
		if errors.Is(err, os.ErrClosed) && s.replaced(file) {
			continue // a rewrite came between; the new file has it
		}
		if err != nil {
			return keystore.Item{}, err
		}
		defer r.item.Wipe()
		return keystore.DecodeItem(r.item)
	}
}

func (s *Store) replaced(file ownfile.File) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.file != file
}

// read returns the record that speaks for a profile, and where it stands. The caller owns its secret.
func (s *Store) read(file ownfile.File, profile string, candidates []frame) (record, frame, error) {
	if len(candidates) == 0 {
		return record{}, frame{}, keystore.ErrNotFound
	}
	for _, f := range candidates {
		b := f.inFallback
		if b == nil {
			b = make([]byte, f.size())
			if _, err := file.ReadAt(b, f.offset); err != nil {
				return record{}, frame{}, unavailable(err)
			}
		}
		r, err := s.keys.open(f.head, b)
		if err != nil || r.profile != profile {
			continue
		}
		if r.kind == kindDelete {
			return record{}, frame{}, keystore.ErrNotFound
		}
		return r, f, nil
	}
	return record{}, frame{}, s.unreadable()
}

func (s *Store) unreadable() error {
	return fmt.Errorf("%w: neither its newest record in %s nor the one before can be read", keystore.ErrCorrupt, s.path)
}

// Set appends the item's next generation. Where the disk does not take it, that is an error, and a copy goes to the
// fallback file: this process goes on with what is stored, but the next one that opens the store adopts the copy,
// unless something newer was stored by then.
func (s *Store) Set(ctx context.Context, profile string, item keystore.Item) error {
	b, err := keystore.EncodeItem(item)
	if err != nil {
		return err
	}
	if _, err := s.open(ctx, s.options.Key, true); err != nil {
		b.Wipe()
		return err
	}
	err = s.write(ctx, func() error {
		defer b.Wipe()
		return s.putRecord(record{kindSet, profile, b})
	})
	if errors.Is(err, keystore.ErrUnavailable) {
		err = s.putInFallback(profile, item, err)
	}
	return err
}

// Delete appends a record that the item is gone, and rewrites the file without what was stored before.
func (s *Store) Delete(ctx context.Context, profile string) error {
	if err := s.openExisting(ctx); err != nil {
		return unlessAbsent(err)
	}
	t := s.keys.tag(profile)
	err := s.fallback.drop(func(other tag) uint64 {
		if other == t {
			return 1<<64 - 1
		}
		return 0
	})
	if err != nil {
		return unavailable(err) // it would come back
	}
	return s.write(ctx, func() error {
		// Read with the writer's token: a write whose caller has given up may have been under way until now.
		old, err := s.get(profile)
		if errors.Is(err, keystore.ErrNotFound) {
			return nil
		}
		old.Wipe()
		if err := s.putRecord(record{kind: kindDelete, profile: profile}); err != nil {
			return err
		}
		// The item is forgotten as soon as that record is durable; if its bytes cannot be dropped now, the next rewrite
		// will.
		if s.rewrite(nil, 0) != nil {
			s.suspect = true
		}
		return nil
	})
}

// Probe writes a sealed record to a file of its own beside the store's, reads it and removes it. A file that nothing
// was stored in yet is bound to its key.
func (s *Store) Probe(ctx context.Context) error {
	if _, err := s.open(ctx, s.options.Key, true); err != nil {
		return err
	}
	return s.probe(ctx)
}

func (s *Store) probe(ctx context.Context) error {
	return s.write(ctx, func() error {
		s.mu.RLock()
		fresh := s.index.end == 0
		s.mu.RUnlock()
		if fresh {
			return s.rewrite(nil, 0)
		}
		frame, err := s.keys.seal(1, record{kind: kindDelete, profile: "probe:"})
		if err != nil {
			return err
		}
		d, err := ownfile.Create(s.disk, s.path, ownfile.Beside(s.path), ownpath.OwnSecret,
			append(s.keys.header(), frame...))
		if err != nil {
			return unavailable(err)
		}
		return d.Discard()
	})
}

// Profiles lists the profiles that have a record which is not a delete, in order; damaged ones that have no readable
// record are left out. The error is that of [Store.Open].
func (s *Store) Profiles(ctx context.Context) ([]string, error) {
	if err := s.Open(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := maps.Clone(s.index.names)
	for t, frames := range s.index.frames {
		if frames[len(frames)-1].kind == kindDelete {
			delete(names, t)
		}
	}
	return slices.Sorted(maps.Values(names)), nil
}

// Lost reports whether this machine has seen an item of a profile of which the file has no record: it was cut, an older
// copy stands in its place, or the item was deleted. It is false while the file is not open.
func (s *Store) Lost(profile string) bool {
	if !s.isOpen.Load() {
		return false
	}
	t := s.keys.tag(profile)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.index.frames[t]) == 0 && s.guard.generation(t) > 0
}

// unlessAbsent returns err unless there is no file: what is to be forgotten is not there then.
func unlessAbsent(err error) error {
	if err == errAbsent {
		return nil
	}
	return err
}
