package throttle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

func wrong(context.Context) error { return keystore.ErrLocked }
func right(context.Context) error { return nil }

// Each wrong passphrase in a row doubles the delay, up to LastDelay. Another error changes nothing; a right passphrase
// resets the delay.
func TestTheDelayDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUnlock()
		want := FirstDelay
		for i := range 20 {
			begin := time.Now()
			delay, err := u.Try(t.Context(), wrong)
			if delay != want || !errors.Is(err, keystore.ErrLocked) || time.Since(begin) != 0 {
				t.Fatalf("wrong passphrase %d: %v, %v after %v, want %v", i, delay, err, time.Since(begin), want)
			}
			other := errors.New("the keychain does not answer")
			if delay, err := u.Try(t.Context(), func(context.Context) error { return other }); delay != 0 ||
				err != other {
				t.Fatalf("another error: %v, %v", delay, err)
			}
			if waited := time.Since(begin); waited != want {
				t.Fatalf("the attempt after wrong passphrase %d waited %v, want %v", i, waited, want)
			}
			want = min(2*want, LastDelay)
		}
		if delay, err := u.Try(t.Context(), right); delay != 0 || err != nil {
			t.Errorf("the right one: %v, %v", delay, err)
		}
		if delay, _ := u.Try(t.Context(), wrong); delay != FirstDelay {
			t.Errorf("the first wrong one after it: %v", delay)
		}
		time.Sleep(LastDelay)
	})
}

// The wait for a turn is bounded, and ends with its context. An attempt ends with its own deadline, not with its
// caller.
func TestTheWaitForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUnlock()
		caller, leave := context.WithCancel(t.Context())
		released := make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			_, err := u.Try(caller, func(ctx context.Context) error {
				select {
				case <-ctx.Done():
				case <-released:
				}
				return ctx.Err()
			})
			ended <- err
		}()
		synctest.Wait()
		leave()
		if _, err := u.Try(caller, right); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that has left: %v", err)
		}
		begin := time.Now()
		close(released)
		if err := <-ended; err != nil {
			t.Errorf("the attempt whose caller has left: %v", err)
		}
		synctest.Wait()
		u.turn <- struct{}{}
		_, err := u.Try(t.Context(), right)
		e, ok := errors.AsType[*protocol.Error](err)
		if !ok || e.Kind() != protocol.Temporary || e.Data.RetryAfter != int64(LastDelay/time.Second) {
			t.Errorf("without a turn: %v", err)
		}
		if waited := time.Since(begin); waited != protocol.DefaultWait {
			t.Errorf("it waited %v for a turn", waited)
		}
		<-u.turn
	})
}

// An attempt that panics gives its turn back.
func TestAnAttemptThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUnlock()
		func() {
			defer func() { recover() }()
			u.Try(t.Context(), func(context.Context) error { panic("a bug") })
		}()
		if _, err := u.Try(t.Context(), right); err != nil {
			t.Error(err)
		}
	})
}
