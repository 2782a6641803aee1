package grant

import (
	"errors"
	"net"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

// silent is a listener without connections.
type silent struct{ closed chan struct{} }

func (l silent) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l silent) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l silent) Addr() net.Addr { return &net.TCPAddr{} }

// After 15 minutes without a browser the wait ends, and the address is still held.
func TestReceiverWaitsFifteenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := silent{make(chan struct{})}
		given := 0
		r := newReceiver([]net.Listener{l}, &url.URL{Scheme: "http", Host: "127.0.0.1:4711", Path: "/callback"},
			func() {
				given++
			})
		begin := time.Now()
		_, err := r.Await(t.Context(), &Authorization{where: "auth.example.com"})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Class != Refused || time.Since(begin) != 15*time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		select {
		case <-l.closed:
			t.Error("the address is free while the login goes on")
		default:
		}
		r.Close()
		r.Close()
		select {
		case <-l.closed:
		default:
			t.Error("the listener is still open")
		}
		if given != 1 {
			t.Errorf("the budget was given back %d times", given)
		}
	})
}
