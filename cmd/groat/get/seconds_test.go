package get

import (
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want string // empty: refused
	}{{"90", "90s"}, {"1.5s", "2s"}, {"1ns", "1s"}, {"0", "0s"}, {"2m", "120s"}, {"3m", ""}, {"-1", ""}, {"", ""},
		{"1 s", ""}, {"5 minutes", ""}, {"99999999999999999999", ""}} {
		var s Seconds
		if err := s.Set(tt.in, 2*time.Minute); s.String() != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %v, %v", tt.in, s.String(), err)
		}
	}
	if (Seconds{}).or(7) != 7 {
		t.Error("a flag that was not given has a value")
	}
}
