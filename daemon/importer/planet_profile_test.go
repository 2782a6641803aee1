package importer_test

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// dummyKey is PEM in form; only a signer reads its content.
const dummyKey = "-----BEGIN PRIVATE KEY-----\nZHVtbXk=\n-----END PRIVATE KEY-----\n"

// profile is an auth_client.json for Planet's own server, with some members of its own.
func profile(t *testing.T, kind string, members map[string]any) string {
	t.Helper()
	all := map[string]any{
		"client_type": kind, "auth_server": "https://login.planet.com/", "client_id": "c",
		"audiences": []string{"https://api.planet.com/"},
		"scopes":    []string{"offline_access", "planet"},
	}
	maps.Copy(all, members)
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPlanetTypes is a row for each client type, each with a session beside it.
func TestPlanetTypes(t *testing.T) {
	const session = " refresh=" + refresh
	m2m := map[string]any{
		"auth_server": "https://services.sentinel-hub.com/auth/realms/main/", "scopes": []string{},
		"client_secret": "dummy", "client_privkey": dummyKey,
	}
	for kind, test := range map[string]struct {
		members map[string]any
		want    string
	}{
		"oidc_auth_code": {map[string]any{"redirect_uri": "http://localhost:8080/cb"},
			"session -> planet-user authorization_code redirect=http://localhost:8080/cb id=c" + session + " (shared)"},
		"oidc_auth_code_secret": {map[string]any{"client_secret": "dummy"},
			"session -> planet-user authorization_code auth=client_secret_basic id=c secret=dummy" + session +
				" (shared)"},
		"oidc_auth_code_pubkey": {
			map[string]any{"client_privkey": dummyKey, "client_privkey_password": "dummy-pass"},
			"session -> planet-user authorization_code auth=private_key_jwt id=c" + session +
				" keypassword=dummy-pass privatekey (shared)",
		},
		"oidc_device_code": {nil, "session -> planet-user device_code id=c" + session + " (shared)"},
		"oidc_device_code_secret": {map[string]any{"client_secret": "dummy"},
			"session -> planet-user device_code auth=client_secret_basic id=c secret=dummy" + session + " (shared)"},
		"oidc_device_code_pubkey": {map[string]any{"client_privkey": dummyKey},
			"session -> planet-user device_code auth=private_key_jwt id=c" + session + " privatekey (shared)"},
		"oidc_client_credentials_secret": {m2m, "machine account -> planet-m2m client_credentials id=c secret=dummy"},
		"oidc_client_credentials_pubkey": {m2m,
			"machine account -> planet-m2m client_credentials auth=private_key_jwt id=c privatekey"},
		"oidc_resource_owner": {map[string]any{"user_name": "a", "user_password": "dummy"},
			"profile refused: it signs in with a person's password, which groat does not keep"},
		"oidc_resource_owner_secret": {map[string]any{"password": "dummy"},
			"profile refused: it signs in with a person's password, which groat does not keep"},
		"oidc_resource_owner_pubkey": {nil,
			"profile refused: it signs in with a person's password, which groat does not keep"},
		"oidc_client_validator": {nil, "profile refused: a profile of type oidc_client_validator holds no credential"},
		"none":                  {nil, "profile refused: a profile of type none holds no credential"},
		"planet_legacy": {map[string]any{"api_key": "PLAK-dummy"},
			"API key -> planet-legacy api_key apikey=PLAK-dummy"},
		"static_apikey": {map[string]any{"api_key": "PLAK-dummy", "bearer_token_prefix": "api-key"},
			"API key -> planet-key api_key apikey=PLAK-dummy"},
		"oidc_something_new": {nil, "profile refused: its client_type is none that groat knows"},
	} {
		t.Run(kind, func(t *testing.T) {
			w := newTestHome(t, map[string]string{".planet/p/auth_client.json": profile(t, kind, test.members),
				".planet/p/token.json": planetToken}, nil)
			check(t, w.find(), "p: Planet "+test.want)
		})
	}
}

// TestPlanetServers is about what an auth_client.json changes.
func TestPlanetServers(t *testing.T) {
	const refused = "profile refused: "
	for name, test := range map[string]struct {
		members map[string]any
		want    string
		lost    string
	}{
		"scopes and audience": {
			map[string]any{"scopes": []string{"planet", "email", "offline_access"},
				"audiences": []string{"https://x.example/"}},
			"session -> planet-user device_code scope=email planet audience=https://x.example/ id=c refresh=" +
				refresh + " (shared)", "",
		},
		"another server": {
			map[string]any{"auth_server": "https://id.example.com/realm", "issuer": "https://id.example.com/",
				"token_endpoint": "https://id.example.com/t"},
			"session -> issuer=https://id.example.com/realm token=https://id.example.com/t device_code auth=none " +
				"scope=offline_access planet audience=https://api.planet.com/ id=c refresh=" + refresh +
				" (shared)", "issuer",
		},
		"endpoints": {
			map[string]any{"jwks_endpoint": "https://login.planet.com/jwks",
				"userinfo_endpoint":   "https://login.planet.com/userinfo",
				"revocation_endpoint": "https://other.example/r"},
			"session -> planet-user device_code id=c refresh=" + refresh + " (shared)",
			"jwks_endpoint revocation_endpoint",
		},
		"parameters": {
			map[string]any{"organization": "o", "project_id": "p", "authorization_callback_acknowledgement": "<p>",
				"redirect_uri": "https://helper.example/cb"},
			"session -> planet-user device_code id=c refresh=" + refresh + " (shared)",
			"authorization_callback_acknowledgement organization project_id redirect_uri",
		},
		"token endpoint": {map[string]any{"token_endpoint": "http://id.example.com/t"},
			refused + "its token_endpoint is no address of a server, or does not begin with https://", ""},
		"escape": {map[string]any{"audiences": []string{"\x1b[2J"}},
			refused + "its audiences or scopes hold control characters", ""},
		"no server": {map[string]any{"auth_server": nil}, refused + "it names no auth_server", ""},
		"http": {map[string]any{"auth_server": "http://login.planet.com/"},
			refused + "its auth_server does not begin with https://", ""},
		"user in URL": {map[string]any{"auth_server": "https://a:dummy@login.planet.com/"},
			refused + "its auth_server is no address of a server", ""},
		"two audiences": {map[string]any{"audiences": []string{"a", "b"}},
			refused + "its audiences must be a list of at most one, and its scopes a list; Planet's own library " +
				"refuses the file too", ""},
		"audience of no": {map[string]any{"audiences": map[string]any{}},
			refused + "its audiences must be a list of at most one, and its scopes a list; Planet's own library " +
				"refuses the file too", ""},
		"no client": {map[string]any{"client_id": ""}, refused + "auth_client.json has no client_id", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestHome(t, map[string]string{".planet/p/auth_client.json": profile(t, "oidc_device_code",
				test.members), ".planet/p/token.json": planetToken}, nil)
			found := w.find()
			check(t, found, "p: Planet "+test.want)
			if got := strings.Join(found[0].Lost, " "); got != test.lost {
				t.Errorf("lost %q, want %q", got, test.lost)
			}
		})
	}
}

