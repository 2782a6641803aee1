package grant

import (
	"errors"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

func TestBasicFormsDiffer(t *testing.T) {
	for secret, want := range map[string]bool{"": false, "dummy-secret_1.": false,
		"a+b": true, "a/b": true, "a=": true, "a%41": true, "a b": true} {
		item := keystore.Item{ClientID: "client", ClientSecret: keystore.SecretString(secret)}
		if got := BasicFormsDiffer(item); got != want {
			t.Errorf("%q: %v", secret, got)
		}
	}
	item := keystore.Item{ClientID: "a:b", ClientSecret: keystore.SecretString("a+b")}
	if BasicFormsDiffer(item) {
		t.Error("an id with a colon has one form")
	}
}

// What may be about the form of a client's proof, where the request carried that alone and where it carried more.
func TestDoubtsClient(t *testing.T) {
	for _, c := range []struct {
		name        string
		err         error
		alone, more bool
	}{
		{"nothing", nil, false, false},
		{"another error", errors.New("x"), false, false},
		{"invalid_client", &Error{Class: InvalidClient, Code: "invalid_client", Status: 401}, true, true},
		{"an empty 401", &Error{Class: TransientSlow, Status: 401}, true, false},
		{"an empty 403", &Error{Class: TransientSlow, Status: 403}, true, false},
		{"a code that nobody knows", &Error{Class: TransientSlow, Code: "bad_client", Status: 400}, true, false},
		{"server_error", &Error{Class: Transient, Code: "server_error", Status: 500}, true, false},
		{"invalid_request", &Error{Class: Misconfigured, Code: "invalid_request", Status: 400}, true, false},
		{"invalid_scope", &Error{Class: Misconfigured, Code: "invalid_scope", Status: 400}, false, false},
		{"unsupported_grant_type", &Error{Class: Misconfigured, Code: "unsupported_grant_type", Status: 400}, false,
			false},
		{"not found", &Error{Class: TransientSlow, Status: 404}, false, false},
		{"a redirect", &Error{Class: Misconfigured, Status: 302}, false, false},
		{"too many requests", &Error{Class: Transient, Code: "mine", Status: 429}, false, false},
		{"a failure", &Error{Class: Transient, Status: 503}, false, false},
		{"no answer", &Error{Class: Transient}, false, false},
	} {
		if DoubtsClient(c.err, true) != c.alone || DoubtsClient(c.err, false) != c.more {
			t.Errorf("%s: %v alone, %v with more", c.name, DoubtsClient(c.err, true), DoubtsClient(c.err, false))
		}
	}
}
