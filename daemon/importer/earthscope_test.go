package importer_test

import (
	"testing"
	"time"
)

const sessionLine = ": EarthScope session -> earthscope device_code id=" + es

// esJWT is an access token as EarthScope's server makes them.
func esJWT(t *testing.T, audience string) string {
	return jwt(t, map[string]any{
		"iss": "https://login.earthscope.org/", "aud": audience, "azp": es, "sub": "x", "iat": 1700000000,
		"exp": 1700086400,
	})
}

func esTokens(t *testing.T, refresh string) string {
	return `{"access_token":"` + esJWT(t, "https://api.earthscope.org") + `","refresh_token":"` + refresh + `"}`
}

func TestEarthscope(t *testing.T) {
	const config = ".earthscope/config.toml"
	const access = "it is an access token that nothing can renew: there is no refresh token"
	machine := ": EarthScope machine account -> earthscope client_credentials id=m2m-client secret=dummy-not-real"
	for name, test := range map[string]struct {
		files, vars map[string]string
		want        []string
		says        string
	}{
		"tokens": {
			files: map[string]string{".earthscope/default/tokens.json": esTokens(t, refresh)},
			want:  []string{"earthscope" + sessionLine + " refresh=" + refresh + " (shared)"},
			says:  "a sign-in of groat's own avoids that",
		},
		"tokens of a profile": {
			files: map[string]string{config: "[profile.\"Big Team\"]\noauth2.audience='https://x.example'\n",
				".earthscope/big-team/tokens.json": esTokens(t, refresh)},
			want: []string{"earthscope-big-team: EarthScope session -> earthscope device_code " +
				"audience=https://x.example id=" + es + " refresh=" + refresh + " (shared)"},
		},
		"tokens of no profile": {
			files: map[string]string{".earthscope/old/tokens.json": esTokens(t, refresh)},
			want:  []string{"earthscope-old" + sessionLine + " refresh=" + refresh + " (shared)"},
			says:  "config.toml has no profile of this name",
		},
		"access token alone": {
			files: map[string]string{".earthscope/default/tokens.json": `{"access_token":"dummy"}`},
			want: []string{"earthscope: EarthScope session refused: " + access +
				" (a machine account's sign-in overwrites the one that was there)"},
		},
		"an error": {
			files: map[string]string{".earthscope/default/tokens.json": `{"error":"invalid_grant"}`},
			want: []string{"earthscope: EarthScope session refused: an error message of the server was saved in " +
				"the place of tokens"},
		},
		"machine, dotted keys": {
			files: map[string]string{
				config: "[default]\noauth2.scope='offline_access'\n" +
					"[profile.batch]\noauth2.client_id='m2m-client'\noauth2.client_secret='dummy-not-real'\n",
			},
			want: []string{"earthscope-batch" + machine},
		},
		"machine, tables": {
			files: map[string]string{
				config: "[profile.batch.oauth2]\nclient_id='m2m-client'\nclient_secret='dummy-not-real'\n" +
					"[profile.batch.http]\nretry.attempts=3\n",
			},
			want: []string{"earthscope-batch" + machine},
		},
		"machine, in two places": {
			files: map[string]string{
				config: "[default.oauth2]\nclient_id='m2m-client'\n" +
					"[profile.batch.oauth2]\nclient_secret='dummy-not-real'\n",
			},
			want: []string{"earthscope-batch" + machine},
		},
		"machine, half": {
			files: map[string]string{config: "[default.oauth2]\nclient_secret='dummy-not-real'\n"},
			want: []string{"earthscope: EarthScope machine account refused: client_secret needs client_id beside " +
				"it, both in printable ASCII"},
		},
		"machine for all profiles": {
			files: map[string]string{
				config: "[default.oauth2]\nclient_id='m2m-client'\nclient_secret='dummy-not-real'\n" +
					"[profile.a.http]\nx=1\n",
			},
			want: []string{"earthscope" + machine},
		},
		"machine and person": {
			files: map[string]string{
				config: "[default.oauth2]\n" +
					"client_id='m2m-client'\nclient_secret='dummy-not-real'\n",
				".earthscope/default/tokens.json": esTokens(t, refresh),
			},
			want: []string{"earthscope" + machine, "earthscope-2" + sessionLine + " refresh=" + refresh +
				" (ask) (shared)"},
		},
		"environment": {vars: map[string]string{"ES_OAUTH2__REFRESH_TOKEN": refresh},
			want: []string{"earthscope" + sessionLine + " refresh=" + refresh + " (shared)"}},
		"environment, machine": {
			vars: map[string]string{"ES_OAUTH2__CLIENT_ID": "m2m-client", "ES_OAUTH2__CLIENT_SECRET": "dummy-not-real",
				"ES_OAUTH2__DOMAIN": "https://login.earthscope.org/"},
			want: []string{"earthscope" + machine},
		},
		"environment, an access token": {vars: map[string]string{"ES_OAUTH2__ACCESS_TOKEN": "dummy"},
			want: []string{"earthscope: EarthScope session refused: " + access}},
		"environment, an escape": {
			vars: map[string]string{"ES_OAUTH2__REFRESH_TOKEN": refresh, "ES_OAUTH2__CLIENT_ID": "\x1b[2J"},
			want: []string{"earthscope: EarthScope session refused: its tokens or client_id hold something else " +
				"than printable ASCII"},
		},
		"environment, empty": {vars: map[string]string{"ES_OAUTH2__REFRESH_TOKEN": "", "ES_OAUTH2__CLIENT_SECRET": ""}},
		"environment, no profile": {
			vars: map[string]string{"ES_PROFILE": "gone", "ES_OAUTH2__REFRESH_TOKEN": refresh},
			want: []string{"earthscope-gone: EarthScope profile refused: ES_PROFILE names the profile gone, which " +
				"is not there; EarthScope's programs refuse it too"},
		},
		"environment, a profile": {
			files: map[string]string{config: "[profile.team.http]\nx=1\n"},
			vars:  map[string]string{"ES_PROFILE": "team", "ES_OAUTH2__REFRESH_TOKEN": refresh},
			want:  []string{"earthscope-team" + sessionLine + " refresh=" + refresh + " (shared)"},
		},
		"bootstrap": {
			vars: map[string]string{"ES_BOOTSTRAP_SETTINGS": `{"oauth2":{"client_id":"m2m-client",` +
				`"client_secret":"dummy-not-real"}}`}, want: []string{"earthscope" + machine},
		},
		"bootstrap, broken": {
			vars: map[string]string{"ES_BOOTSTRAP_SETTINGS": `{"oauth2":"dummy`},
			want: []string{"earthscope: EarthScope settings refused: ES_BOOTSTRAP_SETTINGS cannot be used: not " +
				"JSON: a string is not closed at byte 16"},
		},
		"another server": {
			files: map[string]string{config: "[default.oauth2]\ndomain='login.example.com'\nrefresh_token='" +
				refresh + "'\n"},
			want: []string{"earthscope: EarthScope session -> earthscope at=https://login.example.com device_code id=" +
				es + " refresh=" + refresh + " (shared)"},
			says: "it signs in at https://login.example.com",
		},
		"a server over http": {
			files: map[string]string{config: "[default.oauth2]\ndomain='http://login.example.com'\nrefresh_token='" +
				refresh + "'\n"},
			want: []string{"earthscope: EarthScope profile refused: its domain is no address of a server, or does " +
				"not begin with https://"},
		},
		"no TOML": {
			files: map[string]string{config: "[default\noauth2.refresh_token='dummy'"},
			want: []string{"earthscope: EarthScope settings refused: it is no TOML, or [default] and " +
				"[profile.NAME] are no tables"},
		},
		"settings alone": {files: map[string]string{config: "[default.http]\nx=1\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := newTestHome(t, test.files, test.vars).find()
			check(t, found, test.want...)
			if test.says != "" {
				says(t, test.says, found[0].Warnings...)
			}
		})
	}
}

