package peer

import (
	"golang.org/x/sys/unix"
)

// soPeerPIDFD is SO_PEERPIDFD (Linux 6.5), which x/sys does not name on every architecture.
const soPeerPIDFD = 77

func (p *Peer) identify(fd int) error {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return err
	}
	p.UID, p.PID = int(cred.Uid), int(cred.Pid)
	// A kernel or a descriptor table that has none to give only means that the end of the process is not noticed.
	if pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, soPeerPIDFD); err == nil {
		p.pidfd = pidfd
		unix.CloseOnExec(pidfd)
	}
	return nil
}

// Alive reports whether the process that connected has not ended, as far as that can be told.
func (p *Peer) Alive() bool {
	if p.pidfd < 0 {
		return true
	}
	fds := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	n, err := unix.Ppoll(fds, &unix.Timespec{}, nil)
	return err != nil || n == 0
}

// Close releases what follows the process. Alive must not be called afterwards.
func (p *Peer) Close() {
	if p.pidfd >= 0 {
		unix.Close(p.pidfd)
		p.pidfd = -1
	}
}
