package main

import "testing"

// The garbage that may lie about does not grow with the profiles, until the collector would run too often.
func TestGCPercent(t *testing.T) {
	for profiles, want := range map[int]int{0: 100, 10: 100, 1000: 100, 2000: 92, 5000: 44, 10_000: 25, 1 << 20: 25} {
		if got := gcPercent(profiles); got != want {
			t.Errorf("%d profiles: %d %%, want %d %%", profiles, got, want)
		}
	}
}
