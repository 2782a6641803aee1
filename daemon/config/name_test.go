package config

import (
	"regexp"
	"strings"
	"testing"
)

// A name is what the expression in the documentation of ValidName says, for every byte alone, first, last and between.
func TestValidName(t *testing.T) {
	documented := regexp.MustCompile(`\A[a-z0-9][a-z0-9._-]{0,63}\z`)
	names := []string{"", strings.Repeat("a", 64), strings.Repeat("a", 65), "..", "a/../b", "é", "a\n", "a\x00"}
	for c := range 256 {
		b := string([]byte{byte(c)})
		names = append(names, b, "a"+b, b+"a", "a"+b+"a")
	}
	valid := 0
	for _, name := range names {
		want := documented.MatchString(name)
		if want {
			valid++
		}
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %t, want %t", name, got, want)
		}
	}
	if valid < 100 {
		t.Errorf("only %d of %d names are valid: the test has become one-sided", valid, len(names))
	}
}
