package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// apps are the clients of a bubble env's server: two public ones, through which people sign in, and two with a secret.
var apps = []sandbox.Client{
	{ID: "app", Method: sandbox.None}, {ID: "other-app", Method: sandbox.None},
	{ID: "machine", Secret: clientSecret}, {ID: "other-machine", Secret: clientSecret},
}

const clientSecret = "dummy-client-secret"

// inBubble runs f with an env inside a synctest bubble: the daemon, its authorization server and its clients are
// connected by pipes, so a request that takes twelve seconds, or a person who takes ten minutes, takes no time.
func inBubble(t *testing.T, o sandbox.Options, f func(t *testing.T, h *env, store *faultyStore)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{memory: memory{&keystore.Memory{}}}
		h := newBubbleEnv(t, o, store)
		f(t, h, store)
	})
}

// newBubbleEnv must be called inside a bubble. The env has no socket; its callers come by visit.
func newBubbleEnv(t *testing.T, o sandbox.Options, store testKeystore) *env {
	t.Helper()
	o.Users = append(o.Users, sandbox.User{Name: person, Password: password})
	o.Clients = append(o.Clients, apps...)
	o.Refresh = sandbox.Refresh{Always: true, Rotate: true}
	server := sandbox.New(o)
	client := grant.NewHTTPClient(new(grant.Network))
	client.Transport.(*http.Transport).DialContext = server.StartPipe()
	h := &env{config: filepath.Join(t.TempDir(), "config"), server: server}
	h.restart(t, store, client)
	t.Cleanup(func() {
		h.Close(t.Context())
		server.Close()
		time.Sleep(time.Minute) // goroutines that still sleep find it closed
		synctest.Wait()
	})
	return h
}

// restart starts a daemon for the env's configuration: also another one, where the first was closed.
func (h *env) restart(t *testing.T, store testKeystore, client *http.Client) {
	t.Helper()
	begin := time.Now()
	boot := func() clock.Instant {
		now := time.Now()
		return clock.Instant{Wall: now, Boot: time.Hour + now.Sub(begin)}
	}
	h.Daemon = newDaemon(t, Options{Config: configIn(t, h.config), Keystore: store, HTTP: client, Now: boot})
}

// visit is a client that leaves when the test ends, or before.
func (h *env) visit(t *testing.T) *protocol.Client {
	t.Helper()
	here, there := net.Pipe()
	c := h.newConn(there, ourselves(t))
	go c.serve()
	client := protocol.NewClient(here)
	t.Cleanup(func() { client.Close() })
	return client
}

// token asks for a profile's access token.
func (h *env) token(t *testing.T, profile string) (protocol.TokenResult, error) {
	t.Helper()
	var r protocol.TokenResult
	err := h.visit(t).Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: profile}, &r)
	return r, err
}

// asking asks for a token in the background; what comes of it is the channel's only element.
func (h *env) asking(t *testing.T, profile string) <-chan error {
	t.Helper()
	c, came := h.visit(t), make(chan error, 1)
	go func() {
		came <- c.Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: profile}, nil)
	}()
	synctest.Wait()
	return came
}

// ofDevice are the parameters of a person's login at the env's server.
func (h *env) ofDevice(profile string) protocol.LoginParams {
	return protocol.LoginParams{
		Profile: profile, Issuer: h.server.URL(), ClientID: "app", ClientAuth: "none",
		Grant: string(grant.ByDeviceCode),
	}
}

// ofMachine are those of a client with a secret.
func (h *env) ofMachine(profile string) protocol.LoginParams {
	return protocol.LoginParams{Profile: profile, Issuer: h.server.URL(), ClientID: "machine",
		ClientAuth: "client_secret_post"}
}

// willing answers every question: it approves of devices, and types the client secret that the applications have.
func (h *env) willing(t *testing.T) protocol.AnswerFunc {
	return func(_ context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
		if p.Kind == protocol.PromptDevice {
			if err := h.server.ApproveDevice(p.Code); err != nil {
				t.Error(err)
			}
		}
		return protocol.NewLoginSecret([]byte(clientSecret)), nil
	}
}

// unasked fails the test where anything is asked.
func unasked(t *testing.T) protocol.AnswerFunc {
	return func(_ context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
		t.Errorf("a person was asked: %+v", p)
		return protocol.LoginSecret{}, errors.New("not asked for")
	}
}

// signIn is a login that succeeds.
func (h *env) signIn(t *testing.T, params protocol.LoginParams) protocol.LoginResult {
	t.Helper()
	r, err := h.visit(t).Login(t.Context(), params, h.willing(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// late makes the server's next answer at a path take about twelve seconds, though it is thought of at once: the header
// comes within the ten that it may take, and the body by and by.
func (h *env) late(path string) {
	h.server.Script(path, sandbox.Fault{Delay: 9 * time.Second, Rate: 256})
}

// stored is what the keystore has of a profile; its ClientID is empty where that is nothing.
func stored(t *testing.T, store keystore.Store, profile string) keystore.Item {
	t.Helper()
	item, err := store.Get(t.Context(), profile)
	if err != nil && !errors.Is(err, keystore.ErrNotFound) {
		t.Fatal(err)
	}
	return item
}

// holds reports whether the daemon has a token that it can hand out at once.
func (h *env) holds(profile string) bool {
	_, ok := h.broker.Cached(broker.Query{Profile: profile, MinTTL: broker.Unset})
	return ok
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

// faultyStore is a keystore in memory that can be told to fail, and that says when it is read.
type faultyStore struct {
	memory
	unwritable atomic.Bool
	read       atomic.Pointer[func()] // called when an item has been read
	write      atomic.Pointer[func()] // called before one is written
}

func (p *faultyStore) Get(ctx context.Context, profile string) (keystore.Item, error) {
	item, err := p.memory.Get(ctx, profile)
	if f := p.read.Load(); f != nil {
		(*f)()
	}
	return item, err
}

func (p *faultyStore) Set(ctx context.Context, profile string, item keystore.Item) error {
	if f := p.write.Load(); f != nil {
		(*f)()
	}
	if p.unwritable.Load() {
		return keystore.ErrUnavailable
	}
	return p.memory.Set(ctx, profile, item)
}

// restartsIn returns what ends the daemon and starts the next one, in a state directory and with a keystore, and the
// warnings of all that were started so.
func (h *env) restartsIn(t *testing.T, state string, store testKeystore) (func(), *observer.ObservedLogs) {
	core, logged := observer.New(zap.WarnLevel)
	return func() {
		old := h.Daemon
		if err := old.Close(t.Context()); err != nil {
			t.Error(err)
		}
		h.Daemon = newDaemon(t, Options{
			Config: old.Config, Keystore: store, HTTP: old.HTTP, Now: old.Now, Log: zap.New(core), StateDir: state,
		})
	}, logged
}
