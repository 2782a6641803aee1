package broker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
)

// dialect is an authorization server that ends sessions in its own way, and says so in its own way.
type dialect struct {
	*env
	idle, absolute time.Duration // what it does; 0: never
	says           func(d *dialect, left time.Duration, first bool) time.Duration
	rotates        bool

	lives             sync.Mutex // guards rules, absolute and these
	signedIn, renewed time.Duration
}

// change changes the server, or what is configured.
func (d *dialect) change(f func()) {
	d.lives.Lock()
	defer d.lives.Unlock()
	f()
}

func (d *dialect) SessionRules() (r SessionRules) {
	d.change(func() { r = d.rules })
	return r
}

// left is how long the session lives from now on, without another renewal.
func (d *dialect) left(now time.Duration) time.Duration {
	d.lives.Lock()
	defer d.lives.Unlock()
	left := 10 * 365 * 24 * time.Hour
	if d.idle > 0 {
		left = d.renewed + d.idle - now
	}
	if d.absolute > 0 {
		left = min(left, d.signedIn+d.absolute-now)
	}
	return left
}

func (d *dialect) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	now := d.now().Boot
	if d.left(now) <= 0 {
		d.refuse(always(&grant.Error{Class: grant.Refused, Status: 400, Code: "invalid_grant"}))
	}
	t, err := d.env.Obtain(ctx, r, need)
	if err == nil {
		d.change(func() { d.renewed = now })
		t.Refreshed, t.Rotated, t.SessionLeft = true, d.rotates, d.says(d, d.left(now), false)
	}
	return t, err
}

// signIn is a login: a session begins.
func (d *dialect) signIn(b *Broker) {
	now := d.now()
	d.change(func() { d.signedIn, d.renewed = now.Boot, now.Boot })
	t, _ := d.env.Obtain(context.Background(), grant.Request{}, Now)
	t.Sent, t.SessionLeft = now, d.says(d, d.left(now.Boot), true)
	b.Install("p", d, t)
}

// What servers say of a session.
func (d *dialect) all(left time.Duration, _ bool) time.Duration { return left.Truncate(time.Second) }
func (d *dialect) firstOnly(left time.Duration, first bool) time.Duration {
	if first {
		return left
	}
	return 0
}
func (d *dialect) nothing(time.Duration, bool) time.Duration { return 0 }

const day = 24 * time.Hour

var dialects = []struct {
	name           string
	idle, absolute time.Duration
	life           time.Duration // of access tokens
	says           func(d *dialect, left time.Duration, first bool) time.Duration
	rotates        bool
	rules          SessionRules // what the configuration knows
}{
	{"CDSE", time.Hour, 10 * time.Hour, 10 * time.Minute, (*dialect).all, true, SessionRules{}},
	{"Globus", 0, 30 * day, day, (*dialect).nothing, false, SessionRules{Absolute: 30 * day}},
	{
		"Auth0", 15 * day, 45 * day, day, (*dialect).nothing, true,
		SessionRules{Idle: 15 * day, Absolute: 45 * day},
	},
	{"Earthdata", 0, 60 * day, day, (*dialect).firstOnly, false, SessionRules{}},
}

// warning is one of a session's end.
type warning struct{ at, ends time.Time }

func withDialect(t *testing.T, i int, test func(t *testing.T, d *dialect, b *Broker, warned *[]warning)) {
	t.Helper()
	c := dialects[i]
	t.Run(c.name, func(t *testing.T) {
		in(t, func(t *testing.T, w *env, b *Broker) {
			var warned []warning
			b.SessionEnding = func(_ string, ends time.Time) {
				warned = append(warned, warning{w.now().Wall, ends})
			}
			w.life, w.rules = c.life, c.rules
			d := &dialect{env: w, idle: c.idle, absolute: c.absolute, says: c.says, rotates: c.rotates}
			d.signIn(b)
			test(t, d, b, &warned)
		})
	})
}

