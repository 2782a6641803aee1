package e2e_test

import (
	"slices"
	"strings"
	"testing"
)

// TestLittleStaysInMemory has root look into an idle groatd, which has used a refresh token, been given the next one,
// and used a client secret. What is stored is on the disk and none of it is kept; but Go copies what passes through its
// libraries, and does not wipe what it frees. The number is published, and bounded so that it does not grow unnoticed.
func TestLittleStaysInMemory(t *testing.T) {
	t.Parallel()
	v := newWatchedEnv(t)
	v.watchDataKey()
	own := []string{"login", "session", "--issuer", v.server.Issuer(), "--client-auth", "none", "--client-id",
		ownClient, "--grant", "authorization_code", "--no-browser"}
	if code := v.throughTheBrowser(v.visit, own...); code != 0 {
		t.Fatalf("a sign-in by browser ended with %d", code)
	}
	v.succeeds(v.secret+"\n", "login", "machine", "--issuer", v.server.Issuer(), "--client-id", labClient,
		"--secret-stdin")
	v.restart()
	v.succeeds("", "get", "session")
	v.succeeds("", "get", "machine")
	var what, texts []string
	most := map[string]int{
		"the password": 0, "a code_verifier": 0, "an authorization code": 0, // were used by the groatd before
		"the sealed file's key": 8, "a passphrase": 8, "the client secret": 16, "a refresh_token": 16,
	}
	for name := range most {
		known := v.plain(name)
		if len(known) == 0 {
			t.Errorf("nobody has seen %s", name)
		}
		what, texts = append(what, slices.Repeat([]string{name}, len(known))...), append(texts, known...)
	}
	n := copies(t, v.daemon.pid(), texts...)
	for i := range n {
		if n[i] > most[what[i]] {
			t.Errorf("%d copies of %s are in the memory of an idle groatd, want %d at most", n[i], what[i],
				most[what[i]])
		}
	}
	if slices.Max(n) == 0 {
		t.Error("no copy of any secret was found: that groatd has done nothing, or the search finds nothing")
	}
	t.Logf("figure: clear copies of one secret in an idle groatd's memory, which only root can read = %d at most",
		slices.Max(n))
}

// plain returns the secrets of a name.
func (c *canaries) plain(what string) (texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, all := range c.begins {
		for _, s := range all {
			if s.how == "as it is" && strings.HasPrefix(s.what, what) {
				texts = append(texts, string(s.form))
			}
		}
	}
	return texts
}
