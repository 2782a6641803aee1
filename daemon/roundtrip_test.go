package daemon

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// BenchmarkRoundTrip compares a cached token over an open connection with a bare echo of as many bytes over the same
// kind of socket, in turns in the same run: the medians and their ratio.
func BenchmarkRoundTrip(b *testing.B) {
	h := newBenchEnv(b)
	token := dialRaw(b, h.socket)
	reply := make([]byte, 8<<10)
	length := exchange(b, token, askToken, reply)
	echo := dialRaw(b, newEcho(b, len(askToken), length))
	token.SetDeadline(time.Time{})
	echo.SetDeadline(time.Time{})
	if n := exchange(b, echo, askToken, reply); n != length {
		b.Fatalf("the echo answers %d bytes, not %d", n, length)
	}
	inTurns(b, func() { exchange(b, token, askToken, reply) }, func() { exchange(b, echo, askToken, reply) })
}

// inTurns times both, in turns, so that whatever else the machine does befalls both, and reports the medians and their
// ratio.
func inTurns(b *testing.B, token, echo func()) {
	var tokens, echoes []time.Duration
	for b.Loop() {
		start := time.Now()
		token()
		middle := time.Now()
		echo()
		tokens, echoes = append(tokens, middle.Sub(start)), append(echoes, time.Since(middle))
	}
	t, e := median(tokens), median(echoes)
	b.ReportMetric(float64(t), "token-ns")
	b.ReportMetric(float64(e), "echo-ns")
	b.ReportMetric(float64(t)/float64(e), "ratio")
}

// BenchmarkConnect is BenchmarkRoundTrip with a connection for each request: connect, ask, close.
func BenchmarkConnect(b *testing.B) {
	h := newBenchEnv(b)
	reply := make([]byte, 8<<10)
	echo := newEcho(b, len(askToken), askOnce(b, h.socket, reply))
	inTurns(b, func() { askOnce(b, h.socket, reply) }, func() { askOnce(b, echo, reply) })
}

// BenchmarkManyClients is BenchmarkRoundTrip with 64 clients at once: all of them ask groatd, then all of them the echo,
// and so on. It reports the throughput as a part of the echo's, and the 99th percentile as a multiple of the echo's.
func BenchmarkManyClients(b *testing.B) {
	const clients, each = 64, 50
	h := newBenchEnv(b)
	reply := make([]byte, 8<<10)
	echo := newEcho(b, len(askToken), askOnce(b, h.socket, reply))
	sides := [2]struct {
		socket string
		conns  []net.Conn
		took   time.Duration
		times  []time.Duration
		cpu    time.Duration // the clients' included, which is the same for both
	}{{socket: h.socket}, {socket: echo}}
	for i := range sides {
		for range clients {
			c := dialRaw(b, sides[i].socket)
			c.SetDeadline(time.Time{})
			sides[i].conns = append(sides[i].conns, c)
		}
	}
	for b.Loop() {
		for i := range sides {
			s := &sides[i]
			times := make([][]time.Duration, clients)
			var all sync.WaitGroup
			start, used := time.Now(), processorTime(b)
			for n, c := range s.conns {
				all.Go(func() {
					reply := make([]byte, 8<<10)
					for range each {
						asked := time.Now()
						if _, err := tryExchange(c, askToken, reply); err != nil {
							b.Error(err)
							return
						}
						times[n] = append(times[n], time.Since(asked))
					}
				})
			}
			all.Wait()
			s.took += time.Since(start)
			s.cpu += processorTime(b) - used
			s.times = append(s.times, slices.Concat(times...)...)
		}
	}
	if b.Failed() {
		return
	}
	token, bare := &sides[0], &sides[1]
	b.ReportMetric(float64(len(token.times))/token.took.Seconds(), "tokens/s")
	b.ReportMetric(float64(len(bare.times))/bare.took.Seconds(), "echoes/s")
	b.ReportMetric(float64(bare.took)/float64(token.took), "throughput-ratio")
	b.ReportMetric(float64(token.cpu.Microseconds())/float64(len(token.times)), "token-cpu-µs")
	b.ReportMetric(float64(bare.cpu.Microseconds())/float64(len(bare.times)), "echo-cpu-µs")
	b.ReportMetric(float64(percentile99(token.times))/float64(percentile99(bare.times)), "p99-ratio")
}

var askToken = []byte(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"work"}}` + "\n")

// askOnce connects, asks, closes, and returns the length of the reply.
func askOnce(b *testing.B, socket string, reply []byte) int {
	c, err := net.Dial("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	return exchange(b, c, askToken, reply)
}

// processorTime returns how much processor time this process has had.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func percentile99(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)*99/100]
}

// exchange sends a request, reads the line that answers it, and returns its length.
func exchange(b *testing.B, c net.Conn, request, reply []byte) int {
	n, err := tryExchange(c, request, reply)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// tryExchange is exchange for any goroutine.
func tryExchange(c net.Conn, request, reply []byte) (n int, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	for n == 0 || reply[n-1] != '\n' {
		m, err := c.Read(reply[n:])
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// newEcho returns the socket of a server that answers each request of so many bytes with a line of so many, and does
// nothing else.
func newEcho(b *testing.B, request, reply int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "echo")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			go serveEcho(c, request, reply)
		}
	}()
	return path
}

// serveEcho answers on one connection until it ends.
func serveEcho(c *net.UnixConn, request, reply int) {
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
}

// BenchmarkClient is BenchmarkRoundTrip with this module's client, and with a connection for each request.
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
		p, err := h.profiles.Snapshot().Pick(profile.Wanted{Name: q.Profile, Target: q.Target, Username: q.Username})
		if err != nil {
			b.Fatal(err)
		}
		q.Profile = p.Name
		token, ok := h.broker.Cached(q.Query)
		if !ok {
			b.Fatal("there is no token")
		}
		api, err := checkTarget(p, q.Target, token.Destinations)
		if err != nil {
			b.Fatal(err)
		}
		out = wire.AppendToken(out[:0], r.ID, token, q.Profile, wire.Asked{API: api}, h.Now())
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
