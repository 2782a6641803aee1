package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// refused is a fleet whose person is blocked, and who has been told so.
func refusedIncident(t *testing.T) *incident {
	i := newIncident(t)
	i.server.BlockUser(person, true)
	i.ask(t)
	wantError(t, i.refused.Load(), protocol.LoginRequired)
	return i
}

func (i *incident) requests() int { return i.server.Count(i.server.TokenPath()) }

func (i *incident) remembered() string { return filepath.Join(i.state, "refusals.json") }

func TestARefusalOutlivesTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := refusedIncident(t)
		said, before := *i.refused.Load(), i.requests()
		for range 20 { // a groatd that is started again and again
			i.restart(t)
			i.ask(t)
		}
		if n := i.requests() - before; n != 0 {
			t.Errorf("%d requests by 20 daemons", n)
		}
		if now := i.refused.Load(); now.Kind() != said.Kind() || now.Message != said.Message || now.Hint() != said.Hint() {
			t.Errorf("the daemon says %v (%s), its predecessor said %v (%s)", now, now.Hint(), &said, said.Hint())
		}
		info, err := os.Stat(i.remembered())
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		if left, _ := filepath.Glob(filepath.Join(i.state, "refusals.json.*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		item := stored(t, i.store, "p")
		text, _ := os.ReadFile(i.remembered())
		for _, secret := range []string{item.RefreshToken.Reveal(), sandbox.Digest(item.RefreshToken.Reveal()), password} {
			if strings.Contains(string(text), secret) {
				t.Errorf("a secret, or what is made of one, is in %s", text)
			}
		}
	})
}

// Whatever changes the credential or the configuration, and whatever a person does, is a reason to ask again.
func TestARefusalIsForgotten(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, i *incident)
		gone bool // the profile
	}{
		{"by a proof", func(t *testing.T, i *incident) {
			if r := i.signIn(t, protocol.LoginParams{Profile: "p"}); r.Outcome != protocol.AlreadySignedIn {
				t.Errorf("%+v", r)
			}
		}, false},
		{"by another sign-in", func(t *testing.T, i *incident) {
			if r := i.signIn(t, protocol.LoginParams{Profile: "p", ClientID: "other-app"}); r.Outcome != protocol.SignedIn {
				t.Errorf("%+v", r)
			}
		}, false},
		{"by a logout", func(t *testing.T, i *incident) {
			if err := i.visit(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "p", Yes: true}, nil); err != nil {
				t.Error(err)
			}
		}, true},
		{"by another configuration", func(t *testing.T, i *incident) {
			i.configure(t, "scope = \"openid\"\n")
			if err := i.Reload(); err != nil {
				t.Error(err)
			}
		}, false},
		{"by another configuration, read at the start", func(t *testing.T, i *incident) {
			i.configure(t, "scope = \"openid\"\n")
			i.restart(t)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := refusedIncident(t)
				i.restart(t) // it is the restored one that is forgotten
				i.server.BlockUser(person, false)
				c.do(t, i)
				i.restart(t) // and it stays forgotten
				_, err := i.Daemon.broker.Token(t.Context(), broker.Query{Profile: "p", MinTTL: broker.Unset})
				if c.gone != errors.Is(err, broker.ErrUnknown) || !c.gone && err != nil {
					t.Errorf("afterwards: %v", err)
				}
				i.Daemon.Close(t.Context())
				if all, err := readRefusals(i.remembered()); err != nil || len(all) != 0 {
					t.Errorf("the file has %v, %v", all, err)
				}
			})
		})
	}
}

// configure adds a line to what the profile's configuration says.
func (i *incident) configure(t *testing.T, line string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(i.config, "profiles.d", "p.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, line); err != nil {
		t.Error(err)
	}
	f.Close()
}

// A proof that fails is no reason to forget: the daemon may be ended in the middle of it.
func TestAProofThatFailsForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := refusedIncident(t)
		i.restart(t)
		before := i.requests()
		_, err := i.broker.Prove(t.Context(), "p")
		if err == nil || i.requests() != before+1 {
			t.Errorf("%v after %d requests", err, i.requests()-before)
		}
		i.restart(t)
		i.ask(t)
		if i.requests() != before+1 {
			t.Errorf("%d requests", i.requests()-before)
		}
	})
}

