package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// fleetOfTwo are two machines of one fleet. The first one's server is for both.
func fleetOfTwo(t *testing.T) (a, b *env) {
	t.Helper()
	return fleetNamed(t, "a", "b")
}

// fleetNamed is fleetOfTwo with the machines' names.
func fleetNamed(t *testing.T, first, second string) (a, b *env) {
	t.Helper()
	shared := engine.NewMemory(nil)
	for _, h := range []**env{&a, &b} {
		*h = newEnv(t, sandbox.Options{Clients: []sandbox.Client{{ID: "machine", Secret: clientSecret}}})
		(*h).StateDir = t.TempDir()
		(*h).NewEngine = func(engine.Options) (engine.Engine, error) { return shared.Client(), nil }
	}
	created := a.fleetDo(t, protocol.FleetParams{Do: protocol.FleetCreate, Machine: first,
		Endpoints: []string{"https://etcd.example.org:2379"}}, "")
	b.fleetDo(t, protocol.FleetParams{Do: protocol.FleetJoin, Machine: second}, created.Invitation)
	return a, b
}

func (h *env) fleetDo(t *testing.T, p protocol.FleetParams, code string) (r protocol.FleetResult) {
	t.Helper()
	var secrets []protocol.Member
	if code != "" {
		secrets = append(secrets, protocol.Member{Name: "code", Value: protocol.NewLoginSecret([]byte(code))})
	}
	if err := h.client(t).CallSecrets(t.Context(), protocol.MethodFleet, p, secrets, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// signInWork signs a client in at the server of another machine.
func (h *env) signInWork(t *testing.T, at *env, change func(*protocol.LoginParams)) {
	t.Helper()
	p := at.ofMachine("work")
	change(&p)
	answer := func(context.Context, protocol.Prompt) (protocol.LoginSecret, error) {
		return protocol.NewLoginSecret([]byte(clientSecret)), nil
	}
	if _, err := h.client(t).Login(t.Context(), p, answer); err != nil {
		t.Fatal(err)
	}
}

// wantKey waits until the profile has a key's value.
func (h *env) wantKey(t *testing.T, key, want string) {
	t.Helper()
	eventually(t, func() string {
		p := h.profiles.Named("work")
		if p == nil {
			return "there is no profile"
		}
		if got, _ := p.Get(key); got != want {
			return fmt.Sprintf("%s is %q, want %q", key, got, want)
		}
		return ""
	})
}

// What is changed of a fleet's profile on one machine is changed on all.
func TestAChangeIsForTheFleet(t *testing.T) {
	a, b := fleetOfTwo(t)
	a.signInWork(t, a, func(p *protocol.LoginParams) { p.Fleet = true })
	b.wantKey(t, "fleet", "true")
	var r protocol.ProfileResult
	yes := "true"
	if err := b.client(t).Call(t.Context(), protocol.MethodProfile,
		protocol.ProfileParams{Profile: "work", Key: "strict_scope", Value: &yes}, &r); err != nil {
		t.Fatal(err)
	}
	b.wantKey(t, "strict_scope", "true")
	a.wantKey(t, "strict_scope", "true")
	a.signInWork(t, a, func(p *protocol.LoginParams) { p.Scope = "read" })
	a.wantKey(t, "scope", "read")
	b.wantKey(t, "scope", "read")

	// It needs no backup, and the logout says for whom it is.
	file := filepath.Join(t.TempDir(), "backup")
	_, err := b.backup(t, file, false)
	if e := wantError(t, err, protocol.Config); e.Hint() != "groat fleet invite" {
		t.Error(e)
	}
	var out protocol.LogoutResult
	if err := b.client(t).Call(t.Context(), protocol.MethodLogout,
		protocol.LogoutParams{Profile: "work", Yes: true}, &out); err != nil || !out.Forgotten || !out.Fleet {
		t.Errorf("logout: %+v, %v", out, err)
	}
	eventually(t, func() string {
		if a.profiles.Named("work") != nil {
			return "the other machine has the profile still"
		}
		return ""
	})
}

// A machine's own profile hides the fleet's of its name until it goes. A machine that leaves keeps nothing.
func TestAProfileThatHidesTheFleets(t *testing.T) {
	a, b := fleetOfTwo(t)
	b.signInWork(t, a, func(*protocol.LoginParams) {})
	a.signInWork(t, a, func(p *protocol.LoginParams) { p.Fleet = true })
	eventually(t, func() string {
		if r := b.fleetDo(t, protocol.FleetParams{}, ""); len(r.Profiles) != 1 || !r.Profiles[0].Hidden {
			return fmt.Sprintf("the fleet's profile is not hidden: %+v", r.Profiles)
		}
		return ""
	})
	b.wantKey(t, "fleet", "")
	if err := b.client(t).Call(t.Context(), protocol.MethodLogout,
		protocol.LogoutParams{Profile: "work", Yes: true}, nil); err != nil {
		t.Fatal(err)
	}
	b.wantKey(t, "fleet", "true")

	b.fleetDo(t, protocol.FleetParams{Do: protocol.FleetLeave}, "")
	left, err := os.ReadDir(b.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range left {
		if strings.HasPrefix(file.Name(), "fleet") {
			t.Errorf("left: %s", file.Name())
		}
	}
	if b.profiles.Named("work") != nil {
		t.Error("the fleet's profile is left")
	}
}

// An engine that does not answer leaves a machine in no fleet, so the hint is not to look at one.
func TestAFleetWithoutItsEngine(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	h.NewEngine = func(engine.Options) (engine.Engine, error) { return nil, engine.ErrUnavailable }
	err := h.client(t).Call(t.Context(), protocol.MethodFleet, protocol.FleetParams{Do: protocol.FleetCreate,
		Endpoints: []string{"https://etcd.example.org:2379"}}, nil)
	if e := wantError(t, err, protocol.Temporary); e.Hint() != "groat fleet create --help" {
		t.Error(e.Hint())
	}
}

// An engine that fails at the very end of a login loses nothing: the credential is kept, the login and the status say
// so, and it is the fleet's when the engine answers again.
func TestALoginThatTheEngineDoesNotTake(t *testing.T) {
	a, b := fleetOfTwo(t)
	engines := a.fleet.now().engine.(*engine.Client)
	engines.Inject(func(c engine.Call) engine.Fault {
		if c.Kind == engine.Swapping {
			return engine.Refuse
		}
		return engine.None
	})
	p := a.ofMachine("work")
	p.Fleet = true
	_, err := a.client(t).Login(t.Context(), p, func(context.Context, protocol.Prompt) (protocol.LoginSecret, error) {
		return protocol.NewLoginSecret([]byte(clientSecret)), nil
	})
	e := wantError(t, err, protocol.Temporary)
	if e.Hint() != "groat fleet status" || !strings.Contains(e.Message, "groatd keeps it") {
		t.Errorf("the login says %v, hint %q", e, e.Hint())
	}
	if s := a.statusOf(t, "work"); !strings.Contains(fmt.Sprintf("%+v", s), "on this machine only") {
		t.Errorf("the status says nothing of it: %+v", s)
	}
	engines.Inject(nil)
	b.wantKey(t, "fleet", "true")
	eventually(t, func() string {
		if s := a.statusOf(t, "work"); strings.Contains(fmt.Sprintf("%+v", s), "on this machine only") {
			return "it is said to be on one machine only"
		}
		return ""
	})
}

// Two machines of one host name are two for the fleet: neither takes the other's renewal for its own.
func TestTwoMachinesOfOneHostName(t *testing.T) {
	a, b := fleetNamed(t, "node", "node")
	b.signInWork(t, a, func(p *protocol.LoginParams) { p.Fleet = true })
	a.wantKey(t, "fleet", "true")
	for _, h := range []*env{a, b} {
		eventually(t, func() string {
			r := h.fleetDo(t, protocol.FleetParams{}, "")
			if len(r.Profiles) != 1 || r.Profiles[0].RenewedBy != "node-2" {
				return fmt.Sprintf("the second machine has signed in, and %s says %+v", r.Machine, r.Profiles)
			}
			return ""
		})
		if by := h.fleet.now().fleet.Status("work").By; by != b.fleet.now().member.Self() {
			t.Errorf("the record names the machine %q", by)
		}
	}
}

// What a removed machine writes to a profile keeps nobody from signing in anew.
func TestARemovedMachineWritesToAProfile(t *testing.T) {
	a, b := fleetOfTwo(t)
	a.signInWork(t, a, func(p *protocol.LoginParams) { p.Fleet = true })
	b.wantKey(t, "fleet", "true")
	was := b.fleet.now()
	key := "/groat/" + was.member.Keys().Fleet() + "/p/" + was.member.Keys().Name("profile", "work") + "/record"
	forged, err := was.member.Keys().Seal(key, "record", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	a.fleetDo(t, protocol.FleetParams{Do: protocol.FleetRemove, Machine: "b"}, "")
	if ok, _, err := was.engine.Swap(t.Context(), nil, []engine.Change{{Key: key, Value: forged}}); !ok {
		t.Fatal(err)
	}
	a.signInWork(t, a, func(p *protocol.LoginParams) { p.Scope = "read" })
	a.wantKey(t, "scope", "read")
	if entries, _, err := was.engine.Read(t.Context(), key); err != nil || bytes.Equal(entries[0].Value, forged) {
		t.Errorf("the forged record stands: %v", err)
	}
}

// A sign-in that the engine could not take is on the disk and keeps from no handover; it is dropped where another
// machine has signed in since.
func TestASignInThatTheEngineDoesNotTake(t *testing.T) {
	a, b := fleetOfTwo(t)
	a.signInWork(t, a, func(p *protocol.LoginParams) { p.Fleet = true })
	b.wantKey(t, "fleet", "true")
	client, ok := a.fleet.now().engine.(*engine.Client)
	if !ok {
		t.Fatalf("the engine is a %T", a.fleet.now().engine)
	}
	waits := func() bool { return a.fleet.Store().PendingError("work") != nil }
	hold := func(secret string) {
		t.Helper()
		client.Cut()
		item, err := a.stores.Shared.Get(t.Context(), "work")
		if err != nil {
			t.Fatal(err)
		}
		item.ClientSecret = keystore.SecretString(secret)
		a.fleet.Stage(a.profiles.Named("work"), nil)
		if err := a.stores.Shared.SetOrHold(t.Context(), "work", item); err != nil {
			t.Fatal(err)
		}
		if !waits() || a.unsaved("") != nil {
			t.Fatalf("it is not kept, or keeps from a handover: %q", a.unsaved(""))
		}
	}
	stored := func(want string) {
		t.Helper()
		eventually(t, func() string {
			item, err := b.stores.Shared.Get(t.Context(), "work")
			if err != nil || item.ClientSecret.Reveal() != want {
				return fmt.Sprintf("the fleet has another credential: %v", err)
			}
			return ""
		})
	}
	hold("later-secret")
	client.Mend()
	stored("later-secret")
	eventually(t, func() string {
		if waits() {
			return "it is held still"
		}
		return ""
	})

	hold("dropped-secret")
	b.signInWork(t, a, func(*protocol.LoginParams) {})
	client.Mend()
	eventually(t, func() string {
		if waits() {
			return "it is held still"
		}
		return ""
	})
	stored(clientSecret)
}
