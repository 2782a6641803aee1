package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

// everyOrder is the environment variable that sets the bounds of the tests to those of make proof.
const everyOrder = "GROAT_FLEET"

// site is a fleet in a bubble: an authorization server, an engine and machines.
type site struct {
	t       *testing.T
	server  *sandbox.Server
	network http.RoundTripper
	store   *engine.Memory
	etcd    engine.Engine // in its place; nil is none
	keys    *keyring.Keyring
	began   time.Time
	off     map[string]time.Duration // :: machine → how wrong its wall clock is

	mu        sync.Mutex
	presented map[string]int // :: refresh token → how often it was sent
	rotates   bool
}

// newSite must be called inside a bubble.
func newSite(t *testing.T, mode sandbox.Refresh) *site {
	t.Helper()
	server := sandbox.New(sandbox.Options{
		Refresh: mode, PasswordGrant: true, Clients: []sandbox.Client{{ID: "app", Method: sandbox.None}},
		Users: []sandbox.User{{Name: "alice@example.com", Password: "dummy-password"}},
	})
	t.Cleanup(func() { server.Close() })
	return &site{
		t: t, server: server, network: &http.Transport{DialContext: server.StartPipe(), DisableKeepAlives: true},
		store: engine.NewMemory(nil), keys: keyring.New(), began: time.Now(), rotates: mode.Rotate,
		presented: map[string]int{},
	}
}

// send is the way of a machine's request, whose refresh token is counted when it leaves.
func (s *site) send(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.presented[form.Get("refresh_token")]++
	s.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	return s.network.RoundTrip(r)
}

// presentedTwice reports whether any refresh token of a server that rotates was.
func (s *site) presentedTwice() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.presented {
		if s.rotates && n > 1 {
			return true
		}
	}
	return false
}

func (s *site) now() clock.Instant {
	now := time.Now()
	return clock.Instant{Wall: now, Boot: time.Hour + now.Sub(s.began)}
}

func (s *site) described() grant.Server {
	return grant.Server{
		Issuer: s.server.URL(), TokenEndpoint: s.server.URL() + s.server.TokenPath(), ClientAuth: grant.None,
	}
}

// session signs in and returns the credential.
func (s *site) session() keystore.Item {
	s.t.Helper()
	form := url.Values{
		"grant_type": {"password"}, "client_id": {"app"}, "username": {"alice@example.com"},
		"password": {"dummy-password"},
	}
	resp, err := (&http.Client{Transport: s.network}).Post(s.described().TokenEndpoint,
		"application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Refresh == "" {
		s.t.Fatalf("HTTP %d, %v", resp.StatusCode, err)
	}
	server := s.described()
	item := server.NewItem("app", grant.ByDeviceCode)
	item.RefreshToken = keystore.SecretString(answer.Refresh)
	return item
}

// posts counts the requests with a refresh token.
func (s *site) posts() int { return s.server.Count(s.server.TokenPath()) - 1 } // without the sign-in

// machine is one of the fleet: what of groatd takes part in a renewal.
type machine struct {
	*Fleet
	site   *site
	name   string
	now    clock.Func
	client *engine.Client
	b      *broker.Broker
	stop   func()

	mu    sync.Mutex
	gone  []string
	trip  func(next func() (*http.Response, error)) (*http.Response, error) // nil: the network
	until time.Time                                                         // the machine stands still
	late  atomic.Int64                                                      // by how much events come later, ns
	dead  atomic.Bool                                                       // what it still does has no effect
}

// halt stops the machine, as SIGSTOP does, for a time.
func (m *machine) halt(d time.Duration) {
	m.mu.Lock()
	m.until = time.Now().Add(d)
	m.mu.Unlock()
	m.hold()
}

// hold waits while the machine stands still. All that it does comes by here.
func (m *machine) hold() {
	m.mu.Lock()
	d := time.Until(m.until)
	m.mu.Unlock()
	time.Sleep(d)
}

// die ends the machine, as SIGKILL does.
func (m *machine) die() {
	m.dead.Store(true)
	m.client.Cut()
}

func (m *machine) setTrip(trip func(next func() (*http.Response, error)) (*http.Response, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trip = trip
}

// haltedEngine is an engine whose events a machine that stands still does not see.
type haltedEngine struct {
	engine.Engine
	m *machine
}

func (e haltedEngine) Watch(
	ctx context.Context, prefix string, after engine.State, each func([]engine.Entry, engine.State),
) error {
	return e.Engine.Watch(ctx, prefix, after, func(entries []engine.Entry, state engine.State) {
		e.m.hold()
		time.Sleep(time.Duration(e.m.late.Load()))
		each(entries, state)
	})
}

// start starts a machine, or a new process on one that has ended.
func (s *site) start(name, stateDir string) *machine {
	s.t.Helper()
	now := func() clock.Instant {
		i := s.now()
		i.Wall = i.Wall.Add(s.off[name])
		return i
	}
	m := &machine{site: s, name: name, now: now, client: s.store.Client(), b: broker.New(now)}
	keys, err := keyring.Decode(s.keys.Encode())
	if err == nil {
		var e engine.Engine = haltedEngine{m.client, m}
		if s.etcd != nil {
			e = s.etcd
		}
		m.Fleet, err = Open(e, keys, name, stateDir, now, Callbacks{
			Configured: m.configured, Came: m.b.Share, Renew: func(p string) { m.hold(); m.b.Renew(p) },
			Gone: func(p string) {
				m.b.Remove(context.Background(), p)
				m.mu.Lock()
				defer m.mu.Unlock()
				m.gone = append(m.gone, p)
			},
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	m.stop = func() {
		cancel()
		running.Wait()
		m.b.Close(context.Background())
	}
	s.t.Cleanup(m.stop)
	return m
}

func (m *machine) configured(profile string, _ []byte) {
	client := grant.NewHTTPClient(new(grant.Network))
	client.Transport = m
	endpoint := grant.NewEndpoint(m.site.described(), client, m.now)
	m.b.Put(map[string]broker.Source{profile: m.Source(profile, endpoint, "", "")})
}

// RoundTrip is the machine's network.
func (m *machine) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	trip := m.trip
	m.mu.Unlock()
	if m.dead.Load() {
		return nil, errors.New("the machine is gone")
	}
	next := func() (*http.Response, error) { return m.site.send(r) }
	if trip != nil {
		return trip(next)
	}
	return next()
}

// get asks for a token as a program does.
func (m *machine) get() (grant.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return m.b.Token(ctx, broker.Query{Profile: "work", MinTTL: broker.Unset})
}

func (m *machine) mustGet() grant.Token {
	m.site.t.Helper()
	t, err := m.get()
	if err != nil {
		m.site.t.Fatalf("%s: %v", m.name, err)
	}
	return t
}

// machines starts n of them, with a profile that one has signed in.
func (s *site) machines(n int) (all []*machine) {
	s.t.Helper()
	for i := range n {
		all = append(all, s.start(fmt.Sprintf("m%d", i), ""))
	}
	if err := all[0].Replace(context.Background(), "work", s.session(), []byte("configuration")); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	return all
}
