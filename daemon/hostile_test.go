package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// gate stands before the sandbox: while it is shut requests wait, and it counts those that wait at once.
type gate struct {
	*httptest.Server
	mu      sync.Mutex
	changed *sync.Cond
	closed  bool
	inside  int
	most    int
}

// newGate puts itself in front of the env's authorization server.
func newGate(t *testing.T, h *env) *gate {
	g := &gate{}
	g.changed = sync.NewCond(&g.mu)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.pass()
		h.server.ServeHTTP(w, r)
		g.mu.Lock()
		g.inside--
		g.mu.Unlock()
	}))
	t.Cleanup(func() { g.open(); g.Close() })
	h.server.SetURL(g.URL)
	return g
}

func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside++
	g.most = max(g.most, g.inside)
	g.changed.Broadcast()
	for g.closed {
		g.changed.Wait()
	}
}

func (g *gate) shut() { g.turn(true) }
func (g *gate) open() { g.turn(false) }

func (g *gate) turn(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
	g.changed.Broadcast()
}

// arrived waits until n requests are inside.
func (g *gate) arrived(t *testing.T, n int) {
	t.Helper()
	over := time.AfterFunc(patience, g.changed.Broadcast)
	defer over.Stop()
	until := time.Now().Add(patience)
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.inside < n {
		if time.Now().After(until) {
			t.Fatalf("%d requests have arrived, not %d", g.inside, n)
		}
		g.changed.Wait()
	}
}

// here is a login at the gate.
func (g *gate) here(p *protocol.LoginParams) { p.AuthServer = g.URL }

// cool makes the daemon forget a profile's tokens.
func (h *env) cool(name string) {
	h.broker.Put(map[string]broker.Source{name: h.stores.Source(h.profiles.Named(name))})
}

const tokenRequest = `{"jsonrpc":"2.0","id":1,"method":"token"}` + "\n"

