package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// ownClient is a public client of a person's own.
const ownClient = "my-own-app"

// presetLogin is one way to sign in to a provider, at a sandbox that speaks its dialect.
type presetLogin struct {
	name     string
	provider string
	server   sandbox.Options // beside the person
	flags    []string
	typed    func(*presetEnv) string                 // on stdin
	person   func(*presetEnv, *loginRun)             // what a person does; nil: nothing
	how      string                                  // the client authentication of the first token
	later    string                                  // that of the next one, after a restart; empty: nobody is asked
	path     string                                  // of the token endpoint
	header   string                                  // a pattern of what get --output header prints
	api      string                                  // a path that must take it; empty: the sandbox has no such API
	whoami   string                                  // in what whoami says; empty: nobody says
	ends     string                                  // the path that a logout asks; empty: none
	stays    string                                  // in what a logout says of a token that goes on there
	prepare  func(*presetEnv) []sandbox.Client       // what only the running test knows
	more     func(*presetEnv, *presetLogin) []string // flags, too
}

// presetEnv is a userEnv and the sandbox of one provider.
type presetEnv struct {
	*userEnv
	s *server
}

const bearerOpaque = `^Authorization: Bearer [A-Za-z0-9_-]+\n$`

const bearerJWT = `^Authorization: Bearer eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\n$`

