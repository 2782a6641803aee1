package sandbox

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// request is one request, read whole, at one moment of the server's clock.
type request struct {
	method, path, query string
	header              http.Header
	body                []byte
	now                 time.Time
	certificates        []*x509.Certificate // of the client, over TLS; not yet believed
}

// answer is what a dialect says; it is written, or spoilt by a fault, in one place.
type answer struct {
	status int
	header http.Header
	body   []byte
	sent   func() // is called when the answer leaves; may be nil
}

// jsonAnswer marshals v; keys and values are the name and the value of one header each.
func jsonAnswer(status int, v any, headers ...string) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // every v is made of strings and numbers here
	}
	a := answer{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
	for i := 0; i+1 < len(headers); i += 2 {
		a.header.Set(headers[i], headers[i+1])
	}
	return a
}

// detail is FastAPI's shape of an error.
func detail(status int, text string, headers ...string) answer {
	return jsonAnswer(status, map[string]string{"detail": text}, headers...)
}

// handle asks one dialect after the other.
func (s *Server) handle(r *request) answer {
	for _, dialect := range []func(*request) (answer, bool){
		s.realm, s.openEO, s.earthdata, s.spatiafi, s.planet, s.earthscope,
	} {
		if a, ok := dialect(r); ok {
			return a
		}
	}
	return detail(http.StatusNotFound, "Not Found")
}

// isTokenEndpoint says where Options.Latency applies.
func (s *Server) isTokenEndpoint(path string) bool {
	return path == SpatiafiTokenPath || path == SpatiafiBasicPath || path == PlanetLoginPath ||
		path == EarthdataFindPath || s.routes[path].token
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	if s.opts.Control && strings.HasPrefix(hr.URL.Path, "/sandbox/") {
		s.control(w, hr)
		return
	}
	f, scripted := s.nextFault(hr.URL.Path)
	r := &request{method: hr.Method, path: hr.URL.Path, query: hr.URL.RawQuery, header: hr.Header, now: s.now()}
	if hr.TLS != nil {
		r.certificates = hr.TLS.PeerCertificates
	}
	if f.Cut == CutBeforeBody {
		s.log.add(Entry{Time: r.now, Method: r.method, Path: r.path, Fault: true})
		reset(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody))
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); err != nil && !tooBig {
		panic(http.ErrAbortHandler) // the client is gone
	} else if tooBig {
		n := s.log.add(Entry{Time: r.now, Method: r.method, Path: r.path, Fault: scripted})
		s.log.setStatus(n, http.StatusRequestEntityTooLarge)
		s.write(w, detail(http.StatusRequestEntityTooLarge, "Request Entity Too Large"))
		return
	}
	r.body = body
	e := describe(r)
	e.Fault = scripted
	n := s.log.add(e)
	if scripted {
		s.misbehave(w, hr, r, f, n)
		return
	}
	a := s.handle(r)
	if !s.wait(hr, r, 0) {
		panic(http.ErrAbortHandler) // or net/http would answer 200
	}
	s.log.setStatus(n, a.status)
	s.write(w, a)
}

// wait is the latency of the path and what a fault adds to it.
func (s *Server) wait(hr *http.Request, r *request, more time.Duration) bool {
	s.mu.Lock()
	d := s.latency
	s.mu.Unlock()
	if !s.isTokenEndpoint(r.path) {
		d = 0
	}
	return s.pause(hr.Context(), d+more)
}

// header says that the answer leaves now and fills in its header; Date is the server's clock, so that a skew shows,
// unless a [Fault] has another one.
func (s *Server) header(w http.ResponseWriter, a answer) {
	if a.sent != nil {
		a.sent()
	}
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	maps.Copy(w.Header(), a.header)
}

func (s *Server) write(w http.ResponseWriter, a answer) {
	s.header(w, a)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// describe takes from a request what the log may hold. It judges nothing and believes nothing.
func describe(r *request) Entry {
	e := Entry{Time: r.now, Method: r.method, Path: clip(r.path)}
	form, _ := readParameters(r)
	e.Resource = clip(form.Get("resource"))
	e.GrantType, e.Scope, e.Audience = clip(form.Get("grant_type")), clip(form.Get("scope")), clip(form.Get("audience"))
	if token := form.Get("refresh_token"); token != "" {
		e.Refresh = Digest(token)
	}
	ways := e.credentials(r, form)
	if e.ClientID != "" && len(ways) == 0 && r.method == http.MethodPost {
		ways = []string{None}
		if len(r.certificates) > 0 {
			ways = []string{TLSClientAuth}
		}
	}
	switch {
	case len(ways) > 1:
		e.Auth = "several"
	case len(ways) == 1 && ways[0] == ClientSecretBasic && r.path == SpatiafiBasicPath:
		e.Auth, e.ClientID = "basic", ""
	case len(ways) == 1:
		e.Auth = ways[0]
	}
	return e
}

// credentials notes whose the request says it is, and returns the ways in which it tries to prove that.
func (e *Entry) credentials(r *request, form url.Values) (ways []string) {
	if id, _, err := basicCredentials(r.header); err == nil {
		ways, e.ClientID = append(ways, ClientSecretBasic), clip(id)
	}
	if token, err := bearerToken(r.header); err == nil {
		ways, e.Token = append(ways, "bearer"), Digest(token)
	}
	if id := form.Get("client_id"); id != "" {
		e.ClientID = clip(id)
	}
	if form.Has("client_secret") {
		ways = append(ways, ClientSecretPost)
	}
	if j, err := parseJWT(form.Get("assertion")); err == nil {
		e.ClientID, e.Assertion = clip(j.text("iss")), Digest(j.text("jti"))
	}
	if a := form.Get("client_assertion"); a != "" {
		way := ClientSecretJWT
		if j, err := parseJWT(a); err == nil {
			e.ClientID, e.Assertion = clip(j.text("sub")), Digest(j.text("jti"))
			if hashes[j.alg()] == nil {
				way = PrivateKeyJWT
			}
		}
		ways = append(ways, way)
	}
	return ways
}

// clip bounds what a stranger can put into the log.
func clip(v string) string { return v[:min(len(v), 256)] }

// pipeListener accepts connections made with net.Pipe.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// dial has the signature of http.Transport's DialContext.
func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
