package login

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

const (
	person       = "alice@example.com"
	password     = "dummy-password"
	clientSecret = "dummy-client-secret"
)

// harness is logins without a daemon: at a sandbox, with a keystore in memory and viewers that are no connections.
type harness struct {
	*Logins
	server    *sandbox.Server
	config    string // the directory of the configuration
	store     *picky
	forgotten atomic.Int64 // how often refusals were to be forgotten
}

// budget counts the descriptors of browser logins.
type budget struct{ held atomic.Int64 }

func (b *budget) Take(n int) error { b.held.Add(int64(n)); return nil }
func (b *budget) Give(n int)       { b.held.Add(int64(-n)) }

// Forget implements Refusals.
func (h *harness) Forget(context.Context, string) { h.forgotten.Add(1) }

// apps are the clients of a harness's server: two public ones, through which people sign in, and two with a secret.
var apps = []sandbox.Client{
	{ID: "app", Method: sandbox.None}, {ID: "other-app", Method: sandbox.None},
	{ID: "machine", Secret: clientSecret}, {ID: "other-machine", Secret: clientSecret},
}

// newHarness makes a harness whose server is reached by a client's transport that connect prepares.
func newHarness(t *testing.T, o sandbox.Options, store keystore.Store,
	connect func(*sandbox.Server, *http.Transport)) *harness {
	t.Helper()
	o.Users = append(o.Users, sandbox.User{Name: person, Password: password})
	for _, c := range apps {
		if !slices.ContainsFunc(o.Clients, func(own sandbox.Client) bool { return own.ID == c.ID }) {
			o.Clients = append(o.Clients, c)
		}
	}
	o.Refresh = sandbox.Refresh{Always: true, Rotate: true}
	h := &harness{server: sandbox.New(o), config: filepath.Join(t.TempDir(), "config")}
	h.store, _ = store.(*picky)
	client := grant.NewHTTPClient(new(grant.Network))
	connect(h.server, client.Transport.(*http.Transport))
	dir, err := config.At(h.config + "/")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	now := func() clock.Instant {
		now := time.Now()
		return clock.Instant{Wall: now, Boot: time.Hour + now.Sub(begin)}
	}
	stores := &Stores{Kept: keystore.PendingStore{Store: store},
		Memory: keystore.PendingStore{Store: &keystore.Memory{}}}
	slots := broker.New(now)
	profiles := profile.New(profile.Options{
		Config: dir, HTTP: client, Now: now, Log: zaptest.NewLogger(t),
		Changed: func(old, now *profile.Set) {
			for p := range now.All() {
				if old.Named(p.Name) != p {
					slots.Put(map[string]broker.Source{p.Name: stores.Source(p)})
				}
			}
			for p := range old.All() {
				if now.Named(p.Name) == nil {
					slots.Remove(context.Background(), p.Name)
				}
			}
		},
	})
	h.Logins = New(Options{
		Profiles: profiles, Broker: slots, Stores: stores, Refusals: h, Keystore: func() string { return "memory" },
		Wire: func(err error, profile string) *protocol.Error {
			e, _ := wire.Error(err, wire.Context{Profile: profile, Configured: profiles.Named(profile) != nil})
			return e
		},
		HTTP: client, Budget: &budget{}, Now: now, Log: zaptest.NewLogger(t),
	})
	if err := profiles.Reload(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close(context.Background())
		slots.Close(context.Background())
		h.server.Close()
	})
	return h
}

// inBubble runs f with a harness inside a synctest bubble, connected to its server by pipes: a request that takes
// twelve seconds, or a person who takes ten minutes, takes no time.
func inBubble(t *testing.T, o sandbox.Options, f func(t *testing.T, h *harness)) {
	t.Helper()
	inBubbleWith(t, o, &picky{}, f)
}

// inBubbleWith is inBubble with a keystore of the test's own.
func inBubbleWith(t *testing.T, o sandbox.Options, store keystore.Store, f func(t *testing.T, h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, o, store, func(s *sandbox.Server, to *http.Transport) { to.DialContext = s.StartPipe() })
		f(t, h)
		h.Close(t.Context())
		h.Broker.Close(t.Context())
		h.server.Close()
		time.Sleep(time.Minute) // goroutines that still sleep find it closed
		synctest.Wait()
	})
}

// onSockets makes a harness with a server on a real socket and real time.
func onSockets(t *testing.T, o sandbox.Options) *harness {
	t.Helper()
	return newHarness(t, o, &picky{}, startServer(t))
}

// startServer connects a harness to its server by a real socket.
func startServer(t *testing.T) func(*sandbox.Server, *http.Transport) {
	return func(s *sandbox.Server, _ *http.Transport) {
		if err := s.Start(""); err != nil {
			t.Fatal(err)
		}
	}
}

// write writes a file of the configuration.
func (h *harness) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(h.config, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload makes the profiles what the configuration says now.
func (h *harness) reload(t *testing.T) {
	t.Helper()
	if err := h.Profiles.Reload(); err != nil {
		t.Fatal(err)
	}
}

// token asks the broker for a profile's access token.
func (h *harness) token(t *testing.T, name string) (grant.Token, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), protocol.DefaultWait)
	defer cancel()
	if _, err := h.Profiles.Find(profile.Wanted{Name: name}); err != nil {
		return grant.Token{}, h.Wire(err, name)
	}
	token, err := h.Broker.Token(ctx, broker.Query{Profile: name, MinTTL: broker.Unset})
	if err != nil {
		return grant.Token{}, h.Wire(err, name)
	}
	return token, nil
}

