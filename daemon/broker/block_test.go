package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// TestBlockJSON has a row for each form that a groatd writes, or has written before: the text is the file's.
func TestBlockJSON(t *testing.T) {
	refusal := &grant.Error{
		Class: grant.Refused, Where: "auth.example.org", Reason: "has ended the session", Code: "invalid_grant",
		Description: "user is blocked", Status: 403,
	}
	const said = `"class":"refused","where":"auth.example.org","reason":"has ended the session",` +
		`"code":"invalid_grant","description":"user is blocked","status":403`
	lost := func(why ...error) error {
		return fmt.Errorf("%w: %w: %w", ErrRotationLost, errors.Join(why...), refusal)
	}
	for _, c := range []struct {
		block Block
		text  string
		is    []error // in the chain, when it is read again
	}{
		{
			Block{Whole: true, Disabled: true, Failures: 1, Err: refusal},
			`{"whole":true,` + said + `,"parked":true,"failures":1}`, nil,
		},
		{
			Block{Scope: "a b", Audience: "https://api", Disabled: true, Err: refusal},
			`{"scope":"a b","audience":"https://api",` + said + `,"parked":true}`, nil,
		},
		{
			Block{
				Whole: true, Failures: 7, Wait: 5 * time.Minute, Until: clock.Instant{Wall: time.Unix(1785600000, 0)},
				Err: refusal,
			},
			`{"whole":true,` + said + `,"wait":300,"until":1785600000,"failures":7}`, nil,
		},
		{
			Block{
				Whole: true, Disabled: true, Probes: 2, Failures: 3, Wait: 2 * time.Hour,
				Until: clock.Instant{Wall: time.Unix(1785600000, 0)}, Err: refusal,
			},
			`{"whole":true,` + said + `,"parked":true,"wait":7200,"until":1785600000,"failures":3,"probes":2}`, nil,
		},
		{
			Block{Disabled: true, Err: lost()}, `{` + said + `,"because":"rotation_lost","parked":true}`,
			[]error{ErrRotationLost},
		},
		{
			Block{Disabled: true, Err: lost(keystore.ErrUnanswered)},
			`{` + said + `,"because":"unanswered","parked":true}`,
			[]error{ErrRotationLost, keystore.ErrUnanswered},
		},
		{
			Block{Disabled: true, Err: lost(keystore.ErrUnanswered, ErrInterrupted)},
			`{` + said + `,"because":"interrupted","parked":true}`,
			[]error{ErrRotationLost, ErrInterrupted},
		},
		{
			Block{Disabled: true, Err: lost(keystore.ErrNewestDamaged)},
			`{` + said + `,"because":"newest_damaged","parked":true}`,
			[]error{ErrRotationLost, keystore.ErrNewestDamaged},
		},
		{
			Block{Disabled: true, Err: lost(keystore.ErrRolledBack, keystore.ErrUnanswered)},
			`{` + said + `,"because":"rolled_back","parked":true}`,
			[]error{ErrRotationLost, keystore.ErrRolledBack},
		},
		{
			Block{
				Disabled: true,
				Err:      &grant.Error{Class: grant.InvalidClient, Where: "x", Reason: "y", Err: grant.ErrClock},
			},
			`{"class":"invalid_client","where":"x","reason":"y","because":"clock","parked":true}`, []error{
				grant.ErrClock,
			},
		},
	} {
		text, err := json.Marshal(c.block)
		if err != nil || string(text) != c.text {
			t.Errorf("written as %s, %v; want %s", text, err, c.text)
			continue
		}
		var got Block
		if err := json.Unmarshal(text, &got); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, want := range c.is {
			if !errors.Is(got.Err, want) {
				t.Errorf("%s: %v does not say: %v", text, got.Err, want)
			}
		}
		if e, ok := errors.AsType[*grant.Error](got.Err); !ok || len(c.is) == 0 &&
			got.Err.Error() != c.block.Err.Error() {
			t.Errorf("%s: %v became %v, %v", text, c.block.Err, got.Err, e)
		}
		if c.block.final() {
			got.Until = clock.Instant{}
		}
		got.Err, c.block.Err = nil, nil
		if got != c.block {
			t.Errorf("%s: %+v became %+v", text, c.block, got)
		}
	}
}

