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
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
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
		h.move(t, store, h.HTTP)
		_, err := h.token(t, "p")
		wantError(t, err, protocol.UnknownProfile)
		if _, err := h.token(t, "kept"); err != nil {
			t.Error(err)
		}
	})
}

// A profile that a file describes is not replaced by one in memory: its tokens would not come from where the file says.
func TestAnEphemeralLoginOverAProfileOfAFile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		h.signIn(t, h.ofMachine("p"))
		was, err := h.token(t, "p")
		if err != nil {
			t.Fatal(err)
		}
		requests := h.server.Count(h.server.TokenPath())
		params := protocol.LoginParams{
			Profile: "p", TokenURL: h.server.URL() + sandbox.KeycloakTokenPath, ClientID: "other-machine", ClientAuth: "client_secret_post", Ephemeral: true,
		}
		for name, params := range map[string]protocol.LoginParams{
			"of another server": params,
			"of the same":       {Profile: "p", Ephemeral: true},
		} {
			_, err := h.visit(t).Login(t.Context(), params, unasked(t))
			if e := wantError(t, err, protocol.Config); e.Hint() != "groat login ANOTHER-NAME --ephemeral …" {
				t.Errorf("%s: %q", name, e.Hint())
			}
		}
		now, err := h.token(t, "p")
		if err != nil || now.AccessToken != was.AccessToken || stored(t, store, "p").ClientID != "machine" {
			t.Errorf("the profile of the file is another one now, or: %v", err)
		}
		if n := h.server.Count(h.server.TokenPath()) + h.server.Count(sandbox.KeycloakTokenPath) - requests; n != 0 {
			t.Errorf("%d token requests", n)
		}
	})
}

// Signed out of, an ephemeral profile is gone, and its session at the provider too.
func TestALogoutOfAnEphemeralProfile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		params := h.ofDevice("p")
		params.Ephemeral = true
		h.signIn(t, params)
		if r, err := h.logout(t, protocol.LogoutParams{Profile: "p"}); err != nil || !r.Forgotten || !r.Revoked {
			t.Errorf("%+v, %v", r, err)
		}
		h.gone(t, store, "p")
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
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		params := h.ofMachine("p")
		params.Ephemeral = true
		h.signIn(t, params)
		params.Ephemeral = false
		if r := h.signIn(t, params); r.Outcome != protocol.SignedIn || stored(t, store, "p").ClientID == "" {
			t.Fatalf("%+v, and nothing is stored", r)
		}
		h.stop(t)
		h.move(t, store, h.HTTP)
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
	})
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) { // and without naming the client
		params := h.ofDevice("p")
		params.Ephemeral = true
		h.signIn(t, params)
		params.Ephemeral, params.ClientID = false, ""
		if r := h.signIn(t, params); r.Outcome != protocol.SignedIn || stored(t, store, "p").RefreshToken.IsZero() {
			t.Errorf("%+v, and nothing is stored", r)
		}
	})
}
