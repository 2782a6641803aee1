package protocol

import "testing"

func TestErrorsHaveCodesOfTheirOwn(t *testing.T) {
	seen := map[int]Kind{}
	for kind, code := range codes {
		if other, ok := seen[code]; ok || code > -32001 || code < -32099 {
			t.Errorf("%s and %s have the code %d", kind, other, code)
		}
		seen[code] = kind
		if e := NewError(kind, "m", "h"); e.Code != code || e.Kind() != kind || e.Hint() != "h" || e.Error() != "m" {
			t.Errorf("%+v", e)
		}
	}
	if e := InvalidParams("x %d", 1); e.Kind() != "" || e.Hint() != "" || e.Error() != "x 1" {
		t.Errorf("%+v", e)
	}
}
