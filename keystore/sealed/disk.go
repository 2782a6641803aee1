package sealed

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Disk is every file operation that a [Store] makes, so that a test can let any of them fail, hang, or be the last one that
// has an effect. Paths are absolute or relative as the store was given them. Safe for concurrent use.
type Disk interface {
	// Open is open(2) with these flags, mode 0600 and O_CLOEXEC.
	Open(path string, flags int) (File, error)
	// Stat and Lstat return what [os.SameFile] takes, and a [syscall.Stat_t] in Sys.
	Stat(path string) (fs.FileInfo, error)
	Lstat(path string) (fs.FileInfo, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDirectory makes the names in a directory durable.
	SyncDirectory(path string) error
}

// File is an open file of a [Disk].
type File interface {
	Name() string
	Stat() (fs.FileInfo, error)
	ReadAt(b []byte, offset int64) (int, error)
	WriteAt(b []byte, offset int64) (int, error)
	Truncate(size int64) error
	// Sync is fsync(2), or what the system has that is as strong.
	Sync() error
	// Lock is flock(2), exclusive and without waiting; EWOULDBLOCK says that another has it. Closing the file releases it.
	Lock() error
	// Reserve allocates the file's next size bytes from offset on without changing its length. [errors.ErrUnsupported]
	// where that cannot be done.
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

func (system) Stat(path string) (fs.FileInfo, error)  { return os.Stat(path) }
func (system) Lstat(path string) (fs.FileInfo, error) { return os.Lstat(path) }
func (system) Rename(from, to string) error           { return os.Rename(from, to) }
func (system) Remove(path string) error               { return os.Remove(path) }

func (system) SyncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type systemFile struct{ *os.File }

func (f systemFile) Lock() error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
