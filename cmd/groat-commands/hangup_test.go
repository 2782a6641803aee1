package main

import (
	"strings"
	"testing"
)

// A daemon that ends before it has answered is asked again if asking twice does no harm.
func TestE20AskedAgain(t *testing.T) {
	const (
		status = `"result":{"release":"x","pid":1,"started_at":1,"socket":"/s","keystore":{"use":"memory",` +
			`"state":"ok"},"profiles":[]}`
		gone = `"result":{"profile":"work","forgotten":true}`
	)
	for _, c := range []struct {
		name, stdin, result string
		deaths, asked       int // how often it ends, and how often it is asked
		code                int
		args                []string
	}{
		{"E20 get", "", tokenResult, 1, 2, 0, []string{"get", "work"}},
		{"E20 get, and it dies again", "", tokenResult, 2, 3, 0, []string{"get", "work"}},
		{"E20 get, and it dies each time", "", tokenResult, 9, 3, 69, []string{"get", "work"}},
		{"E20 get --refused", "abc", tokenResult, 1, 2, 0, []string{"get", "work", "--refused"}},
		{"E20 status", "", status, 1, 3, 0, []string{"status"}}, // once more for the files that are kept
		{"E20 list", "", `"result":{"profiles":[]}`, 1, 2, 0, []string{"list"}},
		{"E20 git", "protocol=https\nhost=h\n\n", tokenResult, 1, 2, 0, []string{"helper", "git", "get"}},
		{"E20 logout is not said twice", "", gone, 1, 1, 69, []string{"logout", "work", "--yes"}},
		{"E20 nor is a passphrase", "horse\n", status, 1, 1, 69,
			[]string{"keystore", "use", "sealed", "--passphrase-stdin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeDaemon(t, func(request) string { return c.result })
			f.hangUps = c.deaths
			o := run(t, f.socket, c.stdin, c.args...)
			if asked := len(f.requests()); o.code != c.code || asked != c.asked {
				t.Errorf("asked %d times, ended with %d: %s%s", asked, o.code, o.stdout, o.stderr)
			}
			if c.code != 0 && !strings.Contains(o.stderr, "ended the connection before it answered") {
				t.Error(o.stderr)
			}
		})
	}
}
