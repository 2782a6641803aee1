package attack

import (
	"errors"
	"os/exec"
	"sync"
	"time"
)

// Starters are processes that were started at once, of which at most one should stay.
type Starters struct {
	cmds  []*exec.Cmd
	ended chan int // the index of each that has ended
	codes map[int]int
}

// Together starts all commands as nearly at once as that can be done. Stop the result.
func Together(cmds ...*exec.Cmd) (*Starters, error) {
	s := &Starters{cmds: cmds, ended: make(chan int, len(cmds)), codes: map[int]int{}}
	errs := make([]error, len(cmds))
	gate := make(chan struct{})
	var started sync.WaitGroup
	for i, c := range cmds {
		started.Go(func() {
			<-gate
			errs[i] = c.Start()
		})
	}
	close(gate)
	started.Wait()
	for i, c := range cmds {
		if errs[i] != nil {
			s.ended <- i
			continue
		}
		go func() {
			c.Wait()
			s.ended <- i
		}()
	}
	err := errors.Join(errs...)
	if err != nil {
		s.Stop()
	}
	return s, err
}

// Losers waits until all but one have ended, and for no longer than patience. It returns the exit codes of those that
// have (-1: by a signal) and the indexes of those that run.
func (s *Starters) Losers(patience time.Duration) (codes, running []int) {
	over := time.After(patience)
	for len(s.codes) < len(s.cmds)-1 {
		select {
		case i := <-s.ended:
			s.note(i)
			continue
		case <-over:
		}
		break
	}
	for i := range s.cmds {
		if code, ok := s.codes[i]; ok {
			codes = append(codes, code)
		} else {
			running = append(running, i)
		}
	}
	return codes, running
}

func (s *Starters) note(i int) {
	s.codes[i] = -1
	if state := s.cmds[i].ProcessState; state != nil {
		s.codes[i] = state.ExitCode()
	}
}

// Stop kills whatever still runs, as a crash would, and waits for its end.
func (s *Starters) Stop() {
	for _, c := range s.cmds {
		if c.Process != nil {
			c.Process.Kill() // one that has been waited for is not touched
		}
	}
	for len(s.codes) < len(s.cmds) {
		s.note(<-s.ended)
	}
}