// Retry-After outlives the daemon too, and nobody's clock makes it longer.
func TestAWishOutlivesTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIncident(t)
		i.server.Script(i.server.TokenPath(), sandbox.Busy(http.StatusTooManyRequests, "600"))
		i.ask(t)
		before := i.requests()
		time.Sleep(5 * time.Minute)
		for range 5 {
			i.restart(t)
			i.ask(t)
		}
		if e := i.refused.Load(); i.requests() != before || e.Kind() != protocol.Temporary || e.Data.RetryAfter < 250 || e.Data.RetryAfter > 370 {
			t.Errorf("%d requests, then %+v", i.requests()-before, e.Data)
		}
		time.Sleep(6 * time.Minute)
		if _, err := i.broker.Token(t.Context(), broker.Query{Profile: "p", MinTTL: broker.Unset}); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusalsAsTheyAreWritten(t *testing.T) {
	for _, b := range []broker.Standing{
		{Whole: true, Parked: true, Err: &grant.Error{Class: grant.Refused, Where: "auth.example.org", Reason: "has ended the session", Code: "invalid_grant", Description: "user is blocked", Status: 403}},
		{Scope: "a b", Audience: "https://api", Parked: true, Err: &grant.Error{Class: grant.Misconfigured, Where: "x", Reason: "y", Status: 400}},
		{Whole: true, Failures: 7, Wait: 5 * time.Minute, Until: time.Unix(1785600000, 0), Err: &grant.Error{Class: grant.InvalidClient, Where: "x", Reason: "y"}},
	} {
		st := standingOf(b)
		if err := st.check(); err != nil {
			t.Errorf("%+v: %v", st, err)
		}
		text, _ := json.Marshal(refusalsFile{refusalsVersion, map[string]remembered{"p": {strings.Repeat("0", 64), []standing{st}}}})
		all, err := parseRefusals(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got := all["p"].Standing[0].restored()
		if got.Err.Error() != b.Err.Error() {
			t.Errorf("%q became %q", b.Err, got.Err)
		}
		got.Err, b.Err = nil, nil
		if diff := cmp.Diff(b, got); diff != "" && !b.Parked {
			t.Error(diff)
		}
	}
	lost := broker.Standing{Whole: true, Parked: true, Err: errors.Join(broker.ErrRotationLost, &grant.Error{Class: grant.Refused, Where: "x", Reason: "y"})}
	if got := standingOf(lost).restored(); !errors.Is(got.Err, broker.ErrRotationLost) {
		t.Errorf("the explanation is lost: %v", got.Err)
	}
}

const goodRefusals = `{"version":1,"profiles":{"p":{"configuration":"0000000000000000000000000000000000000000000000000000000000000000",` +
	`"standing":[{"whole":true,"class":"refused","where":"auth.example.org","reason":"has ended the session","parked":true}]}}}`

// A file that is not exactly what groatd writes is as good as none.
func TestRefusalsThatCannotBeRead(t *testing.T) {
	if all, err := parseRefusals([]byte(goodRefusals)); err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	for name, text := range map[string]string{
		"empty": "", "cut": goodRefusals[:len(goodRefusals)/2], "no object": "[]", "followed by more": goodRefusals + "{}",
		"another version":    strings.Replace(goodRefusals, `"version":1`, `"version":2`, 1),
		"a name twice":       strings.Replace(goodRefusals, `"version":1`, `"version":1,"version":1`, 1),
		"an unknown member":  strings.Replace(goodRefusals, `"version":1`, `"version":1,"secret":"x"`, 1),
		"a profile's name":   strings.Replace(goodRefusals, `"p"`, `"../p"`, 1),
		"a short digest":     strings.Replace(goodRefusals, `"0000`, `"`, 1),
		"an unknown class":   strings.Replace(goodRefusals, `"refused"`, `"ok"`, 1),
		"an escape sequence": strings.Replace(goodRefusals, `has ended`, `has \u001b[31m ended`, 1),
		"not ASCII":          strings.Replace(goodRefusals, `has ended`, `hät ended`, 1),
		"a long text":        strings.Replace(goodRefusals, `has ended`, strings.Repeat("x", maxSaid+1), 1),
		"a wait of years":    strings.Replace(goodRefusals, `"parked":true`, `"wait":99999999`, 1),
		"a negative wait":    strings.Replace(goodRefusals, `"parked":true`, `"wait":-1`, 1),
		"an unknown because": strings.Replace(goodRefusals, `"parked":true`, `"because":"x"`, 1),
		"no reason":          strings.Replace(goodRefusals, `has ended the session`, ``, 1),
	} {
		if all, err := parseRefusals([]byte(text)); err == nil || all != nil {
			t.Errorf("%s: read as %v", name, all)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "refusals.json")
	for name, prepare := range map[string]func() error{
		"readable by others": func() error { return os.WriteFile(file, []byte(goodRefusals), 0o644) },
		"a link": func() error {
			return errors.Join(os.WriteFile(file+".there", []byte(goodRefusals), 0o600), os.Symlink(file+".there", file))
		},
		"a directory": func() error { return os.Mkdir(file, 0o700) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		if r := openRefusals(dir, zap.NewNop()); len(r.entries) != 0 {
			t.Errorf("%s: %v", name, r.entries)
		}
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(goodRefusals), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := openRefusals(dir, zap.NewNop()); len(r.entries) != 1 {
		t.Error("a good file was not read: the others show nothing")
	}
}

func FuzzRefusals(f *testing.F) {
	f.Add([]byte(goodRefusals))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseRefusals(text)
		if err != nil {
			return
		}
		for _, m := range all {
			for _, st := range m.Standing {
				if b := st.restored(); b.Err == nil || b.Wait < 0 || b.Wait > 2*time.Hour {
					t.Errorf("%+v", b)
				}
			}
		}
	})
}

// Why a session was lost is said after a restart in the same words as before.
func TestALostSessionIsExplainedAfterARestart(t *testing.T) {
	refused := &grant.Error{Class: grant.Refused, Code: "invalid_grant", Where: "auth.example.org", Reason: "has ended the session"}
	says := func(err error) string {
		e, _ := wire.Error(&broker.Unavailable{Err: err}, wire.Context{Profile: "work"})
		return e.Message
	}
	for _, why := range [][]error{
		nil, {keystore.ErrUnanswered}, {keystore.ErrUnanswered, broker.ErrInterrupted}, {keystore.ErrNewestDamaged}, {keystore.ErrRolledBack},
		{keystore.ErrRolledBack, keystore.ErrUnanswered, broker.ErrInterrupted},
	} {
		err := fmt.Errorf("%w: %w: %w", broker.ErrRotationLost, errors.Join(why...), refused)
		restored := standingOf(broker.Standing{Whole: true, Parked: true, Err: err}).restored().Err
		if before, after := says(err), says(restored); after != before {
			t.Errorf("%v: %q after a restart, not %q", why, after, before)
		}
	}
}
