package config

import "testing"

func TestTheNearestName(t *testing.T) {
	names := []string{"me", "scope", "work"}
	for typed, want := range map[string]string{"wrok": "work", "scop": "scope", "none": "", "": "", "m": "",
		"scopes": "scope", "something": ""} {
		if got := Nearest(typed, names); got != want {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}
