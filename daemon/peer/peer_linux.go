package peer

import (
	"sync"

	"golang.org/x/sys/unix"
)

// soPeerPIDFD is SO_PEERPIDFD (Linux 6.5), which x/sys does not name on every architecture.
const soPeerPIDFD = 77

// pidfsMagic is the file system of pidfds since Linux 6.9, where each process has an inode of its own.
const pidfsMagic = 0x50494446

// Watch follows the processes that are connected to one server. Connections of one process share one descriptor, so
// that ten thousand connections need few more than ten thousand descriptors. The zero value is ready.
type Watch struct {
	mu      sync.Mutex
	shared  map[uint64]*process // :: inode → process
	holding int
	pidfs   bool // each process has an inode of its own
	asked   bool // whether it has is known
}

// process is a pidfd and the number of its users.
type process struct {
	watch *Watch
	pidfd int
	inode uint64 // 0 where the system does not tell one process from another by it
	users int    // guarded by watch.mu
}

func (w *Watch) identify(fd int, p *Peer) error {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return err
	}
	p.UID, p.PID = int(cred.Uid), int(cred.Pid)
	// A kernel without pidfds, or a full descriptor table, only means that the end of the process is not noticed.
	if pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, soPeerPIDFD); err == nil {
		p.process = w.follow(pidfd)
	}
	return nil
}

// follow takes ownership of a pidfd, which no program inherits: the system makes all of them so (pidfd_open(2)).
func (w *Watch) follow(pidfd int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	inode := w.inodeOf(pidfd)
	if known := w.shared[inode]; known != nil {
		unix.Close(pidfd)
		known.users++
		return known
	}
	p := &process{watch: w, pidfd: pidfd, inode: inode, users: 1}
	w.holding++
	if inode != 0 {
		if w.shared == nil {
			w.shared = map[uint64]*process{}
		}
		w.shared[inode] = p
	}
	return p
}

// inodeOf returns the number of the process that a pidfd follows, or 0 if the system has none.
func (w *Watch) inodeOf(pidfd int) uint64 {
	if !w.asked {
		var fs unix.Statfs_t
		w.asked, w.pidfs = true, unix.Fstatfs(pidfd, &fs) == nil && fs.Type == pidfsMagic
	}
	var st unix.Stat_t
	if !w.pidfs || unix.Fstat(pidfd, &st) != nil {
		return 0
	}
	return st.Ino
}

// Holding returns how many descriptors the watch holds now.
func (w *Watch) Holding() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holding
}

// Alive reports whether the process that connected is still running, as far as the system tells.
func (p *Peer) Alive() bool { return p.process == nil || !ready(p.process.pidfd, unix.POLLIN) }

// Close ends following the process. Alive must not be called afterwards.
func (p *Peer) Close() {
	if p.process != nil {
		p.process.leave()
		p.process = nil
	}
}

func (p *process) leave() {
	w := p.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	p.users--
	if p.users > 0 {
		return
	}
	delete(w.shared, p.inode)
	w.holding--
	unix.Close(p.pidfd)
}

// hungUp: poll(2) reports a connection that is half closed as POLLRDHUP, and only one that is closed as POLLHUP.
func hungUp(socket int) bool { return ready(socket, 0) }

func ready(fd int, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Ppoll(fds, &unix.Timespec{}, nil)
	return err == nil && n > 0
}