// A Block that could not be read again is not written, and what groatd does not write is not read.
func TestABlockThatIsNone(t *testing.T) {
	said := &grant.Error{Class: grant.Refused, Where: "x", Reason: "y"}
	for _, b := range []Block{
		{}, {Err: keystore.ErrLocked}, {Err: &grant.Error{Class: grant.OK, Where: "x", Reason: "y"}}, {
			Err: &grant.Error{Class: grant.Refused, Where: "x"},
		},
		{Err: said, Scope: "h\xe4t"}, {Err: said, Wait: maxBlockWait + time.Second}, {Err: said, Failures: -1},
	} {
		if text, err := json.Marshal(b); err == nil {
			t.Errorf("%+v is written as %s", b, text)
		}
	}
	const good = `{"class":"refused","where":"x","reason":"y","parked":true}`
	var b Block
	if err := json.Unmarshal([]byte(good), &b); err != nil {
		t.Fatal(err)
	}
	replaced := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, text := range map[string]string{
		"no object":              `[]`,
		"an unknown member":      replaced(`"parked"`, `"secret"`),
		"no class":               replaced(`"refused"`, `""`),
		"an unknown explanation": replaced(`"parked":true`, `"because":"x"`),
		"a status of 1000":       replaced(`"parked":true`, `"status":1000`),
	} {
		if err := json.Unmarshal([]byte(text), &b); err == nil {
			t.Errorf("%s: read as %+v", name, b)
		}
	}
}

// What is recorded of a refusal and of a long wait blocks the next process for as long, and for no longer if its wall
// clock is set back. A short backoff is not recorded, and a success is.
func TestBlocksOutliveTheProcess(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		var kept recorded
		recorded := func() []Block { return kept.last().Blocks }
		next := func() *Broker {
			b := New(w.now)
			b.Recorder = kept.record
			b.Put(map[string]Source{"p": w})
			return b
		}
		first := next()
		w.refuse(always(&grant.Error{Class: grant.Transient, Where: "x", Reason: "y", Status: 503}))
		get(t, first, Unset)
		if len(recorded()) != 0 {
			t.Errorf("a short backoff is recorded: %+v", recorded())
		}
		time.Sleep(time.Minute)
		w.refuse(always(&grant.Error{
			Class: grant.Transient, Where: "x", Reason: "y", Status: 429, RetryAfter: 10 * time.Minute,
		}))
		get(t, first, Unset)
		if len(recorded()) != 1 || !recorded()[0].Whole || recorded()[0].Wait.Round(2*time.Minute) != 10*time.Minute {
			t.Fatalf("recorded: %+v", recorded())
		}
		first.Close(t.Context())

		w.wall.Store(int64(-time.Hour))
		second, before := next(), w.count()
		defer second.Close(t.Context())
		second.Restore("p", Remembered{Blocks: recorded()})
		if _, err := get(t, second, Unset); w.count() != before || wantUnavailable(t, err).RetryAfter > 11*time.Minute {
			t.Errorf("%v after %d requests", err, w.count()-before)
		}
		w.refuse(nil)
		time.Sleep(11 * time.Minute)
		mustGet(t, second, Unset)
		if len(recorded()) != 0 {
			t.Errorf("after a success: %+v", recorded())
		}

		third := next()
		defer third.Close(t.Context())
		third.Restore("p", Remembered{Blocks: []Block{
			{Disabled: true, Scope: "read", Err: refusal(grant.Misconfigured, "invalid_scope")},
		}})
		wantUnavailable(t, askFor(t, third, Query{Scope: "read"}))
		if third.KeystoreAwaited() {
			t.Error("a refusal waits for the keystore")
		}
		mustGet(t, third, Unset)
		if len(recorded()) != 1 || recorded()[0].Scope != "read" {
			t.Errorf("recorded beside a success: %+v", recorded())
		}
	})
}
