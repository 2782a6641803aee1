package export

import (
	"slices"
	"sync"
)

// processes are those as long as which a file is kept: until the last of them has ended. A nil one never ends.
type processes struct {
	all  []*process
	over chan struct{} // closed when all have ended
	quit chan struct{} // closed when that matters no more
	once sync.Once
}

// followed has processes watched, which are at least one.
func followed(all []*process) *processes {
	s := &processes{all: all, over: make(chan struct{}), quit: make(chan struct{})}
	go func() {
		for _, p := range all {
			select {
			case <-p.ended():
			case <-s.quit:
				return
			}
		}
		close(s.over)
	}()
	return s
}

// ended returns a channel that is closed when all have ended.
func (s *processes) ended() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.over
}

// others returns those that run still, but the one of a number.
func (s *processes) others(pid int) (all []*process) {
	for _, p := range s.list() {
		select {
		case <-p.ended():
		default:
			if p.pid != pid {
				all = append(all, p)
			}
		}
	}
	return all
}

func (s *processes) list() []*process {
	if s == nil {
		return nil
	}
	return s.all
}

// giveWay ends following all processes but those that another file's keeper follows from now on, which may be nil.
func (s *processes) giveWay(to *processes) {
	if s == nil {
		return
	}
	s.once.Do(func() { close(s.quit) })
	for _, p := range s.all {
		if !slices.Contains(to.list(), p) {
			p.close()
		}
	}
}

// running follows the processes of the record that run still, and are the same.
func (e entry) running() (all []*process) {
	for _, was := range e.Processes {
		p, err := follow(was.PID)
		if err != nil {
			continue
		}
		if p.began == "" || p.began != was.Began {
			p.close()
			continue
		}
		all = append(all, p)
	}
	return all
}