// 200 clients ask and leave before the answer: the daemon goes on, and the one request they caused is made.
func TestA6HangUpBeforeReading(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	h.cool("work")
	for range 200 {
		c := dialRaw(t, h.socket)
		c.say(t, tokenRequest)
		c.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.server.WaitFor(ctx, sandbox.SpatiafiTokenPath, 2); err != nil {
		t.Fatal(err)
	}
	var token protocol.TokenResult
	if err := h.client(t).Call(ctx, protocol.MethodToken, nil, &token); err != nil || token.AccessToken == "" {
		t.Fatal(err)
	}
	if n := h.server.Count(sandbox.SpatiafiTokenPath); n != 2 {
		t.Errorf("%d token requests, want the login's and one", n)
	}
}

// 1,000 requests on one connection: each is answered once, and never more than 32 are worked on.
func TestA25Pipelined(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	g := newGate(t, h)
	if _, err := h.login(t, "work", g.here); err != nil {
		t.Fatal(err)
	}
	g.shut()
	const requests = 1000
	c := dialRaw(t, h.socket)
	go func() {
		for i := range requests {
			fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%d,"method":"whoami"}`+"\n", i)
		}
	}()
	g.arrived(t, protocol.MaxInFlight)
	g.open()
	answered := map[string]bool{}
	for range requests {
		line, ok := c.hear(t)
		var a answer
		if err := json.Unmarshal([]byte(line), &a); !ok || err != nil || a.Error != nil || answered[string(a.ID)] {
			t.Fatalf("after %d answers: %q, %v", len(answered), line, err)
		}
		answered[string(a.ID)] = true
	}
	if g.most != protocol.MaxInFlight {
		t.Errorf("%d requests were worked on at once, want %d", g.most, protocol.MaxInFlight)
	}
}

// A min_ttl that no token can keep costs one request at most, however often it is asked for.
func TestA37MinTTLBeyondLifetime(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	c := h.client(t)
	for range 120 {
		ttl := int64(840)
		err := c.Call(t.Context(), protocol.MethodToken, protocol.TokenParams{MinTTL: &ttl}, nil)
		e, ok := errors.AsType[*protocol.Error](err)
		if !ok || e.Code != protocol.CodeInvalidParams || e.Data == nil || e.Data.MaxMinTTL < 800 ||
			e.Data.MaxMinTTL > 839 {
			t.Fatalf("%+v", err)
		}
	}
	if n := h.server.Count(sandbox.SpatiafiTokenPath); n > 2 {
		t.Errorf("%d token requests, want the login's and at most one", n)
	}
}

// Refusing every token costs one request a minute.
func TestA38RejectInALoop(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	c := h.client(t)
	var token protocol.TokenResult
	if err := c.Call(t.Context(), protocol.MethodToken, nil, &token); err != nil {
		t.Fatal(err)
	}
	refused := map[string]bool{}
	for range 20 {
		refused[token.AccessToken] = true
		err := c.Call(t.Context(), protocol.MethodReject, protocol.RejectParams{AccessToken: token.AccessToken}, &token)
		if e, ok := errors.AsType[*protocol.Error](err); ok && e.Kind() == protocol.Temporary &&
			e.Data.RetryAfter > 0 && e.Data.RetryAfter <= 60 {
			continue
		}
		if err != nil || refused[token.AccessToken] {
			t.Fatal("a refused token again, or:", err)
		}
	}
	if n := h.server.Count(sandbox.SpatiafiTokenPath); n != 2 {
		t.Errorf("%d token requests, want the login's and one", n)
	}
	if len(refused) != 2 {
		t.Errorf("%d tokens were handed out, want 2", len(refused))
	}
}

// hostile are the ways to be a bad client. Each returns when the daemon has got rid of it, or when it leaves by itself.
var hostile = map[string]func(t *testing.T, h *env){
	"A2 an endless line": func(t *testing.T, h *env) {
		c := dialRaw(t, h.socket)
		defer c.Close()
		chunk := []byte(strings.Repeat("x", 64<<10))
		sent := 0
		for ; sent < 512<<20; sent += len(chunk) {
			if _, err := c.Write(chunk); err != nil {
				break
			}
		}
		if sent > 4<<20 {
			t.Errorf("an endless line was read for %d bytes", sent)
		}
	},
	"A3 a byte at a time": func(t *testing.T, h *env) {
		c := dialRaw(t, h.socket)
		defer c.Close()
		go func() {
			for {
				if _, err := c.Write([]byte{' '}); err != nil {
					return
				}
				select {
				case <-time.After(100 * time.Millisecond):
				case <-t.Context().Done():
					return
				}
			}
		}()
		if line, _ := c.hear(t); !strings.Contains(line, "-32700") {
			t.Errorf("%q", line)
		}
		if _, open := c.hear(t); open {
			t.Error("still open")
		}
	},
	"A5 half a request, half closed": func(t *testing.T, h *env) {
		c := dialRaw(t, h.socket)
		defer c.Close()
		c.say(t, `{"jsonrpc":`)
		c.CloseWrite()
		if line, _ := c.hear(t); !strings.Contains(line, "-32700") {
			t.Errorf("%q", line)
		}
		if _, open := c.hear(t); open {
			t.Error("still open")
		}
	},
	"A6 gone before the answer": func(t *testing.T, h *env) {
		for range 50 {
			c := dialRaw(t, h.socket)
			c.say(t, tokenRequest)
			c.Close()
		}
	},
	"A7 asks and never reads": func(t *testing.T, h *env) {
		c := dialRaw(t, h.socket)
		defer c.Close()
		requests := []byte(strings.Repeat(tokenRequest, 100))
		for {
			if _, err := c.Write(requests); err != nil {
				if !hungUp(err) {
					t.Error("it was not closed:", err)
				}
				return
			}
		}
	},
	"connects and leaves": func(t *testing.T, h *env) {
		for range 200 {
			dialRaw(t, h.socket).Close()
		}
	},
	"waits for a server that hangs": func(t *testing.T, h *env) {
		c := dialRaw(t, h.socket)
		defer c.Close()
		for i := range protocol.MaxInFlight {
			c.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"token",`+
				`"params":{"profile":"stuck","wait":3}}`+"\n", i))
		}
		for range protocol.MaxInFlight {
			if line, ok := c.hear(t); !ok || !strings.Contains(line, `"temporary"`) {
				t.Errorf("%q", line)
			}
		}
	},
	"begins a login and leaves": func(t *testing.T, h *env) {
		c := dialRaw(t, h.socket)
		defer c.Close()
		c.say(t, `{"jsonrpc":"2.0","id":1,"method":"login",`+
			`"params":{"profile":"other","provider":"spatiafi","username":"u"}}`+"\n")
		c.hear(t) // a prompt, or that another such client has begun one
	},
	"begins a login and has left": func(t *testing.T, h *env) {
		c := dialRaw(t, h.socket)
		defer c.Close()
		c.say(t, `{"jsonrpc":"2.0","id":1,"method":"login",`+
			`"params":{"profile":"another","provider":"spatiafi","username":"u"}}`+"\n")
		c.CloseWrite()
		for open := true; open; {
			_, open = c.hear(t)
		}
	},
}

