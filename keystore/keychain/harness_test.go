package keychain_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// waitLimit bounds every wait for another process. It is reached only when something is broken.
const waitLimit = 2 * time.Minute

// childVariable makes the test binary run one operation and print what came of it: a new process, with its own bus
// connection and its own environment.
const childVariable = "GROAT_TEST_KEYCHAIN"

func TestMain(m *testing.M) {
	if op, ok := os.LookupEnv(childVariable); ok {
		runChild(op)
		return
	}
	os.Exit(m.Run())
}

// sentinels name what an error wraps, across a process border.
var sentinels = map[string]error{
	"not found": keystore.ErrNotFound, "locked": keystore.ErrLocked, "unavailable": keystore.ErrUnavailable,
	"corrupt": keystore.ErrCorrupt, "too big": keystore.ErrTooBig,
}

func runChild(op string) {
	var s keychain.Store
	var err error
	switch ctx := context.Background(); op {
	case "get":
		var i keystore.Item
		if i, err = s.Get(ctx, "work"); err == nil && !i.Equal(item("work")) {
			err = errors.New("another item came back")
		}
	case "set":
		err = s.Set(ctx, "work", item("work"))
	case "delete":
		err = s.Delete(ctx, "work")
	case "probe":
		err = s.Probe(ctx)
	case "ready":
		err = s.Ready(ctx)
	case "unlock":
		err = s.Unlock(ctx)
	case "address":
		err = s.Ready(ctx)
		fmt.Println(os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	}
	name := "ok"
	if err != nil {
		name = err.Error()
	}
	for n, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			name = n
		}
	}
	fmt.Println(name)
}

// child runs op in a new process with the environment env and nothing else, and returns what it printed.
func child(t *testing.T, env []string, op string) string {
	t.Helper()
	cmd := parts.Self(t)
	cmd.Env = append([]string{childVariable + "=" + op, "HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0"}, env...)
	var complaints strings.Builder
	cmd.Stderr = &complaints // also the coverage runtime's, which is no answer
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child %s: %v: %s%s", op, err, out, &complaints)
	}
	return strings.TrimSpace(string(out))
}

func item(profile string) keystore.Item {
	return keystore.Item{
		Issuer: "https://auth.example", TokenEndpoint: "https://auth.example/token",
		ClientAuth: "client_secret_jwt", ClientID: "client of " + profile,
		ClientSecret: keystore.SecretString("not a real secret: " + profile),
	}
}

// startService starts a real gnome-keyring and points this process's library at it.
func startService(t *testing.T, env ...string) *parts.SecretService {
	t.Helper()
	s := parts.StartSecretService(t, env...)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", s.Address)
	return s
}

// env is the environment of a child that talks to the service.
func env(s *parts.SecretService) []string { return []string{"DBUS_SESSION_BUS_ADDRESS=" + s.Address} }
