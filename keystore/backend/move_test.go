package backend_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// lists are the two lists of keystore.json, the keychain's first.
func lists(t *testing.T, dir string) [2]string {
	t.Helper()
	var c struct{ Profiles, Sealed []string }
	b, err := os.ReadFile(filepath.Join(dir, "keystore.json"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{strings.Join(c.Profiles, " "), strings.Join(c.Sealed, " ")}
}

func wantLists(t *testing.T, when, dir, profiles, sealed string) {
	t.Helper()
	if diff := cmp.Diff([2]string{profiles, sealed}, lists(t, dir)); diff != "" {
		t.Errorf("%s: keystore.json lists others (-want +got):\n%s", when, diff)
	}
}

// A login of another kind moves the profile, and leaves nothing where it was.
func TestMove(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	ctx := t.Context()
	for range 2 {
		if err := k.Set(ctx, "work", item("work")); err != nil {
			t.Fatal(err)
		}
		wantItem(t, k, "work")
		wantLists(t, "a client secret", dir, "work", "")
		if err := k.Set(ctx, "work", session("work", 7)); err != nil {
			t.Fatal(err)
		}
		wantSession(t, k, "a session", 7)
		wantUsers(t, "a session", "sealed:key")
		wantLists(t, "a session", dir, "", "work")
	}
	k.Close()
	if got := child(t, dir, "generation work"); got != "7" {
		t.Errorf("in a new process: %s", got)
	}
	if got := child(t, dir, "set work"); got != "ok" {
		t.Errorf("moved back by another process: %s", got)
	}
	wantUsers(t, "moved back", "sealed:key", "work")
	k = open(t, dir, "")
	wantItem(t, k, "work")
	if err := k.Delete(ctx, "work"); err != nil {
		t.Fatal(err)
	}
	wantUsers(t, "deleted", "sealed:key")
	wantLists(t, "deleted", dir, "", "")
}

// A keychain that cannot delete does not prevent a session. What stays in it counts for nothing and is deleted later.
func TestMoveLeavesCopy(t *testing.T) {
	keyring := withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	ctx := t.Context()
	if err := errors.Join(k.Set(ctx, "other", session("other", 1)), k.Set(ctx, "work", item("work"))); err != nil {
		t.Fatal(err)
	}
	keyring.Lock(t)
	if err := k.Set(ctx, "work", session("work", 1)); err != nil {
		t.Fatal(err)
	}
	wantSession(t, k, "with the old copy left", 1)
	wantLists(t, "with the old copy left", dir, "work", "other work")
	wantError(t, "forgetting it all the same", k.Delete(ctx, "work"), keystore.ErrLocked)
	wantSession(t, k, "not forgotten", 1)
	keyring.Unlock(t)
	wantUsers(t, "with the old copy left", "sealed:key", "work")
	k.Close()
	k = open(t, dir, "")
	wantSession(t, k, "after a restart", 1)
	if err := k.Set(ctx, "work", session("work", 2)); err != nil {
		t.Fatal(err)
	}
	wantSession(t, k, "rotated", 2)
	wantUsers(t, "rotated", "sealed:key")
	wantLists(t, "rotated", dir, "", "other work")
}

// A move that fails, at whichever end, leaves the old credential in force.
func TestMoveFails(t *testing.T) {
	keyring := withKeychain(t)
	dir := stateDir(t)
	file, away := filepath.Join(dir, "sealed"), filepath.Join(dir, "away")
	k := open(t, dir, "")
	ctx := t.Context()
	if err := k.Set(ctx, "work", session("work", 1)); err != nil {
		t.Fatal(err)
	}
	keyring.Lock(t)
	wantError(t, "to a locked keychain", k.Set(ctx, "work", item("work")), keystore.ErrLocked)
	keyring.Unlock(t)
	wantSession(t, k, "to a locked keychain", 1)
	// The new item is in the keychain, but the old one cannot be taken out of the file.
	if err := errors.Join(os.Rename(file, away), os.WriteFile(file, []byte("somebody's"), 0o600)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "out of a file that cannot be written", k.Set(ctx, "work", item("work")), keystore.ErrUnavailable,
		"old credential")
	wantSession(t, k, "out of a file that cannot be written", 1)
	if err := errors.Join(os.Rename(away, file), k.Close()); err != nil {
		t.Fatal(err)
	}
	k = open(t, dir, "")
	wantSession(t, k, "after a restart", 1)
	if err := k.Set(ctx, "work", item("work")); err != nil {
		t.Fatal(err)
	}
	wantItem(t, k, "work")
	wantLists(t, "at last", dir, "work", "")
	// Into a file that cannot be written.
	if err := errors.Join(os.Rename(file, away), os.WriteFile(file, []byte("somebody's"), 0o600)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "into a file that cannot be written", k.Set(ctx, "work", session("work", 2)), keystore.ErrUnavailable)
	wantItem(t, k, "work")
	if err := errors.Join(os.Rename(away, file), k.Delete(ctx, "work")); err != nil {
		t.Fatal(err)
	}
	wantUsers(t, "deleted from both", "sealed:key")
}

// A process that ends between two steps of a move leaves both names on the lists; names on none may be anywhere.
func TestListsOfAnEndedProcess(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := errors.Join(k.Set(t.Context(), "small", item("small")), k.Set(t.Context(), "work", session("work", 5)),
		k.Close()); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"both": `{"v":1,"use":"keychain","profiles":["work","small"],"sealed":["work","small"]}`,
		"lost": `{"v":1,"use":"keychain"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, "keystore.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		k := open(t, dir, "")
		wantSession(t, k, name, 5)
		wantItem(t, k, "small")
		if _, err := k.Get(t.Context(), "nobody"); !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("%s: nobody's: %v", name, err)
		}
		wantError(t, name, k.Use(t.Context(), backend.Memory, "", none), keystore.ErrConflict, "would be left behind")
		k.Close()
	}
	k = open(t, dir, "")
	if err := errors.Join(k.Delete(t.Context(), "work"), k.Delete(t.Context(), "small")); err != nil {
		t.Fatal(err)
	}
	wantUsers(t, "deleted", "sealed:key")
}

func TestUseWithSession(t *testing.T) {
	keyring := withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	ctx := t.Context()
	if err := k.Set(ctx, "work", session("work", 1)); err != nil {
		t.Fatal(err)
	}
	refused := func(when string, says ...string) {
		t.Helper()
		for _, use := range [][2]string{{backend.Memory, ""}, {backend.Sealed, backend.KeyFile},
			{backend.Sealed, backend.KeyKeychain}} {
			wantError(t, when+": "+use[0]+" "+use[1], k.Use(ctx, use[0], use[1], none), keystore.ErrConflict, says...)
		}
	}
	refused("a session", `"work"`, "would be left behind")
	k.Close()
	k = open(t, dir, "")
	refused("after a restart", `"work"`, "would be left behind")
	k.Close()
	keyring.Lock(t)
	k = open(t, dir, "")
	wantError(t, "locked", k.Use(ctx, backend.Memory, "", none), keystore.ErrConflict, "unlock",
		filepath.Join(dir, "sealed"))
	wantStatus(t, k, "keychain locked")
	keyring.Unlock(t)
	wantSession(t, k, "after the refusals", 1)
	if err := k.Delete(ctx, "work"); err != nil {
		t.Fatal(err)
	}
	for _, use := range [][2]string{{backend.Sealed, backend.KeyKeychain}, {backend.Keychain, ""},
		{backend.Sealed, backend.KeyFile}, {backend.Keychain, ""}} {
		if err := errors.Join(k.Use(ctx, use[0], use[1], none), k.Set(ctx, "work", session("work", 2))); err != nil {
			t.Fatalf("%v: %v", use, err)
		}
		wantSession(t, k, use[0], 2)
		if err := k.Delete(ctx, "work"); err != nil {
			t.Fatal(err)
		}
	}
	// A file that was removed is given up; the keychain's own items are not.
	if err := errors.Join(k.Set(ctx, "work", session("work", 3)), k.Set(ctx, "small", item("small")),
		os.Remove(filepath.Join(dir, "sealed"))); err != nil {
		t.Fatal(err)
	}
	refused("without the file", `"small"`, "would be left behind")
	if err := k.Delete(ctx, "small"); err != nil {
		t.Fatal(err)
	}
	if err := k.Use(ctx, backend.Memory, "", none); err != nil {
		t.Fatal(err)
	}
	wantLists(t, "in memory", dir, "", "")
}

// Killed at any moment, a rotation that was acknowledged is there.
func TestKilledInRotation(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	acknowledged, most := 0, 0
	for n := range 30 {
		k := open(t, dir, "")
		got := generation(t.Context(), k, "work")
		if got < acknowledged || got > acknowledged+1 {
			t.Fatalf("after %d kills: session %d is there, %d was acknowledged", n, got, acknowledged)
		}
		k.Close()
		acknowledged = rotateAndKill(t, dir, 1+rand.N(40))
		most = max(most, acknowledged)
	}
	if got := child(t, dir, "generation work"); got != strconv.Itoa(acknowledged) &&
		got != strconv.Itoa(acknowledged+1) {
		t.Errorf("at the end: session %s is there, %d was acknowledged", got, acknowledged)
	}
	wantUsers(t, "after the kills", "sealed:key")
	t.Logf("30 kills in %d rotations", most)
}

// rotateAndKill lets a process rotate, kills it some time after its acknowledgement number n, and returns the last one.
func rotateAndKill(t *testing.T, dir string, n int) (last int) {
	t.Helper()
	cmd := parts.Self(t, childVariable+"=rotate work", "STATE="+dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); seen++ {
		g, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the rotating process says %q", lines.Text())
		}
		last = g
		if seen == n {
			// At any point of what comes next, and not always at its beginning.
			time.AfterFunc(time.Duration(rand.Int64N(int64(time.Millisecond))), func() { cmd.Process.Kill() })
		}
	}
	if last == 0 || lines.Err() != nil && !errors.Is(lines.Err(), io.ErrClosedPipe) {
		t.Fatalf("the rotating process acknowledged %d: %v", last, lines.Err())
	}
	return last
}
