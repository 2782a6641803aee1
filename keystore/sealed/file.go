package sealed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/groat-dev/groat/keystore"
)

// maxFile bounds what is read into memory; ten thousand profiles take a fifth of it.
const maxFile = 64 << 20

// openLocked opens or creates the file, as its owner alone may, and takes the lock that goes with it until it is closed.
func openLocked(disk Disk, path string) (File, error) {
	if err := checkDirectory(disk, filepath.Dir(path)); err != nil {
		return nil, err
	}
	for range 100 {
		f, err := openFile(disk, path, os.O_RDWR|os.O_CREATE)
		if errors.Is(err, syscall.EROFS) {
			f, err = openFile(disk, path, os.O_RDONLY) // can be read all the same; a write will say why not
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

// openFile opens a regular file that is ours and open to nobody else; it never changes what it finds.
func openFile(disk Disk, path string, flags int) (File, error) {
	// O_NONBLOCK: a FIFO in its place must not hold us up.
	f, err := disk.Open(path, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link", path)
	}
	if err != nil {
		return nil, err
	}
	if err := checkFile(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkFile(f File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", f.Name())
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user", f.Name())
	}
	if info.Mode().Perm()&^0o600 != 0 {
		return fmt.Errorf("%s has mode %04o, want 0600: others may have read it", f.Name(), info.Mode().Perm())
	}
	return nil
}

// checkDirectory refuses a directory in which somebody else could put another file in ours' place.
func checkDirectory(disk Disk, dir string) error {
	info, err := disk.Stat(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	owned := ok && (int(st.Uid) == os.Geteuid() || st.Uid == 0)
	if open := info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0; !info.IsDir() || !owned || open {
		return fmt.Errorf("%w: the directory %s is not ours alone to write", keystore.ErrUnavailable, dir)
	}
	return nil
}

func lock(f File) error {
	switch err := f.Lock(); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrInUse
	case err != nil:
		return fmt.Errorf("%w: locking %s: %w", keystore.ErrUnavailable, f.Name(), err)
	}
	return nil
}

func readAll(f File) ([]byte, error) {
	info, err := f.Stat()
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
	}
	data := make([]byte, info.Size())
	if n, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) || n != len(data) {
		return nil, fmt.Errorf("%w: it cannot be read: %w", keystore.ErrUnavailable, err)
	}
	return data, nil
}
