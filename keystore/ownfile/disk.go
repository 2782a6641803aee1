package ownfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Disk is the file operations of this package and of a sealed store. A test's disk lets any of them fail, hang, or be
// the last one that has an effect. Its methods are safe for concurrent use.
type Disk interface {
	// Open is open(2) with these flags, mode 0600 and O_CLOEXEC.
	Open(path string, flags int) (File, error)
	// Lstat returns what [os.SameFile] takes, and a [syscall.Stat_t] in Sys.
	Lstat(path string) (fs.FileInfo, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDirectory makes the names in a directory durable, if its file system can do that (fsync(2), EINVAL).
	SyncDirectory(path string) error
}

// File is an open file of a [Disk]. Its methods are safe for concurrent use where those of [os.File] are.
type File interface {
	Name() string
	Stat() (fs.FileInfo, error)
	ReadAt(b []byte, offset int64) (int, error)
	WriteAt(b []byte, offset int64) (int, error)
	Truncate(size int64) error
	// Sync is fsync(2), or what the system has that is as strong.
	Sync() error
	// Lock is flock(2), exclusive and without waiting; EWOULDBLOCK means that another process has the lock. Closing the
	// file releases it.
	Lock() error
	// Reserve allocates size bytes of disk from offset on without changing the file's length. The error is
	// [errors.ErrUnsupported] where the system cannot do that.
	Reserve(offset, size int64) error
	Close() error
}

// System is the operating system's files.
var System Disk = system{}

type system struct{}

func (system) Open(path string, flags int) (File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

func (system) Lstat(path string) (fs.FileInfo, error) { return os.Lstat(path) }
func (system) Rename(from, to string) error           { return os.Rename(from, to) }
func (system) Remove(path string) error               { return os.Remove(path) }

func (system) SyncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

type systemFile struct{ *os.File }

func (f systemFile) Lock() error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
