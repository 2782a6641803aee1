package refusals

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
)

func TestBlocksAreReadAsTheyWereWritten(t *testing.T) {
	refusal := &grant.Error{
		Class: grant.Refused, Where: "auth.example.org", Reason: "has ended the session", Code: "invalid_grant",
		Description: "user is blocked", Status: 403,
	}
	until := clock.Instant{Wall: time.Unix(1785600000, 0)}
	for _, b := range []broker.Block{
		{Whole: true, Disabled: true, Failures: 1, Err: refusal},
		{
			Scope: "a b", Audience: "https://api", Disabled: true,
			Err: &grant.Error{Class: grant.Misconfigured, Where: "x", Reason: "y", Status: 400},
		},
		{
			Whole: true, Failures: 7, Wait: 5 * time.Minute, Until: until,
			Err: &grant.Error{Class: grant.InvalidClient, Where: "x", Reason: "y"},
		},
	} {
		got := afterRestart(t, b)
		if got.Err.Error() != b.Err.Error() {
			t.Errorf("%q became %q", b.Err, got.Err)
		}
		if b.Disabled {
			got.Until = clock.Instant{}
		}
		got.Err, b.Err = nil, nil
		if diff := cmp.Diff(b, got); diff != "" {
			t.Error(diff)
		}
	}
	lost := broker.Block{Whole: true, Disabled: true, Err: errors.Join(broker.ErrRotationLost, refusal)}
	if got := afterRestart(t, lost); !errors.Is(got.Err, broker.ErrRotationLost) {
		t.Errorf("the explanation is lost: %v", got.Err)
	}
}

// A Block that no server caused is not remembered, and one that could not be read again does not void the others.
func TestWhatIsNotRemembered(t *testing.T) {
	dir := t.TempDir()
	good := broker.Block{Whole: true, Disabled: true, Err: &grant.Error{Class: grant.Refused, Where: "x", Reason: "y"}}
	f := Open(dir, zap.NewNop())
	f.Record("p", fingerprint, broker.Remembered{Blocks: []broker.Block{
		{Whole: true, Disabled: true, Err: keystore.ErrLocked}, good,
		{Disabled: true, Scope: "h\xe4t", Err: &grant.Error{Class: grant.Refused, Where: "x", Reason: "y"}},
	}})
	f.Close(t.Context())
	if all := Open(dir, zap.NewNop()).Remembered("p", fingerprint).Blocks; len(all) != 1 ||
		all[0].Err.Error() != good.Err.Error() {
		t.Errorf("%+v", all)
	}
}

func fingerprint() string { return strings.Repeat("0", 64) }

// afterRestart is what a Block that one daemon has recorded is for the next.
func afterRestart(t *testing.T, b broker.Block) broker.Block {
	t.Helper()
	dir := t.TempDir()
	f := Open(dir, zap.NewNop())
	f.Record("p", fingerprint, broker.Remembered{Blocks: []broker.Block{b}})
	f.Close(t.Context())
	all := Open(dir, zap.NewNop()).Remembered("p", fingerprint).Blocks
	if len(all) != 1 {
		t.Fatalf("%d are left of %+v", len(all), b)
	}
	return all[0]
}

// After a restart a lost session is explained in the same words as before.
func TestALostSessionIsExplainedAfterARestart(t *testing.T) {
	refused := &grant.Error{
		Class: grant.Refused, Code: "invalid_grant", Where: "auth.example.org", Reason: "has ended the session",
	}
	says := func(err error) string {
		e, _ := wire.Error(&broker.Unavailable{Err: err}, wire.Context{Profile: "work"})
		return e.Message
	}
	for _, why := range [][]error{
		nil, {keystore.ErrUnanswered}, {keystore.ErrUnanswered, broker.ErrInterrupted}, {keystore.ErrNewestDamaged}, {
			keystore.ErrRolledBack,
		},
		{keystore.ErrRolledBack, keystore.ErrUnanswered, broker.ErrInterrupted},
	} {
		err := fmt.Errorf("%w: %w: %w", broker.ErrRotationLost, errors.Join(why...), refused)
		restored := afterRestart(t, broker.Block{Whole: true, Disabled: true, Err: err}).Err
		if before, after := says(err), says(restored); after != before {
			t.Errorf("%v: %q after a restart, not %q", why, after, before)
		}
	}
}

