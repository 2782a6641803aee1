package backend_test

import (
	"bytes"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
)

// users returns the names that the keychain has an item of, as another program finds them.
func users(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "secret-tool", "search", "--all", "service", "groat").CombinedOutput()
	if err != nil {
		t.Fatalf("secret-tool: %v", err)
	}
	if bytes.Contains(out, []byte("not a real session")) || bytes.Contains(out, []byte("PRIVATE KEY")) {
		t.Error("a session or a private key is in the keychain")
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(line, "attribute.username = "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	slices.Sort(names)
	return names
}

func wantUsers(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, users(t)); diff != "" {
		t.Errorf("%s: the keychain has other items (-want +got):\n%s", when, diff)
	}
}

func wantSession(t *testing.T, k keystore.Store, when string, g int) {
	t.Helper()
	if got := generation(t.Context(), k, "work"); got != g {
		_, err := k.Get(t.Context(), "work")
		t.Errorf("%s: session %d, want %d (%v)", when, got, g, err)
	}
}

// secretTool uses the keychain as another program does.
func secretTool(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "secret-tool", args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("secret-tool %s: %v", args[0], err)
	}
	return string(out)
}

// keyringState is the keyring's file, which gnome-keyring replaces as a whole with each write.
func keyringState(t *testing.T) (info os.FileInfo, content []byte) {
	t.Helper()
	bus, _ := strings.CutPrefix(os.Getenv("DBUS_SESSION_BUS_ADDRESS"), "unix:path=")
	file := filepath.Join(filepath.Dir(bus), "data", "keyrings", "login.keyring")
	info, err := os.Stat(file)
	if err == nil {
		content, err = os.ReadFile(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return info, content
}

func TestSessionIsSealed(t *testing.T) {
	keyring := withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	ctx := t.Context()
	if err := errors.Join(k.Probe(ctx), k.Set(ctx, "small", item("small"))); err != nil {
		t.Fatal(err)
	}
	wantUsers(t, "an item that is small and stays", "small")
	if _, err := os.Stat(filepath.Join(dir, "sealed")); err == nil {
		t.Error("a sealed file was made before anything needs it")
	}
	if err := k.Set(ctx, "work", session("work", 1)); err != nil {
		t.Fatal(err)
	}
	wantUsers(t, "a session", "sealed:key", "small")
	wantStatus(t, k, "keychain ok")

	before, content := keyringState(t)
	for g := 2; g <= 101; g++ {
		if err := k.Set(ctx, "work", session("work", g)); err != nil {
			t.Fatal(err)
		}
		wantSession(t, k, "rotated", g)
	}
	after, now := keyringState(t)
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || !bytes.Equal(content, now) {
		t.Error("a hundred rotations wrote to the keychain")
	}
	keyring.Pause(t) // nor do they read from it
	for g := 102; g <= 121; g++ {
		if err := k.Set(ctx, "work", session("work", g)); err != nil {
			t.Fatal(err)
		}
	}
	wantSession(t, k, "with a keychain that does not answer", 121)
	keyring.Resume(t)
	k.Close()
	if got := child(t, dir, "generation work") + child(t, dir, "get small"); got != "121ok" {
		t.Errorf("in a new process: %s", got)
	}
	for _, name := range []string{"keystore.json", "sealed"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || bytes.Contains(b, []byte("not a real")) {
			t.Errorf("%s shows a secret, or cannot be read: %v", name, err)
		}
	}
}

func TestLockedWithSession(t *testing.T) {
	keyring := withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	ctx := t.Context()
	if err := errors.Join(k.Set(ctx, "small", item("small")), k.Set(ctx, "work", session("work", 1)),
		k.Close()); err != nil {
		t.Fatal(err)
	}
	keyring.Lock(t)
	k = open(t, dir, "")
	_, err := k.Get(ctx, "work")
	wantError(t, "get", err, keystore.ErrLocked)
	wantError(t, "set", k.Set(ctx, "work", session("work", 2)), keystore.ErrLocked)
	wantError(t, "set another", k.Set(ctx, "new", session("new", 1)), keystore.ErrLocked)
	wantError(t, "delete", k.Delete(ctx, "work"), keystore.ErrLocked)
	wantError(t, "probe", k.Probe(ctx), keystore.ErrLocked)
	wantStatus(t, k, "keychain locked")
	keyring.Unlock(t)
	wantSession(t, k, "unlocked", 1)
	wantItem(t, k, "small")
	// The key is kept: from here on a session does not need the keychain.
	keyring.Lock(t)
	if err := k.Set(ctx, "work", session("work", 2)); err != nil {
		t.Errorf("a rotation under a locked keychain: %v", err)
	}
	wantSession(t, k, "locked again", 2)
	_, err = k.Get(ctx, "small")
	wantError(t, "what is in the keychain itself", err, keystore.ErrLocked)
	if err := k.Delete(ctx, "work"); err != nil {
		t.Errorf("logout from a session under a locked keychain: %v", err)
	}
	k.Close()
	k = open(t, dir, "")
	wantStatus(t, k, "keychain locked")
	keyring.Kill(t)
	_, err = k.Get(ctx, "small")
	wantError(t, "killed", err, keystore.ErrUnavailable)
	keyring.Restart(t)
	wantSession(t, k, "after the logout", 0)
	wantItem(t, k, "small")
}

func TestStatusOfBoth(t *testing.T) {
	keyring := withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := k.Set(t.Context(), "work", session("work", 1)); err != nil {
		t.Fatal(err)
	}
	keyring.Lock(t)
	if s := k.Status(t.Context()); s.Use != backend.Keychain || s.State != "locked" ||
		!strings.Contains(s.Message, "sealed file") {
		t.Errorf("the keychain is locked, the sealed file open: %+v", s)
	}
	k.Close()
	keyring.Unlock(t)
	if err := os.Chmod(filepath.Join(dir, "sealed"), 0o644); err != nil {
		t.Fatal(err)
	}
	k = open(t, dir, "")
	if s := k.Status(t.Context()); s.State != "unavailable" ||
		!strings.Contains(s.Message, filepath.Join(dir, "sealed")) {
		t.Errorf("a sealed file that anybody can read: %+v", s)
	}
	if err := k.Set(t.Context(), "small", item("small")); err != nil {
		t.Errorf("what is wrong with the sealed file is nothing to the keychain: %v", err)
	}
	wantItem(t, k, "small")
}

// Without its key the file stays as it is, and no other key takes the lost one's place.
func TestKeyIsNotMadeAnew(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	ctx := t.Context()
	if err := errors.Join(k.Set(ctx, "small", item("small")), k.Set(ctx, "work", session("work", 1)),
		k.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sealed")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	of := []string{"service", "groat", "username", "sealed:key"}
	key := secretTool(t, "", append([]string{"lookup"}, of...)...)
	refused := func(why string) {
		t.Helper()
		k := open(t, dir, "")
		_, err := k.Get(ctx, "work")
		wantError(t, why+": get", err, keystore.ErrUnavailable, file, "remove that file")
		if errors.Is(err, keystore.ErrLocked) || errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("%s: two kinds at once: %v", why, err)
		}
		wantError(t, why+": set", k.Set(ctx, "work", session("work", 2)), keystore.ErrUnavailable, file)
		wantStatus(t, k, "keychain unavailable")
		wantItem(t, k, "small")
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, content) {
			t.Errorf("%s: the sealed file was touched: %v", why, err)
		}
		k.Close()
	}
	secretTool(t, "", append([]string{"clear"}, of...)...)
	refused("the key is gone")
	wantUsers(t, "the key is gone", "small")
	secretTool(t, strings.Repeat("A", 43)+"=", append([]string{"store", "--label", "another key"}, of...)...)
	refused("another key")
	secretTool(t, key, append([]string{"store", "--label", "the key"}, of...)...)
	k = open(t, dir, "")
	wantSession(t, k, "the key is back", 1)
	k.Close()
	// The file is given up: then a new one is made, and with it a key where there is none.
	secretTool(t, "", append([]string{"clear"}, of...)...)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	k = open(t, dir, "")
	wantSession(t, k, "given up", 0)
	wantUsers(t, "nothing was made by looking", "small")
	if err := k.Set(ctx, "work", session("work", 3)); err != nil {
		t.Fatal(err)
	}
	wantSession(t, k, "begun anew", 3)
}

func TestWhatIsTooBigForTheKeychain(t *testing.T) {
	withKeychain(t)
	k := open(t, stateDir(t), "")
	key := func(bytes int) keystore.Item {
		der := make([]byte, bytes)
		rand.Read(der)
		i := item("key")
		i.ClientAuth, i.ClientSecret = "private_key_jwt", none
		i.PrivateKey = keystore.NewSecret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		return i
	}
	long := item("long")
	long.Certificate = strings.Repeat("a certificate is no secret, but long\n", 100)
	api := keystore.Item{Issuer: "https://api.example", APIKey: keystore.SecretString("not a real key")}
	for name, want := range map[string]keystore.Item{"small-key": key(48), "big-key": key(2400),
		"huge-key": key(30 << 10), "long": long, "api": api} {
		if err := k.Set(t.Context(), name, want); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := k.Get(t.Context(), name); err != nil || !got.Equal(want) {
			t.Errorf("%s: not what was stored: %v", name, err)
		}
	}
	wantUsers(t, "keys", "api", "sealed:key")
	before, err := k.Get(t.Context(), "big-key")
	wantError(t, "a key that no store holds", k.Set(t.Context(), "big-key", key(60<<10)), keystore.ErrTooBig)
	if after, err2 := k.Get(t.Context(), "big-key"); err != nil || err2 != nil || !after.Equal(before) {
		t.Errorf("the old key is gone: %v %v", err, err2)
	}
}
