package backend

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/keystore"
)

func TestGates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gates
		leave, err := g.enter(t.Context(), "work")
		if err != nil {
			t.Fatal(err)
		}
		other, err := g.enter(t.Context(), "other")
		if err != nil {
			t.Fatalf("another profile's writer waits: %v", err)
		}
		other()
		start := time.Now()
		if _, err := g.enter(t.Context(), "work"); !errors.Is(err, keystore.ErrUnavailable) || time.Since(start) != turnLimit {
			t.Errorf("behind a writer that does not end: %v after %v", err, time.Since(start))
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.enter(gone, "work"); !errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("nobody waits any more: %v", err)
		}
		inside, turns := 0, 0
		var writers sync.WaitGroup
		for range 10 {
			writers.Go(func() {
				leave, err := g.enter(t.Context(), "work")
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				if inside++; inside != 1 {
					t.Errorf("%d writers at a time", inside)
				}
				time.Sleep(time.Millisecond)
				inside--
				turns++
			})
		}
		synctest.Wait()
		leave()
		writers.Wait()
		if turns != 10 || len(g.busy) != 0 {
			t.Errorf("%d of 10 writers had their turn, %d are left", turns, len(g.busy))
		}
	})
}
