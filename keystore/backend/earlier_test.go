package backend_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
)

// earlier has the files that commit 0e0f883 wrote; its README.md says how.
const earlier = "testdata/0e0f883"

// copyEarlier copies one of the state directories to a new place, as private as groat makes it, and returns the options
// to open it. Git keeps no mode 0600.
func copyEarlier(t *testing.T, name string) backend.Options {
	t.Helper()
	o := backend.Options{StateDir: t.TempDir(), FallbackDir: t.TempDir(), RollbackDir: t.TempDir()}
	sum := sha256.Sum256([]byte(filepath.Join(o.StateDir, "sealed")))
	suffix := "-" + hex.EncodeToString(sum[:8])
	for from, to := range map[string]func(file string) string{
		name:               func(file string) string { return filepath.Join(o.StateDir, file) },
		name + "-fallback": func(file string) string { return filepath.Join(o.FallbackDir, file+suffix) },
		name + "-rollback": func(file string) string { return filepath.Join(o.RollbackDir, file+suffix) },
	} {
		entries, err := os.ReadDir(filepath.Join(earlier, from))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			content, err := os.ReadFile(filepath.Join(earlier, from, e.Name()))
			if err == nil {
				err = os.WriteFile(to(e.Name()), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return o
}

func openEarlier(t *testing.T, o backend.Options) *backend.Keystore {
	t.Helper()
	k, err := backend.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func dummy(what string) keystore.Secret { return keystore.SecretString("not a real secret: " + what) }

// earlierSession is a session of the earlier files, with every field of one.
func earlierSession(token string) keystore.Item {
	return keystore.Item{
		Issuer: "https://auth.example", TokenEndpoint: "https://auth.example/token", ClientAuth: "client_secret_basic",
		ClientID: "client", ClientSecret: dummy("client"), Username: "alice", Grant: "device_code",
		RefreshToken: dummy("refresh token " + token), RevocationEndpoint: "https://auth.example/revoke",
		Origins: []string{"https://login.example"}, TokenOrigins: []string{"https://userinfo.example"},
		PageOrigins: []string{"https://pages.example"}, APIs: []string{"https://api.example:443"},
	}
}

// What an earlier groat wrote is opened with every item, and with what it knew of each: the sealed file, its key, the
// choice, the copy on another file system, the intent record and the rollback guard.
func TestFilesOfAnEarlierGroat(t *testing.T) {
	ctx := t.Context()
	k := openEarlier(t, copyEarlier(t, "file"))
	if s := k.Status(ctx); s.Use != backend.Sealed || s.Key != backend.KeyFile || s.State != "ok" {
		t.Errorf("%+v", s)
	}
	for profile, want := range map[string]keystore.Item{
		"machine": {Issuer: "https://auth.example", TokenEndpoint: "https://auth.example/token",
			ClientAuth: "client_secret_post", ClientID: "client of machine", ClientSecret: dummy("machine")},
		"signer": {Issuer: "https://auth.example", TokenEndpoint: "https://auth.example/token",
			ClientAuth: "private_key_jwt", ClientID: "client of signer", Grant: "jwt_bearer",
			PrivateKey: dummy("private key"), PrivateKeyPassword: dummy("private key's password"), KeyID: "kid",
			KeyAlg: "ES256", Subject: "subject", Certificate: "not a real certificate"},
		"key":      {Issuer: "https://api.example", ClientID: "key", Grant: "api_key", APIKey: dummy("API key")},
		"session":  earlierSession("2"),
		"sent":     earlierSession("sent"),
		"fallback": earlierSession("from the fallback"),
	} {
		if got, err := k.Get(ctx, profile); err != nil || !got.Equal(want) {
			t.Errorf("%s: %+v, %v", profile, got, err)
		}
	}
	if _, err := k.Get(ctx, "deleted"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("what was deleted: %v", err)
	}
	if names, err := k.InDoubt(ctx); !slices.Equal(names, []string{"sent"}) || err != nil {
		t.Errorf("in doubt: %q, %v", names, err)
	}
	if doubt, err := k.MarkSent(ctx, "sent"); !errors.Is(doubt, keystore.ErrUnanswered) || err != nil {
		t.Errorf("%v, %v, want ErrUnanswered", doubt, err)
	}
	if doubt, err := k.MarkSent(ctx, "session"); doubt != nil || err != nil {
		t.Errorf("%v, %v", doubt, err)
	}
}

// The rollback guard that an earlier groat wrote detects a copy from before.
func TestOlderCopyOfAnEarlierGroat(t *testing.T) {
	ctx, o := t.Context(), copyEarlier(t, "file")
	file := filepath.Join(o.StateDir, "sealed")
	if err := os.Rename(file+".older", file); err != nil {
		t.Fatal(err)
	}
	k := openEarlier(t, o)
	if got, err := k.Get(ctx, "session"); err != nil || !got.Equal(earlierSession("1")) {
		t.Errorf("%+v, %v", got, err)
	}
	if doubt, err := k.MarkSent(ctx, "session"); !errors.Is(doubt, keystore.ErrRolledBack) || err != nil {
		t.Errorf("%v, %v, want ErrRolledBack", doubt, err)
	}
}

// A passphrase that an earlier groat was given opens its file, and no other one does.
func TestPassphraseOfAnEarlierGroat(t *testing.T) {
	ctx := t.Context()
	k := openEarlier(t, copyEarlier(t, "passphrase"))
	if err := k.Unlock(ctx, pass("wrong")); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
	if err := k.Unlock(ctx, keystore.SecretString("not a real passphrase")); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Get(ctx, "session"); err != nil || !got.Equal(earlierSession("1")) ||
		!strings.HasPrefix(got.ClientSecret.Reveal(), "not a real secret") {
		t.Errorf("%+v, %v", got, err)
	}
}