// asking asks for a token in the background; the outcome is the channel's only element.
func (h *harness) asking(t *testing.T, name string) <-chan error {
	t.Helper()
	came := make(chan error, 1)
	go func() {
		_, err := h.token(t, name)
		came <- err
	}()
	synctest.Wait()
	return came
}

// tokenError is token for its error alone.
func (h *harness) tokenError(t *testing.T, name string) error {
	t.Helper()
	_, err := h.token(t, name)
	return err
}

// holds reports whether the broker has a token that it can hand out at once.
func (h *harness) holds(name string) bool {
	_, ok := h.Broker.Cached(broker.Query{Profile: name, MinTTL: broker.Unset})
	return ok
}

// cool makes the broker forget a profile's tokens.
func (h *harness) cool(name string) {
	h.Broker.Put(map[string]broker.Source{name: h.Stores.Source(h.Profiles.Named(name))})
}

// late makes the server's next answer at a path take about twelve seconds: its header comes within the ten that it may
// take, and the body after that.
func (h *harness) late(path string) {
	h.server.Script(path, sandbox.Fault{Delay: 9 * time.Second, Rate: 256})
}

// picky is a keystore in memory that can be told to fail, and that says when it is read.
type picky struct {
	keystore.Memory
	unwritable atomic.Bool
	read       atomic.Pointer[func()] // called when an item has been read
	write      atomic.Pointer[func()] // called before one is written
}

func (p *picky) Get(ctx context.Context, profile string) (keystore.Item, error) {
	item, err := p.Memory.Get(ctx, profile)
	if f := p.read.Load(); f != nil {
		(*f)()
	}
	return item, err
}

func (p *picky) Set(ctx context.Context, profile string, item keystore.Item) error {
	if f := p.write.Load(); f != nil {
		(*f)()
	}
	if p.unwritable.Load() {
		return keystore.ErrUnavailable
	}
	return p.Memory.Set(ctx, profile, item)
}

// viewer is who takes part in a login.
type viewer struct {
	h       *harness
	prompts chan protocol.Prompt // all that was shown
	over    chan outcome
	leave   context.CancelFunc
}

// outcome is what a login came to for one of its viewers.
type outcome struct {
	result protocol.LoginResult
	err    error
}

// Notify implements Viewer.
func (v *viewer) Notify(p protocol.Prompt) { v.prompts <- p }

// watch begins or joins a login.
func (h *harness) watch(params protocol.LoginParams) *viewer {
	ctx, cancel := context.WithCancel(context.Background())
	v := &viewer{h, make(chan protocol.Prompt, 256), make(chan outcome, 1), cancel}
	go func() {
		result, err := h.Run(ctx, v, params)
		v.over <- outcome{result, err}
	}()
	return v
}

// next is the next prompt that is no notice.
func (v *viewer) next(t *testing.T) protocol.Prompt {
	t.Helper()
	for {
		select {
		case p := <-v.prompts:
			if p.Kind != protocol.PromptNotice {
				return p
			}
		case o := <-v.over:
			t.Fatalf("the login is over: %+v, %v", o.result, o.err)
		}
	}
}

// answer types a text at a prompt, and reports whether it was taken.
func (v *viewer) answer(p protocol.Prompt, text string) bool {
	return v.h.Answer(v, p.LoginID, p.Question, keystore.SecretString(text))
}

// done is what the login came to; it must have succeeded.
func (v *viewer) done(t *testing.T) protocol.LoginResult {
	t.Helper()
	o := <-v.over
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.result
}

func (h *harness) ofMachine(name string) protocol.LoginParams {
	return protocol.LoginParams{Profile: name, Issuer: h.server.URL(), ClientID: "machine",
		ClientAuth: "client_secret_post"}
}

func (h *harness) ofDevice(name string) protocol.LoginParams {
	return protocol.LoginParams{
		Profile: name, Issuer: h.server.URL(), ClientID: "app", ClientAuth: "none", Grant: string(grant.ByDeviceCode),
	}
}

func (h *harness) ofBrowser(name string) protocol.LoginParams {
	p := h.ofDevice(name)
	p.Grant = string(grant.ByAuthorizationCode)
	return p
}

// signIn is a login that succeeds, of a person who approves of every device and knows the client secret.
func (h *harness) signIn(t *testing.T, params protocol.LoginParams) protocol.LoginResult {
	t.Helper()
	r, err := h.login(t.Context(), params, h.willing(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stored is the credential that a profile has; its Issuer is empty where there is none.
func (h *harness) stored(t *testing.T, name string) keystore.Item {
	t.Helper()
	item, err := h.Stores.Kept.Get(t.Context(), name)
	if err != nil && !errors.Is(err, keystore.ErrNotFound) {
		t.Fatal(err)
	}
	return item
}

// wantError makes sure of an error's kind, and returns it.
func wantError(t *testing.T, err error, kind protocol.Kind) *protocol.Error {
	t.Helper()
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok || e.Kind() != kind {
		t.Fatalf("got %v (%T), want an error of kind %s", err, err, kind)
	}
	return e
}

// visit is a browser that does not follow where it is sent: it returns the page's status and where it was sent.
func visit(t *testing.T, page string) (status int, location string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("Location")
}

// written is the file that a login wrote of a profile.
func (h *harness) written(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.config, "profiles.d", name+".toml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
