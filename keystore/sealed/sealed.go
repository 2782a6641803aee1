// Package sealed keeps items in one append-only file of AES-256-GCM records; FORMAT.md is its format.
//
// The invariants: a write counts only once it is on the disk and was read back; a file cut at any byte, or with any bit
// flipped, never yields a wrong item and never costs another record than the one that was hit; and a file that this key does
// not open is not touched. What it is not: protection from who has the key, or from who can put an older copy of all its files
// in their places.
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
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
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
	// Spare is a directory on another file system, of which nothing is expected but that it outlives the process: what
	// the disk of Path does not take is kept there until it does.
	Spare string
	// Seen is a directory that backups leave out: the highest generations are kept there, so that a copy of Path that came
	// back from a backup is known for one. It gets a CACHEDIR.TAG.
	Seen string
	// Disk is what makes every file operation of the store; nil is [ownfile.System].
	Disk ownfile.Disk
}

// Store is an open sealed file, locked against every other process. Safe for concurrent use; readers do not wait for a
// writer's disk, but a read of a disk that hangs is not cut short.
type Store struct {
	disk   ownfile.Disk
	path   string
	keys   *keys
	spare  *spare
	seen   *seen
	writer chan struct{} // holds a token while somebody writes; guards suspect
	// suspect: a write failed, the file ends in damage, or something is not in it yet; it is not appended to but rewritten.
	suspect bool

	mu    sync.RWMutex // guards these two; what they point to changes only with the writer's token too
	file  ownfile.File
	index *index
}

var _ keystore.Store = (*Store)(nil)

// Open opens the file, or creates an empty one, and takes its lock. The key has 32 bytes and stays the caller's.
func Open(path string, key keystore.Secret) (*Store, error) { return Files{Path: path}.Open(key) }

// OpenOn is Open with every file operation on disk, from the first to the last one of the store.
func OpenOn(disk ownfile.Disk, path string, key keystore.Secret) (*Store, error) {
	return Files{Path: path, Disk: disk}.Open(key)
}

// Open is [Open] with all of the store's files. What an earlier process had to set aside is taken in.
func (f Files) Open(key keystore.Secret) (*Store, error) {
	k, err := newKeys(key)
	if err != nil {
		return nil, err
	}
	if f.Disk == nil {
		f.Disk = ownfile.System
	}
	file, err := openLocked(f.Disk, f.Path)
	if err != nil {
		return nil, err
	}
	data, err := readAll(file)
	if err == nil {
		var x *index
		if x, err = scan(k, data); err == nil {
			s := &Store{
				disk: f.Disk, path: f.Path, keys: k, writer: make(chan struct{}, 1),
				spare:   &spare{disk: f.Disk, path: beside(f.Spare, "spare", f.Path), keys: k},
				seen:    &seen{disk: f.Disk, path: beside(f.Seen, "seen", f.Path), keys: k},
				suspect: x.end == 0 || x.end != x.size, file: file, index: x,
			}
			s.spare.load()
			s.takeIn()
			s.seen.open(s.index)
			return s, nil
		}
	}
	file.Close()
	return nil, fmt.Errorf("%s: %w", f.Path, err)
}

// Remove removes the files of a store that is closed and not wanted anymore, the key's after all that it opens. It may be
// repeated; the error wraps [fs.ErrNotExist] where only the sealed file itself was not there.
func (f Files) Remove() error {
	if f.Disk == nil {
		f.Disk = ownfile.System
	}
	err := f.Disk.Remove(f.Path)
	if ownfile.Gone(err) != nil {
		return err
	}
	spare, seen, key, params := beside(f.Spare, "spare", f.Path), beside(f.Seen, "seen", f.Path), f.KeyFile().Path, f.Passphrase(keystore.Secret{}).Params
	var rest error
	for _, path := range []string{spare, seen, f.Path, key, params} {
		if path == "" {
			continue
		}
		names := []string{path, ownfile.Beside(path)}
		if path == key || path == params {
			names = append(names, path+".old") // what a new store has put aside
		}
		for _, name := range names {
			rest = errors.Join(rest, ownfile.Gone(f.Disk.Remove(name)))
		}
	}
	if rest = errors.Join(rest, ownfile.Gone(f.Disk.SyncDirectory(filepath.Dir(f.Path)))); rest != nil {
		return rest
	}
	return err
}

// Close releases the file and its lock. A write that is going on fails or ends first.
func (s *Store) Close() error {
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-time.After(writeLimit):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.file.Close(), s.seen.close())
}

// Get returns the item of the newest generation, or the one directly before if that is damaged. The caller owns its secret.
func (s *Store) Get(_ context.Context, profile string) (keystore.Item, error) {
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
		b := f.aside
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

// Set appends the item's next generation. Where the disk does not take it, that is an error, and a copy is set aside: this
// process goes on with what is stored, but the next one that opens the store takes the copy in, unless something newer was
// stored by then.
func (s *Store) Set(ctx context.Context, profile string, item keystore.Item) error {
	b, err := keystore.EncodeItem(item)
	if err != nil {
		return err
	}
	err = s.write(ctx, func() error {
		defer b.Wipe()
		return s.put(record{kindSet, profile, b})
	})
	if errors.Is(err, keystore.ErrUnavailable) {
		err = s.setAside(profile, item, err)
	}
	return err
}

// Delete appends a record that the item is gone, and rewrites the file without what was stored before.
func (s *Store) Delete(ctx context.Context, profile string) error {
	t := s.keys.tag(profile)
	err := s.spare.drop(func(other tag) uint64 {
		if other == t {
			return 1<<64 - 1
		}
		return 0
	})
	if err != nil {
		return unavailable(err) // it would come back
	}
	return s.write(ctx, func() error {
		// Asked by the one writer: a write that has failed for whoever waited may have been under way until now.
		old, err := s.Get(ctx, profile)
		if errors.Is(err, keystore.ErrNotFound) {
			return nil
		}
		old.Wipe()
		if err := s.put(record{kind: kindDelete, profile: profile}); err != nil {
			return err
		}
		// The item is forgotten as soon as that record is durable; if its bytes cannot be dropped now, the next rewrite will.
		if s.rewrite(nil, 0) != nil {
			s.suspect = true
		}
		return nil
	})
}

// Probe writes a sealed record to a file of its own beside the store's, reads it and removes it. A file that nothing was
// stored in yet is bound to its key.
func (s *Store) Probe(ctx context.Context) error {
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
		d, err := ownfile.Create(s.disk, s.path, ownfile.Beside(s.path), append(s.keys.header(), frame...))
		if err != nil {
			return unavailable(err)
		}
		return d.Discard()
	})
}

// Profiles lists the profiles that have a record which is not a delete, in order; damaged ones that have no readable
// record are left out.
func (s *Store) Profiles() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := maps.Clone(s.index.names)
	for t, frames := range s.index.frames {
		if frames[len(frames)-1].kind == kindDelete {
			delete(names, t)
		}
	}
	return slices.Sorted(maps.Values(names))
}

// Lost reports whether this machine has seen an item of a profile of which the file has no record: it was cut, an older copy
// stands in its place, or the item was deleted.
func (s *Store) Lost(profile string) bool {
	t := s.keys.tag(profile)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.index.frames[t]) == 0 && s.seen.generation(t) > 0
}

// Damaged counts the records and stretches of the file that could not be read when it was opened or last rewritten.
func (s *Store) Damaged() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.index.lost
}
