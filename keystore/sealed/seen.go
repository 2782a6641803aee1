package sealed

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"

	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// seen is a file of the highest generation that there was of each profile, outside of what a backup brings back. It is made
// of slots that are written in place, without fsync: it is behind after a power failure, never ahead, and whoever removes
// it loses nothing but a warning. What cannot be read is not there; nothing about it is ever an error.
type seen struct {
	disk ownfile.Disk
	path string // empty: there is no place for one
	keys *keys

	mu    sync.Mutex
	file  ownfile.File // nil where there is none
	slots map[tag]slot
	free  []int64 // offsets of slots that say nothing
	end   int64
}

// slot is where a profile's generation stands.
type slot struct {
	offset     int64
	generation uint64
}

const (
	macSize  = 16
	slotSize = tagSize + 8 + macSize // tag, generation, and the first bytes of an HMAC-SHA256 of both
	maxSeen  = 4 << 20               // bytes; 131,072 profiles
)

// cacheTag is what the Cache Directory Tagging Specification asks for; backup programs leave such a directory out.
const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55\n# groat keeps here what a backup shall not bring back. It may be removed.\n"

func (s *seen) seal(t tag, generation uint64) []byte {
	b := binary.BigEndian.AppendUint64(append(make([]byte, 0, slotSize), t[:]...), generation)
	h := hmac.New(sha256.New, s.keys.seen)
	h.Write(b)
	return append(b, h.Sum(nil)[:macSize]...)
}

// open reads the file, or makes it, and takes in what x knows better.
func (s *seen) open(x *index) {
	s.slots = make(map[tag]slot)
	if s.path == "" || checkDirectory(s.path) != nil {
		return
	}
	f, err := ownfile.Open(s.disk, s.path, os.O_RDWR|os.O_CREATE, ownpath.OwnSecret)
	if err != nil {
		return
	}
	data, err := readAll(f)
	if err != nil || len(data) > maxSeen {
		f.Close()
		return
	}
	s.file = f
	s.tagDirectory()
	for ; len(data) >= slotSize; data, s.end = data[slotSize:], s.end+slotSize {
		t, generation := tag(data), binary.BigEndian.Uint64(data[tagSize:])
		before, twice := s.slots[t]
		switch {
		case !bytes.Equal(s.seal(t, generation), data[:slotSize]):
			s.free = append(s.free, s.end)
		case !twice || generation > before.generation:
			s.slots[t] = slot{s.end, generation}
		}
	}
	for t := range x.frames {
		s.raise(t, x.newest(t))
	}
}

// tagDirectory tells backup programs to leave the directory out.
func (s *seen) tagDirectory() {
	path := filepath.Join(filepath.Dir(s.path), "CACHEDIR.TAG")
	f, err := ownfile.Open(s.disk, path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, ownpath.OwnState)
	if err != nil {
		return // most likely it is there
	}
	f.WriteAt([]byte(cacheTag), 0)
	f.Close()
}

// generation is the highest one that this machine has seen of a profile, or 0.
func (s *seen) generation(t tag) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots[t].generation
}

// raise notes a generation, if it is higher than the one that is noted.
func (s *seen) raise(t tag, generation uint64) {
	if s.generation(t) < generation {
		s.set(t, generation)
	}
}

// set notes a generation, higher or not.
func (s *seen) set(t tag, generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.slots[t]
	switch {
	case s.file == nil || ok && at.generation == generation:
		return
	case ok:
	case len(s.free) > 0:
		at.offset, s.free = s.free[0], s.free[1:]
	case s.end >= maxSeen:
		return
	default:
		at.offset = s.end
		s.end += slotSize
	}
	at.generation = generation
	s.slots[t] = at
	s.file.WriteAt(s.seal(t, generation), at.offset)
}

func (s *seen) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}
