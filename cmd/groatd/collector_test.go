package main

import "testing"

// The garbage that may lie about does not grow with the profiles, until the collector would run too often.
func TestGCPercent(t *testing.T) {
	for profiles, want := range map[int]int{0: 100, 10: 100, 1000: 57, 2000: 36, 5000: 17, 10_000: 10, 1 << 20: 10} {
		if got := gcPercent(profiles); got != want {
			t.Errorf("%d profiles: %d %%, want %d %%", profiles, got, want)
		}
	}
}
