package daemon

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/peer"
	"github.com/groat-dev/groat/protocol"
)

// Serve accepts connections until ctx ends, then closes the listener, lets requests to providers that are under way come
// to their end, and answers whoever still waits. The daemon cannot be used afterwards.
func (d *Daemon) Serve(ctx context.Context, l *net.UnixListener) error {
	s := &server{d: d, conns: map[*conn]struct{}{}}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	err := s.accept(ctx, l)
	s.each((*conn).stopReading)
	closing, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	d.Close(closing)
	late := context.AfterFunc(closing, func() { s.each((*conn).hangUp) })
	s.all.Wait()
	late()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// drain is how long requests to providers may take after the daemon was told to stop.
const drain = 20 * time.Second

// server is the connections of one listener.
type server struct {
	d     *Daemon
	all   sync.WaitGroup
	mu    sync.Mutex
	conns map[*conn]struct{}
}

// The accept loop's patience with a system that is short of something.
const (
	shortest = 5 * time.Millisecond
	longest  = time.Second
)

func (s *server) accept(ctx context.Context, l *net.UnixListener) error {
	wait := shortest
	for {
		nc, err := l.AcceptUnix()
		if err == nil {
			wait = shortest
			s.admit(nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			s.evict()
		}
		s.d.Log.Warn("a connection could not be accepted", zap.Error(err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

// admit identifies a peer before a byte of it is read.
func (s *server) admit(nc *net.UnixConn) {
	p, err := peer.Of(nc)
	if err == nil {
		err = p.Authorize()
	}
	if err != nil {
		s.d.Log.Warn("a connection was refused", zap.Error(err))
		if p != nil {
			p.Close()
		}
		nc.Close()
		return
	}
	c := s.d.newConn(nc, p)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.all.Go(func() {
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

func (d *Daemon) newConn(nc net.Conn, p *peer.Peer) *conn {
	c := &conn{
		d: d, net: nc, peer: p, r: protocol.NewReader(nc),
		room: make(chan struct{}, protocol.MaxInFlight), logins: map[string]*login{},
	}
	c.active.Store(time.Now().UnixNano())
	c.open, c.shut = context.WithCancel(context.Background())
	c.ctx, c.cancel = context.WithCancel(c.open)
	return c
}

// evicted is how many idle connections make room when descriptors run short.
const evicted = 16

// evict closes the connections that have been idle for longest.
func (s *server) evict() {
	type idle struct {
		c     *conn
		since int64
	}
	var idles []idle
	s.mu.Lock()
	for c := range s.conns {
		if since, ok := c.idleSince(); ok {
			idles = append(idles, idle{c, since})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(idles, func(a, b idle) int { return int(a.since - b.since) })
	for _, i := range idles[:min(len(idles), evicted)] {
		i.c.hangUp()
	}
}

// each does something to every connection.
func (s *server) each(do func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}
