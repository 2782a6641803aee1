package agent

import (
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// Servers are one sandbox behind many listeners: origins, each with limits of its own in groatd.
type Servers struct {
	sandbox *sandbox.Server
	hosts   []string
	servers []*http.Server

	mu       sync.Mutex
	requests []time.Time
	// stubborn is how a server answers in place of the sandbox :: number → handler
	stubborn map[int]http.HandlerFunc
}

func startServers(o Options) (*Servers, error) {
	s := &Servers{
		sandbox: sandbox.New(sandbox.Options{
			URL: "http://127.0.0.1", TokenLifetime: o.Lifetime, Latency: o.Latency,
			Clients: []sandbox.Client{{ID: clientID, Secret: secret}},
		}),
		stubborn: map[int]http.HandlerFunc{},
	}
	for n := range max(o.Servers, 1) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.close()
			return nil, err
		}
		h := &http.Server{
			Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(n, w, r) }),
			ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0),
		}
		s.hosts, s.servers = append(s.hosts, l.Addr().String()), append(s.servers, h)
		go h.Serve(l)
	}
	return s, nil
}

func (s *Servers) serve(n int, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if r.URL.Path == s.sandbox.TokenPath() {
		s.requests = append(s.requests, time.Now())
	}
	answer := s.stubborn[n]
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	s.sandbox.ServeHTTP(w, r)
}

// Misbehave lets a server answer in another way.
func (s *Servers) Misbehave(n int, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stubborn[n] = answer
}

// Requests returns when each request for a token came.
func (s *Servers) Requests() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.requests...)
}

// origin is that of the server which a profile's number falls to.
func (s *Servers) origin(n int) string { return "http://" + s.hosts[n%len(s.hosts)] }

// TokenURL is the token endpoint of the server which a profile's number falls to.
func (s *Servers) TokenURL(n int) string { return s.origin(n) + s.sandbox.TokenPath() }

func (s *Servers) close() {
	for _, h := range s.servers {
		h.Close()
	}
	s.sandbox.Close()
}
