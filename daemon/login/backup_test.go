package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/backup"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

const backupPassphrase = "vellum otter crane seven"

// filled is a harness with App Credentials, a client with a secret and a session.
func filled(t *testing.T) *harness {
	t.Helper()
	h := onSockets(t, sandbox.Options{Device: sandbox.Device{Interval: time.Second}})
	var asked []protocol.Prompt
	apps := protocol.LoginParams{Profile: "apps", Provider: "spatiafi", AuthServer: h.server.URL(), Username: person}
	for _, p := range []protocol.LoginParams{apps, h.ofMachine("machine"), h.ofDevice("session")} {
		if _, err := h.login(t.Context(), p, h.saying("", &asked)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// guess tries a passphrase at once: only a daemon lets callers wait their turn.
func guess(try func() error) error { return try() }

// backup writes a backup.
func (h *harness) backup(t *testing.T, path string, force bool) (protocol.BackupResult, error) {
	t.Helper()
	params := protocol.BackupParams{Path: path, Force: force}
	r, err := h.Backup(t.Context(), params, keystore.SecretString(backupPassphrase), h.Profiles.Config.Paths(), guess)
	if err != nil {
		return r, h.Wire(err, "")
	}
	return r, nil
}

// restored looks into a backup, and restores what take names.
func (h *harness) restored(t *testing.T, path, passphrase string, take, replace []string) (protocol.RestoreResult,
	error) {
	t.Helper()
	params := protocol.RestoreParams{Path: path, Take: take, Replace: replace}
	r, err := h.RestoreFile(t.Context(), params, keystore.SecretString(passphrase), guess)
	if err != nil {
		return r, h.Wire(err, "")
	}
	return r, nil
}

// secretsOf returns the secrets that a harness's keystore holds.
func (h *harness) secretsOf(t *testing.T) (all []string) {
	t.Helper()
	for _, name := range []string{"apps", "machine", "session"} {
		i, err := h.store.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []keystore.Secret{i.ClientSecret, i.RefreshToken} {
			if !s.IsZero() {
				all = append(all, s.Reveal())
			}
		}
	}
	return all
}

// What is permanent comes to another machine and works there; a session stays, and is named with the command that signs
// in.
func TestL30ABackupOnAnotherMachine(t *testing.T) {
	h := filled(t)
	path := filepath.Join(t.TempDir(), "b")
	r, err := h.backup(t, path, false)
	if err != nil {
		t.Fatal(err)
	}
	server := strings.TrimPrefix(h.server.URL(), "http://")
	if len(r.Profiles) != 2 || r.Profiles[0].Profile != "apps" || r.Profiles[1].Profile != "machine" ||
		r.Profiles[1].Server != server || r.Profiles[1].ClientID != "machine" {
		t.Errorf("in it: %+v", r.Profiles)
	}
	if len(r.LeftOut) != 1 || r.LeftOut[0].Profile != "session" || r.LeftOut[0].Hint !=
		"groat login session --issuer "+h.server.URL()+" --grant device_code --client-id app" {
		t.Errorf("left out: %+v", r.LeftOut)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range append(h.secretsOf(t), "machine", "apps") {
		if bytes.Contains(data, []byte(secret)) {
			t.Error("something of it is in the clear")
		}
	}
	other := onSockets(t, sandbox.Options{})
	look, err := other.restored(t, path, backupPassphrase, nil, nil)
	if err != nil || len(look.Profiles) != 2 || other.Profiles.Snapshot().Len() != 0 {
		t.Fatalf("%v: %+v, and %d profiles", err, look, other.Profiles.Snapshot().Len())
	}
	for _, i := range look.Profiles {
		if i.Here != "" || i.Restored || i.Error != nil || i.Server != server {
			t.Errorf("before: %+v", i)
		}
	}
	done, err := other.restored(t, path, backupPassphrase, []string{"apps", "machine"}, nil)
	if err != nil || len(done.Profiles) != 2 || !done.Profiles[0].Restored || !done.Profiles[1].Restored {
		t.Fatalf("%v: %+v", err, done)
	}
	for _, name := range []string{"apps", "machine"} {
		a, _ := h.store.Get(t.Context(), name)
		b, err := other.store.Get(t.Context(), name)
		if err != nil || !a.Equal(b) {
			t.Errorf("%s: another credential: %v", name, err)
		}
		if err := other.tokenError(t, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := json.Marshal([]any{r, look, done}); err != nil || strings.Contains(string(text), clientSecret) ||
		strings.Contains(string(text), backupPassphrase) {
		t.Errorf("an answer holds a secret: %v", err)
	}
	if look, err := other.restored(t, path, backupPassphrase, nil, nil); err != nil ||
		look.Profiles[0].Here != protocol.HereSame {
		t.Errorf("afterwards: %v: %+v", err, look)
	}
	// A profile that has lost its credential is no reason to ask.
	if err := other.store.Delete(t.Context(), "machine"); err != nil {
		t.Fatal(err)
	}
	if look, err := other.restored(t, path, backupPassphrase, nil, nil); err != nil ||
		look.Profiles[0].Profile != "machine" || look.Profiles[0].Here != protocol.HereProfile {
		t.Errorf("without its credential: %v: %+v", err, look)
	}
	if r, err := other.restored(t, path, backupPassphrase, []string{"machine"}, nil); err != nil ||
		!r.Profiles[0].Restored {
		t.Errorf("without its credential: %v: %+v", err, r)
	}
	// Again, it is there already, and that is well.
	if again, err := other.restored(t, path, backupPassphrase, []string{"apps"}, nil); err != nil ||
		len(again.Profiles) != 1 || !again.Profiles[0].Restored {
		t.Errorf("again: %v: %+v", err, again)
	}
}

// What is here already is replaced only where that was said.
func TestL31ARestoreReplacesNothingUnasked(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	h := filled(t)
	path := filepath.Join(t.TempDir(), "b")
	if _, err := h.backup(t, path, false); err != nil {
		t.Fatal(err)
	}
	other := onSockets(t, sandbox.Options{Clients: []sandbox.Client{{ID: "machine", Secret: "another-secret"}}})
	params := other.ofMachine("machine")
	answer := func() answerFunc { return saySecret("another-secret") }
	if _, err := other.login(t.Context(), params, answer()); err != nil {
		t.Fatal(err)
	}
	look, err := other.restored(t, path, backupPassphrase, nil, nil)
	if err != nil || look.Profiles[1].Profile != "machine" || look.Profiles[1].Here != protocol.HereOther {
		t.Fatalf("%v: %+v", err, look)
	}
	r, err := other.restored(t, path, backupPassphrase, []string{"machine"}, nil)
	if err != nil || r.Profiles[0].Restored || r.Profiles[0].Error == nil ||
		!strings.Contains(r.Profiles[0].Error.Hint(), "--replace machine") {
		t.Fatalf("%v: %+v", err, r)
	}
	if i, err := other.store.Get(t.Context(), "machine"); err != nil || i.ClientSecret.Reveal() != "another-secret" {
		t.Errorf("it was replaced: %v", err)
	}
	if _, err := other.restored(t, path, backupPassphrase, nil, []string{"machine"}); err == nil {
		t.Error("replace without take was taken")
	}
	if _, err := other.restored(t, path, backupPassphrase, []string{"nobody"}, nil); err == nil {
		t.Error("a profile that is not in it was taken")
	}
	r, err = other.restored(t, path, backupPassphrase, []string{"machine"}, []string{"machine"})
	if err != nil || !r.Profiles[0].Restored {
		t.Fatalf("%v: %+v", err, r)
	}
	if i, err := other.store.Get(t.Context(), "machine"); err != nil || i.ClientSecret.Reveal() != clientSecret {
		t.Errorf("it was not replaced: %v", err)
	}
	if err := h.tokenError(t, "machine"); err != nil {
		t.Error(err)
	}
}

// saySecret answers every question with one secret.
func saySecret(secret string) answerFunc {
	return func(_ context.Context, _ protocol.Prompt) (keystore.Secret, error) {
		return keystore.SecretString(secret), nil
	}
}

// Damage of any kind, and a wrong passphrase, are refused before anything is written.
func TestL32ADamagedBackup(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	h := filled(t)
	path := filepath.Join(t.TempDir(), "b")
	if _, err := h.backup(t, path, false); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := onSockets(t, sandbox.Options{})
	refused := func(what string, data []byte, passphrase string, kind protocol.Kind) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := other.restored(t, path, passphrase, []string{"machine"}, nil)
		if err == nil {
			t.Fatalf("%s: %+v", what, r)
		}
		wantError(t, err, kind)
		if other.Profiles.Snapshot().Len() != 0 {
			t.Fatalf("%s: something was restored", what)
		}
	}
	for at := 0; at < len(whole); at += 1 + at/40 {
		flipped := slices.Clone(whole)
		flipped[at] ^= 0x10
		refused(fmt.Sprint("flipped at ", at), flipped, backupPassphrase, protocol.Config)
		refused(fmt.Sprint("cut at ", at), whole[:at], backupPassphrase, protocol.Config)
	}
	refused("something behind it", append(slices.Clone(whole), 'x'), backupPassphrase, protocol.Config)
	refused("a wrong passphrase", whole, "not that one", protocol.Locked)
}

// A credential goes only to the server that it is sealed for: an entry that says otherwise is refused, the others are
// not.
func TestL33ABackupWithAnotherServer(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	h := filled(t)
	item, err := h.store.Get(t.Context(), "machine")
	if err != nil {
		t.Fatal(err)
	}
	session, err := h.store.Get(t.Context(), "session")
	if err != nil {
		t.Fatal(err)
	}
	config := func(endpoint, issuer string) string {
		return fmt.Sprintf("issuer = %q\ntoken_endpoint = %q\nclient_auth = \"client_secret_post\"\n", issuer, endpoint)
	}
	post := config(item.TokenEndpoint, item.Issuer)
	b := backup.Backup{Created: 1, Entries: []backup.Entry{
		{Profile: "good", Config: post, Item: item},
		{Profile: "elsewhere", Config: config("https://evil.example/token", item.Issuer), Item: item},
		{Profile: "issuer", Config: config(item.TokenEndpoint, "https://evil.example"), Item: item},
		{Profile: "auth", Config: strings.Replace(post, "_post", "_basic", 1), Item: item},
		{Profile: "rotates", Config: post, Item: session},
		{Profile: "../up", Config: post, Item: item},
		{Profile: "nonsense", Config: "hello", Item: item},
		{Profile: "unknown", Config: post + "x = 1\n", Item: item},
	}}
	data, err := b.Seal(keystore.SecretString(backupPassphrase))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b")
	if err := backup.Write(path, data, false); err != nil {
		t.Fatal(err)
	}
	other := onSockets(t, sandbox.Options{})
	var names []string
	for _, e := range b.Entries {
		names = append(names, e.Profile)
	}
	r, err := other.restored(t, path, backupPassphrase, names, names)
	if err != nil || len(r.Profiles) != len(names) {
		t.Fatalf("%v: %+v", err, r)
	}
	for _, i := range r.Profiles {
		if i.Restored != (i.Profile == "good") || (i.Error == nil) != i.Restored {
			t.Errorf("%+v", i)
		}
	}
	if other.Profiles.Snapshot().Len() != 1 {
		t.Errorf("%d profiles", other.Profiles.Snapshot().Len())
	}
}

// Nothing permanent, nothing written; a keystore that is locked is no empty one.
func TestL35NothingToBackUp(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	path := filepath.Join(t.TempDir(), "b")
	_, err := h.backup(t, path, false)
	wantError(t, err, protocol.Config)
	if _, err := os.Lstat(path); err == nil {
		t.Error("a file was written")
	}
}

// A backup may come from another person, so both a backup and a restore show the API origins that its tokens are sent
// to.
func TestL41TheAPIOriginsOfABackup(t *testing.T) {
	h := filled(t)
	item, err := h.store.Get(t.Context(), "machine")
	if err != nil {
		t.Fatal(err)
	}
	item.APIs = []string{"https://api.example:443", "https://api.example:8443"}
	want := []string{"https://api.example", "https://api.example:8443"} // as a login shows them
	if err := h.store.Set(t.Context(), "machine", item); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b")
	written, err := h.backup(t, path, false)
	if err != nil || !slices.Equal(written.Profiles[1].APIs, want) {
		t.Errorf("%v: %+v", err, written.Profiles)
	}
	other := onSockets(t, sandbox.Options{})
	r, err := other.restored(t, path, backupPassphrase, nil, nil)
	if err != nil || !slices.Equal(r.Profiles[1].APIs, want) {
		t.Errorf("%v: %+v", err, r.Profiles)
	}
}

// A permanent credential whose profile's file is broken is missed: the answer names the file and its hint.
func TestABackupBesideABrokenProfile(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	h.write(t, "profiles.d/geo.toml", "issuer = \"https://auth.example\"\noops = 1\n")
	h.reload(t)
	broken := h.Profiles.Broken("geo")
	path := filepath.Join(t.TempDir(), "b")
	permanent := keystore.Item{Issuer: "https://auth.example", TokenEndpoint: "https://auth.example/token",
		ClientID: "c", ClientAuth: "client_secret_post", ClientSecret: keystore.SecretString("secret")}
	session := permanent
	session.RefreshToken = keystore.SecretString("refresh")
	for _, c := range []struct {
		item *keystore.Item
		hint string
	}{{nil, "groat list"}, {&session, "groat list"}, {&permanent, broken.Hint}} {
		if c.item != nil {
			if err := h.store.Set(t.Context(), "geo", c.item.Clone()); err != nil {
				t.Fatal(err)
			}
		}
		_, err := h.backup(t, path, false)
		wantError(t, err, protocol.Config)
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Hint() != c.hint {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := h.login(t.Context(), h.ofMachine("machine"), saySecret(clientSecret)); err != nil {
		t.Fatal(err)
	}
	r, err := h.backup(t, path, false)
	if err != nil || len(r.Profiles) != 1 || r.Incomplete == nil || r.Incomplete.Hint() != broken.Hint ||
		!strings.Contains(r.Incomplete.Message, broken.Error()) {
		t.Errorf("%v: %+v", err, r)
	}
}

// unprobed is a keystore that holds what another groatd of this person has put there, and of which nothing is known
// until a probe has chosen it.
type unprobed struct {
	*keystore.Memory
	chosen *atomic.Bool
}

func (u unprobed) Get(ctx context.Context, profile string) (keystore.Item, error) {
	if !u.chosen.Load() {
		return keystore.Item{}, keystore.ErrNotFound
	}
	return u.Memory.Get(ctx, profile)
}

func (u unprobed) Probe(ctx context.Context) error {
	u.chosen.Store(true)
	return u.Memory.Probe(ctx)
}

// The first sign-in or restore of all, which chooses the keystore, gives up nothing in silence that is in it already.
func TestL42TheFirstSignInGivesUpNothingInSilence(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	from := filled(t)
	path := filepath.Join(t.TempDir(), "b")
	if _, err := from.backup(t, path, false); err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string]func(h *harness) error{
		"login": func(h *harness) error {
			_, err := h.login(t.Context(), h.ofMachine("machine"), h.saying("no", new([]protocol.Prompt)))
			return err
		},
		"restore": func(h *harness) error {
			r, err := h.restored(t, path, backupPassphrase, []string{"machine"}, nil)
			if err == nil && r.Profiles[0].Error == nil {
				t.Errorf("restored: %+v", r.Profiles[0])
			}
			return errors.Join(err, errors.New("not restored"))
		},
	} {
		there := keystore.Item{
			Issuer: "https://other.example", TokenEndpoint: "https://other.example/token",
			ClientAuth: "client_secret_post", ClientID: "theirs",
			ClientSecret: keystore.SecretString("not a real secret of theirs"),
		}
		shared := &keystore.Memory{}
		if err := shared.Set(t.Context(), "machine", there.Clone()); err != nil {
			t.Fatal(err)
		}
		h := newHarness(t, sandbox.Options{}, unprobed{shared, new(atomic.Bool)}, startServer(t))
		if err := first(h); err == nil {
			t.Errorf("%s: it went through", name)
		}
		if now, err := shared.Get(t.Context(), "machine"); err != nil || !now.Equal(there) {
			t.Errorf("%s: what was there is gone: %v", name, err)
		}
	}
}

// The hosts of a credential are shown without the port that their scheme has anyway: of an API key too, which is sent
// to APIs.
func TestTheHostsOfABackupHaveNoDefaultPort(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	key := protocol.LoginParams{Profile: "key", Provider: "planet-key", Resources: []string{"https://api.example"}}
	if _, err := h.login(t.Context(), key, typing("dummy-api-key")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b")
	written, err := h.backup(t, path, false)
	if err != nil {
		t.Fatal(err)
	}
	other := onSockets(t, sandbox.Options{})
	look, err := other.restored(t, path, backupPassphrase, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []protocol.BackupItem{written.Profiles[0], look.Profiles[0].BackupItem} {
		if strings.Contains(i.Server, ":443") || !slices.Contains(strings.Fields(i.Server), "api.example") ||
			!slices.Contains(i.APIs, "https://api.example") {
			t.Errorf("%+v", i)
		}
	}
}

// A restore is no login that a request joins: while it is under way, a login of its profile without parameters is
// refused at once, and so is a second restore.
func TestNoLoginJoinsARestore(t *testing.T) {
	from := filled(t)
	path := filepath.Join(t.TempDir(), "b")
	if _, err := from.backup(t, path, false); err != nil {
		t.Fatal(err)
	}
	h := onSockets(t, sandbox.Options{})
	begun, goOn := make(chan struct{}), make(chan struct{})
	once := func() {
		h.store.write.Store(nil)
		close(begun)
		<-goOn
	}
	h.store.write.Store(&once)
	over := make(chan error, 1)
	go func() {
		_, err := h.restored(t, path, backupPassphrase, []string{"machine"}, nil)
		over <- err
	}()
	<-begun
	_, err := h.login(t.Context(), protocol.LoginParams{Profile: "machine"}, unasked(t))
	if e := wantError(t, err, protocol.Temporary); e.Hint() != "groat login machine --cancel" ||
		!strings.Contains(e.Error(), "is being imported or restored") {
		t.Errorf("%v, hint %q", e, e.Hint())
	}
	second, err := h.restored(t, path, backupPassphrase, []string{"machine"}, nil)
	if err != nil || second.Profiles[0].Error == nil || second.Profiles[0].Error.Kind() != protocol.Temporary {
		t.Errorf("a second restore: %+v, %v", second, err)
	}
	brief, cancel := context.WithCancel(t.Context())
	cancel()
	if under, err := h.Cancel(brief, "machine"); !under || err == nil {
		t.Errorf("it was cut off: %v, %v", under, err)
	}
	close(goOn)
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if len(h.Running()) != 0 || h.stored(t, "machine").ClientID != "machine" {
		t.Error("nothing was restored, or it is still under way")
	}
	r, err := h.login(t.Context(), protocol.LoginParams{Profile: "machine"}, unasked(t))
	if err != nil || r.Outcome != protocol.AlreadySignedIn {
		t.Errorf("afterwards: %+v, %v", r, err)
	}
}
