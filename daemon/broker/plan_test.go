package broker

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRenewalsAreDrawnBetween60And75Percent(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		var draw atomic.Bool // false: the earliest point, true: the latest
		b.Draw = func() float64 {
			if draw.Load() {
				return 0.999999
			}
			return 0
		}
		mustGet(t, b, Unset)
		time.Sleep(503 * time.Second) // 0.6 L = 503.4 s
		synctest.Wait()
		if w.count() != 1 {
			t.Fatalf("renewed before 0.6 L: %v", w.count())
		}
		draw.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if w.count() != 2 {
			t.Fatalf("not renewed at 0.6 L: %v", w.count())
		}
		time.Sleep(628 * time.Second)
		synctest.Wait()
		if w.count() != 2 {
			t.Fatalf("renewed before 0.75 L: %v", w.count())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if w.count() != 3 {
			t.Fatalf("not renewed at 0.75 L: %v", w.count())
		}
	})
}

// TestResidualWindow computes the estimate that ROTATION.md gives.
func TestResidualWindow(t *testing.T) {
	document, err := os.ReadFile("../credential/ROTATION.md")
	if err != nil {
		t.Fatal(err)
	}
	mean := (earliestRenewal + latestRenewal) / 2
	p := 0.1 / (mean * 900)
	years := 1 / p / 365
	text := strings.Join(strings.Fields(string(document)), " ")
	for _, want := range []string{
		fmt.Sprintf("at %g of its life in the mean", mean), fmt.Sprintf("a probability of %.2ge", p*1e4) + "-4",
		fmt.Sprintf("in %d years",
			int(years)),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("ROTATION.md does not say %q", want)
		}
	}
}
