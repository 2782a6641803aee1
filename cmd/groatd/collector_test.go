package main

import "testing"

// The garbage that may lie about does not grow with the profiles, until the collector would run too often.
func TestGCPercent(t *testing.T) {
	for profiles, want := range map[int]int{0: 100, 10: 100, 1000: 86, 2000: 55, 5000: 26, 10_000: 15, 1 << 20: 15} {
		if got := gcPercent(profiles); got != want {
			t.Errorf("%d profiles: %d %%, want %d %%", profiles, got, want)
		}
	}
}
