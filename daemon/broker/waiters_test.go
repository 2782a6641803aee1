package broker

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Callers who have no time ask again and again while one request takes long. Those who have left are removed, and the
// request that they caused goes on.
func TestWhoHasGoneIsNotRemembered(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 10 * time.Second
		gone, leave := context.WithCancel(t.Context())
		leave()
		for range 5000 {
			if _, err := b.Token(gone, Query{Profile: "p", MinTTL: Unset}); !errors.Is(err, ErrWaited) {
				t.Fatal(err)
			}
		}
		s, _ := b.slot("p")
		var waiting int
		if err := s.do(func() { waiting = len(s.lookup(key{}).waiting) }); err != nil {
			t.Fatal(err)
		}
		if waiting == 0 || waiting > 2*pruneAbove {
			t.Errorf("%d callers wait, of whom none is there", waiting)
		}
		if mustGet(t, b, Unset); w.count() != 1 {
			t.Errorf("%d requests", w.count())
		}
	})
}