// presetLogins are all of them but those with App Credentials, which have scripts of their own (login-spatiafi.txtar
// and its neighbours).
var presetLogins = []presetLogin{
	{
		name: "device", provider: "earthscope", api: "/beta/stations", server: auth0Of("earthscope"), person: approves,
		how: "none", later: "none",
		path: "/oauth/token", header: bearerJWT, whoami: person, ends: "/oauth/revoke",
	},
	{
		name: "machine", provider: "earthscope", api: "/beta/stations", server: sandbox.Options{Dialect: sandbox.Auth0},
		typed: theSecret,
		flags: []string{"--client-id", labClient, "--secret-stdin"}, how: sandbox.ClientSecretPost,
		later: sandbox.ClientSecretPost,
		path:  "/oauth/token", header: bearerJWT,
	},
	{
		name: "browser, with a client and a callback address of one's own", provider: "earthscope",
		api: "/beta/stations", server: ownAtAuth0(),
		flags: []string{"--grant", "authorization_code", "--client-id", ownClient}, more: ownRedirect, person: browses,
		how: "none", later: "none", path: "/oauth/token", header: bearerJWT, whoami: person, ends: "/oauth/revoke",
	},
	{
		name: "device, no browser wanted", provider: "earthscope-0.2", api: "/beta/stations",
		server: auth0Of("earthscope-0.2"), person: approves,
		flags: []string{"--no-browser"}, how: "none", later: "none", path: "/oauth/token", header: bearerJWT,
		whoami: person, ends: "/oauth/revoke",
	},
	{
		name: "device", provider: "planet-user", api: "/data/v1/item-types", server: auth0Of("planet-user"),
		person: approves,
		flags:  []string{"--scope", "planet openid email"}, how: "none", later: "none",
		path: "/oauth/token", header: bearerJWT, whoami: person, ends: "/oauth/revoke",
	},
	{
		name: "browser, with a client and a callback address of one's own", provider: "planet-user",
		api: "/data/v1/item-types", server: ownAtAuth0(),
		flags: []string{"--grant", "authorization_code", "--client-id", ownClient}, more: ownRedirect, person: browses,
		how: "none", later: "none", path: "/oauth/token", header: bearerJWT, ends: "/oauth/revoke",
	},
	{
		name: "machine", provider: "planet-m2m", api: "/data/v1/item-types", typed: theSecret,
		flags: []string{"--client-id", labClient, "--secret-stdin"},
		how:   sandbox.ClientSecretPost, later: sandbox.ClientSecretPost, path: sandbox.KeycloakTokenPath,
		header: bearerJWT,
	},
	{
		name: "machine with a key", provider: "planet-m2m", api: "/data/v1/item-types", prepare: keyed, more: itsKey,
		flags: []string{"--client-id", "keyed", "--client-auth", sandbox.PrivateKeyJWT},
		how:   sandbox.PrivateKeyJWT, later: sandbox.PrivateKeyJWT, path: sandbox.KeycloakTokenPath, header: bearerJWT,
	},
	{
		name: "password", provider: "planet-legacy", api: "/data/v1/item-types", typed: thePassword,
		flags: []string{"--username", person, "--secret-stdin"}, path: sandbox.PlanetLoginPath,
		header: `^Authorization: api-key PLAK[\w-]+\n$`,
	},
	{
		name: "key", provider: "planet-legacy", api: "/data/v1/item-types", typed: theKey,
		flags:  []string{"--grant", "api_key", "--secret-stdin"},
		header: `^Authorization: api-key PLAK-canary-\w+\n$`,
	},
	{
		name: "key", provider: "planet-key", api: "/data/v1/item-types", typed: theKey,
		flags:  []string{"--secret-stdin"},
		header: `^Authorization: api-key PLAK-canary-\w+\n$`,
	},
	{
		name: "password", provider: "earthdata", api: "/search/collections", typed: thePassword,
		flags: []string{"--username", person, "--secret-stdin"}, how: sandbox.ClientSecretBasic,
		path: sandbox.EarthdataFindPath, header: bearerJWT, stays: "you delete it at https://urs.earthdata.nasa.gov",
	},
	{
		name: "token of one's own", provider: "earthdata", api: "/search/collections", typed: theUserToken,
		flags: []string{"--grant", "api_key", "--secret-stdin"}, header: bearerJWT,
		stays: "you delete it at https://urs.earthdata.nasa.gov",
	},
	{
		name: "key", provider: "climateengine-key", api: "/v1/x", server: keysOf("Authorization", ""), typed: theKey,
		flags: []string{"--secret-stdin"}, header: `^Authorization: PLAK-canary-\w+\n$`,
	},
	{
		name: "key, with a header of one's own", provider: "climateengine-key", api: "/v1/x",
		server: keysOf("X-Api-Key", "Key"), typed: theKey,
		flags:  []string{"--secret-stdin", "--header", "X-Api-Key", "--prefix", "Key"},
		header: `^X-Api-Key: Key PLAK-canary-\w+\n$`,
	},
	{
		name: "device, as the back end's client", provider: "openeo", api: sandbox.OpenEOMe, server: backEnd(sandbox.ConsentForm),
		person: approves, how: "none", later: "none", path: "/token", whoami: person, ends: "/revoke",
		header: `^Authorization: Bearer oidc/box/eyJ[A-Za-z0-9_.-]+\n$`,
	},
	{
		name: "browser, as the back end's client", provider: "openeo", api: sandbox.OpenEOMe,
		server: backEnd(sandbox.ConsentAllow),
		flags:  []string{"--grant", "authorization_code"},
		person: browses, how: "none", later: "none", path: "/token", whoami: person, ends: "/revoke",
		header: `^Authorization: Bearer oidc/box/eyJ[A-Za-z0-9_.-]+\n$`,
	},
	{
		name: "a client of one's own", provider: "openeo", api: sandbox.OpenEOMe, typed: theSecret,
		server: backEnd(sandbox.ConsentForm),
		flags:  []string{"--client-id", labClient, "--secret-stdin"}, how: sandbox.ClientSecretBasic,
		later: sandbox.ClientSecretBasic, path: "/token",
		header: `^Authorization: Bearer oidc/box/eyJ[A-Za-z0-9_.-]+\n$`,
	},
	{
		name: "installed application", provider: "google", typed: theSecret, person: browses,
		server:  sandbox.Options{Dialect: sandbox.Google, Consent: sandbox.ConsentAllow},
		prepare: desktop,
		flags:   []string{"--client-id", "desktop", "--secret-stdin", "--grant", "authorization_code"},
		how:     sandbox.ClientSecretPost, later: sandbox.ClientSecretPost, path: "/token",
		header: `^Authorization: Bearer ya29\.sandbox-[\w-]+\n$`, whoami: person, ends: "/revoke",
	},
	{
		name: "service account", provider: "google", server: sandbox.Options{Dialect: sandbox.Google}, prepare: keyed,
		more:  serviceAccount,
		flags: []string{"--grant", "jwt_bearer"}, how: "none", later: "none", path: "/token",
		header: `^Authorization: Bearer ya29\.sandbox-[\w-]+\n$`,
	},
	{
		name: "password, with a one-time code", provider: "copernicus", api: "/api/v1/products",
		server: sandbox.Options{Dialect: sandbox.Copernicus, Refresh: sandbox.Refresh{Rotate: true},
			Clients: []sandbox.Client{{ID: "cdse-public", Method: sandbox.None}}},
		typed: func(h *presetEnv) string { return h.password + "\n246810" }, more: secondFactor,
		flags: []string{"--username", person, "--secret-stdin"}, how: "none", later: "none",
		path: sandbox.CopernicusTokenPath, header: bearerJWT, ends: "/auth/realms/CDSE/protocol/openid-connect/revoke",
	},
	{
		name: "password", provider: "copernicus", api: "/api/v1/products",
		server: sandbox.Options{Dialect: sandbox.Copernicus,
			Clients: []sandbox.Client{{ID: "cdse-public", Method: sandbox.None}}},
		typed: thePassword,
		flags: []string{"--username", person, "--secret-stdin"}, how: "none", later: "none",
		path: sandbox.CopernicusTokenPath, header: bearerJWT, ends: "/auth/realms/CDSE/protocol/openid-connect/revoke",
	},
	{
		name: "a client of one's own", provider: "copernicus", api: "/api/v1/process", typed: theSecret,
		server: sandbox.Options{Dialect: sandbox.Copernicus},
		flags:  []string{"--client-id", labClient, "--secret-stdin"},
		how:    sandbox.ClientSecretPost, later: sandbox.ClientSecretPost, path: sandbox.CopernicusTokenPath,
		header: bearerJWT,
	},
	{
		name: "a client of one's own", provider: "sentinelhub", api: "/api/v1/process", typed: theSecret,
		flags: []string{"--client-id", labClient, "--secret-stdin"},
		how:   sandbox.ClientSecretPost, later: sandbox.ClientSecretPost, path: sandbox.KeycloakTokenPath,
		header: bearerJWT,
	},
	{
		name: "machine", provider: "eumetsat", api: "/data/search-products/1.0.0/os", typed: theSecret,
		server: sandbox.Options{Dialect: sandbox.EUMETSAT}, flags: []string{"--client-id", labClient, "--secret-stdin"},
		how: sandbox.ClientSecretBasic, later: sandbox.ClientSecretBasic, path: "/token", header: bearerOpaque,
	},
	{
		name: "native application", provider: "globus", api: "/api/v1/tasks", person: browses, prepare: native,
		server: sandbox.Options{Dialect: sandbox.Globus, Consent: sandbox.ConsentAllow},
		flags:  []string{"--client-id", ownClient}, how: "none", later: "none", path: "/v2/oauth2/token",
		header: bearerOpaque, ends: "/v2/oauth2/token/revoke",
	},
	{
		name: "service account", provider: "globus", api: "/api/v1/tasks", typed: theSecret,
		server: sandbox.Options{Dialect: sandbox.Globus}, flags: []string{"--client-id", labClient, "--secret-stdin"},
		how: sandbox.ClientSecretBasic, later: sandbox.ClientSecretBasic, path: "/v2/oauth2/token",
		header: bearerOpaque,
	},
	{
		name: "tokens that expire", provider: "github", api: "/api/v3/user", person: approves, prepare: native,
		server: sandbox.Options{Dialect: sandbox.GitHub, Device: sandbox.Device{Interval: time.Second},
			Refresh: sandbox.Refresh{Always: true, Rotate: true, EndAccess: true}},
		flags: []string{"--client-id", ownClient}, how: "none", later: "none", path: "/login/oauth/access_token",
		header: `^Authorization: Bearer ghu_[\w-]+\n$`,
	},
	{
		name: "tokens that do not expire", provider: "github", api: "/api/v3/user", person: approves, prepare: native,
		server: sandbox.Options{Dialect: sandbox.GitHub, Device: sandbox.Device{Interval: time.Second}},
		flags:  []string{"--client-id", ownClient, "--scope", "repo gist"}, how: "none",
		path: "/login/oauth/access_token", header: `^Authorization: Bearer gho_[\w-]+\n$`,
	},
	{
		name: "browser", provider: "gitlab", api: "/api/v4/user", person: browses, prepare: native,
		server: sandbox.Options{Dialect: sandbox.GitLab, Consent: sandbox.ConsentAllow,
			Refresh: sandbox.Refresh{Rotate: true, EndAccess: true}},
		flags: []string{"--client-id", ownClient}, how: "none", later: "none", path: "/oauth/token",
		header: bearerOpaque, ends: "/oauth/revoke",
	},
	{
		name: "any server: a key that vouches", prepare: keyed, more: itsKey, api: "/v1/x",
		flags: []string{"--grant", "jwt_bearer", "--client-id", "keyed", "--client-auth", "none", "--subject", person},
		how:   "none", later: "none", path: "/token", header: bearerJWT,
	},
	{
		name: "any server: device", person: approves, api: "/v1/x",
		server: sandbox.Options{
			Device:  sandbox.Device{Interval: time.Second, OmitComplete: true},
			Clients: []sandbox.Client{{ID: ownClient, Method: sandbox.None}},
		},
		flags: []string{"--no-browser", "--client-id", ownClient, "--client-auth", "none", "--scope",
			"openid email offline_access"},
		how: "none", later: "none", path: "/token", header: bearerJWT, whoami: person, ends: "/revoke",
	},
}