// TestEarthscopeShadow: the SDK prefers a refresh token of the environment or of config.toml to the newer one that it
// saved.
func TestEarthscopeShadow(t *testing.T) {
	const toml = "[default]\noauth2.refresh_token='dummy-in-config'\nhttp.timeout=5\n"
	w := newTestHome(t, map[string]string{".earthscope/config.toml": toml,
		".earthscope/default/tokens.json": esTokens(t, refresh)}, nil)
	found := w.find()
	check(t, found,
		"earthscope"+sessionLine+" refresh=dummy-in-config (ask) (shared)", "earthscope-2"+sessionLine+" refresh="+
			refresh+" (ask) (shared)")
	says(t, "shadows the one in "+w.path(".earthscope/default/tokens.json"), found[0].Warnings...)
	says(t, "do not use this one", found[1].Warnings...)
	says(t, "http.timeout", found[0].Lost...)
	if c := found[0].Copies[0]; c.Remove != "${EDITOR:-vi} "+w.path(".earthscope/config.toml") ||
		c.Note != "remove oauth2.refresh_token there; the file has other settings too" {
		t.Errorf("the copy in config.toml: %+v", c)
	}
	w.vars["ES_OAUTH2__REFRESH_TOKEN"] = "dummy-in-env"
	check(t, w.find(), "earthscope"+sessionLine+" refresh=dummy-in-env (ask) (shared)",
		"earthscope-2"+sessionLine+" refresh=dummy-in-config (ask) (shared)", "earthscope-3"+sessionLine+" refresh="+
			refresh+" (ask) (shared)")
	// The same token in all places is one session.
	w = newTestHome(t, map[string]string{
		".earthscope/default/tokens.json":        esTokens(t, refresh),
		".config/earthscope-cli/sso_tokens.json": esTokens(t, refresh),
	}, map[string]string{"ES_OAUTH2__REFRESH_TOKEN": refresh})
	found = w.find()
	check(t, found, "earthscope"+sessionLine+" refresh="+refresh+" (shared)")
	if c := found[0].Copies; len(c) != 3 || c[0].Remove != "unset ES_OAUTH2__REFRESH_TOKEN" {
		t.Errorf("its copies: %+v", c)
	}
}

