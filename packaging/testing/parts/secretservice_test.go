package parts_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// secretTool runs libsecret's own client.
func secretTool(t *testing.T, s *parts.SecretService, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), "secret-tool", args...)
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+s.Address)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	return string(out), err
}

func TestSecretService(t *testing.T) {
	s := parts.StartSecretService(t)
	if _, err := secretTool(t, s, "a dummy", "store", "--label=test", "service", "parts-test"); err != nil {
		t.Fatalf("secret-tool store: %v", err)
	}
	lookup := func() string {
		out, _ := secretTool(t, s, "", "lookup", "service", "parts-test")
		return out
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
}

func TestBusWithoutSecretService(t *testing.T) {
	if _, err := secretTool(t, parts.StartBus(t), "", "lookup", "service", "parts-test"); err == nil {
		t.Error("somebody answers for a Secret Service")
	}
}
