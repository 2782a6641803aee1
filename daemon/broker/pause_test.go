package broker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func mustPause(t *testing.T, b *Broker) (resume func()) {
	t.Helper()
	resume, err := b.Pause(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	return resume
}

func TestAPauseWaitsForTheRequestUnderWay(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 5 * time.Second
		got := make(chan string)
		go func() { got <- mustGet(t, b, Unset) }()
		synctest.Wait()
		began := time.Now()
		resume := mustPause(t, b)
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("waited %s for a request of 5 s", waited)
		}
		if token := <-got; token != "token-1" {
			t.Errorf("the caller who waited for it got %s", token)
		}
		resume()
	})
}

func TestAPauseThatCannotWaitPausesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 5 * time.Second
		go get(t, b, Unset)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		resume, err := b.Pause(ctx, "p")
		if u := wantUnavailable(t, err); !errors.Is(err, ErrWaited) || u.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
		resume()
		time.Sleep(life)
		if got := mustGet(t, b, Unset); got == "token-1" {
			t.Error("no renewal after a pause that never was")
		}
	})
}

func TestAPausedProfileServesItsTokenAndSendsNothing(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		resume := mustPause(t, b)
		for range 2 { // a hit, and then a token that only does where no better is to be had
			began := time.Now()
			if got := mustGet(t, b, Unset); got != "token-1" || time.Since(began) != 0 {
				t.Errorf("got %s after %s", got, time.Since(began))
			}
			time.Sleep(life - 20*time.Second)
		}
		_, err := get(t, b, Unset)
		if wantUnavailable(t, err); !errors.Is(err, ErrWaited) {
			t.Errorf("an expired token in a pause: %v", err)
		}
		if w.count() != 1 {
			t.Errorf("%d requests in a pause", w.count()-1)
		}
		got := make(chan string)
		go func() { got <- mustGet(t, b, Unset) }()
		synctest.Wait()
		resume()
		if token := <-got; token != "token-2" {
			t.Errorf("who waited for the end of the pause got %s", token)
		}
	})
}

func TestOverlappingPausesEndWithTheLast(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		first, second := mustPause(t, b), mustPause(t, b)
		first()
		first() // counts once
		_, err := get(t, b, Unset)
		if wantUnavailable(t, err); w.count() != 0 {
			t.Fatalf("%d requests in a pause", w.count())
		}
		second()
		mustGet(t, b, Unset)
	})
}

// A sign-in pauses the profile at its end: no result of the old credential may come after the new one.
func TestACredentialReplacedInAPauseIsUsedAfterIt(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		resume := mustPause(t, b)
		other := newEnv()
		other.start = w.start
		first, err := other.Obtain(t.Context(), other.Request("", ""), Now)
		if err != nil {
			t.Fatal(err)
		}
		b.Install("p", other, first)
		if got := mustGet(t, b, Unset); got != first.Access.Reveal() {
			t.Errorf("got %s", got)
		}
		time.Sleep(life)
		if other.count() != 1 || w.count() != 1 {
			t.Errorf("%d and %d requests: Install ended the pause", w.count(), other.count())
		}
		resume()
		mustGet(t, b, Unset)
		if other.count() != 2 || w.count() != 1 {
			t.Errorf("%d and %d requests", w.count(), other.count())
		}
	})
}

func TestAPauseOfWhatIsNotThereIsNothing(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		resume, err := b.Pause(t.Context(), "missing")
		if err != nil {
			t.Error(err)
		}
		resume()
		resume = mustPause(t, b)
		b.Remove(t.Context(), "p")
		resume() // its owner has gone
		if resume, err = b.Pause(t.Context(), "p"); err != nil {
			t.Error(err)
		}
		resume()
	})
}
