package autostart

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// lockName returns where the lock for the start of a route's groatd is: in the socket's directory, and one for each
// place if that directory has the sockets of many.
func lockName(r *frame.Route) (dir, name string) {
	if r.Sockets.Explicit != "" {
		return filepath.Dir(r.Sockets.Explicit), "start.lock"
	}
	return r.Sockets.Dir, "start." + r.Place.ID() + ".lock"
}

// openLock opens the lock that the processes which start a groatd take in turn. Its directory is made if it is missing,
// and refused if another user could put a socket into it. The error is why the directory cannot be used.
func openLock(dir, name string) (*os.File, error) {
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		if err := ownpath.MakeDir(dir); err != nil {
			return nil, err
		}
	}
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(d)
	var st unix.Stat_t
	switch err := unix.Fstat(d, &st); {
	case err != nil:
		return nil, err
	case int(st.Uid) != os.Geteuid():
		return nil, errDirOwner
	case st.Mode&0o077 != 0:
		return nil, errDirMode
	}
	fd, err := unix.Openat(d, name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	lock := os.NewFile(uintptr(fd), filepath.Join(dir, name))
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() {
		lock.Close()
		return nil, fmt.Errorf(lockNotYours, name)
	}
	return lock, nil
}

// tryLock reports whether this process has the lock now. Closing the file ends it.
func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return false, err
		}
	}
}

// waitForLock delivers nil once this process has the lock, or why it cannot have it. If f is closed before, the lock is
// given up again as soon as it is had.
func waitForLock(f *os.File) (<-chan error, error) {
	// A descriptor of its own: f may be closed meanwhile, and its number another file's.
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, firstForeign)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() {
		defer unix.Close(fd)
		for {
			if err := unix.Flock(fd, unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
				locked <- err
				return
			}
		}
	}()
	return locked, nil
}

// firstForeign is the first descriptor that is not stdin, stdout or stderr.
const firstForeign = 3

// markEach marks every descriptor that the process may have as one that no program inherits.
func markEach() {
	limit := uint64(1 << 16)
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		limit = min(limit, uint64(r.Cur))
	}
	for fd := firstForeign; fd < int(limit); fd++ {
		unix.CloseOnExec(fd)
	}
}

// flockHolder returns the process that holds a file's flock(2), or 0 where the system does not say (proc_locks(5)).
func flockHolder(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	text, err := os.ReadFile("/proc/locks")
	if !ok || err != nil {
		return 0
	}
	at := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	for line := range strings.Lines(string(text)) {
		// "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF"; a waiting one has "->" after the number
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && f[5] == at {
			pid, _ := strconv.Atoi(f[4])
			return max(pid, 0)
		}
	}
	return 0
}
