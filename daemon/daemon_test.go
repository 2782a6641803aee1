package daemon

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// testKeystore is a store with what a person decides about it.
type testKeystore interface {
	keystore.Store
	Keystore
}

// memory is the memory store with nothing to choose.
type memory struct{ keystore.Store }

func (memory) Status(context.Context) keystore.Status {
	return keystore.Status{Use: "memory", State: "ok"}
}
func (memory) Use(context.Context, string, string, keystore.Secret) error  { return nil }
func (memory) Unlock(context.Context, keystore.Secret) error               { return nil }
func (memory) Move(context.Context, string, string, keystore.Secret) error { return nil }
func (memory) Passphrase(context.Context, keystore.Secret, keystore.Secret) error {
	return nil
}

// env is a daemon on a real socket, and the authorization server it talks to.
type env struct {
	*Daemon
	socket string
	config string
	server *sandbox.Server
}

// newDaemon is the one place that makes a daemon in these tests. Of what the test does not say, the configuration is
// empty, the store is in memory, the network reaches nothing, the clock is the system's and the log is the test's. The
// caller ends it.
func newDaemon(t testing.TB, o Options) *Daemon {
	t.Helper()
	if o.Config == (config.Dir{}) {
		o.Config = configIn(t, t.TempDir())
	}
	if o.Keystore == nil {
		o.Keystore = memory{&keystore.Memory{}}
	}
	if o.Store == nil {
		o.Store = o.Keystore.(keystore.Store)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: nowhere{}}
	}
	if o.Now == nil {
		o.Now = clock.Now
	}
	if o.Log == nil {
		o.Log = zaptest.NewLogger(t)
	}
	if o.NewEngine == nil {
		shared := engine.NewMemory(nil)
		o.NewEngine = func(engine.Options) (engine.Engine, error) { return shared.Client(), nil }
	}
	o.Release = "test"
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// configIn is the configuration in a directory.
func configIn(t testing.TB, dir string) config.Dir {
	t.Helper()
	c, err := config.At(dir + "/")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	person   = "alice@example.com"
	password = "dummy-password"
)

func newEnv(t testing.TB, o sandbox.Options) *env {
	t.Helper()
	return newEnvWith(t, o, memory{&keystore.Memory{}})
}

// newEnvWith is newEnv with a keystore of the test's own.
func newEnvWith(t testing.TB, o sandbox.Options, store testKeystore) *env {
	t.Helper()
	o.Users = append(o.Users, sandbox.User{Name: person, Password: password})
	server := sandbox.New(o)
	if err := server.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	dir := t.TempDir()
	h := &env{socket: filepath.Join(dir, "agent.sock"), config: filepath.Join(dir, "config"), server: server}
	network := new(grant.Network)
	place := frame.Place{Home: "/home/alice", Configuration: "/home/alice/.config/groat",
		State: "/home/alice/.local/state/groat"}
	h.Daemon = newDaemon(t, Options{
		Place:  protocol.PlaceStatus{ID: place.ID(), Place: place, Usual: true},
		Config: configIn(t, h.config), Keystore: store, HTTP: grant.NewHTTPClient(network), Network: network,
		Socket: h.socket,
	})
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *env) client(t testing.TB) *protocol.Client {
	t.Helper()
	c, err := protocol.Dial(t.Context(), h.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// login signs a profile in at the sandbox with SpatiaFi's ways.
func (h *env) login(t testing.TB, name string, change func(*protocol.LoginParams)) (protocol.LoginResult, error) {
	t.Helper()
	params := protocol.LoginParams{Profile: name, Provider: "spatiafi", AuthServer: h.server.URL(), Username: person}
	if change != nil {
		change(&params)
	}
	return h.client(t).Login(t.Context(), params,
		func(_ context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
			return protocol.NewLoginSecret([]byte(password)), nil
		})
}

func TestTheWholePath(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	r, err := h.login(t, "work", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Outcome != protocol.SignedIn || !r.Created || r.ClientID == "" {
		t.Errorf("%+v", r)
	}
	c := h.client(t)
	var token protocol.TokenResult
	if err := c.Call(t.Context(), protocol.MethodToken, protocol.TokenParams{}, &token); err != nil {
		t.Fatal(err)
	}
	if token.ExpiresIn < 830 || token.ExpiresIn > 839 || token.Header != "Authorization: Bearer "+token.AccessToken {
		t.Errorf("%+v", token)
	}
	if n := h.server.Count(sandbox.SpatiafiTokenPath); n != 1 {
		t.Errorf("%d token requests", n)
	}
	again, err := h.login(t, "work", nil)
	if err != nil || again.Outcome != protocol.AlreadySignedIn || again.ClientID != r.ClientID {
		t.Errorf("a second login: %+v, %v", again, err)
	}
	if n := h.server.Count(sandbox.SpatiafiClientsPath); n != 1 {
		t.Errorf("%d clients created", n)
	}
	var who protocol.WhoamiResult
	if err := c.Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{}, &who); err != nil {
		t.Fatal(err)
	}
	if who.Claims["email"] != person {
		t.Errorf("%+v", who)
	}
	var st protocol.StatusResult
	if err := c.Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{}, &st); err != nil {
		t.Fatal(err)
	}
	if len(st.Profiles) != 1 || st.Profiles[0].State != "fresh" || st.Profiles[0].RenewIn == 0 {
		t.Errorf("%+v", st)
	}
	var out protocol.LogoutResult
	if err := c.Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "work"}, &out); err != nil ||
		out.Forgotten || !out.Permanent || out.ClientID != r.ClientID {
		t.Errorf("%+v, %v", out, err)
	}
	if err := c.Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "work", Yes: true},
		&out); err != nil || !out.Forgotten {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(h.config, "profiles.d", "work.toml")); !os.IsNotExist(err) {
		t.Errorf("the profile's file: %v", err)
	}
}
