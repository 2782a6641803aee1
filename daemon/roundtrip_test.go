package daemon

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// BenchmarkRoundTrip compares a cached token over an open connection with a bare echo of as many bytes over the same
// kind of socket, in turns in the same run: the medians and their ratio, of which design asks at most 1.5.
func BenchmarkRoundTrip(b *testing.B) {
	h := newBenchEnv(b)
	token := dialRaw(b, h.socket)
	request := []byte(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"work"}}` + "\n")
	reply := make([]byte, 8<<10)
	length := exchange(b, token, request, reply)
	echo := dialRaw(b, newEcho(b, len(request), length))
	token.SetDeadline(time.Time{})
	echo.SetDeadline(time.Time{})
	if n := exchange(b, echo, request, reply); n != length {
		b.Fatalf("the echo answers %d bytes, not %d", n, length)
	}
	var tokens, echoes []time.Duration
	for b.Loop() { // in turns, so that whatever else the machine does befalls both
		start := time.Now()
		exchange(b, token, request, reply)
		middle := time.Now()
		exchange(b, echo, request, reply)
		tokens, echoes = append(tokens, middle.Sub(start)), append(echoes, time.Since(middle))
	}
	t, e := median(tokens), median(echoes)
	b.ReportMetric(float64(t), "token-ns")
	b.ReportMetric(float64(e), "echo-ns")
	b.ReportMetric(float64(t)/float64(e), "ratio")
}

// exchange sends a request and reads the line that answers it.
func exchange(b *testing.B, c net.Conn, request, reply []byte) int {
	if _, err := c.Write(request); err != nil {
		b.Fatal(err)
	}
	n := 0
	for n == 0 || reply[n-1] != '\n' {
		m, err := c.Read(reply[n:])
		if err != nil {
			b.Fatal(err)
		}
		n += m
	}
	return n
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// newEcho answers each request of so many bytes with a line of so many, and does nothing else.
func newEcho(b *testing.B, request, reply int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "echo")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer c.Close()
		in, out := make([]byte, request), make([]byte, reply)
		out[reply-1] = '\n'
		for {
			if _, err := c.Read(in); err != nil {
				return
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}()
	return path
}

// BenchmarkClient is the same with this module's client, and with a connection for each request.
func BenchmarkClient(b *testing.B) {
	h := newBenchEnv(b)
	call := func(b *testing.B, c *protocol.Client) {
		var token protocol.TokenResult
		if err := c.Call(b.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "work"}, &token); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("open connection", func(b *testing.B) {
		c := h.client(b)
		b.ReportAllocs()
		for b.Loop() {
			call(b, c)
		}
	})
	b.Run("dial for each request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := protocol.Dial(b.Context(), h.socket)
			if err != nil {
				b.Fatal(err)
			}
			call(b, c)
			c.Close()
		}
	})
}

// BenchmarkAnswer is what the daemon itself does for a cached token: parse, decide, write, without a socket.
func BenchmarkAnswer(b *testing.B) {
	h := newBenchEnv(b)
	line := []byte(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"work"}}`)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		r, _, err := jsonrpc.ParseRequest(line)
		if err != nil {
			b.Fatal(err)
		}
		q, err := wire.ParseToken(r.Params)
		if err != nil {
			b.Fatal(err)
		}
		p, err := h.profiles.Snapshot().Pick(q.Profile, q.Target)
		if err != nil {
			b.Fatal(err)
		}
		q.Profile = p.Name
		token, ok := h.broker.Cached(q.Query)
		if !ok {
			b.Fatal("there is no token")
		}
		if err := checkTarget(&q, token); err != nil {
			b.Fatal(err)
		}
		out = wire.AppendToken(out[:0], r.ID, token, q.Profile, h.Now())
	}
}

// newBenchEnv is an env that logs nothing, signed in.
func newBenchEnv(b *testing.B) *env {
	b.Helper()
	h := newEnv(b, sandbox.Options{})
	h.Log = zap.NewNop()
	if _, err := h.login(b, "work", nil); err != nil {
		b.Fatal(fmt.Errorf("signing in: %w", err))
	}
	return h
}
