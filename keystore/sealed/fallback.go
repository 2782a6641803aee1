package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// fallback is a second file, on another file system, for items that the sealed file's disk did not take. It has the
// sealed file's format and holds one record a profile. It is small, replaced as a whole, and removed when it is empty.
//
// The generation of what goes here is above any that the sealed file may have got in spite of an error; what is stored
// there later is above this. So the one of the higher generation is the newer one, and of equal ones the sealed file's
// counts.
type fallback struct {
	disk ownfile.Disk
	path string // empty: there is no place for one
	keys *keys

	mu     sync.Mutex
	frames map[tag]fallbackFrame
}

// fallbackFrame is a frame that is not in the sealed file.
type fallbackFrame struct {
	head
	bytes []byte
}

// inDir names a file in another directory that belongs to the sealed file at path; empty where there is no directory.
func inDir(dir, kind, path string) string {
	if dir == "" {
		return ""
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(dir, kind+"-"+hex.EncodeToString(sum[:8]))
}

// load reads what a process before this one left. What cannot be read, or is another key's, is nothing.
func (s *fallback) load() {
	s.frames = make(map[tag]fallbackFrame)
	if s.path == "" {
		return
	}
	f, err := ownfile.Open(s.disk, s.path, os.O_RDONLY, ownpath.OwnSecret)
	if err != nil {
		return
	}
	defer f.Close()
	data, err := readAll(f)
	if err != nil {
		return
	}
	x, err := scan(s.keys, data)
	if err != nil {
		return
	}
	for t, frames := range x.frames {
		if last := frames[len(frames)-1]; last.kind == kindSet {
			s.frames[t] = fallbackFrame{last.head, bytes.Clone(data[last.offset:last.end()])}
		}
	}
}

// generation is that of what is here of a profile, or 0.
func (s *fallback) generation(t tag) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames[t].generation
}

var errNoFallback = errors.New("there is no other file system for a copy")

// put keeps one frame of a profile, in the place of what was there of it.
func (s *fallback) put(t tag, frame []byte) error {
	if s.path == "" {
		return errNoFallback
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, _ := parseHead(frame)
	before, had := s.frames[t]
	s.frames[t] = fallbackFrame{h, frame}
	err := s.write()
	if err != nil && had {
		s.frames[t] = before
	} else if err != nil {
		delete(s.frames, t)
	}
	return err
}

// drop forgets what the sealed file has too, or has newer: stored says up to which generation.
func (s *fallback) drop(stored func(tag) uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped := make(map[tag]fallbackFrame)
	for t, a := range s.frames {
		if a.generation <= stored(t) {
			dropped[t] = a
			delete(s.frames, t)
		}
	}
	if len(dropped) == 0 {
		return nil
	}
	err := s.write()
	for t, a := range dropped {
		if err != nil {
			s.frames[t] = a // still in the file; the next write tries again
		}
	}
	return err
}

// write makes the file what the frames are.
func (s *fallback) write() error {
	if len(s.frames) == 0 {
		return ownfile.IgnoreNotExist(s.disk.Remove(s.path))
	}
	data := s.keys.header()
	for _, a := range s.frames {
		data = append(data, a.bytes...)
	}
	if err := checkDirectory(s.path); err != nil {
		return err
	}
	return ownfile.ReplaceOn(s.disk, s.path, ownfile.Beside(s.path), ownpath.OwnSecret, data)
}

// putInFallback keeps a copy of an item that could not be stored because of err, and says so in the error that it
// returns.
func (s *Store) putInFallback(profile string, item keystore.Item, err error) error {
	b, encodeErr := keystore.EncodeItem(item)
	if encodeErr != nil {
		return err
	}
	defer b.Wipe()
	// One more than the next: that one may be in the file although its write failed, or be on its way to a disk that
	// hangs.
	t := s.keys.tag(profile)
	next := s.next(t)
	if next == maxGeneration {
		return err // what is stored later could not be told from it
	}
	generation := next + 1
	frame, sealErr := s.keys.seal(generation, record{kindSet, profile, b})
	if sealErr != nil || s.fallback.put(t, frame) != nil {
		return err
	}
	return fmt.Errorf("%w; until then a copy in %s outlives this process, though not a restart of the machine", err,
		s.fallback.path)
}

// mergeFallback adds to the index what an earlier process left in the fallback file, and stores it in the sealed file
// if that can be done now. Until it can be, it is read from where it is.
func (s *Store) mergeFallback() {
	if s.index.end == 0 {
		// Nothing was ever stored, or the file was removed to give up what it held.
		s.fallback.drop(func(tag) uint64 { return 1<<64 - 1 })
		return
	}
	for t, a := range s.fallback.frames {
		r, err := s.keys.open(a.head, a.bytes)
		r.item.Wipe()
		if err != nil || a.generation <= s.index.newest(t) {
			continue
		}
		s.index.insert(r.profile, frame{head: a.head, kind: r.kind, inFallback: a.bytes})
		s.suspect = true // the next write of any kind is a rewrite, which has it
	}
	if s.suspect && len(s.fallback.frames) > 0 {
		s.rewrite(nil, 0) // if it fails, what it was for is in the index all the same
	}
	s.fallback.drop(s.index.stored)
}
