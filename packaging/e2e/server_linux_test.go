package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// server is a sandbox that can be taken down and put up again under the same address, and from which the tests learn
// the secrets that must come out nowhere.
type server struct {
	*sandbox.Server
	addr    string
	learned func(secret string)

	mu       sync.Mutex
	listener net.Listener // nil while it is down
	http     *http.Server
}

// loopbacks counts the addresses that were used. Each server has one to itself: nobody takes its port while it is down.
var loopbacks atomic.Int32

// startServer starts a sandbox; learned is told each client secret that it hands out.
func startServer(o sandbox.Options, learned func(string)) (*server, error) {
	o.Control = true
	n := loopbacks.Add(1)
	addr := netip.AddrFrom4([4]byte{127, byte(1 + os.Getpid()%250), byte(n / 250), byte(1 + n%250)})
	s := &server{Server: sandbox.New(o), addr: netip.AddrPortFrom(addr, 0).String(), learned: learned}
	if err := s.up(); err != nil {
		s.Server.Close()
		return nil, err
	}
	s.SetURL("http://" + s.addr)
	return s, nil
}

// up listens, if it does not already.
func (s *server) up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.addr)
	// A process that another goroutine has just started holds the old socket for a moment longer than it is in our
	// hands.
	for end := time.Now().Add(patience); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		l, err = net.Listen("tcp", s.addr)
	}
	if err != nil {
		return err
	}
	s.listener, s.addr = l, l.Addr().String()
	s.http = &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	go s.http.Serve(l)
	return nil
}

// down refuses connections and ends those there are.
func (s *server) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		// While another goroutine starts a process, that process holds the socket too, and the port with it.
		syscall.ForkLock.RLock()
		s.listener.Close() // by itself: Serve may not have begun yet
		syscall.ForkLock.RUnlock()
		s.http.Close()
		s.listener = nil
	}
}

func (s *server) close() {
	s.down()
	s.Server.Close()
}

// ServeHTTP listens in on the answers that hold a new client's secret.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != sandbox.SpatiafiClientsPath {
		s.Server.ServeHTTP(w, r)
		return
	}
	t := &tee{ResponseWriter: w}
	defer func() { // also where the sandbox breaks the connection
		var client struct {
			Secret string `json:"client_secret"`
		}
		if json.NewDecoder(&t.body).Decode(&client) == nil && client.Secret != "" {
			s.learned(client.Secret)
		}
	}()
	s.Server.ServeHTTP(t, r)
}

// tee keeps a copy of a body.
type tee struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (t *tee) Write(p []byte) (int, error) {
	if t.body.Len() < 64<<10 {
		t.body.Write(p)
	}
	return t.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (t *tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// splitOption splits "name=value".
func splitOption(arg string) (name, value string) {
	name, value, _ = strings.Cut(arg, "=")
	return name, value
}
