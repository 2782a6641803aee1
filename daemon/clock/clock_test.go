package clock

import (
	"sync"
	"testing"
	"time"
)

func TestFallbackOnlyGains(t *testing.T) {
	const s, h = time.Second, time.Hour
	type reading struct{ mono, wall, want time.Duration }
	for name, readings := range map[string][]reading{
		"nothing happens":                 {{0, 0, 0}, {5 * s, 5 * s, 5 * s}, {h, h, h}},
		"suspend":                         {{s, s, s}, {2 * s, h + 2*s, h + 2*s}, {3 * s, h + 3*s, h + 3*s}},
		"two suspends":                    {{s, h + s, h + s}, {2 * s, 2*h + 2*s, 2*h + 2*s}},
		"set forward, then back":          {{s, h + s, h + s}, {2 * s, 2 * s, h + 2*s}, {h, h, 2 * h}},
		"set back":                        {{s, s - h, s}, {2 * s, 2*s - h, 2 * s}},
		"set back, then suspend":          {{s, s - 2*h, s}, {2 * s, 2*s - h, h + 2*s}},
		"set back, then right again":      {{s, s - h, s}, {2 * s, 2 * s, h + 2*s}},
		"forward, back, suspend":          {{s, h + s, h + s}, {2 * s, 2 * s, h + 2*s}, {3 * s, h + 3*s, 2*h + 3*s}},
		"the clocks are read apart":       {{s, s + time.Millisecond, s}, {2 * s, 2*s - time.Millisecond, 2 * s}, {3 * s, 3*s + time.Millisecond, 3 * s}},
		"it drifts slowly":                {{s, s + 9*time.Millisecond, s}, {2 * s, 2*s + 18*time.Millisecond, 2*s + 18*time.Millisecond}},
		"an older reading comes late":     {{2 * s, h + 2*s, h + 2*s}, {s, s, h + s}, {3 * s, h + 3*s, h + 3*s}},
		"the monotonic clock stood still": {{s, s, s}, {s, h + s, h + s}},
	} {
		t.Run(name, func(t *testing.T) {
			var g gained
			for i, r := range readings {
				if got := g.boot(r.mono, r.wall); got != r.want {
					t.Errorf("reading %d: %v, want %v", i+1, got, r.want)
				}
			}
		})
	}
}

// It never goes back, whoever reads.
func TestFallbackRunsForward(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			was := fallback(time.Now())
			for range 2000 {
				now := fallback(time.Now())
				if now < was {
					t.Errorf("from %v back to %v", was, now)
					return
				}
				was = now
			}
		})
	}
	wg.Wait()
}

func TestNowReadsBothClocks(t *testing.T) {
	before := time.Now()
	a := Now()
	time.Sleep(20 * time.Millisecond)
	b := Now()
	if took := b.Sub(a); took < 10*time.Millisecond || took > time.Minute {
		t.Errorf("20 ms are %v by the boot clock", took)
	}
	if a.Wall.Before(before) || b.Wall.Before(a.Wall) {
		t.Errorf("%v, then %v, then %v", before, a.Wall, b.Wall)
	}
}
