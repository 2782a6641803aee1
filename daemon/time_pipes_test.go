package daemon

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"
)

// from lets another server answer the env's daemon, with TLS where there is a configuration for it. It must be called
// before anything is asked; the result ends it.
func (h *clockEnv) from(t *testing.T, handler http.Handler, secure *tls.Config) (end func()) {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	var l net.Listener = p
	if secure != nil {
		l = tls.NewListener(p, secure)
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	go server.Serve(l)
	h.dial = p.dial
	h.start(t)
	return func() { server.Close() }
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

// dial connects by way of a buffer: an alert must be possible while the other side's flight has not been read to its
// end.
func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, relayed := net.Pipe()
	relay, there := net.Pipe()
	select {
	case p.conns <- there:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	forward := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		from.Close()
	}
	go forward(relay, relayed)
	go forward(relayed, relay)
	return here, nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "pipe"} }
