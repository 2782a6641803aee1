package frame

import "testing"

func TestValidToken(t *testing.T) {
	for token, want := range map[string]bool{
		"a": true, "abc.DEF-123_~+/": true, "a=": true, "a==": true,
		"=": false, "": false, "a=b": false, "a b": false, "a\n": false,
		"é": false, "a\x00": false, "a,": false, "a:b": false, "$(x)": false,
	} {
		if ValidToken(token) != want {
			t.Errorf("%q: %v", token, !want)
		}
	}
}

func TestValidHeader(t *testing.T) {
	for line, want := range map[string]bool{
		"Authorization: Bearer t": true, "X-Api-Key: t": true, "Authorization: api-key t": true,
		"A!#$%&'*+-.^_`|~9: t":    true,
		"Authorization: Bearer u": false, "Authorization:Bearer t": false, ": t": false, "t": false,
		"": false, "A B: t": false, "A: \nX: t": false,
		"A: \x7f t": false, "A\x00: t": false, "A: é t": false,
	} {
		if ValidHeader(line, "t") != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
	if ValidHeader("A: ", "") {
		t.Error("a header without a credential")
	}
}