func TestEarthscopeOld(t *testing.T) {
	old := `{"access_token":"` + esJWT(t, "https://account.earthscope.org") +
		`","id_token":"dummy","refresh_token":"` + refresh +
		`","scope":"openid profile email offline_access","expires_at":1700086400,"issued_at":1700000000}`
	oldLine := "earthscope: EarthScope session -> earthscope-0.2 device_code id=" + es + " refresh=" +
		refresh + " (shared)"
	pair := map[string]string{"ES_CLI_M2M_CLIENT_ID": "m", "ES_CLI_M2M_CLIENT_SECRET": "dummy"}
	const access = `{"access_token":"dummy","scope":"","expires_at":1,"issued_at":0}`
	machineLine := "earthscope-m2m: EarthScope machine account -> earthscope-0.2 client_credentials id=m secret=dummy"
	for name, test := range map[string]struct {
		goos        string
		files, vars map[string]string
		want        []string
	}{
		"tokens": {files: map[string]string{".config/earthscope-cli/sso_tokens.json": old},
			want: []string{oldLine}},
		"macOS": {goos: "darwin",
			files: map[string]string{"Library/Application Support/earthscope-cli/sso_tokens.json": old},
			want:  []string{oldLine}},
		"no JWT": {files: map[string]string{".config/earthscope-cli/sso_tokens.json": `{"refresh_token":"` +
			refresh + `"}`}, want: []string{oldLine}},
		"signed out": {files: map[string]string{".config/earthscope-cli/sso_tokens.json": access},
			want: []string{"earthscope: EarthScope session refused: sso_tokens.json holds an access token that " +
				"nothing can renew: there is no refresh token"}},
		"another directory": {files: map[string]string{".config/earthscope-cli/sso_tokens.json": old},
			vars: map[string]string{"APP_DIRECTORY": "/nonexistent"}},
		"another server": {
			files: map[string]string{".config/earthscope-cli/sso_tokens.json": old},
			vars:  map[string]string{"ES_CLI_AUTH0_DOMAIN": "login.example.com", "ES_CLI_AUTH0_CLIENT_ID": es},
			want: []string{"earthscope: EarthScope session refused: its access token names " +
				"https://login.earthscope.org/, and it would be sent to https://login.example.com"},
		},
		"machine": {vars: pair, want: []string{machineLine}},
		"machine, used": {vars: pair, files: map[string]string{".config/earthscope-cli/m2m_tokens.json": access},
			want: []string{machineLine}},
		"machine, only its token": {
			files: map[string]string{".config/earthscope-cli/m2m_tokens.json": access},
			want: []string{"earthscope-m2m: EarthScope machine account refused: it is the access token of a " +
				"machine account; its client id and secret were only in ES_CLI_M2M_CLIENT_ID and " +
				"ES_CLI_M2M_CLIENT_SECRET"},
		},
		"machine, half": {
			vars: map[string]string{"ES_CLI_M2M_CLIENT_ID": "m"},
			want: []string{"earthscope-m2m: EarthScope machine account refused: ES_CLI_M2M_CLIENT_ID is set but " +
				"ES_CLI_M2M_CLIENT_SECRET is not: a program uses either both or neither"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestHome(t, test.files, test.vars)
			if test.goos != "" {
				w.goos = test.goos
			}
			check(t, w.find(), test.want...)
		})
	}
	f := newTestHome(t, map[string]string{".config/earthscope-cli/sso_tokens.json": old}, nil).find()[0]
	if !f.Issued.Equal(time.Unix(1700000000, 0)) || !f.Expires.Equal(time.Unix(1700086400, 0)) {
		t.Errorf("issued %v, expires %v", f.Issued, f.Expires)
	}
	if f.Fresh != "groat login earthscope --provider earthscope" {
		t.Errorf("a sign-in of one's own: %q", f.Fresh)
	}
}
