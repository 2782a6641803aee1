package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// compactAt is the size from which a file that is mostly garbage is rewritten.
const compactAt = 64 << 10

// write runs f as the one writer, and waits for it until ctx ends or writeLimit has passed.
func (s *Store) write(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	endWrite, err := s.beginWrite(ctx)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer endWrite()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: the disk did not answer in time; the write may still be carried out",
			keystore.ErrUnavailable)
	}
}

// beginWrite waits until no other write is under way, or until ctx ends.
func (s *Store) beginWrite(ctx context.Context) (endWrite func(), err error) {
	select {
	case s.writer <- struct{}{}:
		return func() { <-s.writer }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: the disk is still busy with an earlier write", keystore.ErrUnavailable)
	}
}

// putRecord makes one item durable, or that there is none.
func (s *Store) putRecord(r record) error {
	t := s.keys.tag(r.profile)
	generation := s.next(t)
	if err := s.commit(generation, r, 0); err != nil {
		return err
	}
	s.guard.raise(t, generation)
	s.fallback.drop(s.index.stored) // if that fails, its generation says that it is older
	return nil
}

// next returns a generation above all that there are of a profile, wherever they are, and above what this machine has
// seen: a copy from a backup and what becomes of it never have the generation of what was there in between.
func (s *Store) next(t tag) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return min(max(s.index.newest(t), s.fallback.generation(t), s.guard.generation(t)), maxGeneration-1) + 1
}

// maxGeneration is not reached by counting. An earlier groat took generations from heads that did not open, and a
// forged one could bring it there; then each record has this one, and the later one counts.
const maxGeneration = 1<<64 - 1

