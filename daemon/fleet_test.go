package daemon

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// A fleet.toml that was edited makes groatd send the engine's password nowhere.
func TestAnEditedFleet(t *testing.T) {
	dir := configIn(t, t.TempDir())
	store := memory{&keystore.Memory{}}
	shared := engine.NewMemory(nil)
	var made atomic.Int32
	o := Options{Config: dir, Keystore: store, NewEngine: func(engine.Options) (engine.Engine, error) {
		made.Add(1)
		return shared.Client(), nil
	}}
	first := newDaemon(t, o)
	params := protocol.FleetParams{Do: protocol.FleetCreate, Endpoints: []string{"https://etcd.example.org:2379"},
		User: "groat", Machine: "a", CAFile: authorities(t, 1)}
	if _, err := first.fleet.create(t.Context(), params, keystore.SecretString("password")); err != nil {
		t.Fatal(err)
	}
	was, err := dir.LoadFleet()
	if err != nil || was == nil {
		t.Fatal(was, err)
	}
	first.Close(t.Context())
	for name, edit := range map[string]func(*config.Fleet){
		"another host":        func(f *config.Fleet) { f.Endpoints = []string{"https://elsewhere.example:2379"} },
		"another user":        func(f *config.Fleet) { f.User = "root" },
		"no authorities":      func(f *config.Fleet) { f.CAFile = "" },
		"another authorities": func(f *config.Fleet) { f.CAFile = authorities(t, 2) },
		"another id":          func(f *config.Fleet) { f.ID = strings.Repeat("0", 32) },
	} {
		edited := *was
		edit(&edited)
		if err := dir.SaveFleet(edited); err != nil {
			t.Fatal(err)
		}
		before := made.Load()
		d := newDaemon(t, o)
		for end := time.Now().Add(20 * time.Second); d.fleet.summary().State == "starting"; {
			if time.Now().After(end) {
				t.Fatal("it starts for ever")
			}
			time.Sleep(time.Millisecond)
		}
		if s := d.fleet.summary(); s.State != "config" || !strings.Contains(s.Message, "fleet.toml was changed") {
			t.Errorf("%s: %+v", name, s)
		}
		if made.Load() != before {
			t.Errorf("%s: the engine was opened", name)
		}
		d.Close(t.Context())
	}
}

// authorities returns a file with the same certificate n times.
func authorities(t *testing.T, n int) string {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, bytes.Repeat(one, n), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// No fleet is created to which no code could invite.
func TestEndpointsTooLongForACode(t *testing.T) {
	d := newDaemon(t, Options{})
	defer d.Close(t.Context())
	params := protocol.FleetParams{Do: protocol.FleetCreate, Machine: "a"}
	for i := range 16 {
		params.Endpoints = append(params.Endpoints, fmt.Sprintf("https://etcd-%d.a-long-name.example.org:12379", i))
	}
	_, err := d.fleet.create(t.Context(), params, keystore.Secret{})
	if err == nil || !strings.Contains(err.Error(), "too long for a code") || d.fleetInStatus() != nil {
		t.Error(err, d.fleetInStatus())
	}
}

// What is to be sealed with a new key is tried until it is, with a wait that grows.
func TestUntilDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		begin := time.Now()
		f := &fleetPart{d: &Daemon{Options: Options{Log: zap.NewNop()}}}
		f.untilDone(t.Context(), func(ctx context.Context) error {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("an attempt without a deadline")
			}
			if at = append(at, time.Since(begin)); len(at) < 4 {
				return engine.ErrUnavailable
			}
			return nil
		})
		want := []time.Duration{0, 5 * time.Second, 15 * time.Second, 35 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("tried after %v, want %v", at, want)
		}
	})
}

// closing is an engine that says when it is closed.
type closing struct {
	engine.Engine
	closed *atomic.Int32
}

func (c closing) Close() { c.closed.Add(1) }

// A machine that leaves erases its keys, closes each engine it has opened, and keeps nothing of what comes later.
func TestLeavingErases(t *testing.T) {
	var made, closed atomic.Int32
	shared := engine.NewMemory(nil)
	store := memory{&keystore.Memory{}}
	d := createdFleet(t, Options{Keystore: store, NewEngine: func(engine.Options) (engine.Engine, error) {
		made.Add(1)
		return closing{shared.Client(), &closed}, nil
	}})
	defer d.Close(t.Context())
	r, err := d.fleet.use()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.fleet.leave(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if made.Load() != closed.Load() {
		t.Errorf("%d engines were opened, %d closed", made.Load(), closed.Load())
	}
	if _, err := r.member.Keys().Key(1); err == nil {
		t.Error("the keys are there still")
	}
	if err := r.keeper.keep(t.Context(), "id", keystore.SecretString("late")); err == nil {
		t.Error("something was kept after the leave")
	}
	if _, err := store.Get(t.Context(), fleetItem); !errors.Is(err, keystore.ErrNotFound) {
		t.Error(err)
	}
}

// A groatd in no fleet starts nothing for one.
func TestInNoFleet(t *testing.T) {
	d := newDaemon(t, Options{NewEngine: func(engine.Options) (engine.Engine, error) {
		t.Error("an engine was opened")
		return nil, engine.ErrUnavailable
	}})
	if d.fleet.stop != nil || d.fleet.now() != nil || d.fleetInStatus() != nil {
		t.Error("something of a fleet runs")
	}
	d.Close(t.Context())
}
