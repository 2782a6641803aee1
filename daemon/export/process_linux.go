package export

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is one that is followed until it ends: by a pidfd, since its number may be used again.
type process struct {
	pid   int
	began string // when it began, in clock ticks since the system did, and which start of the system that was
	file  *os.File
	over  chan struct{} // closed when it has ended
	once  sync.Once
}

// follow follows a process of this user.
func follow(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, 0) // pidfd_open(2), Linux 5.3; it is not inherited
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, errors.New("there is none")
	}
	if err != nil {
		return nil, err
	}
	unix.SetNonblock(fd, true)
	p := &process{pid: pid, file: os.NewFile(uintptr(fd), "pidfd"), over: make(chan struct{})}
	p.began, err = began(pid)
	if err != nil {
		p.file.Close()
		return nil, err
	}
	go p.wait()
	return p, nil
}

// began returns when a process of this user began (proc_pid_stat(5), field 22).
func began(pid int) (string, error) {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return "", errors.New("there is none")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return "", errors.New("it is another user's")
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", errors.New("there is none")
	}
	_, after, _ := bytes.Cut(stat[max(bytes.LastIndexByte(stat, ')'), 0):], []byte(" ")) // a name may hold anything
	fields := bytes.Fields(after)
	if len(fields) < 20 {
		return "", errors.New("the system does not say when it began")
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id") // random(4); not in every container
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return "", errors.New("the system does not say which start of its this is")
	}
	return string(fields[19]) + "@" + string(bytes.TrimSpace(boot)), nil
}

// wait waits until the process ends or is followed no more.
func (p *process) wait() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Ppoll(fds, &unix.Timespec{}, nil)
		return err == nil && n > 0
	})
	if err == nil {
		close(p.over)
	}
}

// ended returns a channel that is closed when the process has ended.
func (p *process) ended() <-chan struct{} { return p.over }

// close ends following.
func (p *process) close() { p.once.Do(func() { p.file.Close() }) }
