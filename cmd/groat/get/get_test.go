package get

import (
	"bufio"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

// A caller that is connected asks first on the connection that it has, and then on others.
func TestConnected(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go answerEach(l)
	var routes, connections atomic.Int64
	caller := Caller{
		Route: func() (*frame.Route, error) { routes.Add(1); return &frame.Route{}, nil },
		Connect: func(*frame.Route, bool) (*frame.Conn, error) {
			connections.Add(1)
			return frame.Dial(socket, time.Now().Add(time.Minute))
		},
	}
	c, err := caller.Connected()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(refused string, want int64) {
		t.Helper()
		token, err := c.Do(Request{Refused: refused, Limit: time.Minute})
		if err != nil || token.AccessToken != "T" || routes.Load() != want || connections.Load() != want {
			t.Errorf("%q, %v, %d routes, %d connections", token.AccessToken, err, routes.Load(), connections.Load())
		}
	}
	ask("", 1)
	ask("", 2)
	if c, err = caller.Connected(); err != nil {
		t.Fatal(err)
	}
	routes.Store(0)
	connections.Store(0)
	token, err := c.Do(Request{Refused: "R", Limit: time.Minute}) // may not be asked twice: the way may have to be another
	if err != nil || token.AccessToken != "T" || routes.Load() != 0 || connections.Load() != 1 {
		t.Errorf("%q, %v, %d routes, %d connections", token.AccessToken, err, routes.Load(), connections.Load())
	}
}

// answerEach answers a request on each connection with a token.
func answerEach(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				c.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"access_token":"T","token_type":"Bearer"}}` + "\n"))
			}
		}()
	}
}
