package frame

import "testing"

func TestValidToken(t *testing.T) {
	for token, want := range map[string]bool{
		"a": true, "abc.DEF-123_~+/": true, "a=": true, "a==": true, "=": false, "": false, "a=b": false, "a b": false, "a\n": false,
		"é": false, "a\x00": false, "a,": false, "a:b": false, "$(x)": false,
	} {
		if ValidToken(token) != want {
			t.Errorf("%q: %v", token, !want)
		}
	}
}