// commit writes one record, and room behind it is kept free: appended if the file can be trusted, else with a rewrite.
func (s *Store) commit(generation uint64, r record, room int64) error {
	s.mu.RLock()
	file, x := s.file, s.index
	s.mu.RUnlock()
	b, err := s.keys.seal(generation, r)
	if err != nil {
		return err
	}
	full := x.size+int64(len(b)) > maxFile
	mostlyGarbage := x.size > compactAt && x.garbage() > x.size/2
	if s.suspect || full || mostlyGarbage && r.kind != kindAnswered {
		// Where there is no room for a second file there may be some for a record.
		if err := s.rewrite(b, room); err == nil || s.suspect || full {
			return err
		}
	}
	if err := s.append(file, b, x.end, room, !r.isIntent()); err != nil {
		if _, clean := errors.AsType[*fullError](err); clean {
			return unavailable(err)
		}
		// The kernel may drop what it could not write and forget that it failed: the same file is not asked again.
		s.suspect = true
		again := s.rewrite(b, room)
		if again == nil {
			return nil
		}
		file.Truncate(x.end) // best effort: the next reader must not find what is reported as not stored
		if errors.Is(err, syscall.EBADF) {
			return again // opened on a file system that was read-only then: this says whether it still is
		}
		return unavailable(err)
	}
	h, _ := parseHead(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	x.add(s.keys.tag(r.profile), r, frame{head: h, offset: x.end, kind: r.kind})
	return nil
}

// fullError: the disk or the quota is full, and the file is what it was before. It may be appended to when there is
// room.
type fullError struct{ error }

func (f *fullError) Unwrap() error { return f.error }

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// append writes one frame, with room kept free behind it, and with durable proves that it is in the file.
func (s *Store) append(file ownfile.File, b []byte, end, room int64, durable bool) error {
	if err := s.checkInPlace(file); err != nil {
		return err
	}
	if room > 0 {
		room += int64(len(b))
	}
	if err := reserve(file, end, room); isFull(err) {
		return &fullError{err}
	} else if err != nil {
		return err
	}
	if _, err := file.WriteAt(b, end); isFull(err) && file.Truncate(end) == nil {
		return &fullError{err}
	} else if err != nil || !durable {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return s.readBack(file, b, end)
}

// reserve keeps room free from offset on, where the system can do that.
func reserve(file ownfile.File, offset, room int64) error {
	if room == 0 {
		return nil
	}
	if err := file.Reserve(offset, room); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// readBack reads one frame, through a descriptor of its own, from the file that the path names, and opens it.
func (s *Store) readBack(file ownfile.File, b []byte, offset int64) error {
	check, err := ownfile.Open(s.disk, s.path, os.O_RDONLY, ownpath.OwnSecret)
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		check = file // what is synced is not given up because clients took all descriptors
	case err != nil:
		return err
	default:
		defer check.Close()
	}
	back := make([]byte, len(b))
	if _, err := check.ReadAt(back, offset); err != nil {
		return err
	}
	h, ok := parseHead(back)
	if !ok || !bytes.Equal(b, back) {
		return fmt.Errorf("%s does not return what was written", s.path)
	}
	r, err := s.keys.open(h, back)
	r.item.Wipe()
	return err
}

// checkInPlace says whether the path still names our file.
func (s *Store) checkInPlace(file ownfile.File) error {
	ours, err := file.Stat()
	if err != nil {
		return err
	}
	named, err := s.disk.Lstat(s.path)
	if err != nil {
		return err
	}
	if !os.SameFile(ours, named) {
		return fmt.Errorf("%s was replaced while in use", s.path)
	}
	return nil
}

// rewrite puts a new file in place: what is worth keeping, and extra, which is one frame or nothing, and free room
// behind it. On an error the old one stands as it was, unless the new one is in place and only its name may not be
// durable yet.
func (s *Store) rewrite(extra []byte, room int64) error {
	s.mu.RLock()
	old, x := s.file, s.index
	s.mu.RUnlock()
	// A file that was removed is still open here; a file that another program put in its place is not replaced.
	if err := s.checkInPlace(old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return unavailable(err)
	}
	data, err := s.rewritten(old, x, extra)
	if err != nil {
		return err
	}
	if len(data) > maxFile {
		return fmt.Errorf("%w: %s would have more than %d bytes", keystore.ErrTooBig, s.path, maxFile)
	}
	fresh, err := scan(s.keys, data)
	if err != nil {
		return err
	}
	draft, err := ownfile.Create(s.disk, s.path, ownfile.Beside(s.path), ownpath.OwnSecret, data)
	if err != nil {
		return unavailable(err)
	}
	err = reserve(draft, int64(len(data)), room)
	if err == nil {
		err = lock(draft)
	}
	if err != nil {
		return unavailable(errors.Join(err, draft.Discard()))
	}
	if err := draft.Rename(); err != nil {
		return unavailable(err)
	}
	s.mu.Lock()
	s.file, s.index = draft.File, fresh
	if s.released {
		draft.Close() // and with it the lock, which the next one who opens the file needs
	}
	s.mu.Unlock()
	old.Close()
	err = draft.SyncName()
	if err == nil && len(extra) > 0 {
		err = s.readBack(draft.File, extra, int64(len(data)-len(extra)))
	}
	if s.suspect = err != nil; s.suspect {
		return unavailable(err)
	}
	s.fallback.drop(fresh.stored)
	return nil
}

// rewritten returns the new file's bytes.
func (s *Store) rewritten(old ownfile.File, x *index, extra []byte) ([]byte, error) {
	data := s.keys.header()
	copyOf := func(f frame) error {
		if f.inFallback != nil {
			data = append(data, f.inFallback...)
			return nil
		}
		start := len(data)
		data = append(data, make([]byte, f.size())...)
		if _, err := old.ReadAt(data[start:], f.offset); err != nil && !errors.Is(err, io.EOF) {
			return unavailable(err)
		}
		return nil
	}
	for t, frames := range x.frames {
		for _, f := range kept(frames) {
			if err := copyOf(f); err != nil {
				return nil, err
			}
		}
		if _, open := x.open[t]; open {
			if err := copyOf(x.intents[t]); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range x.damage {
		if err := copyOf(f); err != nil {
			return nil, err
		}
	}
	return append(data, extra...), nil
}

// unavailable wraps a failure of the disk.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
}
