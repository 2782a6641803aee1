package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/protocol/frame"
)

// A groatd that a client or a person started hands over to the one that a service manager starts, or to the one that
// takes its place at a restart (package handover).
// The first listens for it at a socket of its own, the offer; the lock's record names that socket. It is in the state
// directory: a container that was given the clients' socket with its directory must not get the lock and the tokens.

// offerName is the name of the offer's socket.
const offerName = "handover"

// maxAsking bounds how many successors are answered at a time.
const maxAsking = 4

// acceptAgain is the pause after a connection that the system could not give.
const acceptAgain = time.Second

// offer is the holder's side. A nil offer hands over to no process.
type offer struct {
	*listener
	clients *listener // whose socket a restart passes on; nil for a carrier
	place   string
	d       source
	log     *zap.Logger
	// service is set for a service manager's groatd, which gives way at a restart only.
	service bool
	// stop ends the daemon, as a signal does.
	stop func()

	mu        sync.Mutex
	successor *handover.Holder // that was told yes
	conn      *net.UnixConn    // its connection
}

// source is what an offer hands over.
type source interface {
	KeepsFromHandover(context.Context) *handover.Refusal
	IsReplaced()
	Tokens() []handover.Token
}

// newOffer listens in a state directory. Where that is not possible the daemon works without, and the groatd that wants
// to take over tells what to do.
func newOffer(state string, place string, d source, log *zap.Logger) *offer {
	socket, err := bind(filepath.Join(state, offerName))
	if err != nil {
		log.Warn("no other groatd can take over from this one", zap.Error(err))
		return nil
	}
	socket.what = "the socket of the hand-over"
	return &offer{listener: socket, place: place, d: d, log: log}
}

// check is [listener.check]. A state directory that was removed is not made anew.
func (o *offer) check(log *zap.Logger) (over bool) {
	if o == nil {
		return false
	}
	if _, err := os.Lstat(filepath.Dir(o.path)); err != nil {
		return false
	}
	return o.listener.check(log)
}

// serve answers successors until the offer is closed. It calls stop once one has been told yes, and has the sockets
// looked after by looks once one has been told no: it may have this groatd's path.
func (o *offer) serve(stop func(), looks chan<- struct{}) {
	o.stop = stop
	asking := make(chan struct{}, maxAsking)
	for {
		c, err := o.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // as where there is no descriptor left
			o.log.Warn("another groatd could not be answered", zap.Error(err))
			time.Sleep(acceptAgain)
			continue
		}
		asking <- struct{}{}
		go func() {
			defer func() { <-asking }()
			if err := o.answer(c); err != nil {
				c.Close()
				o.log.Warn("another groatd wants to take over from this one, which goes on", zap.Error(err))
				select {
				case looks <- struct{}{}:
				default: // a check is due already
				}
			}
		}()
	}
}

// answer answers one successor. It closes the connection, unless the successor was told yes or there is an error.
func (o *offer) answer(c *net.UnixConn) error {
	h, err := handover.Receive(c, o.place)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	if why := o.d.KeepsFromHandover(ctx); why != nil {
		return h.Refuse(why)
	}
	if o.service && !h.Restarts() {
		return h.Refuse(&handover.Refusal{Message: "a service manager has started it", Hint: "groat service status"})
	}
	if h.OnlyAsks() {
		defer c.Close()
		return h.Accept(nil)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.successor != nil {
		return h.Refuse(&handover.Refusal{Message: "it hands over to another one already", Hint: "groat status"})
	}
	var bound *handover.File
	if h.Restarts() {
		bound = o.clients.pass()
	}
	if err := h.Accept(bound); err != nil {
		o.clients.keep()
		return err
	}
	o.successor, o.conn = h, c
	if h.Restarts() {
		if bound != nil || o.service { // the service manager keeps the socket
			o.d.IsReplaced()
		}
		o.log.Info("another groatd takes this one's place")
	} else {
		o.log.Info("a service manager's groatd takes over")
	}
	o.stop()
	return nil
}

// storeTime is how long a holder may try to store what its keystore could not take before: a successor waits for its
// answer.
const storeTime = 2 * time.Second

// give hands over to the successor that was told yes, if there is one. The daemon has ended, and its keystore is
// closed.
func (o *offer) give(lock *stateLock) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.successor == nil {
		return
	}
	defer o.conn.Close()
	tokens := o.d.Tokens()
	err := o.successor.Give(lock.file, o.clients.handed(), tokens, clock.Now())
	o.clients.passedOn(err == nil)
	if err != nil {
		o.log.Warn("the tokens were not handed over", zap.Error(err))
		return
	}
	o.log.Info("handed over", zap.Int("tokens", len(tokens)))
}

