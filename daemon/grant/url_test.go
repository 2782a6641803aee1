package grant

import (
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // in the error; empty: accepted
	}{
		{"https://auth.example.com", ""},
		{"https://auth.example.com/", ""},
		{"https://auth.example.com:8443/token?tenant=1", ""},
		{"HTTPS://AUTH.EXAMPLE.COM/token", ""},
		{"https://192.0.2.1/token", ""},
		{"http://127.0.0.1:8080/token", ""},
		{"http://127.9.9.9/token", ""},
		{"http://[::1]:8080/token", ""},
		{"http://localhost/token", ""},
		{"http://LOCALHOST:1/token", ""},
		{"http://auth.example.com/token", "https"},
		{"http://localhost.example.com/", "https"},
		{"http://localhost./", "https"},
		{"http://127.1/", "https"},
		{"http://0x7f000001/", "https"},
		{"http://2130706433/", "https"},
		{"http://[::ffff:127.0.0.1]/", "https"},
		{"http://10.0.0.1/", "https"},
		{"ftp://auth.example.com/", "https"},
		{"file:///etc/passwd", "absolute"},
		{"https:auth.example.com", "absolute"},
		{"https:///token", "absolute"},
		{"auth.example.com/token", "absolute"},
		{"//auth.example.com/token", "https"},
		{"/token", "absolute"},
		{"", "absolute"},
		{"https://user:hunter2@auth.example.com/", "user name"},
		{"https://user@auth.example.com/", "user name"},
		{"https://@auth.example.com/", "user name"},
		{"https://auth.example.com/#x", "fragment"},
		{"https://auth.example.com/#", "fragment"},
		{"https://auth.example.com/ token", "space"},
		{"https://auth.example.com/\n", "space"},
		{"https://ex\u0430mple.com/", "ASCII"},
		{"https://evil.example\\@auth.example.com/", "not a URL"},
		{"https://auth.example.com:/", "port"},
		{"https://auth.example.com:0/", "port"},
		{"https://auth.example.com:99999/", "port"},
		{"https://auth.example.com:x/", "not a URL"},
		{"https://[::1/", "not a URL"},
		{"https://auth.example.com/" + strings.Repeat("x", maxURL), "longer"},
	} {
		err := CheckURL(c.in, "token_url")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.in, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "token_url ") || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.in, err, c.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error holds the password: %v", c.in, err)
		}
	}
}

func TestOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://Auth.Example.com/token?x":  "https://auth.example.com",
		"http://127.0.0.1:8080/a/b":         "http://127.0.0.1:8080",
		"HTTPS://auth.example.com:8443/a#b": "https://auth.example.com:8443",
	} {
		if got := origin(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
