package main

import (
	"strings"
	"testing"
)

// A terminal gets a bar, colours and lines of its width, as far as the environment says that it shows them. What is no
// terminal gets none of that, whatever the environment says.
func TestStatusAtTerminal(t *testing.T) {
	f := newFakeDaemon(t, func(r request) string {
		return `"result":{"release":"1","pid":2,"started_at":3,"socket":"/s","keystore":{"use":"memory","state":"ok"},` +
			`"profiles":[{"profile":"work","issuer":"https://login.example.org","account":"ann@example.com",` +
			`"state":"fresh","expires_in":300,"lifetime":600,"renew_in":200},{"profile":"out","issuer":"https://i.example",` +
			`"state":"login_required","blocked":"login_required","message":"not signed in","hint":"groat login out"}]}`
	})
	const (
		uncoloured = "1 of 2 profiles needs you\n\nout   login required  i.example\n  not signed in\n" +
			"  hint: groat login out\n\nwork  fresh  "
		second = " good for 5m0s, renewal in 3m20s,\n      ann@example.com at login.example.org\n\ngroatd 1,"
	)
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"UTF-8, no colour": {[]string{"LC_ALL=C.UTF-8", "TERM=xterm", "NO_COLOR=1"}, uncoloured + "████░░░░" + second},
		"ASCII, dumb":      {[]string{"LC_ALL=C", "TERM=dumb"}, uncoloured + "[####----]" + second},
		"no TERM":          {[]string{"LC_ALL=C"}, uncoloured + "[####----]" + second},
		"an empty NO_COLOR": {[]string{"LC_ALL=C.UTF-8", "TERM=xterm", "NO_COLOR="}, strings.NewReplacer(
			"login required", "\x1b[1;33mlogin required\x1b[0m", "groat login out", "\x1b[1mgroat login out\x1b[0m").
			Replace(uncoloured) + "\x1b[34m████░░░░\x1b[0m" + second},
	} {
		x := startOnWidth(t, 60, append(tt.env, "GROAT_SOCKET="+f.socket), "status")
		x.end(0)
		if got := x.shown(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want)
		}
	}
	got := runEnv(t, f.socket, "", map[string]string{"LC_ALL": "C.UTF-8", "TERM": "xterm"}, "status")
	const line = "\nwork  fresh  good for 5m0s, renewal in 3m20s, ann@example.com at login.example.org\n"
	if !strings.Contains(got.stdout, line) {
		t.Errorf("into a pipe: %s", got.stdout)
	}
}
