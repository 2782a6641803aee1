package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// itemKeeper is a keychainEnv whose keychain other programs write to, too.
type itemKeeper struct {
	*keychainEnv
	service *parts.SecretService
}

func (k *itemKeeper) lookup(username string) string {
	k.t.Helper()
	value, _ := k.service.Tool(k.t, "", "lookup", "service", "groat", "username", username)
	return value
}

func (k *itemKeeper) clear(username string) {
	k.t.Helper()
	k.service.Tool(k.t, "", "clear", "service", "groat", "username", username)
	if k.lookup(username) != "" {
		k.t.Fatalf("the item %s cannot be cleared", username)
	}
}

func (k *itemKeeper) store(username, value string, more ...string) {
	k.t.Helper()
	args := append([]string{"store", "--label=by another program", "service", "groat", "username", username}, more...)
	if _, ok := k.service.Tool(k.t, value, args...); !ok {
		k.t.Fatalf("the item %s cannot be stored", username)
	}
}

// damage is what may become of an item.
type damage struct {
	name   string
	do     func(k *itemKeeper, username, value string)
	theErr string
}

func becomes(change func(value string) string) func(*itemKeeper, string, string) {
	return func(k *itemKeeper, username, value string) {
		k.clear(username)
		k.store(username, change(value))
	}
}

func always(value string) func(string) string { return func(string) string { return value } }

// An item in the format of a later groat is whole: neither this one nor a sign-in with it takes its place.
func TestJ41AnItemOfALaterGroat(t *testing.T) {
	t.Parallel()
	service := parts.StartSecretService(t)
	k := &itemKeeper{newKeychainEnv(t, service.Address), service}
	k.login("work")
	later := strings.Replace(k.lookup("work"), `"v":1`, `"v":99`, 1)
	k.restart()
	k.clear("work")
	k.store("work", later)
	k.refused(k.run("", "groat", "get", "work"), 78, "upgrade groat", "groat version")
	k.refused(k.run(k.secret+"\n", "groat", append(k.loginArgs("work"), "--replace")...), 78, "upgrade groat",
		"groat version")
	if k.lookup("work") != later {
		t.Error("the item was changed")
	}
}

// A profile's item is not what it was. That is said, in so many words; what is there is left alone until somebody signs
// in.
func TestD6AnItemIsNotWhatItWas(t *testing.T) {
	t.Parallel()
	atOnce(t, []damage{
		{"missing", func(k *itemKeeper, username, _ string) { k.clear(username) }, `profile "work" is not signed in`},
		{"duplicated", func(k *itemKeeper, username, value string) {
			k.store(username, strings.Replace(value, labClient, "another", 1), "by", "another program")
		}, "the keychain has 2 items for it, which differ"},
		{"corrupt JSON", becomes(func(v string) string { return v[1:] }), "cannot be read"},
		{"wrong length", becomes(func(v string) string { return v[:len(v)/2] }), "cannot be read"},
		{"empty", becomes(always(" ")), "cannot be read"},
		{"other schema", becomes(always(`{"v":1,"username":"x","password":"y"}`)), "cannot be read"},
		{"no text", becomes(always("\x01\xff\xfe")), "cannot be read"},
	}, func(d damage) string { return d.name }, func(t *testing.T, d damage) {
		service := parts.StartSecretService(t)
		k := &itemKeeper{newKeychainEnv(t, service.Address), service}
		k.login("work")
		value := k.lookup("work")
		k.restart()
		d.do(k, "work", value)
		damaged := k.lookup("work")

		asked := k.tokens()
		for range 2 {
			k.refused(k.run("", "groat", "get", "work"), 4, d.theErr, "groat login work")
		}
		if k.tokens() != asked {
			t.Error("the server was asked with what is not the credential")
		}
		if k.lookup("work") != damaged {
			t.Error("the item was changed by reading it")
		}
		k.login("work")
		k.restart()
		k.token("work")
		if got := k.lookup("work"); got != value {
			t.Error("after signing in again the item is not what it was at first")
		}
	})
}

// The key of the sealed file is not what it was. No other takes its place, the file stays as it is, and all is well as
// soon as the key is back: by itself.
func TestD6TheDataKeyIsNotWhatItWas(t *testing.T) {
	t.Parallel()
	other := make([]byte, 32)
	rand.Read(other)
	short := base64.StdEncoding.EncodeToString(other[:31])
	atOnce(t, []damage{
		{"missing", func(k *itemKeeper, username, _ string) { k.clear(username) }, "is not where it was (keychain)"},
		{"duplicated", func(k *itemKeeper, username, _ string) { k.store(username, short, "by", "another program") },
			"2 items"},
		{"wrong length", becomes(always(short)), "is not 32 bytes of Base64"},
		{"not Base64", becomes(always("%" + short)), "is not 32 bytes of Base64"},
		{"replaced", becomes(always(base64.StdEncoding.EncodeToString(other))), "was sealed with another key"},
	}, func(d damage) string { return d.name }, func(t *testing.T, d damage) {
		const username = "sealed:key"
		service := parts.StartSecretService(t)
		k := &itemKeeper{newKeychainEnv(t, service.Address), service}
		k.server.AddClient(sandbox.Client{ID: "app", Method: sandbox.None})
		k.login("machine")
		k.session("work")
		value := k.lookup(username)
		file := filepath.Join(k.home, ".local", "state", "groat", "sealed")
		if err := k.stopDaemon(); err != nil {
			t.Fatal(err)
		}
		sealed, err := os.ReadFile(file)
		if err != nil || len(sealed) == 0 || value == "" {
			t.Fatalf("the session is not in the sealed file: %v", err)
		}
		d.do(k, username, value)
		damaged := k.lookup(username)

		k.start()
		k.refused(k.run("", "groat", "get", "work"), 75, d.theErr, "groat keystore")
		k.wantDegraded("work", d.theErr)
		if got := k.report().Keystore; got.State != "unavailable" || !strings.Contains(got.Message, d.theErr) {
			t.Errorf("status says of the keystore: %+v", got)
		}
		k.refused(k.startLogin("", k.sessionArgs("more")...).result(), 75, d.theErr, "groat keystore")
		if k.lookup(username) != damaged {
			t.Error("a key was made or changed")
		}
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, sealed) {
			t.Errorf("the sealed file was changed: %v", err)
		}

		k.clear(username)
		k.store(username, value)
		k.heals()
		k.token("work")
	})
}

func (k *itemKeeper) sessionArgs(profile string) []string {
	return []string{profile, "--issuer", k.server.URL(), "--grant", "device_code", "--client-auth", "none",
		"--client-id", "app", "--scope", "offline_access"}
}

// session has a person sign in to a profile.
func (k *itemKeeper) session(profile string) {
	k.t.Helper()
	s := k.startLogin("", k.sessionArgs(profile)...)
	if err := k.server.ApproveDevice(s.code()); err != nil {
		k.t.Fatal(err)
	}
	s.succeeds()
}