// What renewals end at a server is remembered without any refusal, and forgotten with another configuration.
func TestWhatRenewalsEndIsRemembered(t *testing.T) {
	dir := t.TempDir()
	f := Open(dir, zap.NewNop())
	session := broker.SessionMemory{SignedIn: 1785600000, Renewed: 1785600600, Absolute: 1785700000, Warned: true}
	f.Record("p", fingerprint, broker.Remembered{Ending: broker.EndingRefused, Session: session})
	f.Close(t.Context())
	text, err := os.ReadFile(filepath.Join(dir, "refusals.json"))
	if err != nil || !strings.Contains(string(text), `"refresh_ends_tokens":"refused"`) {
		t.Errorf("%s, %v", text, err)
	}
	again := Open(dir, zap.NewNop())
	defer again.Close(t.Context())
	if got := again.Remembered("p", fingerprint); got.Ending != broker.EndingRefused || len(got.Blocks) != 0 ||
		got.Session != session {
		t.Errorf("%+v", got)
	}
	other := func() string { return strings.Repeat("1", 64) }
	if got := again.Remembered("p", other); !got.Empty() {
		t.Errorf("with another configuration: %+v", got)
	}
	if got := again.Remembered("p", fingerprint); !got.Empty() {
		t.Errorf("it was not forgotten: %+v", got)
	}
	for _, bad := range []string{"configured", "yes", ""} {
		text := strings.Replace(string(text), `"refused"`, `"`+bad+`"`, 1)
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

const goodRefusals = `{"version":1,"profiles":{"p":{` +
	`"configuration":"0000000000000000000000000000000000000000000000000000000000000000",` +
	`"standing":[{"whole":true,"class":"refused","where":"auth.example.org",` +
	`"reason":"has ended the session","parked":true}]}}}`

// A file that is not exactly what groatd writes counts as none.
func TestRefusalsThatCannotBeRead(t *testing.T) {
	if all, err := parse([]byte(goodRefusals)); err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	for name, text := range map[string]string{
		"empty": "", "cut": goodRefusals[:len(goodRefusals)/2], "no object": "[]",
		"followed by more":   goodRefusals + "{}",
		"another version":    strings.Replace(goodRefusals, `"version":1`, `"version":2`, 1),
		"a name twice":       strings.Replace(goodRefusals, `"version":1`, `"version":1,"version":1`, 1),
		"an unknown member":  strings.Replace(goodRefusals, `"version":1`, `"version":1,"secret":"x"`, 1),
		"a profile's name":   strings.Replace(goodRefusals, `"p"`, `"../p"`, 1),
		"a short digest":     strings.Replace(goodRefusals, `"0000`, `"`, 1),
		"an unknown class":   strings.Replace(goodRefusals, `"refused"`, `"ok"`, 1),
		"an escape sequence": strings.Replace(goodRefusals, `has ended`, `has \u001b[31m ended`, 1),
		"not ASCII":          strings.Replace(goodRefusals, `has ended`, `hät ended`, 1),
		"a long text":        strings.Replace(goodRefusals, `has ended`, strings.Repeat("x", 4<<10+1), 1),
		"a wait of years":    strings.Replace(goodRefusals, `"parked":true`, `"wait":99999999`, 1),
		"a negative wait":    strings.Replace(goodRefusals, `"parked":true`, `"wait":-1`, 1),
		"an unknown because": strings.Replace(goodRefusals, `"parked":true`, `"because":"x"`, 1),
		"no reason":          strings.Replace(goodRefusals, `has ended the session`, ``, 1),
	} {
		if all, err := parse([]byte(text)); err == nil || all != nil {
			t.Errorf("%s: read as %v", name, all)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "refusals.json")
	for name, prepare := range map[string]func() error{
		"readable by others": func() error { return os.WriteFile(file, []byte(goodRefusals), 0o644) },
		"a link": func() error {
			return errors.Join(os.WriteFile(file+".there", []byte(goodRefusals), 0o600),
				os.Symlink(file+".there", file))
		},
		"a directory": func() error { return os.Mkdir(file, 0o700) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		if r := Open(dir, zap.NewNop()); len(r.entries) != 0 {
			t.Errorf("%s: %v", name, r.entries)
		}
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(goodRefusals), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := Open(dir, zap.NewNop()); len(r.entries) != 1 {
		t.Error("a good file was not read: the others show nothing")
	}
}

func FuzzRefusals(f *testing.F) {
	f.Add([]byte(goodRefusals))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parse(text)
		if err != nil {
			return
		}
		for _, m := range all {
			for _, b := range m.Blocks {
				if b.Err == nil || b.Wait < 0 || b.Wait > 2*time.Hour {
					t.Errorf("%+v", b)
				}
			}
		}
	})
}

// A file that cannot be replaced is deleted: otherwise the next daemon would believe it.
func TestAFileThatCannotBeWrittenIsForgottenAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := Open(dir, zap.NewNop())
		r.entries["p"] = remembered{}
		r.entries["q"] = remembered{}
		// A directory cannot be replaced by a file; it stands for a disk that is full.
		r.path = filepath.Join(dir, "is-a-directory")
		if err := os.Mkdir(r.path, 0o700); err != nil {
			t.Fatal(err)
		}
		r.Forget(t.Context(), "p")
		if _, err := os.Lstat(r.path); err == nil {
			t.Error("what could not be replaced is still there")
		}
		r.Record("q", nil, broker.Remembered{}) // and from then on it is as before
		r.Close(t.Context())
		if all, err := read(r.path); err != nil || len(all) != 0 {
			t.Errorf("%v, %v", all, err)
		}
	})
}
