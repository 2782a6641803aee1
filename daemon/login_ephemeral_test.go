package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// An ephemeral profile works like any other, is in no file and not in the keystore, and ends with the daemon.
func TestAnEphemeralProfileEndsWithTheDaemon(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		h.signIn(t, h.ofMachine("kept"))
		before := files(t, h.config)
		store.unwritable.Store(true) // it is not needed
		params := h.ofDevice("p")
		params.Ephemeral = true
		if r := h.signIn(t, params); r.Outcome != protocol.SignedIn || r.Keystore != "memory" {
			t.Errorf("%+v", r)
		}
		for range 2 { // the second with the refresh token
			if _, err := h.token(t, "p"); err != nil {
				t.Fatal(err)
			}
			h.cool("p")
		}
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
		if h.profiles.Named("p") == nil {
			t.Error("it ended with a reload")
		}
		if after := files(t, h.config); after != before || stored(t, store, "p").ClientID != "" {
			t.Errorf("something was written: %s", after)
		}
		again := h.signIn(t, params)
		if again.Outcome != protocol.SignedIn { // its client was named, so the person signs in anew
			t.Errorf("%+v", again)
		}
		h.stop(t)
		h.restart(t, store, h.HTTP)
		_, err := h.token(t, "p")
		wantError(t, err, protocol.UnknownProfile)
		if _, err := h.token(t, "kept"); err != nil {
			t.Error(err)
		}
	})
}

// files is what is below a directory, as text.
func files(t *testing.T, dir string) (all string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all += path + ":\n" + string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A profile that was ephemeral is kept by signing in again: what it had in memory is not taken for stored.
func TestL60AnEphemeralProfileIsKept(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		params := h.ofMachine("p")
		params.Ephemeral = true
		h.signIn(t, params)
		params.Ephemeral = false
		if r := h.signIn(t, params); r.Outcome != protocol.SignedIn || stored(t, store, "p").ClientID == "" {
			t.Fatalf("%+v, and nothing is stored", r)
		}
		h.stop(t)
		h.restart(t, store, h.HTTP)
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
	})
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) { // and without naming the client
		params := h.ofDevice("p")
		params.Ephemeral = true
		h.signIn(t, params)
		params.Ephemeral, params.ClientID = false, ""
		if r := h.signIn(t, params); r.Outcome != protocol.SignedIn || stored(t, store, "p").RefreshToken.IsZero() {
			t.Errorf("%+v, and nothing is stored", r)
		}
	})
}
