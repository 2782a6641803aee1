package sealed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// maxFile bounds what is read into memory; ten thousand profiles take a fifth of it.
const maxFile = 64 << 20

// openLocked opens or creates the file, as its owner alone may, and takes the lock that goes with it until it is closed.
func openLocked(disk ownfile.Disk, path string) (ownfile.File, error) {
	if err := checkDirectory(path); err != nil {
		return nil, err
	}
	for range 100 {
		f, err := ownfile.Open(disk, path, os.O_RDWR|os.O_CREATE, ownpath.OwnSecret)
		if errors.Is(err, syscall.EROFS) {
			f, err = ownfile.Open(disk, path, os.O_RDONLY, ownpath.OwnSecret) // can be read all the same; a write will say why not
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
		}
		if err := lock(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		// Its holder may have put a rewritten file in place between our open and our lock.
		ours, err1 := f.Stat()
		named, err2 := disk.Lstat(path)
		if err1 == nil && err2 == nil && os.SameFile(ours, named) {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("%s: %w", path, ErrInUse)
}

// checkDirectory refuses a file in whose place another user could put something else.
func checkDirectory(path string) error {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err == nil {
		err = ownpath.Check(dir)
	}
	return unavailable(err)
}

func lock(f ownfile.File) error {
	switch err := f.Lock(); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrInUse
	case err != nil:
		return fmt.Errorf("%w: locking %s: %w", keystore.ErrUnavailable, f.Name(), err)
	}
	return nil
}

// readAll returns the content of an open file.
func readAll(f ownfile.File) ([]byte, error) {
	data, err := ownfile.ReadAll(f, maxFile)
	return data, unavailable(err)
}
