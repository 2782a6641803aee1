//go:build !linux

package export

import (
	"errors"
	"sync"
	"syscall"
	"time"
)

// process is one that is followed until it ends.
type process struct {
	pid   int
	began string // always empty: this system does not say it in a way that outlives the daemon
	over  chan struct{}
	gone  chan struct{}
	once  sync.Once
}

// unsaid is how often a system is asked that does not say by itself when a process ends.
const unsaid = time.Second

// follow follows a process of this user.
func follow(pid int) (*process, error) {
	switch err := syscall.Kill(pid, 0); {
	case errors.Is(err, syscall.EPERM):
		return nil, errors.New("it is another user's")
	case err != nil:
		return nil, errors.New("there is none")
	}
	p := &process{pid: pid, over: make(chan struct{}), gone: make(chan struct{})}
	go func() {
		for syscall.Kill(pid, 0) == nil {
			select {
			case <-time.After(unsaid):
			case <-p.gone:
				return
			}
		}
		close(p.over)
	}()
	return p, nil
}

// ended returns a channel that is closed when the process has ended.
func (p *process) ended() <-chan struct{} { return p.over }

// close ends following.
func (p *process) close() { p.once.Do(func() { close(p.gone) }) }