// native is a public client that comes back to this machine.
func native(*presetEnv) []sandbox.Client {
	return []sandbox.Client{{ID: ownClient, Method: sandbox.None,
		RedirectURIs: []string{"http://127.0.0.1", "http://127.0.0.1/callback"}}}
}

// secondFactor gives the person's account one.
func secondFactor(h *presetEnv, _ *presetLogin) []string {
	h.s.AddUser(sandbox.User{Name: person, Password: h.password, Code: "246810"})
	return nil
}

// backEnd is an openEO back end with two public clients: one for devices, which must use PKCE, and one for browsers.
func backEnd(consent sandbox.Consent) sandbox.Options {
	const device, browser, back = "eo-device", "eo-browser", "http://127.0.0.1/cb"
	return sandbox.Options{
		Consent: consent, Device: sandbox.Device{Interval: time.Second},
		Refresh: sandbox.Refresh{Always: true, Rotate: true},
		Clients: []sandbox.Client{
			{ID: device, Method: sandbox.None, DevicePKCE: true},
			{ID: browser, Method: sandbox.None, RedirectURIs: []string{back}},
		},
		OpenEO: &sandbox.OpenEO{ID: "box", Scopes: []string{"openid", "email"}, Clients: []sandbox.OpenEOClient{
			{ID: browser, Grants: []string{"authorization_code+pkce"},
				Redirects: []string{"https://editor.example/", back}},
			{ID: device, Grants: []string{"urn:ietf:params:oauth:grant-type:device_code+pkce"}},
		}},
	}
}

