package helper

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol/frame"
)

func TestKeyring(t *testing.T) {
	const url = "https://h.example/simple/"
	signIn := &frame.Error{Kind: frame.LoginRequired}
	both := &frame.Error{Kind: frame.UnknownProfile, Choices: make([]frame.Choice, 2)}
	static := bearer
	static.Static = true
	for _, tt := range []struct {
		args string
		d    daemon
		out  string
		err  error
	}{
		{"get " + url + " me", daemon{target: url, token: bearer}, "tok-1\n", nil},
		{"--mode password --output plain get " + url + " me", daemon{token: bearer}, "tok-1\n", nil},
		{"--output=json get " + url + " me", daemon{token: bearer}, `{"password":"tok-1"}` + "\n", nil},
		{"--mode=creds --output=json get " + url, daemon{token: bearer},
			`{"username":"oauth2","password":"tok-1"}` + "\n", nil},
		{"--mode creds get " + url + " me", daemon{token: bearer}, "me\ntok-1\n", nil},
		{"--mode=creds get " + url + " work", daemon{token: bearer}, "oauth2\ntok-1\n", nil}, // the profile's
		{"get https://eu-python.pkg.dev/p/simple/ --mode creds", daemon{token: bearer},
			"oauth2accesstoken\ntok-1\n", nil},
		{"get " + url + " me", daemon{target: "https://other/"}, "", ErrKeyringNone},
		{"get h.example me", daemon{token: bearer}, "", ErrKeyringNone},
		{"get " + url + " me", daemon{err: signIn}, "", signIn},
		{"get " + url + " me", daemon{err: both}, "", both},
		{"set " + url + " me", daemon{token: bearer}, "", ErrKeyringStore},
		{"del " + url + " me", daemon{token: bearer}, "", ErrKeyringStore},
		{"get " + url, daemon{token: bearer}, "", ErrKeyringUsage},
		{"get " + url + " a b", daemon{token: bearer}, "", ErrKeyringUsage},
		{"get", daemon{token: bearer}, "", ErrKeyringUsage},
		{"", daemon{token: bearer}, "", ErrKeyringUsage},
		{"diagnose", daemon{token: bearer}, "", ErrKeyringUsage},
		{"--mode=all get " + url + " me", daemon{token: bearer}, "", ErrKeyringUsage},
		{"get " + url + " me --output", daemon{token: bearer}, "", ErrKeyringUsage},
		{"--list-backends", daemon{token: bearer}, "", ErrKeyringUsage},
		{"get https://h\x1b[2J/ me", daemon{token: bearer}, "", ErrKeyringUsage},
		{"get " + url + " me\xff", daemon{token: bearer}, "", ErrKeyringUsage},
	} {
		var out bytes.Buffer
		err := Keyring(&tt.d, strings.Fields(tt.args), &out)
		if !errors.Is(err, tt.err) || out.String() != tt.out {
			t.Errorf("%s: %v, %q", tt.args, err, &out)
		}
	}
	var out bytes.Buffer
	if err := Keyring(&daemon{token: static}, []string{"get", url, "me"}, &out); err == nil || out.Len() > 0 {
		t.Errorf("an API key: %v, %q", err, &out)
	}
	if err := Keyring(&daemon{token: bearer}, []string{"--mode=creds", "get", url, "a\nb"}, &out); err != ErrKeyringUsage {
		t.Errorf("a line's end in the name: %v", err)
	}
}

// A user name chooses the profile, unless it is the one that an answer invents.
func TestKeyringAsksForTheUser(t *testing.T) {
	for user, want := range map[string]string{"work": "work", oauthUsername: ""} {
		d := &daemon{token: bearer}
		var out bytes.Buffer
		err := Keyring(d, []string{"get", "https://h/", user}, &out)
		if p, ok := d.params.(frame.TokenParams); err != nil || !ok || p.Username != want {
			t.Errorf("%s: %v, %+v", user, err, d.params)
		}
	}
}