// TestPlanetKeyFile: a file that a file names is not followed blindly.
func TestPlanetKeyFile(t *testing.T) {
	const good = "machine account -> planet-m2m client_credentials auth=private_key_jwt id=c privatekey"
	for name, test := range map[string]struct {
		path  string // in auth_client.json
		make  func(t *testing.T, path string)
		want  string
		hints string
	}{
		"good": {want: good},
		"home": {path: "~/key.pem", want: good},
		"relative": {path: "key.pem",
			want: "profile refused: its key file is named by a relative path, which says nothing without the " +
				"directory it was meant from"},
		"missing": {make: remove,
			want: "profile refused: its key file cannot be used: HOME/key.pem: file does not exist"},
		"readable": {make: mode(0o644), want: "profile refused: its key file is open to others (mode 0644)",
			hints: "chmod 600 -- HOME/key.pem"},
		"group": {make: mode(0o620), want: "profile refused: its key file is open to others (mode 0620)",
			hints: "chmod 600 -- HOME/key.pem"},
		"another's": {make: giveAway,
			want: "profile refused: its key file cannot be used: the file belongs to another user (uid 4242)"},
		"no key": {make: content("root:x:0:0:dummy\n"),
			want: "profile refused: its key file cannot be used: there is no private key in PEM (-----BEGIN PRIVATE " +
				"KEY-----)"},
		"public": {make: content("-----BEGIN PUBLIC KEY-----\nZHVtbXk=\n-----END PUBLIC KEY-----\n"),
			want: "profile refused: its key file cannot be used: there is no private key in PEM (-----BEGIN PRIVATE " +
				"KEY-----)"},
		"too large": {make: content(strings.Repeat(dummyKey, 2000)),
			want: "profile refused: its key file cannot be used: the file is larger than 65536 bytes"},
		"directory": {make: func(t *testing.T, path string) { remove(t, path); mkdir(t, path) },
			want: "profile refused: its key file cannot be used: it is not a regular file"},
		"none": {path: "-", want: "profile refused: auth_client.json names no private key"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestHome(t, map[string]string{"key.pem": dummyKey}, nil)
			path := test.path
			switch path {
			case "":
				path = w.path("key.pem")
			case "-":
				path = ""
			}
			w.write(".planet/p/auth_client.json", profile(t, "oidc_client_credentials_pubkey", map[string]any{
				"auth_server": "https://services.sentinel-hub.com/auth/realms/main", "scopes": []string{},
				"client_privkey_file": path,
			}))
			if test.make != nil {
				test.make(t, w.path("key.pem"))
			}
			found := w.find()
			check(t, found, "p: Planet "+strings.ReplaceAll(test.want, "HOME", w.home))
			if test.hints != "" {
				says(t, strings.ReplaceAll(test.hints, "HOME", w.home), found[0].Hint)
			}
			if found[0].Importable() && found[0].Copies[0].Path != w.path("key.pem") {
				t.Errorf("the key file is not named: %+v", found[0].Copies)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func mode(m os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
}

func content(text string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// giveAway makes a file, or a link, another user's, which only root can do.
func giveAway(t *testing.T, path string) {
	t.Helper()
	tier.NeedsRoot(t)
	if err := os.Lchown(path, 4242, 4242); err != nil {
		t.Fatal(err)
	}
}
