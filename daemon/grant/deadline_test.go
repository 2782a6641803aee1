package grant

import (
	"errors"
	"net"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

// silent is a listener on which nobody ever comes.
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

// Nobody comes back for two minutes: that is the end of it.
func TestReceiverWaitsTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := silent{make(chan struct{})}
		r := &Receiver{l, &url.URL{Scheme: "http", Host: "127.0.0.1:4711", Path: "/callback"}}
		begin := time.Now()
		_, err := r.Await(t.Context(), &Authorization{where: "auth.example.com"})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Class != Refused || time.Since(begin) != 2*time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		select {
		case <-l.closed:
		default:
			t.Error("the listener is still open")
		}
	})
}
