package sealed

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// rollbackGuard is a file with the highest generation of each profile that this machine has seen, in a directory that
// backups leave out: it detects that an older copy of the sealed file was put back. It is made of entries that are
// written in place, without fsync: after a power failure it is behind, never ahead, and removing it loses nothing but a
// warning. What cannot be read is not there; nothing about it is ever an error.
type rollbackGuard struct {
	disk ownfile.Disk
	path string // empty: there is no place for one
	keys *keys

	mu      sync.Mutex
	file    ownfile.File // nil where there is none
	entries map[tag]guardEntry
	free    []int64 // offsets of unused entries
	end     int64
}

// guardEntry is where a profile's generation stands.
type guardEntry struct {
	offset     int64
	generation uint64
}

const (
	macSize      = 16
	entrySize    = tagSize + 8 + macSize // tag, generation, and the first bytes of an HMAC-SHA256 of both
	maxGuardSize = 4 << 20               // bytes; 131,072 profiles
)

// cacheTag is what the Cache Directory Tagging Specification asks for; backup programs leave such a directory out.
const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55\n" +
	"# groat keeps here what a backup shall not bring back. It may be removed.\n"

// seal appends the entry of a profile to b.
func (s *rollbackGuard) seal(b []byte, t tag, generation uint64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(append(b, t[:]...), generation)
	sum := s.keys.seen.of(string(b[start:]))
	return append(b, sum[:macSize]...)
}

// open reads the file, or makes it, and raises it to the generations in x.
func (s *rollbackGuard) open(x *index) {
	s.entries = make(map[tag]guardEntry)
	if s.path == "" || checkDirectory(s.path) != nil {
		return
	}
	f, err := ownfile.Open(s.disk, s.path, os.O_RDWR|os.O_CREATE, ownpath.OwnSecret)
	if err != nil {
		return
	}
	data, err := readAll(f)
	if err != nil || len(data) > maxGuardSize {
		f.Close()
		return
	}
	s.file = f
	s.tagDirectory()
	entry := make([]byte, 0, entrySize)
	for ; len(data) >= entrySize; data, s.end = data[entrySize:], s.end+entrySize {
		t, generation := tag(data), binary.BigEndian.Uint64(data[tagSize:])
		before, twice := s.entries[t]
		switch {
		case !bytes.Equal(s.seal(entry[:0], t, generation), data[:entrySize]):
			s.free = append(s.free, s.end)
		case !twice || generation > before.generation:
			s.entries[t] = guardEntry{s.end, generation}
		}
	}
	s.raiseAll(x)
}

// tagDirectory tells backup programs to leave the directory out.
func (s *rollbackGuard) tagDirectory() {
	path := filepath.Join(filepath.Dir(s.path), "CACHEDIR.TAG")
	f, err := ownfile.Open(s.disk, path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, ownpath.OwnState)
	if err != nil {
		return // most likely it is there
	}
	f.WriteAt([]byte(cacheTag), 0)
	f.Close()
}

// generation is the highest one that this machine has seen of a profile, or 0.
func (s *rollbackGuard) generation(t tag) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[t].generation
}

// raise records a generation, if it is higher than the recorded one.
func (s *rollbackGuard) raise(t tag, generation uint64) {
	if s.generation(t) < generation {
		s.set(t, generation)
	}
}

// raiseAll is raise for every profile of an index. Entries that stand side by side are written at once: a machine that
// sees ten thousand profiles for the first time makes one write of them.
func (s *rollbackGuard) raiseAll(x *index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	type change struct {
		tag
		guardEntry
	}
	var changes []change
	for t := range x.frames {
		if generation := x.newest(t); s.entries[t].generation < generation {
			if offset, ok := s.place(t, generation); ok {
				changes = append(changes, change{t, guardEntry{offset, generation}})
			}
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.offset, b.offset) })
	run := make([]byte, 0, len(changes)*entrySize)
	for i, c := range changes {
		run = s.seal(run, c.tag, c.generation)
		end := c.offset + entrySize
		if i+1 < len(changes) && changes[i+1].offset == end {
			continue
		}
		s.file.WriteAt(run, end-int64(len(run)))
		run = run[:0]
	}
}

// set records a generation, higher or not.
func (s *rollbackGuard) set(t tag, generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offset, ok := s.place(t, generation); ok {
		s.file.WriteAt(s.seal(nil, t, generation), offset)
	}
}

// place records a generation in memory and returns where in the file it is to be written; false where it is there
// already, or there is no room. s.mu is held.
func (s *rollbackGuard) place(t tag, generation uint64) (offset int64, write bool) {
	at, ok := s.entries[t]
	switch {
	case s.file == nil || ok && at.generation == generation:
		return 0, false
	case ok:
	case len(s.free) > 0:
		at.offset, s.free = s.free[0], s.free[1:]
	case s.end >= maxGuardSize:
		return 0, false
	default:
		at.offset = s.end
		s.end += entrySize
	}
	at.generation = generation
	s.entries[t] = at
	return at.offset, true
}

func (s *rollbackGuard) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}
