package daemon

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// stuck is a network on which every request waits for release.
type stuck struct{ arrived, release chan struct{} }

func (s stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	s.arrived <- struct{}{}
	<-s.release
	return nowhere{}.RoundTrip(r)
}

// When the daemon is told to stop, idle, silent and half-spoken connections end at once, a client that waits is
// answered, and a request to a provider that is under way is let finish.
func TestStop(t *testing.T) {
	network := stuck{make(chan struct{}, 1), make(chan struct{})}
	d := newIsolated(t, network)
	d.arm(t)
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, l) }()

	idle, half, waiting := dialRaw(t, socket), dialRaw(t, socket), dialRaw(t, socket)
	for _, c := range []*raw{idle, half} {
		c.say(t, probe)
		c.hear(t)
	}
	half.say(t, `{"jsonrpc":`)
	waiting.say(t, tokenRequest)
	<-network.arrived
	cancel()

	if line, ok := idle.hear(t); ok {
		t.Errorf("the idle connection heard %q", line)
	}
	if line, _ := half.hear(t); line != "" && !strings.Contains(line, "-32700") {
		t.Errorf("half a request was answered with %q", line)
	}
	if line, _ := waiting.hear(t); !strings.Contains(line, `"temporary"`) {
		t.Errorf("the waiting client heard %q", line)
	}
	if _, ok := waiting.hear(t); ok {
		t.Error("its connection is still open")
	}
	select {
	case err := <-served:
		t.Errorf("stopped before the provider's answer was in: %v", err)
	default:
	}
	close(network.release)
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("the socket still accepts connections")
	}
}

// The server has replaced the refresh token, and its answer takes twelve seconds: the daemon that is told to stop waits
// for it and stores what it brings.
func TestStopKeepsARotationUnderWay(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		h.signIn(t, h.ofDevice("p"))
		before := stored(t, store, "p").RefreshToken
		h.cool("p")
		h.late(h.server.TokenPath())
		renewed := h.asking(t, "p")
		begin := time.Now()
		h.stop(t)
		if took := time.Since(begin); took < 10*time.Second || took > drain {
			t.Errorf("it stopped after %s", took)
		}
		wantError(t, <-renewed, protocol.Temporary)
		if stored(t, store, "p").RefreshToken.Equal(before) {
			t.Fatal("the keystore has a refresh token that the server has replaced")
		}
		h.restart(t, store, h.HTTP)
		if _, err := h.token(t, "p"); err != nil {
			t.Error("the next daemon:", err)
		}
	})
}

// A client is being created, whose secret the provider shows this once.
func TestStopKeepsAClientThatIsBeingCreated(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		h.late(sandbox.SpatiafiClientsPath)
		params := protocol.LoginParams{Profile: "work", Provider: "spatiafi", AuthServer: h.server.URL(),
			Username: person}
		login := h.watch(t, params)
		<-login.asked
		login.types <- password
		if err := h.server.WaitFor(t.Context(), sandbox.SpatiafiClientsPath, 1); err != nil {
			t.Fatal(err)
		}
		h.stop(t)
		if clients := h.server.Clients(); !slices.Contains(clients, stored(t, store, "work").ClientID) {
			t.Fatalf("the provider has %v, the keystore %q", clients, stored(t, store, "work").ClientID)
		}
		h.restart(t, store, h.HTTP)
		if _, err := h.token(t, "work"); err != nil {
			t.Error("the next daemon:", err)
		}
	})
}

// A person who has been asked, and has not answered, holds nothing up.
func TestStopDoesNotWaitForAPerson(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		machine, device := h.watch(t, h.ofMachine("machine")), h.watch(t, h.ofDevice("p"))
		<-machine.asked
		<-device.asked
		begin := time.Now()
		h.stop(t)
		if took := time.Since(begin); took != 0 {
			t.Errorf("it stopped after %s", took)
		}
		for _, v := range []*viewer{machine, device} {
			wantError(t, (<-v.over).err, protocol.Temporary)
		}
		if _, err := h.visit(t).Login(t.Context(), h.ofMachine("machine"), unasked(t)); err == nil {
			t.Error("a login began after the stop")
		}
	})
}

// stop is what Serve does at its end, without a socket.
func (h *env) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), drain)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
}

// The same on a real socket: Serve returns after the client that a login is creating was stored.
func TestServeReturnsAfterWhatALoginHasBegun(t *testing.T) {
	store := memory{&keystore.Memory{}}
	h := newEnvWith(t, sandbox.Options{}, store)
	socket := filepath.Join(t.TempDir(), "other.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, l) }()
	h.socket = socket
	h.server.Script(sandbox.SpatiafiClientsPath, sandbox.Fault{Delay: 300 * time.Millisecond})
	signedIn := make(chan error, 1)
	go func() {
		_, err := h.login(t, "work", nil)
		signedIn <- err
	}()
	waiting, enough := context.WithTimeout(t.Context(), patience)
	defer enough()
	if err := h.server.WaitFor(waiting, sandbox.SpatiafiClientsPath, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if got := stored(t, store, "work"); got.ClientID == "" || !slices.Contains(h.server.Clients(), got.ClientID) {
		t.Errorf("the provider has %v, the keystore %q", h.server.Clients(), got.ClientID)
	}
	<-signedIn // the client is answered, or told that the daemon has ended
}
