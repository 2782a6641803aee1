package daemon

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// latency is what one exchange with the token endpoint takes.
const latency = 300 * time.Millisecond

// machine is a computer that sleeps, whose clock is set or runs wrong, and whose network comes and goes. Its timers are
// the bubble's: they see nothing of that.
type machine struct {
	begin time.Time
	slept atomic.Int64
	wrong atomic.Int64 // wall time less the true time
	fast  atomic.Int64 // by how many millionths the wall clock runs fast

	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	tls  *tls.Config // set: the client's, where the server is an https one
	down atomic.Bool
	held atomic.Pointer[chan struct{}] // set: answers on their way do not arrive before it is closed
}

// truth is the time that the rest of the world has.
func (m *machine) truth() time.Time { return time.Now().Add(time.Duration(m.slept.Load())) }

func (m *machine) now() clock.Instant {
	truth := m.truth()
	since := truth.Sub(m.begin)
	slew := since / 1_000_000 * time.Duration(m.fast.Load())
	return clock.Instant{Wall: truth.Add(time.Duration(m.wrong.Load()) + slew), Boot: time.Hour + since}
}

// suspend lets the machine sleep for d, once every goroutine waits: one that has yet to read the clock after a sign-in
// would see the jump and renew a token that no caller asks for.
func (m *machine) suspend(d time.Duration) {
	synctest.Wait()
	m.slept.Add(int64(d))
}

// set makes the wall clock wrong by d.
func (m *machine) set(d time.Duration) { m.wrong.Store(int64(d)) }

// connect has the signature of http.Transport's DialContext.
func (m *machine) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	if m.down.Load() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
	}
	c, err := m.dial(ctx, network, addr)
	return &line{c, m}, err
}

// line is a connection whose answers can be held up on their way.
type line struct {
	net.Conn
	m *machine
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if held := l.m.held.Load(); held != nil {
		<-*held
	}
	return n, err
}

// hold holds up answers until release is called.
func (m *machine) hold() (release func()) {
	held := make(chan struct{})
	m.held.Store(&held)
	return func() { m.held.Store(nil); close(held) }
}

// clockEnv is a bubble env on such a machine.
type clockEnv struct {
	*env
	*machine
	store *faultyStore
	often *protocol.Client // of must
}

// withClock is inBubble on a machine whose time can be played with.
func withClock(t *testing.T, o sandbox.Options, f func(t *testing.T, h *clockEnv)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &machine{begin: time.Now()}
		o.Users, o.Clients = append(o.Users, sandbox.User{Name: person, Password: password}), append(o.Clients, apps...)
		if o.Refresh == (sandbox.Refresh{}) {
			o.Refresh = sandbox.Refresh{Always: true, Rotate: true}
		}
		o.Clock = m.truth
		server := sandbox.New(o)
		m.dial = server.StartPipe()
		h := &clockEnv{
			env: &env{config: filepath.Join(t.TempDir(), "config"), server: server}, machine: m,
			store: &faultyStore{memory: memory{&keystore.Memory{}}},
		}
		h.start(t)
		defer func() {
			h.stop(t)
			server.Close()
			time.Sleep(time.Minute) // goroutines that still sleep find it closed
			synctest.Wait()
		}()
		f(t, h)
	})
}

// start starts a daemon, with what earlier ones have left.
func (h *clockEnv) start(t *testing.T) {
	t.Helper()
	if h.Daemon != nil {
		h.stop(t)
	}
	h.often = nil
	client := grant.NewHTTPClient(new(grant.Network))
	client.Transport.(*http.Transport).DialContext = h.connect
	if h.tls != nil {
		client.Transport.(*http.Transport).TLSClientConfig = h.tls
	}
	h.Daemon = newDaemon(t, Options{Config: configIn(t, h.config), Keystore: h.store, HTTP: client, Now: h.now})
	h.server.SetLatency(latency)
}

// tokenFor asks for a token with a connection of the caller's own.
func tokenFor(c *protocol.Client, params protocol.TokenParams) (r protocol.TokenResult, err error) {
	err = c.Call(context.Background(), protocol.MethodToken, params, &r)
	return r, err
}

// must asks for a profile's token and makes sure that it is good.
func (h *clockEnv) must(t *testing.T, profile string) protocol.TokenResult {
	t.Helper()
	if h.often == nil {
		h.often = h.visit(t)
	}
	r, err := tokenFor(h.often, protocol.TokenParams{Profile: profile})
	if err != nil {
		t.Fatal(err)
	}
	h.good(t, r)
	return r
}

// good holds a token against the server: it accepts it now, and says of its end what the reply says.
func (h *clockEnv) good(t *testing.T, r protocol.TokenResult) {
	t.Helper()
	status, expires := h.accepts(r.AccessToken)
	if status != http.StatusOK {
		t.Errorf("the API answers a token with %d s left with HTTP %d", r.ExpiresIn, status)
	}
	if left := expires.Sub(h.truth()); time.Duration(r.ExpiresIn)*time.Second > left {
		t.Errorf("%d s are promised of a token with %s left", r.ExpiresIn, left)
	}
	if wall := h.now().Wall; r.ExpiresAt != wall.Add(time.Duration(r.ExpiresIn)*time.Second).Unix() &&
		r.ExpiresAt != wall.Add(time.Duration(r.ExpiresIn+1)*time.Second).Unix() {
		t.Errorf("expires_at %d, expires_in %d at %d", r.ExpiresAt, r.ExpiresIn, wall.Unix())
	}
}

// accepts asks the API what it thinks of a token, and of its end.
func (h *clockEnv) accepts(token string) (status int, expires time.Time) {
	r := httptest.NewRequest(http.MethodGet, h.server.URL()+"/api/info", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.server.ServeHTTP(w, r)
	var body struct {
		Expires int64 `json:"token_expires_at"`
	}
	json.Unmarshal(w.Body.Bytes(), &body)
	return w.Code, time.Unix(body.Expires, 0)
}

// askAtOnce lets n callers ask for a profile's token at once; each has a connection of its own.
func (h *clockEnv) askAtOnce(t *testing.T, n int, profile string) (tokens map[string]int) {
	t.Helper()
	clients := make([]*protocol.Client, n)
	for i := range clients {
		clients[i] = h.visit(t)
	}
	tokens = map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			r, err := tokenFor(c, protocol.TokenParams{Profile: profile})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			tokens[r.AccessToken]++
		})
	}
	wg.Wait()
	return tokens
}

// machines signs in n profiles, named by their numbers, and asks each for a token.
func (h *clockEnv) machines(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		name := "m" + strconv.Itoa(i)
		h.signIn(t, h.ofMachine(name))
		h.must(t, name)
	}
}

// requests are those for tokens, by the server's account.
func (h *clockEnv) requests() int { return h.server.Count(h.server.TokenPath()) }

// asked are the moments of the requests for tokens, from the n-th on.
func (h *clockEnv) asked(n int) (at []time.Time) {
	for _, e := range h.server.Log() {
		if e.Path == h.server.TokenPath() {
			at = append(at, e.Time)
		}
	}
	return at[n:]
}
