package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// startLock returns where the lock for the start of a route's groatd stands: in the socket's directory, and one for each
// place where that directory has the sockets of many.
func (r route) startLock() (dir, name string) {
	if r.sockets.Explicit != "" {
		return filepath.Dir(r.sockets.Explicit), "start.lock"
	}
	return r.sockets.Dir, "start." + r.place.ID() + ".lock"
}

// openStartLock opens the lock that starters of groatd take in turn. Its directory is made where it is missing, and refused
// where anybody else could put a socket of theirs in our way.
func openStartLock(dir, name string) (*os.File, error) {
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		if err := ownpath.MakeDir(dir); err != nil {
			return nil, errSocketDir(dir, err)
		}
	}
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errSocketDir(dir, err)
	}
	defer unix.Close(d)
	var st unix.Stat_t
	switch err := unix.Fstat(d, &st); {
	case err != nil:
		return nil, errSocketDir(dir, err)
	case int(st.Uid) != os.Geteuid():
		return nil, errSocketDir(dir, errDirOwner)
	case st.Mode&0o077 != 0:
		return nil, errSocketDir(dir, errDirMode)
	}
	fd, err := unix.Openat(d, name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, errSocketDir(dir, err)
	}
	lock := os.NewFile(uintptr(fd), filepath.Join(dir, name))
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() {
		lock.Close()
		return nil, errSocketDir(dir, fmt.Errorf(lockNotYours, name))
	}
	return lock, nil
}

// tryLock reports whether the lock is ours now. It ends with the file.
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

// firstForeign is the first descriptor that is not stdin, stdout or stderr.
const firstForeign = 3

// markEach marks the descriptors that the process may have as not to be inherited.
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
