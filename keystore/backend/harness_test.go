package backend_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	_ "unsafe" // for linkname

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// waitLimit bounds every wait for another process. It is reached only when something is broken.
const waitLimit = 2 * time.Minute

// childVariable makes the test binary do one thing in a new process and print what came of it.
const childVariable = "GROAT_TEST_CHOICE"

// What a guess of a passphrase costs: here the least that a store takes, since operations are ended at each of their
// steps, and every one derives keys.
//
//go:linkname argonPasses github.com/groat-dev/groat/keystore/sealed.argonPasses
var argonPasses uint32

//go:linkname argonMemory github.com/groat-dev/groat/keystore/sealed.argonMemory
var argonMemory uint32

func TestMain(m *testing.M) {
	argonPasses, argonMemory = 1, 8<<10
	if op, ok := os.LookupEnv(childVariable); ok {
		fmt.Println(runChild(strings.Fields(op)))
		return
	}
	os.Exit(m.Run())
}

func runChild(op []string) string {
	k, err := backend.Open(backend.Options{StateDir: os.Getenv("STATE"), Env: os.Getenv("GROAT_KEYSTORE")})
	if err != nil {
		return "open: " + err.Error()
	}
	defer k.Close()
	ctx := context.Background()
	switch op[0] {
	case "get":
		i, gerr := k.Get(ctx, op[1])
		if err = gerr; err == nil && !i.Equal(item(op[1])) {
			err = errors.New("another item came back")
		}
	case "set":
		err = k.Set(ctx, op[1], item(op[1]))
	case "generation":
		return strconv.Itoa(generation(ctx, k, op[1]))
	case "move", "passphrase": // ends itself behind step number op[1]
		n, _ := strconv.Atoi(op[1])
		backend.AfterStep(func(name string) {
			if n--; n == 0 {
				fmt.Println(name)
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		})
		if op[0] == "move" {
			key := ""
			if len(op) > 3 {
				key = op[3]
			}
			k.Unlock(ctx, pass("old"))
			err = k.Move(ctx, op[2], key, pass("new"))
		} else {
			err = k.Passphrase(ctx, pass("old"), pass("new"))
		}
	case "rotate": // until the test kills this process; each line is a generation that is stored
		for g := generation(ctx, k, op[1]); err == nil; g++ {
			if _, err = k.MarkSent(ctx, op[1]); err != nil && g > 0 {
				break
			}
			if err = k.Set(ctx, op[1], session(op[1], g+1)); err == nil {
				fmt.Println(g + 1)
			}
		}
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func item(profile string) keystore.Item {
	return keystore.Item{
		Issuer: "https://auth.example", TokenEndpoint: "https://auth.example/token",
		ClientAuth: "client_secret_jwt", ClientID: "client of " + profile,
		ClientSecret: keystore.SecretString("not a real secret: " + profile),
	}
}

// session returns the item after answer number g of a provider that rotates tokens.
func session(profile string, g int) keystore.Item {
	i := item(profile)
	i.Grant, i.ClientAuth, i.ClientSecret = "device_code", "none", none
	i.RefreshToken = keystore.SecretString(fmt.Sprintf("not a real session: %s %d", profile, g))
	return i
}

// generation is the number of the session that k has, 0 for none, -1 for anything else.
func generation(ctx context.Context, k keystore.Store, profile string) (g int) {
	i, err := k.Get(ctx, profile)
	if errors.Is(err, keystore.ErrNotFound) {
		return 0
	}
	if _, scan := fmt.Sscanf(i.RefreshToken.Reveal(), "not a real session: "+profile+" %d", &g); err != nil ||
		scan != nil {
		return -1
	}
	return g
}

// child runs op in a new process on the same state directory, with this process's environment and more.
func child(t *testing.T, state, op string, env ...string) string {
	t.Helper()
	cmd := parts.Self(t, append(env, childVariable+"="+op, "STATE="+state)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child %s: %v: %s", op, err, out)
	}
	return strings.TrimSpace(string(out))
}

// open opens a keystore with GROAT_KEYSTORE=env.
func open(t *testing.T, state, env string) *backend.Keystore {
	t.Helper()
	k, err := backend.Open(backend.Options{StateDir: state, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// state is a directory as the daemon makes it.
func stateDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// withKeychain starts a real gnome-keyring and points this process at it.
func withKeychain(t *testing.T) *parts.SecretService {
	t.Helper()
	s := parts.StartSecretService(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", s.Address)
	return s
}

// withoutKeychain points this process at a bus that is not there.
func withoutKeychain(t *testing.T) {
	t.Helper()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
}

// withCredential is a systemd credential that brings the sealed file's key.
func withCredential(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "groat.key"), []byte("0123456789abcdef0123456789abcdef"),
		0o400); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
}

func status(t *testing.T, k *backend.Keystore) string {
	t.Helper()
	s := k.Status(t.Context())
	return strings.Join(strings.Fields(s.Use+" "+s.Key+" "+s.State), " ")
}

func wantStatus(t *testing.T, k *backend.Keystore, want string) {
	t.Helper()
	if got := status(t, k); got != want {
		t.Errorf("status %q (%s), want %q", got, k.Status(t.Context()).Message, want)
	}
}

func wantItem(t *testing.T, k keystore.Store, profile string) {
	t.Helper()
	if i, err := k.Get(t.Context(), profile); err != nil || !i.Equal(item(profile)) {
		t.Errorf("%s: not what was stored: %v", profile, err)
	}
}

func wantError(t *testing.T, what string, err, want error, says ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%s: %q does not say %q", what, err, s)
		}
	}
}

// eventually polls another process's state until check passes.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(waitLimit)
	for err := check(); err != nil; err = check() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", waitLimit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var none keystore.Secret

func pass(text string) keystore.Secret { return keystore.SecretString("correct horse " + text) }