// Four servers, each used until its session ends: one warning in the log in time for each, one for a person, whose next
// token says that there is one until it was told, and what "status" says is what the server does.
func TestTheEndOfASessionIsWarnedOfOnce(t *testing.T) {
	for i := range dialects {
		withDialect(t, i, func(t *testing.T, d *dialect, b *Broker, warned *[]warning) {
			end := d.now().Wall.Add(d.absolute - d.now().Boot + d.signedIn)
			var told []Warning
			for d.now().Wall.Before(end.Add(-time.Minute)) {
				token, err := get(t, b, Unset)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if token.SessionWarning && len(*warned) != 1 {
					t.Fatal("a person is to be told of what the log does not know")
				}
				if token.SessionWarning && len(told) == 0 {
					time.Sleep(d.life / 8) // the next program is one that a person sees
				}
				if token.SessionWarning {
					told = append(told, b.TellWarnings(10)...)
					if again, _ := get(t, b, Unset); again.SessionWarning || len(b.TellWarnings(10)) != 0 {
						t.Fatal("a person is told twice")
					}
				}
				if st, _ := b.Status("p"); d.idle > 0 && !near(st.Session.Idle, d.now().Wall.Add(d.left(d.now().Boot))) {
					t.Fatalf("idle end %s, want %s from %s; absolute %s", st.Session.Idle, d.left(d.now().Boot), d.now().Wall, st.Session.Absolute)
				}
				time.Sleep(d.life / 4)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if len(*warned) != 1 {
				t.Fatalf("%d warnings", len(*warned))
			}
			w := (*warned)[0]
			if early := w.ends.Sub(w.at); !near(w.ends, end) || early < 10*time.Minute || early > max(d.absolute/10, time.Hour) {
				t.Errorf("warned %s before %s; the session ends at %s", early, w.ends, end)
			}
			if len(told) != 1 || told[0].Profile != "p" || !near(told[0].Ends, end) {
				t.Errorf("a person was told %+v", told)
			}
			if st, _ := b.Status("p"); !near(st.Session.Absolute, end) {
				t.Errorf("the status says that it ends at %s", st.Session.Absolute)
			}
		})
	}
}

func near(a, b time.Time) bool { return a.Sub(b).Abs() <= 3*time.Second }

// A session that every renewal lengthens causes no warning, nor does an unused one.
func TestNobodyIsWarnedOfAnIdleEnd(t *testing.T) {
	withDialect(t, 0, func(t *testing.T, d *dialect, b *Broker, warned *[]warning) {
		d.change(func() { d.absolute = 0 })
		for range 7 * 24 * 12 {
			if token, err := get(t, b, Unset); err != nil || token.SessionWarning || len(b.TellWarnings(10)) != 0 {
				t.Fatal(token.SessionWarning, err)
			}
			time.Sleep(5 * time.Minute)
		}
		time.Sleep(3 * time.Hour) // nobody uses it
		if _, err := get(t, b, Unset); err == nil {
			t.Error("the session lives on")
		}
		if len(*warned) != 0 {
			t.Errorf("warned %v", *warned)
		}
	})
}

// With keep_session an unused session lives until its absolute end, also after a restart in between, at the cost of a
// request before each idle end. Of that end there is one warning.
func TestAnUnusedSessionIsKept(t *testing.T) {
	withDialect(t, 0, func(t *testing.T, d *dialect, b *Broker, warned *[]warning) {
		var last Remembered
		b.Recorder = func(_ string, all Remembered) { last = all }
		d.change(func() { d.rules.Keep = true })
		mustGet(t, b, Unset)
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := New(d.now)
		defer next.Close(t.Context())
		next.SessionEnding, next.Recorder = b.SessionEnding, b.Recorder
		next.Put(map[string]Source{"p": d})
		next.Restore("p", last)
		before := d.count()
		time.Sleep(5*time.Hour + 50*time.Minute)
		synctest.Wait()
		if n := d.count() - before; n < 6 || n > 10 {
			t.Errorf("%d requests in almost six hours", n)
		}
		if d.left(d.now().Boot) <= 0 || len(*warned) != 1 {
			t.Errorf("it lives for %s; %d warnings", d.left(d.now().Boot), len(*warned))
		}
		time.Sleep(time.Hour)
		before = d.count()
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		if n := d.count() - before; n > 1 {
			t.Errorf("%d requests for a session that has ended", n)
		}
	})
}

// A warning is given once, whatever is restarted, and once more for the next session.
func TestAWarningIsNotRepeatedAfterARestart(t *testing.T) {
	withDialect(t, 1, func(t *testing.T, d *dialect, b *Broker, warned *[]warning) {
		var last Remembered
		b.Recorder = func(_ string, all Remembered) { last = all }
		time.Sleep(28 * day)
		mustGet(t, b, Unset)
		synctest.Wait()
		if told := b.TellWarnings(10); len(told) != 1 {
			t.Errorf("a person was told %+v", told)
		}
		synctest.Wait()
		next := New(d.now)
		defer next.Close(t.Context())
		next.SessionEnding = b.SessionEnding
		next.Put(map[string]Source{"p": d})
		next.Restore("p", last)
		if token, err := get(t, next, Unset); err != nil || token.SessionWarning || len(next.TellWarnings(10)) != 0 {
			t.Error("a person is told again after a restart", err)
		}
		time.Sleep(day)
		mustGet(t, next, Unset)
		synctest.Wait()
		if len(*warned) != 1 {
			t.Errorf("%d warnings", len(*warned))
		}
		token, err := next.Verify(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		next.Install("p", d, token) // a login that found the session to be good: it goes on
		if st, _ := next.Status("p"); len(*warned) != 1 || st.Session.Absolute.IsZero() {
			t.Errorf("%d warnings; the session ends at %s", len(*warned), st.Session.Absolute)
		}
		d.signIn(next)
		time.Sleep(29 * day)
		synctest.Wait()
		if len(*warned) != 2 {
			t.Errorf("%d warnings for two sessions", len(*warned))
		}
	})
}

// A warning that was not handed over is one that was not told.
func TestOnlyWhatIsToldCountsAsTold(t *testing.T) {
	withDialect(t, 1, func(t *testing.T, d *dialect, b *Broker, _ *[]warning) {
		time.Sleep(28 * day)
		mustGet(t, b, Unset)
		synctest.Wait()
		if told := b.TellWarnings(0); len(told) != 0 {
			t.Errorf("told %+v", told)
		}
		if told := b.TellWarnings(1); len(told) != 1 {
			t.Errorf("then %+v", told)
		}
	})
}
