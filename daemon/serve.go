package daemon

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/descriptors"
	"github.com/groat-dev/groat/daemon/peer"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// Listener is where connections come from. AcceptUnix returns [net.ErrClosed] after Close, and only then.
type Listener interface {
	AcceptUnix() (*net.UnixConn, error)
	Close() error
}

// Serve accepts connections until ctx ends. Then it closes the listener, waits up to 20 s for requests to providers
// that are under way, and answers the clients that still wait. The daemon cannot be used afterwards.
func (d *Daemon) Serve(ctx context.Context, l Listener) error {
	go d.watchKeystore(ctx)
	d.exports.Resume()
	return d.newServer(descriptors.Limit()).serve(ctx, l)
}

// drain is how long requests to providers may take after the daemon was told to stop.
const drain = 20 * time.Second

// server is the connections of one listener.
type server struct {
	d     *Daemon
	most  int // descriptors that connections may take
	peers peer.Watch
	all   sync.WaitGroup
	mu    sync.Mutex
	conns map[*conn]struct{}
	ended chan struct{} // holds an element once a connection has ended
	told  time.Time     // when it was last logged that there are too many
}

func (d *Daemon) newServer(most int) *server {
	s := &server{d: d, most: most, conns: map[*conn]struct{}{}, ended: make(chan struct{}, 1)}
	d.budget.Share(most, s)
	return s
}

func (s *server) serve(ctx context.Context, l Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	err := s.accept(ctx, l)
	s.each((*conn).stopReading)
	closing, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	s.d.Close(closing)
	late := context.AfterFunc(closing, func() { s.each((*conn).hangUp) })
	s.all.Wait()
	late()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// The pause after a failed accept doubles from shortest to longest while the system is short of something.
const (
	shortest = 5 * time.Millisecond
	longest  = time.Second
)

// accept accepts connections until the listener is closed, whose error it returns.
func (s *server) accept(ctx context.Context, l Listener) error {
	failed := make(chan error, 1)
	s.all.Go(func() { s.take(ctx, l, failed) })
	return <-failed
}

// take accepts a connection and serves it. Another goroutine takes the next one: a client that has connected does not
// wait until a goroutine of its own is scheduled, which takes longer than its answer.
func (s *server) take(ctx context.Context, l Listener, failed chan<- error) {
	s.makeRoom(ctx)
	c, err := s.next(ctx, l)
	if err != nil {
		failed <- err
		return
	}
	s.all.Go(func() { s.take(ctx, l, failed) })
	c.serve()
	s.remove(c)
}

// next returns the next connection that is this user's.
func (s *server) next(ctx context.Context, l Listener) (*conn, error) {
	wait := shortest
	for {
		nc, err := l.AcceptUnix()
		if err == nil {
			wait = shortest
			if c := s.admit(nc); c != nil {
				return c, nil
			}
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			s.Evict()
		}
		s.d.Log.Warn("a connection could not be accepted", zap.Error(err))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

// admit identifies a peer before a byte of it is read. It returns nil if that is not this user.
func (s *server) admit(nc *net.UnixConn) *conn {
	p, err := s.peers.Of(nc)
	if err == nil {
		err = p.Authorize()
	}
	if err != nil {
		s.d.Log.Warn("a connection was refused", zap.Error(err))
		if p != nil {
			p.Close()
		}
		nc.Close()
		return nil
	}
	c := s.d.newConn(nc, p)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	return c
}

func (s *server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	select {
	case s.ended <- struct{}{}:
	default: // makeRoom has not taken the last one yet
	}
}

func (d *Daemon) newConn(nc net.Conn, p *peer.Peer) *conn {
	c := &conn{
		d: d, net: nc, peer: p, r: frame.NewReader(nc),
		room: make(chan struct{}, protocol.MaxInFlight),
	}
	if raw, ok := nc.(syscall.Conn); ok {
		c.raw, _ = raw.SyscallConn() // which fails only for a connection that is closed
		c.atOnce = c.writeAtOnce
	}
	c.touch()
	c.open, c.shut = context.WithCancel(context.Background())
	c.ctx, c.cancel = context.WithCancel(c.open)
	return c
}

// each does something to every connection.
func (s *server) each(do func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}
