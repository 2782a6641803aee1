package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// viaHTTPS are the ways of a server that speaks https, where a client shows a certificate (RFC 8705), and which takes
// nothing but pushed authorization requests (RFC 9126).
func (h *certifiedEnv) viaHTTPS() []clientAuth {
	return []clientAuth{
		{client: "none", method: "none"},
		{"client_secret_basic", "client_secret_basic", h.as.ClientSecret + "\n", []string{"--secret-stdin"}},
		{"client_secret_post", "client_secret_post", h.as.ClientSecret + "\n", []string{"--secret-stdin"}},
		{"client_secret_jwt", "client_secret_jwt", h.as.ClientSecret + "\n", []string{"--secret-stdin"}},
		{"tls_client_auth", "tls_client_auth", "", []string{"--key", h.as.Key, "--certificate", h.as.Certificate}},
	}
}

// As [TestCertifiedServerPersons], by https, with a certificate of the client's, and by pushed authorization requests.
func TestCertifiedServerHTTPS(t *testing.T) {
	t.Parallel()
	as := parts.OIDCProviderTLS(t)
	h := newCertifiedEnv(t, as, "SSL_CERT_FILE="+as.CA)
	ways := h.viaHTTPS()
	t.Run("sign in", func(t *testing.T) {
		for _, w := range ways {
			t.Run(w.client, func(t *testing.T) { h.in(t).signInTwice("authorization_code", w) })
		}
	})
	certified := ways[len(ways)-1]
	h.login("device", "device_code", certified, "--scope", "api:read")
	h.groat("", h.machine("machine", certified)...)
	h.restart()
	for _, w := range ways {
		h.goesOnAndEnds(name(w, "authorization_code"), w)
		if pushed := h.seen(w.client, "/request"); len(pushed) != 1 || pushed[0].Status != http.StatusCreated {
			t.Errorf("%s: these authorization requests were pushed: %v", w.client, pushed)
		}
	}
	h.goesOnAndEnds("device", certified)
	h.groat("", "get", "machine")

	// The certificate is stored with its key: the files are of no further use. Without one nobody is let in.
	h.refused(h.run("", "groat", "login", "other", "--issuer", as.Issuer, "--client-auth", "tls_client_auth",
		"--client-id", "tls_client_auth"),
		2, "name the private key's file with --key", "--key FILE")
}

// machine is the login of a client without a person.
func (h *certifiedEnv) machine(profile string, w clientAuth) []string {
	return append([]string{"login", profile, "--issuer", h.as.Issuer, "--client-auth", w.method, "--client-id",
		w.client}, w.flags...)
}

// Clients that sign with a key are machines, too.
func TestCertifiedServerKeys(t *testing.T) {
	t.Parallel()
	h := newCertifiedEnv(t, parts.OIDCProvider(t))
	for _, w := range h.ways() {
		if w.public() {
			continue
		}
		profile := name(w, "machine")
		h.groat(w.secret, append(h.machine(profile, w), "--scope", "api:read")...)
		h.restart()
		h.groat("", "get", profile)
		if asked := h.seen(w.client, "/token"); len(asked) != 2 || asked[1].GrantType != "client_credentials" ||
			asked[1].Scope != "api:read" {
			t.Errorf("%s: the server was asked %+v", w.client, asked)
		}
	}
	if left := h.as.Sessions(t); len(left) != 0 {
		t.Errorf("machines have %d sessions", len(left))
	}
}

// Tokens are renewed before they age, each by the newest refresh token, once, also where groatd dies in between.
func TestSessionIsRenewed(t *testing.T) {
	t.Parallel()
	h := newCertifiedEnv(t, parts.OIDCProvider(t))
	h.as.Configure(t, parts.OIDCConfig{AccessTTL: 10}) // and is renewed after 6 s to 7.5 s
	w := clientAuth{client: "none", method: "none"}
	h.login("work", "authorization_code", w, "--scope", "api:read")
	token := h.groat("", "get", "work")
	renewed := func(n int) func() (int, bool) {
		return func() (int, bool) { got := len(h.refreshes("none")); return got, got >= n }
	}
	until(t, "a renewal that nobody asked for", renewed(2))
	if h.groat("", "get", "work") == token {
		t.Error("the token is the old one after two renewals")
	}
	h.watch("none")
	killed := h.daemon
	h.daemon = nil
	if _, err := killed.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.groat("", "get", "work")
	h.restart()
	h.groat("", "get", "work")
	if n := len(h.refreshes("none")); n < 4 {
		t.Errorf("%d renewals, want at least 4", n)
	}
	if live := h.as.Sessions(t); len(live) != 1 {
		t.Errorf("%d refresh tokens could be used, want the newest", len(live))
	}
}

