package e2e_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// startVerifier starts an API that takes the ID tokens of an issuer for an audience, which nobody here wrote the checks
// of. It returns the API's URL.
func (h *certifiedEnv) startVerifier(audience string) string {
	h.t.Helper()
	c := h.script("oidc_verifier.py", h.as.Issuer, audience)
	in, err := c.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	var complaint strings.Builder
	c.Stderr = &complaint
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { in.Close(); c.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		h.t.Fatalf("the verifier does not start: %s", complaint.String())
	}
	return lines.Text()
}

// nextSecond waits until another second than now: within one a server may issue the same ID token twice.
func (h *certifiedEnv) nextSecond() {
	h.t.Helper()
	now := time.Now().Unix()
	until(h.t, "the next second", func() (bool, bool) { return true, time.Now().Unix() > now })
}

// verified gets an ID token, which the verifier must take; an access token it must not take.
func (h *certifiedEnv) verified(profile, api string) string {
	h.t.Helper()
	call := func(args ...string) (int, string) {
		field := h.groat("", append([]string{"get", profile, "--output", "header"}, args...)...)
		name, value, _ := strings.Cut(strings.TrimSpace(field), ": ")
		return visit(h.t, http.MethodGet, api, http.Header{name: {value}})
	}
	if status, text := call("--id-token"); status != http.StatusOK || text != "alice" {
		h.t.Errorf("%s: the API answers %d %s", profile, status, text)
	}
	if status, _ := call(); status != http.StatusUnauthorized {
		h.t.Errorf("%s: an access token is answered with %d", profile, status)
	}
	return h.groat("", "get", profile, "--id-token")
}

// The ID tokens of a certified server, by each algorithm that it signs with, are taken by an API that checks them as a
// Kubernetes cluster does: that of the sign-in, that of a renewal, and the one after that which was refused.
func TestIDTokensOfACertifiedServer(t *testing.T) {
	t.Parallel()
	as := parts.OIDCProvider(t)
	as.Configure(t, parts.OIDCConfig{DeviceInterval: 1})
	h := newCertifiedEnv(t, as)
	for _, w := range h.ways() {
		t.Run(w.client, func(t *testing.T) {
			h := h.in(t)
			profile := name(w, "id")
			h.login(profile, "authorization_code", w, "--scope", "openid email")
			bySecret := w.method == "client_secret_jwt"
			next := func() string { return h.groat("", "get", profile, "--id-token") }
			if !bySecret {
				api := h.startVerifier(w.client)
				next = func() string { return h.verified(profile, api) }
			}
			first := next()
			h.nextSecond()
			h.groat("", "login", profile) // proves the session: one renewal
			second := next()
			h.nextSecond()
			third := h.groat(second, "get", profile, "--id-token", "--refused")
			if again := next(); again != third || first == second || second == third {
				t.Error("not an ID token for each renewal")
			}
			if n := len(h.refreshes(w.client)); n != 2 {
				t.Errorf("%d refreshes, want one for the login and one for the refusal", n)
			}
		})
	}
	h.refused(h.run("", "groat", "get", name(clientAuth{client: "none"}, "id"), "--id-token", "--min-ttl", "2h"), 2,
		"a fresh ID token is good for 35", "--id-token")
	// A session without openid has none, and the hint leads to a sign-in that has.
	plain := clientAuth{client: "none", method: "none"}
	h.login("plain", "device_code", plain, "--scope", "api:read offline_access")
	h.refused(h.run("", "groat", "get", "plain", "--id-token"), 78, "was not for openid",
		"groat login plain --scope 'openid ")
	h.groat("", "get", "plain")
}

// A service account of Google's dialect, whose assertion names a scope or an audience and never both, has an ID token for
// an IAP or for AWS beside its access token.
func TestIDTokenOfAServiceAccount(t *testing.T) {
	t.Parallel()
	h := newPresetEnv(t, presetLogin{server: sandbox.Options{Dialect: sandbox.Google}, prepare: keyed})
	account := serviceAccount(h, nil)
	login := append([]string{"login", "robot", "--issuer", h.s.Issuer(), "--grant", "jwt_bearer", "--client-auth", "none",
		"--scope", "read", "--set", "scope_in_assertion=true"}, account...)
	h.groat("", login...)
	h.refused(h.run("", "groat", "get", "robot", "--id-token"), 78, "--target-audience AUDIENCE", "groat login --help")
	h.groat("", append(login, "--target-audience", "iap.example")...)
	id, access := h.groat("", "get", "robot", "--id-token"), h.groat("", "get", "robot")
	claims := map[string]any{}
	part := strings.Split(id, ".")
	text, err := base64.RawURLEncoding.DecodeString(part[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil || claims["aud"] != "iap.example" || claims["email"] != "keyed" || !strings.HasPrefix(access, "ya29.") {
		t.Errorf("%v, %v; the access token begins with %.5s", claims, err, access)
	}
	h.groat("", "profile", "unset", "robot", "target_audience")
	h.refused(h.run("", "groat", "get", "robot", "--id-token"), 78, "--target-audience AUDIENCE", "groat login --help")
}
