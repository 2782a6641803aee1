package origin

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
		{"https://auth.example.com/" + strings.Repeat("x", MaxURL), "longer"},
	} {
		err := CheckURL(c.in, "token_url")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.in, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "token_url ") ||
			!strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.in, err, c.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error holds the password: %v", c.in, err)
		}
	}
}

func TestOf(t *testing.T) {
	for in, want := range map[string]string{
		"https://Auth.Example.com/token?x":  "https://auth.example.com",
		"http://127.0.0.1:8080/a/b":         "http://127.0.0.1:8080",
		"HTTPS://auth.example.com:8443/a#b": "https://auth.example.com:8443",
		"https://auth.example.com:443":      "https://auth.example.com",
		"http://auth.example.com:80/":       "http://auth.example.com", // no address for a credential, but an origin
		"auth.example.com":                  "",
		"//auth.example.com/":               "",
		"https:///token":                    "",
		"https://auth.example.com:x/":       "",
	} {
		if got := Of(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// Two spellings of one origin have the same short form and the same long form, and two origins have neither.
func TestF8OneOrigin(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://a.example/token", "https://A.example:443/revoke", true},
		{"http://127.0.0.1:80/x", "http://127.0.0.1/", true},
		{"https://a.example", "https://a.example:80", false},
		{"https://a.example", "https://a.example.", false},
		{"https://a.example", "https://a.example:4430", false},
		{"http://127.0.0.1", "http://localhost", false},
		{"https://a.example", "https://a.example.evil.example", false},
	} {
		if a, b := OfEndpoint(c.a), OfEndpoint(c.b); a == "" || (a == b) != c.same {
			t.Errorf("%s is %s, %s is %s", c.a, a, c.b, b)
		}
		a, errA := WithPort(c.a)
		b, errB := WithPort(c.b)
		if (errA == nil && errB == nil && a == b) != c.same {
			t.Errorf("%s is %s, %v; %s is %s, %v", c.a, a, errA, c.b, b, errB)
		}
		if errA == nil && WithoutPort(a) != OfEndpoint(c.a) {
			t.Errorf("the short form of %s is %s, of %s it is %s", a, WithoutPort(a), c.a, OfEndpoint(c.a))
		}
	}
	for _, none := range []string{"", "a.example", "https://", "https://a.example@b.example", "http://a.example",
		"https://%C3%A4.example"} {
		if got := OfEndpoint(none); got != "" {
			t.Errorf("%s has the origin %s", none, got)
		}
	}
}

func TestWithPort(t *testing.T) {
	for raw, want := range map[string]string{
		"https://Example.COM":          "https://example.com:443",
		"https://example.com:443/a?b":  "https://example.com:443",
		"HTTPS://example.com/":         "https://example.com:443",
		"https://example.com:8443":     "https://example.com:8443",
		"http://127.0.0.1:8080/x":      "http://127.0.0.1:8080",
		"http://[::1]/x":               "http://[::1]:80",
		"http://example.com":           "",
		"ftp://example.com":            "",
		"https://":                     "",
		"https://example.com.":         "",
		"https://example.com:":         "",
		"https://example.com:99999":    "",
		"https://user@example.com":     "",
		"https://a:b@example.com":      "",
		"https://exаmple.com":          "", // a Cyrillic letter
		"https://example.com\\@evil":   "",
		"https://example.com%00.evil/": "",
		"https://exam ple.com":         "",
		"https://example.com\n":        "",
		"example.com":                  "",
		"https:example.com":            "",
		"":                             "",
	} {
		got, err := WithPort(raw)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("WithPort(%q) = %q, %v", raw, got, err)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"https://Auth.Example.com":      "https://auth.example.com",
		"https://auth.example.com:443/": "https://auth.example.com",
		"http://127.0.0.1:8080":         "http://127.0.0.1:8080",
		"https://auth.example.com/a":    "",
		"https://auth.example.com/a/":   "",
		"https://auth.example.com?x":    "",
		"http://auth.example.com":       "",
		"":                              "",
	} {
		got, err := Parse(in, "the server")
		if got != want || (err == nil) != (want != "") || err != nil && !strings.HasPrefix(err.Error(), "the server ") {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
}