// takeOver asks the groatd that holds the lock of the place's state directory to hand over, and returns what it has
// given.
func takeOver(s location, q handover.Question) (*state, error) {
	h, err := askHolder(s, q)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	t, err := h.Take()
	if t.Lock == nil {
		return nil, &refusal{exitCantCreate,
			fmt.Errorf("another groatd (pid %d) was to hand over, and did not: %w", h.PID, err),
			orKill(h.PID, err, "groat status")}
	}
	l, err := adoptLock(s, t.Lock)
	if err != nil {
		t.Lock.Close()
		if t.Socket != nil {
			t.Socket.Close()
		}
		return nil, err
	}
	return &state{lock: l, tokens: t.Tokens, socket: t.Socket, bound: t.Bound}, nil
}

// startTime is how long a holder that does not listen yet is waited for.
const startTime = time.Second

// askHolder asks the holder of the place's lock.
func askHolder(s location, q handover.Question) (*handover.Successor, error) {
	h, err := frame.ReadHolder(s.State)
	starts := func() bool { // or writes its record just now
		return err != nil || h.Here() && h.Socket == "" && h.Handover == ""
	}
	for end := time.Now().Add(startTime); starts() && time.Now().Before(end); {
		time.Sleep(startTime / 50)
		h, err = frame.ReadHolder(s.State)
	}
	if err != nil || !h.Here() || h.Place != s.Place {
		return nil, errHeld(s)
	}
	end := fmt.Sprintf("kill %d", h.PID)
	if h.Handover == "" {
		return nil, &refusal{exitCantCreate,
			fmt.Errorf("another groatd runs (pid %d), which cannot hand over to this one", h.PID), end}
	}
	successor, err := handover.Ask(h.Handover, h.PID, s.ID, q, clock.Now)
	if why, ok := errors.AsType[*handover.Refusal](err); ok {
		return nil, &refusal{exitCantCreate,
			fmt.Errorf("another groatd runs (pid %d) and does not hand over to this one: %s", h.PID, why.Message),
			why.Hint}
	}
	if err != nil {
		return nil, &refusal{exitCantCreate,
			fmt.Errorf("another groatd runs (pid %d), and cannot be asked to hand over: %w", h.PID, err),
			orKill(h.PID, err, end)}
	}
	return successor, nil
}

// orKill returns the hint after an error of a hand-over: the one given, or a stronger one where the holder did not answer
// in time. It may be stopped, or hang, and then takes no SIGTERM; nothing that is stored is lost by SIGKILL.
func orKill(pid int, err error, hint string) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Sprintf("kill -KILL %d", pid)
	}
	return hint
}

// askAgain is how often a holder that has refused is asked again.
const askAgain = 2 * time.Second

// awaitLock returns true once the lock of the place's state directory is free, or its holder would hand over; false
// when ctx ends before.
func awaitLock(ctx context.Context, s location) bool {
	free := make(chan struct{})
	go func() {
		if lock, err := openLock(s.State, 0); err == nil {
			defer lock.Close()
			for err = unix.EINTR; errors.Is(err, unix.EINTR); { // it ends with the process, not with ctx
				err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
			}
			if err == nil {
				close(free)
			}
		}
	}()
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-free:
			return true
		case <-tick.C:
			if h, err := askHolder(s, handover.Only); err == nil {
				h.Close()
				return true
			}
		}
	}
}

// adoptLock returns the lock of the place's state directory, which another process has passed as the open file.
func adoptLock(s location, file *os.File) (*stateLock, error) {
	there, err := openLock(s.State, 0)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	now, err := there.Stat()
	if err == nil {
		var passed os.FileInfo
		if passed, err = file.Stat(); err == nil && !os.SameFile(now, passed) {
			err = errors.New("it is another file")
		}
	}
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return nil, &refusal{exitCantCreate, fmt.Errorf("the lock that was handed over cannot be used: %w", err),
			"groat status"}
	}
	return newStateLock(s, file), nil
}
