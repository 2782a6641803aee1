package keystore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A profile has one writer at a time. The others wait as long as their contexts and lockLimit allow.
func TestWritesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s PendingStore
		unlock, err := s.lock(t.Context(), "work")
		if err != nil {
			t.Fatal(err)
		}
		other, err := s.lock(t.Context(), "other")
		if err != nil {
			t.Fatalf("another profile's writer waits: %v", err)
		}
		other()
		start := time.Now()
		if _, err := s.lock(t.Context(), "work"); !errors.Is(err, ErrUnavailable) || time.Since(start) != lockLimit {
			t.Errorf("behind a writer that does not end: %v after %v", err, time.Since(start))
		}
		if unlock, _ := s.writers.tryLock("work"); unlock != nil {
			t.Error("the lock of a locked profile is given")
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.lock(gone, "work"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("with a context that has ended: %v", err)
		}
		inside, turns := 0, 0
		var writers sync.WaitGroup
		for range 10 {
			writers.Go(func() {
				unlock, err := s.lock(t.Context(), "work")
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				if inside++; inside != 1 {
					t.Errorf("%d writers at a time", inside)
				}
				time.Sleep(time.Millisecond)
				inside--
				turns++
			})
		}
		synctest.Wait()
		unlock()
		writers.Wait()
		if turns != 10 || len(s.writers.held) != 0 {
			t.Errorf("%d of 10 writers had their turn, %d are left", turns, len(s.writers.held))
		}
	})
}

// A write that waits for the lock without success changes nothing, and its error says so.
func TestABusyProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s PendingStore
		unlock, err := s.lock(t.Context(), "work")
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		_, sent := s.MarkSent(t.Context(), "work")
		for what, err := range map[string]error{
			"Set": s.Set(t.Context(), "work", Item{}), "Delete": s.Delete(t.Context(), "work"), "MarkSent": sent,
			"MarkAnswered": s.MarkAnswered(t.Context(), "work"), "Retry": s.Retry(t.Context(), "work"),
		} {
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
		}
		s.dropIfStored(t.Context(), "work") // returns, and uses no store
	})
}
