package daemon

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
		User: "groat", Machine: "a"}
	if _, err := first.fleet.create(t.Context(), params, keystore.SecretString("password")); err != nil {
		t.Fatal(err)
	}
	was, err := dir.LoadFleet()
	if err != nil || was == nil {
		t.Fatal(was, err)
	}
	first.Close(t.Context())
	for name, edit := range map[string]func(*config.Fleet){
		"another host": func(f *config.Fleet) { f.Endpoints = []string{"https://elsewhere.example:2379"} },
		"another user": func(f *config.Fleet) { f.User = "root" },
		"another id":   func(f *config.Fleet) { f.ID = strings.Repeat("0", 32) },
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