// desktop is Google's word for a client that comes back to this machine.
func desktop(h *presetEnv) []sandbox.Client {
	return []sandbox.Client{{ID: "desktop", Secret: h.secret, RedirectURIs: []string{"http://127.0.0.1"}}}
}

// auth0Of knows the client of a provider's own programs.
func auth0Of(provider string) sandbox.Options {
	p, _ := preset.Lookup(provider)
	return sandbox.Options{
		Dialect: sandbox.Auth0, Device: sandbox.Device{Interval: time.Second}, Refresh: sandbox.Refresh{Rotate: true},
		Clients: []sandbox.Client{{ID: p.For("device_code").ClientID, Method: sandbox.None}},
	}
}

// ownAtAuth0 compares a callback address byte by byte, as Auth0 does.
func ownAtAuth0() sandbox.Options {
	return sandbox.Options{Dialect: sandbox.Auth0, Consent: sandbox.ConsentAllow,
		Refresh: sandbox.Refresh{Rotate: true}}
}

// ownRedirect registers a client whose callback address has a port.
func ownRedirect(h *presetEnv, _ *presetLogin) []string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	defer l.Close()
	uri := "http://" + l.Addr().String() + "/back/here"
	h.s.AddClient(sandbox.Client{ID: ownClient, Method: sandbox.None, RedirectURIs: []string{uri}, ExactPort: true})
	return []string{"--redirect", uri}
}

