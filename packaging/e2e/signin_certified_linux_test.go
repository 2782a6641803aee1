package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// certifiedEnv is a userEnv, a certified authorization server, and a browser.
type certifiedEnv struct {
	*userEnv
	as      *parts.OIDC
	browser *parts.Browser
}

// newCertifiedEnv is one whose groatd runs, with sessions in a sealed file.
func newCertifiedEnv(t *testing.T, as *parts.OIDC, vars ...string) *certifiedEnv {
	t.Helper()
	h := &certifiedEnv{newUserEnv(t, os.Getuid()), as, parts.StartBrowser(t)}
	h.add("the certified server's client secret", as.ClientSecret)
	h.vars = vars
	h.start()
	h.groat("", "keystore", "use", "sealed", "--key-file")
	return h
}

func (h *certifiedEnv) in(t *testing.T) *certifiedEnv {
	return &certifiedEnv{h.userEnv.in(t), h.as, h.browser}
}

// clientAuth is a way in which a client of the certified server authenticates, for the command line.
type clientAuth struct {
	client string
	method string
	secret string   // for stdin
	flags  []string // beside the client's id
}

func (w clientAuth) public() bool { return w.method == "none" }

// ways are all of them but the one that needs https.
func (h *certifiedEnv) ways() []clientAuth {
	h.t.Helper()
	secret := h.as.ClientSecret + "\n"
	ways := []clientAuth{
		{client: "none", method: "none"},
		{"HS512", "client_secret_jwt", secret, []string{"--secret-stdin", "--key-alg", "HS512"}},
	}
	for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt"} {
		ways = append(ways, clientAuth{method, method, secret, []string{"--secret-stdin"}})
	}
	for _, k := range []struct {
		alg    string
		genkey []string
		form   []string // of the file: as other programs may have written it
		stdin  string
	}{
		{"RS256", []string{"RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, []string{"rsa", "-traditional"}, ""}, // PKCS#1
		{"PS256", []string{"RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
			[]string{"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "stdin"}, h.password},
		{"ES256", []string{"EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, []string{"ec"}, ""}, // SEC 1
		{"EdDSA", []string{"ED25519"}, []string{"pkey"}, ""},                                 // PKCS#8
	} {
		file := filepath.Join(h.home, k.alg+".pem")
		plain := h.openssl("", append([]string{"genpkey", "-algorithm"}, k.genkey...)...)
		h.as.Register(h.t, k.alg, k.alg, []byte(h.openssl(plain, "pkey", "-pubout")))
		w := clientAuth{client: k.alg, method: "private_key_jwt", flags: []string{"--key", file}}
		if k.stdin != "" {
			w.secret, w.flags = k.stdin+"\n", append(w.flags, "--secret-stdin", "--key-alg", k.alg)
			h.secretFile("password", k.stdin)
			k.form[len(k.form)-1] = "file:" + filepath.Join(h.home, "..", "password")
		}
		if err := os.WriteFile(file, []byte(h.openssl(plain, k.form...)), 0o600); err != nil {
			h.t.Fatal(err)
		}
		ways = append(ways, w)
	}
	return ways
}

// secretFile puts a secret where the test's own programs read it, outside of the home.
func (h *certifiedEnv) secretFile(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.home, "..", name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// login has a person sign in to a profile: in a browser on this machine, or with a code on another device.
func (h *certifiedEnv) login(profile, grant string, w clientAuth, more ...string) {
	h.t.Helper()
	args := append([]string{profile, "--issuer", h.as.Issuer, "--grant", grant, "--client-auth", w.method,
		"--client-id", w.client}, w.flags...)
	s := h.startLogin(w.secret, append(args, more...)...)
	var page, want string
	if grant == "device_code" {
		page, want = byHand(h.t, h.as, h.as.Issuer+"/device?user_code="+s.code()), "The device is connected"
	} else {
		page, want = h.browser.Visit(h.t, parts.BrowserVisit{URL: s.opened()}).Text, "You can close this tab"
	}
	if !strings.Contains(page, want) {
		h.t.Errorf("the sign-in ended at a page that says %q", page)
	}
	s.succeeds()
	h.watch(w.client)
}

// watch makes sure that the refresh tokens of a client, of which there must be one, come out nowhere.
func (h *certifiedEnv) watch(client string) {
	h.t.Helper()
	var found []string
	for _, s := range h.as.Sessions(h.t) {
		if s.Client == client {
			h.add("a refresh token of "+client, s.RefreshToken)
			found = append(found, s.RefreshToken)
		}
	}
	if len(found) == 0 {
		h.t.Errorf("%s has no session that could be refreshed", client)
	}
}

// seen returns the requests that a client has made for a path.
func (h *certifiedEnv) seen(client, path string) []parts.OIDCRequest {
	h.t.Helper()
	return slices.DeleteFunc(h.as.Requests(h.t), func(q parts.OIDCRequest) bool {
		return q.Client != client ||
			q.Path != path
	})
}

// A person signs in to a certified server by each grant and each client authentication that it has; the session goes on
// after groatd has started anew, from what is stored; and signing out ends it at the server.
func TestCertifiedServerPersons(t *testing.T) {
	t.Parallel()
	as := parts.OIDCProvider(t)
	as.Configure(t, parts.OIDCConfig{DeviceInterval: 1})
	h := newCertifiedEnv(t, as)
	ways := h.ways()
	t.Run("sign in", func(t *testing.T) {
		for _, grant := range []string{"authorization_code", "device_code"} {
			for _, w := range ways {
				t.Run(grant+" "+w.client, func(t *testing.T) { h.in(t).signInTwice(grant, w) })
			}
		}
	})
	h.restart()
	for _, grant := range []string{"authorization_code", "device_code"} {
		for _, w := range ways {
			h.goesOnAndEnds(name(w, grant), w)
		}
	}
	if left := as.Sessions(t); len(left) != 0 {
		t.Errorf("%d sessions are left at the server", len(left))
	}
}

// name is a profile's.
func name(w clientAuth, grant string) string { return strings.ToLower(w.client) + "." + grant }

// signInTwice signs in and uses it. The second login proves what is stored, and asks nobody.
func (h *certifiedEnv) signInTwice(grant string, w clientAuth) {
	h.t.Parallel()
	profile := name(w, grant)
	h.login(profile, grant, w, "--scope", "openid email")
	token := h.groat("", "get", profile)
	if got := h.groat("", "whoami", profile); !strings.Contains(got, "alice") {
		h.t.Errorf("whoami says %q", got)
	}
	h.groat("", "login", profile)
	if again := h.groat("", "get", profile); again == token {
		h.t.Error("a login that proved the session gave no new token")
	}
	h.watch(w.client)
}

// goesOnAndEnds gets a token after a restart, which costs one refresh, and signs out.
func (h *certifiedEnv) goesOnAndEnds(profile string, w clientAuth) {
	h.t.Helper()
	before := len(h.refreshes(w.client))
	token := h.groat("", "get", profile)
	if h.groat("", "get", profile) != token {
		h.t.Errorf("%s: the token is not the same a moment later", profile)
	}
	if n := len(h.refreshes(w.client)) - before; n != 1 {
		h.t.Errorf("%s: %d refreshes after a restart, want 1", profile, n)
	}
	h.watch(w.client)
	revocations := len(h.seen(w.client, "/token/revocation"))
	h.groat("", "logout", profile)
	if ends := h.seen(w.client, "/token/revocation"); len(ends) != revocations+1 ||
		ends[revocations].Status != http.StatusOK {
		h.t.Errorf("%s: the server was not asked to end the session: %v", profile, ends)
	}
	h.refused(h.run("", "groat", "get", profile), 78, `there is no profile "`+profile+`"`, "")
}

// refreshes are the refreshes of a client, each of which must have used another refresh token.
func (h *certifiedEnv) refreshes(client string) []parts.OIDCRequest {
	h.t.Helper()
	found := slices.DeleteFunc(h.seen(client, "/token"),
		func(q parts.OIDCRequest) bool { return q.GrantType != "refresh_token" })
	used := map[string]bool{}
	for _, q := range found {
		if used[q.Refresh] || q.Refresh == "" || q.Status != http.StatusOK {
			h.t.Errorf("%s: a refresh token was used twice, or the server refused one: %+v", client, q)
		}
		used[q.Refresh] = true
	}
	return found
}
