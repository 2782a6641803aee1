package parts_test

import (
	"os"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

func TestSecretService(t *testing.T) {
	s := parts.StartSecretService(t)
	store := func() bool {
		_, ok := s.Tool(t, "a dummy", "store", "--label=test", "service", "parts-test")
		return ok
	}
	lookup := func() string {
		out, _ := s.Tool(t, "", "lookup", "service", "parts-test")
		return out
	}
	if !store() {
		t.Fatal("nothing can be stored")
	}
	if got := lookup(); got != "a dummy" {
		t.Errorf("looked up %q, want what was stored", got)
	}
	s.Lock(t)
	if got := lookup(); got != "" {
		t.Errorf("looked up %q in a locked collection", got)
	}
	s.Unlock(t)
	s.Kill(t)
	if got := lookup(); got != "" {
		t.Errorf("looked up %q from a service that is dead", got)
	}
	s.Restart(t)
	if got := lookup(); got != "a dummy" {
		t.Errorf("looked up %q after a restart, want what was stored", got)
	}
	s.KillBus(t)
	if got := lookup(); got != "" {
		t.Errorf("looked up %q without a bus", got)
	}
	s.RestartBus(t)
	if got := lookup(); got != "a dummy" {
		t.Errorf("looked up %q after the bus came back, want what was stored", got)
	}
	if err := os.Chmod(s.Files(), 0o500); err != nil {
		t.Fatal(err)
	}
	if store() {
		t.Error("a mode that forbids writing does not bind the service")
	}
}

func TestSecretServiceOnDisk(t *testing.T) {
	s := parts.StartSecretServiceOnDisk(t)
	store := func() bool {
		_, ok := s.Tool(t, "a dummy", "store", "--label=test", "service", "parts-test")
		return ok
	}
	s.Fill(t)
	if store() {
		t.Error("the disk is not full")
	}
	s.Free(t)
	s.ReadOnly(t)
	if store() {
		t.Error("the disk is not read-only")
	}
	s.ReadWrite(t)
	if !store() {
		t.Error("nothing can be stored after the disk is well again")
	}
}

func TestBusWithoutSecretService(t *testing.T) {
	if out, ok := parts.StartBus(t).Tool(t, "", "lookup", "service", "parts-test"); ok {
		t.Errorf("somebody answers for a Secret Service: %q", out)
	}
}
