package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// createdFleet is a machine that has created a fleet.
func createdFleet(t *testing.T, o Options) *Daemon {
	t.Helper()
	d := newDaemon(t, o)
	params := protocol.FleetParams{Do: protocol.FleetCreate, Endpoints: []string{"https://etcd.example.org:2379"},
		User: "groat", Machine: "a"}
	if _, err := d.fleet.create(t.Context(), params, keystore.SecretString("password")); err != nil {
		t.Fatal(err)
	}
	return d
}

// A fleet.toml that cannot be used stops nothing but the fleet. It can be mended, or forgotten.
func TestABrokenFleetFile(t *testing.T) {
	dir := t.TempDir()
	o := Options{Config: configIn(t, dir), Keystore: memory{&keystore.Memory{}}, StateDir: t.TempDir()}
	first := createdFleet(t, o)
	o.NewEngine = first.NewEngine
	first.Close(t.Context())
	path := filepath.Join(dir, "fleet.toml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("fleet = 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, o)
	defer d.Close(t.Context())
	s := d.fleet.summary()
	if s.State != "config" || !strings.Contains(s.Hint, path) {
		t.Errorf("%+v", s)
	}
	if _, err := d.fleet.create(t.Context(), protocol.FleetParams{}, keystore.Secret{}); err == nil {
		t.Error("another fleet was created")
	}

	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return strings.TrimPrefix(d.fleet.summary().State, "ok") })

	d.Close(t.Context())
	if err := os.WriteFile(path, []byte("fleet = 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = newDaemon(t, o)
	defer d.Close(t.Context())
	if _, err := d.fleet.leave(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if d.fleetInStatus() != nil {
		t.Errorf("%+v", d.fleetInStatus())
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("fleet.toml is left")
	}
	if _, err := o.Keystore.(keystore.Store).Get(t.Context(), fleetItem); !errors.Is(err, keystore.ErrNotFound) {
		t.Error("the keystore has the fleet's keys")
	}
}

// undeletable is a keystore whose items can be deleted only at the second try.
type undeletable struct {
	memory
	tries int
}

func (u *undeletable) Delete(ctx context.Context, name string) error {
	if u.tries++; u.tries == 1 {
		return keystore.ErrUnavailable
	}
	return u.memory.Delete(ctx, name)
}

// A leave that has failed half-way is done to the end by the next one.
func TestLeavingAgain(t *testing.T) {
	store := &undeletable{memory: memory{&keystore.Memory{}}}
	d := createdFleet(t, Options{Keystore: store, StateDir: t.TempDir()})
	defer d.Close(t.Context())
	if _, err := d.fleet.leave(t.Context(), false); !errors.Is(err, keystore.ErrUnavailable) {
		t.Fatal(err)
	}
	s := d.fleetInStatus()
	if s == nil || s.State != "config" || s.Hint != "groat fleet leave" {
		t.Fatalf("%+v", s)
	}
	if _, err := d.fleet.leave(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Config.LoadFleet(); c != nil || err != nil || d.fleetInStatus() != nil {
		t.Error(c, err, d.fleetInStatus())
	}
}

// unreadable is an engine that can be told not to show the fleet's profiles.
type unreadable struct {
	engine.Engine
	on *atomic.Bool
}

func (u unreadable) Read(ctx context.Context, prefix string) ([]engine.Entry, engine.State, error) {
	if u.on.Load() && strings.Contains(prefix, "/p/") {
		return nil, engine.State{}, engine.ErrUnavailable
	}
	return u.Engine.Read(ctx, prefix)
}

// A machine is removed although not everything can be sealed with the new key at once, and the answer says so.
func TestRemovingBeforeAllIsSealed(t *testing.T) {
	var on atomic.Bool
	shared := engine.NewMemory(nil)
	open := func(engine.Options) (engine.Engine, error) { return unreadable{shared.Client(), &on}, nil }
	a, b := createdFleet(t, Options{NewEngine: open}), newDaemon(t, Options{NewEngine: open})
	defer a.Close(t.Context())
	defer b.Close(t.Context())
	invited, err := a.fleet.invite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.fleet.join(t.Context(), protocol.FleetParams{Do: protocol.FleetJoin, Machine: "b"},
		keystore.Secret{}, keystore.SecretString(invited.Invitation)); err != nil {
		t.Fatal(err)
	}
	on.Store(true)
	r, err := a.fleet.remove(t.Context(), "b")
	if err != nil || !r.Waits || len(r.Machines) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A machine that leaves while it renews first stores what the server answers.
func TestLeavingWhileRenewing(t *testing.T) {
	tier.Long(t, "the second renewal of a token is allowed after half a minute")
	a, b := fleetOfTwo(t)
	b.signInWork(t, a, func(p *protocol.LoginParams) { p.Fleet = true })
	a.wantKey(t, "fleet", "true")
	before := a.server.Count(a.server.TokenPath())
	eventually(t, func() string { // the token of the sign-in is new to it
		if _, err := a.broker.Verify(t.Context(), "work"); err != nil {
			return err.Error()
		}
		if a.server.Count(a.server.TokenPath()) == before {
			return "it does not renew"
		}
		return ""
	})
	before = a.server.Count(a.server.TokenPath())
	a.server.Script(a.server.TokenPath(), sandbox.Fault{Delay: 2 * time.Second})
	asked := make(chan error, 1)
	go func() {
		_, err := a.broker.Verify(t.Context(), "work")
		asked <- err
	}()
	eventually(t, func() string {
		if a.server.Count(a.server.TokenPath()) == before {
			return "no request was made"
		}
		return ""
	})
	a.fleetDo(t, protocol.FleetParams{Do: protocol.FleetLeave}, "")
	if err := <-asked; err != nil {
		t.Error(err)
	}
	eventually(t, func() string {
		r := b.fleetDo(t, protocol.FleetParams{}, "")
		if len(r.Profiles) != 1 || r.Profiles[0].RenewedBy != "a" || r.Profiles[0].Renewing != "" {
			return fmt.Sprintf("the answer was not stored: %+v", r.Profiles)
		}
		return ""
	})
}
