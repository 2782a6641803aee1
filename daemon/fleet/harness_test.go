package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
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

// site is a fleet in a bubble: an authorization server, an engine and machines.
type site struct {
	t       *testing.T
	server  *sandbox.Server
	network http.RoundTripper
	store   *engine.Memory
	keys    *keyring.Keyring
	began   time.Time
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
		store: engine.NewMemory(nil), keys: keyring.New(), began: time.Now(),
	}
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
	client *engine.Client
	b      *broker.Broker
	stop   func()

	mu    sync.Mutex
	gone  []string
	crash bool
	trip  func(next func() (*http.Response, error)) (*http.Response, error) // nil: the network
}

// start starts a machine, or a new process on one that has ended.
func (s *site) start(name, stateDir string) *machine {
	s.t.Helper()
	m := &machine{site: s, name: name, client: s.store.Client(), b: broker.New(s.now)}
	keys, err := keyring.Decode(s.keys.Encode())
	if err == nil {
		m.Fleet, err = Open(m.client, keys, name, stateDir, s.now, Callbacks{
			Configured: m.configured, Came: m.b.Share, Renew: func(p string) { m.b.Renew(p) },
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
	endpoint := grant.NewEndpoint(m.site.described(), client, m.site.now)
	m.b.Put(map[string]broker.Source{profile: m.Source(profile, endpoint, "", "")})
}

// RoundTrip is the machine's network.
func (m *machine) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	trip := m.trip
	m.mu.Unlock()
	next := func() (*http.Response, error) { return m.site.network.RoundTrip(r) }
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
