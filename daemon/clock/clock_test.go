package clock

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func TestE25FallbackOnlyGains(t *testing.T) {
	const s, h = time.Second, time.Hour
	type reading struct{ mono, wall, want time.Duration }
	for name, readings := range map[string][]reading{
		"nothing happens":            {{0, 0, 0}, {5 * s, 5 * s, 5 * s}, {h, h, h}},
		"suspend":                    {{s, s, s}, {2 * s, h + 2*s, h + 2*s}, {3 * s, h + 3*s, h + 3*s}},
		"two suspends":               {{s, h + s, h + s}, {2 * s, 2*h + 2*s, 2*h + 2*s}},
		"set forward, then back":     {{s, h + s, h + s}, {2 * s, 2 * s, h + 2*s}, {h, h, 2 * h}},
		"set back":                   {{s, s - h, s}, {2 * s, 2*s - h, 2 * s}},
		"set back, then suspend":     {{s, s - 2*h, s}, {2 * s, 2*s - h, h + 2*s}},
		"set back, then right again": {{s, s - h, s}, {2 * s, 2 * s, h + 2*s}},
		"forward, back, suspend":     {{s, h + s, h + s}, {2 * s, 2 * s, h + 2*s}, {3 * s, h + 3*s, 2*h + 3*s}},
		"the clocks are read apart": {{s, s + time.Millisecond, s}, {2 * s, 2*s - time.Millisecond, 2 * s},
			{3 * s, 3*s + time.Millisecond, 3 * s}},
		"it drifts slowly": {{s, s + 9*time.Millisecond, s},
			{2 * s, 2*s + 18*time.Millisecond, 2*s + 18*time.Millisecond}},
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

// The boot clock may be missing, or stop to answer; either way time goes on, and a token grows no younger.
func TestE25TheBootClockCannotBeRead(t *testing.T) {
	const s, h = time.Second, time.Hour
	gone := errors.New("invalid argument")
	type reading struct {
		mono, wall, boot time.Duration // what the clocks say; a boot of -1 is an error
		want             time.Duration
	}
	for name, readings := range map[string][]reading{
		"never": {{0, 0, -1, 0}, {s, s, -1, s}, {2 * s, 8*h + 2*s, -1, 8*h + 2*s}},
		"always": {{0, 0, 5 * h, 5 * h}, {s, s, 5*h + s, 5*h + s},
			{2 * s, 8 * h, 13 * h, 13 * h}},
		"no longer":                    {{0, 0, 5 * h, 5 * h}, {s, s, -1, 5*h + s}, {h, h, -1, 6 * h}},
		"no longer, from a suspend on": {{s, s, 5 * h, 5 * h}, {2 * s, 8*h + 2*s, -1, 13*h + s}},
		"no longer, from a step on": {{s, s, 5 * h, 5 * h}, {2 * s, 2*s - 2*h, -1, 5*h + s},
			{3 * s, 3 * s, -1, 7*h + 2*s}},
		"a suspend, then no longer": {{s, s, 5 * h, 5 * h}, {2 * s, 8*h + 2*s, 13*h + s, 13*h + s},
			{3 * s, 8*h + 3*s, -1, 13*h + 2*s}},
		"set forward, then no longer": {{s, s, 5 * h, 5 * h}, {2 * s, h + 2*s, 5*h + s, 5*h + s},
			{3 * s, h + 3*s, -1, 5*h + 2*s}},
		"set back, then no longer": {{s, s, 5 * h, 5 * h}, {2 * s, 2*s - h, 5*h + s, 5*h + s},
			{3 * s, 3*s - h, -1, 5*h + 2*s}},
		"it goes back": {{0, 0, 5 * h, 5 * h}, {s, s, h, 5*h + s}, {2 * s, 2 * s, h + s, 5*h + 2*s},
			{3 * s, 3 * s, 6 * h, 5*h + 3*s}},
		"for once": {{0, 0, 5 * h, 5 * h}, {s, s, -1, 5*h + s},
			{2 * s, 2 * s, 5*h + 2*s, 5*h + 2*s}},
		"for once, then it is far back": {{0, 0, 5 * h, 5 * h}, {s, s, -1, 5*h + s}, {2 * s, 2 * s, s, 5*h + 2*s}},
		"at first, then it is far back": {{5 * h, 5 * h, -1, 5 * h}, {5*h + s, 5*h + s, s, 5*h + s}},
		"at first, then it is ahead":    {{0, 0, -1, 0}, {s, s, 5 * h, s}, {2 * s, 2 * s, 5*h + s, 2 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			var says time.Duration
			c := bootClock{read: func() (time.Duration, error) {
				if says < 0 {
					return says, gone
				}
				return says, nil
			}}
			for i, r := range readings {
				says = r.boot
				if got := c.after(r.mono, r.wall); got != r.want {
					t.Errorf("reading %d: %v, want %v", i+1, got, r.want)
				}
			}
		})
	}
}

// It never goes back, for any number of readers.
func TestE25FallbackRunsForward(t *testing.T) {
	c := bootClock{read: func() (time.Duration, error) { return 0, errors.ErrUnsupported }}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			was := c.at(time.Now())
			for range 2000 {
				now := c.at(time.Now())
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

func TestTheBootClockCanBeReadHere(t *testing.T) {
	if boot, err := readBoot(); err != nil || boot <= 0 {
		t.Errorf("%v, %v", boot, err)
	}
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

func BenchmarkNow(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Now()
	}
}