// One stuck, slow or hostile client changes nothing for the others, and leaves nothing behind.
func TestHostileClients(t *testing.T) {
	tier.Long(t, "each client is hostile for as long as groatd waits")
	h := newEnv(t, sandbox.Options{})
	for _, name := range []string{"work", "stuck"} {
		if _, err := h.login(t, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	hanging := newHangingServer(t)
	h.hang(t, "stuck", hanging)
	bystander := []*bystander{{c: h.client(t)}, {dial: func() *protocol.Client { return h.client(t) }}}
	for _, l := range bystander {
		l.call(t)
	}
	before := measure(t)

	ctx, cancel := context.WithCancel(t.Context())
	var good, bad sync.WaitGroup
	for _, l := range bystander {
		good.Go(func() {
			for ctx.Err() == nil {
				l.call(t)
			}
		})
	}
	for name, f := range hostile {
		for range 10 {
			bad.Go(func() {
				defer func() {
					if t.Failed() {
						t.Logf("in %s", name)
					}
				}()
				f(t, h)
			})
		}
	}
	bad.Wait()
	cancel()
	good.Wait()
	for _, l := range bystander {
		if l.calls < 100 {
			t.Errorf("a good client got only %d answers", l.calls)
		}
	}
	hanging.Close()
	eventually(t, func() string {
		if now := measure(t); now.goroutines > before.goroutines || now.descriptors > before.descriptors {
			return fmt.Sprintf("%+v before, %+v now", before, now)
		}
		return ""
	})
	if n := h.server.Count(sandbox.SpatiafiTokenPath); n != 2 {
		t.Errorf("%d token requests, want the two logins'", n)
	}
}

// bystander is a client whose requests must be answered throughout.
type bystander struct {
	c     *protocol.Client
	dial  func() *protocol.Client // where each call has a connection of its own
	calls int
}

func (l *bystander) call(t *testing.T) {
	c := l.c
	if l.dial != nil {
		c = l.dial()
		defer c.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var token protocol.TokenResult
	if err := c.Call(ctx, protocol.MethodToken, protocol.TokenParams{Profile: "work"}, &token); err != nil ||
		token.AccessToken == "" {
		t.Errorf("call %d: %v", l.calls, err)
	}
	l.calls++
}

// hang makes the profile's token endpoint one that never answers.
func (h *env) hang(t *testing.T, name string, l net.Listener) {
	t.Helper()
	old := h.profiles.Named(name)
	changed := old.Profile
	changed.AuthServer = "http://" + l.Addr().String()
	p, err := h.profiles.Resolve(changed)
	if err != nil {
		t.Fatal(err)
	}
	item, err := h.Store.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	s := p.Endpoint.Server()
	item.Issuer, item.TokenEndpoint = s.Issuer, s.TokenEndpoint
	if err := h.Store.Set(t.Context(), name, item); err != nil {
		t.Fatal(err)
	}
	h.broker.Put(map[string]broker.Source{name: h.stores.Source(p)})
}

// hangingServer accepts and says nothing, until it is closed.
type hangingServer struct {
	net.Listener
	conns  sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
}

func newHangingServer(t *testing.T) *hangingServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &hangingServer{Listener: l}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(s.ctx, func() { c.Close() })
			s.conns.Go(func() {
				io.Copy(io.Discard, c)
				c.Close()
			})
		}
	})
	t.Cleanup(func() { s.Close() })
	return s
}

// Close ends the connections too.
func (s *hangingServer) Close() error {
	err := s.Listener.Close()
	s.cancel()
	s.conns.Wait()
	return err
}

type resources struct{ goroutines, descriptors int }

func measure(t *testing.T) resources {
	t.Helper()
	fds, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return resources{runtime.NumGoroutine(), len(fds)}
}

// eventually polls until complaint returns "".
func eventually(t *testing.T, complaint func() string) {
	t.Helper()
	until := time.Now().Add(patience)
	for {
		why := complaint()
		if why == "" {
			return
		}
		if time.Now().After(until) {
			t.Fatal(why)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
