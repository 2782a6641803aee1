package helper

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol/frame"
)

// FuzzGitTarget: the URL that groatd is asked about names what git said, by net/url's reading too, whatever the
// operation; and nothing that git says is asked about as anything but https, or http on this very machine.
func FuzzGitTarget(f *testing.F) {
	f.Add("https", "example.com:8443", "group/repo.git", "user", "tok-0", true)
	f.Add("http", "[::1]:8080", "", "", "", false)
	f.Add("https", "evil.example.com@example.com", "../x", "a", "b", false)
	f.Fuzz(func(t *testing.T, scheme, host, path, username, token string, erase bool) {
		if strings.Contains(scheme+host+path+username+token, "\n") {
			return // git sends none, and what follows one would be another line: see FuzzGitGet
		}
		d, action := &daemon{token: bearer}, "get"
		if erase {
			action = "erase"
		}
		var in bytes.Buffer
		for _, kv := range [][2]string{{"protocol", scheme}, {"host", host}, {"path", path}, {"username", username}} {
			in.WriteString(kv[0] + "=" + kv[1] + "\n")
		}
		if erase {
			in.WriteString("password=" + token + "\n")
		}
		var out bytes.Buffer
		Git(d, []string{action}, &in, &out) // its error is for a person
		if d.method == "" {
			if out.Len() > 0 {
				t.Fatalf("%q without being asked", &out)
			}
			return
		}
		var target string
		switch p := d.params.(type) {
		case frame.TokenParams:
			target = p.Target
		case rejected:
			if target = p.Target; p.AccessToken != token {
				t.Errorf("%q was complained about, not %q", p.AccessToken, token)
			}
		}
		u, err := url.Parse(target)
		if err != nil { // groatd, which reads it with net/url, refuses it
			return
		}
		scheme = strings.ToLower(scheme)
		if u.Scheme != scheme || u.Host != host || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			u.Path != "/"+path {
			t.Errorf("%s, %q, %q are asked about as %q: %+v", scheme, host, path, target, u)
		}
		if scheme != "https" && (scheme != "http" || !isLoopback(host)) {
			t.Errorf("%q is asked about", target)
		}
	})
}
