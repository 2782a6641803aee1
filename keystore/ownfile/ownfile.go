// Package ownfile is the one way to open, check and replace a file that groat keeps for its user.
//
// Which files may be opened is package ownpath's rule: whose they are, of which type and mode, and who else could
// change the directories on the way. Replacing has one order: a new file beside the old one, its content synced and
// read back, then its name, then the directory synced. The invariant: after a crash at any point the name leads to the
// whole old content or the whole new one, and a nil error means that the new one is durable, if the file system can
// sync a directory. What is not here: what the files contain.
package ownfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// Open opens a file of a disk that the rule allows; with [os.O_CREATE] it makes one of mode 0600. The error of one that
// the rule does not allow is an [*ownpath.Error]. The content of what it finds is never changed.
func Open(disk Disk, path string, flags int, rule ownpath.Rule) (File, error) {
	return ownpath.OpenWith(disk.Open, path, flags, rule)
}

// Read returns the content of a file that the rule allows, at most limit bytes. The error of a larger file wraps
// [ErrTooLarge].
func Read(path string, rule ownpath.Rule, limit int64) ([]byte, error) {
	f, err := ownpath.OpenFile(path, os.O_RDONLY, rule)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, tooLarge(path, limit)
	}
	return content, nil
}

// ReadAll returns the content of an open file from its beginning, at most limit bytes. The error of a larger file wraps
// [ErrTooLarge].
func ReadAll(f File, limit int64) ([]byte, error) {
	size, err := Size(f, limit)
	if err != nil {
		return nil, err
	}
	content := make([]byte, size)
	if n, err := f.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	} else if n != len(content) {
		return nil, fmt.Errorf("%s: %w", f.Name(), io.ErrUnexpectedEOF)
	}
	return content, nil
}

// Size returns the size of an open file in bytes. The error of one larger than limit wraps [ErrTooLarge].
func Size(f File, limit int64) (int64, error) {
	info, err := f.Stat()
	if err == nil && info.Size() > limit {
		err = tooLarge(f.Name(), limit)
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// ErrTooLarge means that a file is larger than its reader allows.
var ErrTooLarge = errors.New("is too large")

func tooLarge(path string, limit int64) error {
	return fmt.Errorf("%s %w: it has more than %d bytes", path, ErrTooLarge, limit)
}

// Beside is the usual name of a new version of a file. The next version removes what a crash left under it, so no other
// process may write in the directory: it is one that this process has locked, or its own runtime directory.
func Beside(path string) string { return path + ".new" }

// Unique is the name of a new version in a directory in which other processes write too. What a crash leaves stays
// there.
func Unique(path string) string {
	return filepath.Join(filepath.Dir(path), ".new-"+rand.Text())
}

// Draft is a new version of a file: whole, durable and read back, and under a name of its own. It is for one goroutine,
// which gives it the file's name with Rename or Link, or discards it; Close alone leaves it where it is.
type Draft struct {
	File
	disk Disk
	path string
}

// Create makes a draft of the file path under the name temporary, which is in the same directory. Its mode is 0600; a
// file system that makes another one of it, or another owner, is refused if the rule does not allow them. The directory
// is not checked: [ownpath.Check] does.
func Create(disk Disk, path, temporary string, rule ownpath.Rule, content []byte) (*Draft, error) {
	if err := IgnoreNotExist(disk.Remove(temporary)); err != nil {
		return nil, err
	}
	f, err := Open(disk, temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, rule)
	if _, refused := errors.AsType[*ownpath.Error](err); refused {
		err = errors.Join(err, disk.Remove(temporary)) // made, but not as this user's: by a server that maps uids
	}
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(content, 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		var back []byte
		if back, err = ReadAll(f, math.MaxInt64); err == nil && !bytes.Equal(back, content) {
			err = fmt.Errorf("%s does not return what was written", temporary)
		}
	}
	d := &Draft{f, disk, path}
	if err != nil {
		return nil, errors.Join(err, d.Discard())
	}
	return d, nil
}

// Rename gives the draft the file's name, in the place of what has it. The file stays open. A draft that cannot be
// renamed is discarded. The name is durable after [Draft.SyncName].
func (d *Draft) Rename() error {
	if err := d.disk.Rename(d.Name(), d.path); err != nil {
		return errors.Join(err, d.Discard())
	}
	return nil
}

// SyncName makes the draft's name durable.
func (d *Draft) SyncName() error { return d.disk.SyncDirectory(filepath.Dir(d.path)) }

// Discard closes and removes a draft that has not been renamed.
func (d *Draft) Discard() error { return errors.Join(d.Close(), d.disk.Remove(d.Name())) }

// Replace replaces a file of the operating system's, or makes it. temporary is [Beside] or [Unique] of it.
func Replace(path, temporary string, rule ownpath.Rule, content []byte) error {
	return ReplaceOn(System, path, temporary, rule, content)
}

// ReplaceOn is [Replace] on another disk.
func ReplaceOn(disk Disk, path, temporary string, rule ownpath.Rule, content []byte) error {
	d, err := Create(disk, path, temporary, rule, content)
	if err != nil {
		return err
	}
	if err := d.Rename(); err != nil {
		return err
	}
	return errors.Join(d.Close(), d.SyncName())
}

// IgnoreNotExist returns err unless it says that a file to be removed is not there.
func IgnoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