func theSecret(h *presetEnv) string   { return h.secret }
func thePassword(h *presetEnv) string { return h.password }

const aKey = "PLAK-canary-0123456789abcdef" // is nobody's

// keysOf is an API that takes the key in one header, and in no other way.
func keysOf(header, prefix string) sandbox.Options {
	return sandbox.Options{APIKeys: []sandbox.APIKey{{Header: header, Prefix: prefix, Value: aKey}}}
}

// theKey is one that a person has; at Planet it is a person's.
func theKey(h *presetEnv) string {
	h.s.AddUser(sandbox.User{Name: "bob@example.com", APIKey: aKey})
	return aKey
}

// theUserToken is one that the person has made on Earthdata's page.
func theUserToken(h *presetEnv) string { return h.s.AddUserToken(person, 30*24*time.Hour) }

// approves types the code at the provider's page.
func approves(h *presetEnv, s *loginRun) {
	if err := h.s.ApproveDevice(s.code()); err != nil {
		h.t.Error(err)
	}
}

// browses opens the address that is shown (groat opens http at 127.0.0.1 by itself, and nothing else); the person is
// signed in there, and has allowed everything before.
func browses(h *presetEnv, s *loginRun) {
	if text := fetch(h.t, s.address()); !strings.Contains(text, "You can close this tab") {
		h.t.Errorf("the browser ended at %s", text)
	}
}

// fetch returns the page at which an address ends.
func fetch(t *testing.T, address string) string {
	t.Helper()
	_, text := visit(t, http.MethodGet, address, nil)
	return text
}

func visit(t *testing.T, method, address string, header http.Header) (status int, text string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Host = header.Get("Host")
	for name, v := range header {
		q.Header[name] = v
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(page)
}

// keyed registers the client of a key that the test makes.
func keyed(h *presetEnv) []sandbox.Client {
	key := newKey(h.t)
	file := filepath.Join(h.home, "key.pem")
	if err := os.WriteFile(file, pemOf(h.t, key), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return []sandbox.Client{{ID: "keyed", Key: &key.PublicKey, Alg: "RS256"}}
}

func itsKey(h *presetEnv, _ *presetLogin) []string {
	return []string{"--key", filepath.Join(h.home, "key.pem")}
}

// serviceAccount writes the key into a file as Google hands it out.
func serviceAccount(h *presetEnv, _ *presetLogin) []string {
	key, err := os.ReadFile(filepath.Join(h.home, "key.pem"))
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "keyed", "private_key": string(key), "private_key_id": "1",
		"token_uri": h.s.URL() + "/token", "universe_domain": "googleapis.com",
	})
	if err != nil {
		h.t.Fatal(err)
	}
	file := filepath.Join(h.home, "account.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return []string{"--key", file}
}

// newKey makes a private key.
func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pemOf writes it as PKCS #8.
func pemOf(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
