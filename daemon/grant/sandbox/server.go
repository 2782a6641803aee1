// Package sandbox is an authorization server for tests and for the demo: it behaves like those of SpatiaFi and Climate
// Engine, of EarthScope and Planet (Auth0, Keycloak, Planet's old login), of Google, of NASA Earthdata, and like a
// plain server that follows the RFCs with every grant; and it can be told to misbehave.
//
// Its invariant: it shares no code with the client side. Every check is written from the specification that is named
// beside it, and it is stricter than most real servers where a specification lets a server be (duplicate parameters,
// two ways of client authentication, a replayed assertion), so that a client that passes here has little to fear
// elsewhere. It is not a server for real secrets: it listens on loopback only and keeps everything in memory.
//
// One file per dialect (spatiafi.go, generic.go, auth0.go, keycloak.go, google.go, planet.go, earthscope.go,
// earthdata.go, openeo.go) and one per grant (code.go, refresh.go, device.go, exchange.go, jwtbearer.go, password.go).
// What the dialects share is in realm.go, and below it in http.go (requests and answers), fault.go (misbehaviour),
// log.go (what was asked), jwt.go and clientauth.go (RFC 7519, RFC 6749 §2.3).
package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	defaultLifetime = 900 * time.Second
	minLifetime     = 3 * time.Second
	maxBody         = 64 << 10 // of a request
	maxHeader       = 32 << 10 // of a request
)

// Server is the authorization server and the protected API behind it. It is an [http.Handler], so that it also runs
// under httptest (set Options.URL, or call SetURL). It is safe for concurrent use. Inside a synctest bubble, call New
// there.
type Server struct {
	opts   Options
	key    *rsa.PrivateKey
	log    *requestLog
	realms []*realm
	routes map[string]route // :: path → what is there
	sess   *sessions        // has its own lock; s.mu may be taken under it, not the other way round
	tls    func() *authority

	ctx    context.Context // ends with Close: every wait of the server hangs on it
	cancel context.CancelFunc
	serves sync.WaitGroup

	mu        sync.Mutex
	url       string
	lifetime  time.Duration // 0: each dialect's own
	latency   time.Duration
	skew      time.Duration
	firstUser string
	users     map[string]*account  // :: name → account
	clients   map[string]*client   // :: client id → client
	revoked   map[string]bool      // :: digest of an access token → revoked
	seen      map[string]time.Time // :: iss and jti of an assertion → when it may be forgotten
	faults    map[string][]Fault   // :: path → what to do next
	idKeys    []idKey              // that sign id_tokens and are published; the first signs
	rolled    int                  // how often there was a new one
	keys      map[string]bool      // :: digest of an API key → revoked
	// userTokens :: name → a person's tokens at Earthdata
	userTokens map[string][]userToken
	servers    []*http.Server
	addr       string // of the listener that was opened last
}

// sharedKey is made once a process: a test that starts fifty servers should not pay for fifty RSA keys.
var sharedKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("sandbox: no RSA key: %v", err))
	}
	return key
})

// New returns a server that listens nowhere yet. It panics on options that make no sense.
func New(o Options) *Server {
	if o.API == "" {
		o.API = "https://api.sandbox.invalid"
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if len(o.ClientAuth) == 0 {
		o.ClientAuth = allMethods
	}
	if o.IssuerPath != "" && (!strings.HasPrefix(o.IssuerPath, "/") || strings.HasSuffix(o.IssuerPath, "/")) {
		panic("sandbox: an issuer path begins with a slash and does not end with one")
	}
	if o.IssuerPath != "" && o.Dialect != Generic {
		panic("sandbox: only the generic server has an issuer path")
	}
	s := &Server{
		opts: o, key: sharedKey(), idKeys: []idKey{{keyID, sharedKey()}}, log: newRequestLog(),
		url: strings.TrimSuffix(o.URL, "/"), latency: o.Latency,
		users: map[string]*account{}, clients: map[string]*client{}, revoked: map[string]bool{},
		seen: map[string]time.Time{}, faults: map[string][]Fault{}, keys: map[string]bool{},
		userTokens: map[string][]userToken{},
		sess:       newSessions(o), tls: sync.OnceValue(newAuthority),
	}
	if o.TokenLifetime != 0 {
		s.SetTokenLifetime(o.TokenLifetime)
	}
	s.mount(o)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, u := range o.Users {
		s.AddUser(u)
	}
	for _, c := range o.Clients {
		s.AddClient(c)
	}
	return s
}

// Start listens on a loopback address until Close; "" means a free port of 127.0.0.1.
func (s *Server) Start(addr string) error {
	l, err := listenLoopback(addr)
	if err != nil {
		return err
	}
	s.serve(l, "http://"+l.Addr().String())
	return nil
}

func listenLoopback(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		l.Close()
		return nil, errors.New("the sandbox listens on loopback addresses only")
	}
	return l, nil
}

// StartPipe serves in memory until Close and returns a DialContext for an [http.Transport]: no socket and no real time,
// so it runs inside a synctest bubble. Where the server is to be an https one, set Options.URL and use the result as
// DialTLSContext. The default URL is "http://127.0.0.1".
func (s *Server) StartPipe() func(ctx context.Context, network, addr string) (net.Conn, error) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s.serve(l, "http://127.0.0.1")
	return l.dial
}

func (s *Server) serve(l net.Listener, url string) {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute, // a fault that lasts longer lifts it for itself
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	s.mu.Lock()
	s.servers, s.addr = append(s.servers, h), l.Addr().String()
	if s.url == "" {
		s.url = url
	}
	s.mu.Unlock()
	s.serves.Go(func() { h.Serve(l) })
}

// Close ends every listener, connection and wait. It may be called twice.
func (s *Server) Close() {
	s.cancel()
	s.mu.Lock()
	servers := s.servers
	s.servers = nil
	s.mu.Unlock()
	for _, h := range servers {
		h.Close()
	}
	s.serves.Wait()
}

// URL returns the server's origin, without a slash at the end.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// Addr returns host:port of the listener that Start opened, for clients that dial it under another name.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// now is the server's clock, skew included.
func (s *Server) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.Clock().Add(s.skew)
}

// pause waits for d, or reports false when the client or the server is gone.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}