// A thief uses a copy of the refresh token. The server sees it used twice and ends the session for both. groat serves
// what it has while that is good, says then that a person has to sign in, and asks no more.
func TestStolenSession(t *testing.T) {
	t.Parallel()
	h := newCertifiedEnv(t, parts.OIDCProvider(t))
	h.as.Configure(t, parts.OIDCConfig{AccessTTL: 16, Format: "opaque"})
	w := clientAuth{client: "none", method: "none"}
	h.login("work", "authorization_code", w, "--scope", "api:read")
	token := h.groat("", "get", "work")
	stolen := url.Values{"grant_type": {"refresh_token"}, "client_id": {"none"},
		"refresh_token": {h.as.Sessions(t)[0].RefreshToken}}
	if _, status := postForm(t, h.as.TokenEndpoint, stolen); status != http.StatusOK {
		t.Fatalf("the thief got HTTP %d", status)
	}
	h.watch("none")

	// groat learns it when it asks: for a longer life than the token has left, which is granted at most every 4 s.
	until(t, "a refusal by the server", func() (bool, bool) {
		s := h.run("", "groat", "get", "work", "--min-ttl", "15s")
		return true, s.code == 4
	})
	if left := h.as.Sessions(t); len(left) != 0 {
		t.Errorf("the thief has %d sessions left", len(left))
	}
	if h.groat("", "get", "work") != token {
		t.Error("the token that is good is not served any more")
	}
	asked := len(h.seen("none", "/token"))
	ended := until(t, "the end of the last token", func() (result, bool) {
		s := h.run("", "groat", "get", "work")
		return s, s.code != 0
	})
	h.refused(ended, 4, "has ended the session", "groat login work")
	h.restart()
	h.refused(h.run("", "groat", "get", "work"), 4, "the session", "groat login work")
	if again := len(h.seen("none", "/token")) - asked; again > 1 {
		t.Errorf("the server was asked %d times more, want once after the restart", again)
	}

	// The hint is all that it takes.
	s := h.startLogin("", "work")
	h.browser.Visit(t, parts.BrowserVisit{URL: s.opened()})
	s.succeeds()
	h.groat("", "get", "work")
}

// Signing out with --keep-remote leaves the session at the server alone, for the programs that share it.
func TestKeepRemote(t *testing.T) {
	t.Parallel()
	h := newCertifiedEnv(t, parts.OIDCProvider(t))
	w := clientAuth{client: "none", method: "none"}
	h.login("work", "authorization_code", w, "--scope", "api:read")
	h.login("brief", "authorization_code", w, "--scope", "api:read", "--ephemeral")
	h.groat("", "get", "brief")
	h.restart()
	h.refused(h.run("", "groat", "get", "brief"), 78, `there is no profile "brief"`, "")
	h.groat("", "logout", "work", "--keep-remote")
	if asked := h.seen("none", "/token/revocation"); len(asked) != 0 || len(h.as.Sessions(t)) != 2 {
		t.Errorf("the server was told: %v", asked)
	}
	h.refused(h.run("", "groat", "get", "work"), 78, `there is no profile "work"`, "")

	// Where the server cannot be told, nothing is forgotten.
	h.login("work", "authorization_code", w, "--scope", "api:read")
	h.as.Configure(t, parts.OIDCConfig{Faults: []parts.OIDCFault{{Path: "/token/revocation", Count: 1,
		Status: http.StatusServiceUnavailable}}})
	h.refused(h.run("", "groat", "logout", "work"), 75, "could not be ended at the provider, so nothing was forgotten",
		"groat logout work --keep-remote")
	h.groat("", "get", "work")
	h.groat("", "logout", "work")
}

// A caller's own scope makes a token of its own, by the same session: one request each, whoever asks, and each by the
// newest refresh token. What the person has not allowed is refused, and costs nothing.
func TestNarrowerTokens(t *testing.T) {
	t.Parallel()
	h := newCertifiedEnv(t, parts.OIDCProvider(t))
	h.login("work", "device_code", clientAuth{client: "none", method: "none"}, "--scope", "api:read api:write")
	whole := h.groat("", "get", "work")
	narrow := h.groat("", "get", "work", "--scope", "api:read")
	if narrow == whole {
		t.Error("the token is the same with a scope of its own")
	}
	for range 2 {
		if h.groat("", "get", "work", "--scope", "api:read") != narrow || h.groat("", "get", "work") != whole {
			t.Error("the tokens are not kept apart")
		}
	}
	asked := h.refreshes("none")
	if len(asked) != 1 || asked[0].Scope != "api:read" {
		t.Errorf("the server was asked %+v, want one refresh for api:read", asked)
	}
	h.refused(h.run("", "groat", "get", "work", "--scope", "api:admin"), 78, "invalid_scope", "")
	h.groat("", "get", "work")
	h.restart()
	h.groat("", "get", "work", "--scope", "api:write")
}

// A session is kept beside a real Secret Service: what rotates in a sealed file, whose key is in the keychain.
func TestSessionInSecretService(t *testing.T) {
	t.Parallel()
	as := parts.OIDCProvider(t)
	service := parts.StartSecretService(t)
	h := &certifiedEnv{newUserEnv(t, os.Getuid()), as, parts.StartBrowser(t)}
	h.vars = []string{"DBUS_SESSION_BUS_ADDRESS=" + service.Address}
	h.start()
	w := clientAuth{"client_secret_basic", "client_secret_basic", as.ClientSecret + "\n", []string{"--secret-stdin"}}
	h.add("the certified server's client secret", as.ClientSecret)
	h.login("work", "authorization_code", w, "--scope", "openid email")
	if got := h.groat("", "keystore", "--json"); !strings.Contains(got, `"use":"keychain"`) {
		t.Errorf("the keystore is %s", got)
	}
	for range 3 {
		h.restart()
		h.groat("", "get", "work")
		h.watch(w.client)
	}
	if n := len(h.refreshes(w.client)); n != 3 {
		t.Errorf("%d refreshes, want one a start", n)
	}
	service.Lock(t)
	h.groat("", "get", "work") // what is held is served
	h.restart()
	h.refused(h.run("", "groat", "get", "work"), 77, "locked", "groat unlock")
	service.Unlock(t)
	until(t, "a token after the keychain was unlocked", func() (result, bool) {
		s := h.run("", "groat", "get", "work")
		return s, s.code == 0
	})
	h.groat("", "logout", "work")
	if left := as.Sessions(t); len(left) != 0 {
		t.Errorf("%d sessions are left at the server", len(left))
	}
}
