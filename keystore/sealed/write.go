package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/groat-dev/groat/keystore"
)

// compactAt is the size from which a file that is mostly garbage is rewritten.
const compactAt = 64 << 10

// write runs f as the one writer, and waits for it until ctx ends or writeLimit has passed.
func (s *Store) write(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	select {
	case s.writer <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: the disk is still busy with an earlier write", keystore.ErrUnavailable)
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-s.writer }()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: the disk did not answer in time; the write may still be carried out", keystore.ErrUnavailable)
	}
}

// put makes one record durable: appended if the file can be trusted, else with a rewrite.
func (s *Store) put(r record) error {
	s.mu.RLock()
	file, x := s.file, s.index
	generation := x.next(s.keys.tag(r.profile))
	rewrite := s.suspect || (x.size > compactAt && x.garbage() > x.size/2)
	s.mu.RUnlock()
	b, err := s.keys.seal(generation, r)
	if err != nil {
		return err
	}
	if x.size+int64(len(b)) > maxFile {
		return fmt.Errorf("%w: %s would have more than %d bytes", keystore.ErrTooBig, s.path, maxFile)
	}
	if rewrite {
		return s.rewrite(b)
	}
	if err := s.append(file, b, x.end); err != nil {
		// The kernel may drop what it could not write and forget that it failed: the same file is not asked again.
		s.suspect = true
		if s.rewrite(b) == nil {
			return nil
		}
		file.Truncate(x.end) // best effort: who reads the file next shall not find what we report as not stored
		return fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
	}
	h, _ := parseHead(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	x.add(r.profile, frame{head: h, offset: x.end, ok: true, kind: r.kind})
	return nil
}

// append writes one frame and proves that it is in the file.
func (s *Store) append(file *os.File, b []byte, end int64) error {
	if err := s.inPlace(file); err != nil {
		return err
	}
	if _, err := file.WriteAt(b, end); err != nil {
		return err
	}
	if err := s.fsync(file); err != nil {
		return err
	}
	return s.confirm(b, end)
}

// confirm reads one frame, through a descriptor of its own, from the file that the path names, and opens it.
func (s *Store) confirm(b []byte, offset int64) error {
	check, err := openFile(s.path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer check.Close()
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

// inPlace says whether the path still names our file.
func (s *Store) inPlace(file *os.File) error {
	ours, err := file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(s.path)
	if err != nil {
		return err
	}
	if !os.SameFile(ours, named) {
		return fmt.Errorf("%s was replaced while in use", s.path)
	}
	return nil
}

// rewrite puts a new file in place: what is worth keeping, and extra, which is one frame or nothing, behind it. On an error
// the old one stands as it was, unless the new one is in place and only its name may not be durable yet.
func (s *Store) rewrite(extra []byte) error {
	s.mu.RLock()
	old, x := s.file, s.index
	s.mu.RUnlock()
	// Gone is fine, we have it open; another file in its place is somebody's, and not ours to replace.
	if err := s.inPlace(old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
	}
	data, err := s.collect(old, x, extra)
	if err != nil {
		return err
	}
	fresh, err := scan(s.keys, data)
	if err != nil {
		return err
	}
	file, err := s.writeNew(data)
	if err != nil {
		return err
	}
	temporary := file.Name()
	if err = lock(file); err == nil {
		err = os.Rename(temporary, s.path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", keystore.ErrUnavailable, errors.Join(err, file.Close(), os.Remove(temporary)))
	}
	s.mu.Lock()
	s.file, s.index = file, fresh
	s.mu.Unlock()
	old.Close()
	err = syncDirectory(s.path)
	if err == nil && len(extra) > 0 {
		err = s.confirm(extra, int64(len(data)-len(extra)))
	}
	if s.suspect = err != nil; s.suspect {
		return fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
	}
	return nil
}

// collect returns the new file's bytes.
func (s *Store) collect(old *os.File, x *index, extra []byte) ([]byte, error) {
	data := s.keys.header()
	for _, frames := range x.frames {
		for _, f := range kept(frames) {
			start := len(data)
			data = append(data, make([]byte, f.size())...)
			if _, err := old.ReadAt(data[start:], f.offset); err != nil && !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
			}
		}
	}
	return append(data, extra...), nil
}

// writeNew writes data to a new file beside ours, durable and read back; the caller closes and renames or removes it.
func (s *Store) writeNew(data []byte) (_ *os.File, err error) {
	name := s.path + ".new"
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
		}
	}()
	// What a crash left; only the name goes, and only we have the lock.
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(data); err == nil {
		err = s.fsync(f)
	}
	if err == nil {
		var back []byte
		if back, err = readAll(f); err == nil && !bytes.Equal(back, data) {
			err = fmt.Errorf("%s does not return what was written", name)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(name))
	}
	return f, nil
}
