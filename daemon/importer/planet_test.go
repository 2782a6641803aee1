package importer_test

import (
	"strings"
	"testing"
)

const (
	planetUser = `{"client_type":"oidc_device_code","auth_server":"https://login.planet.com/","client_id":"` + planet +
		`","audiences":["https://api.planet.com/"],"scopes":["planet","offline_access"]}`
	planetM2M = `{"client_type":"oidc_client_credentials_secret",` +
		`"auth_server":"https://services.sentinel-hub.com/auth/realms/main","audiences":["https://api.planet.com/"],` +
		`"scopes":[],"client_id":"22222222-3333-4444-8555-666666666666","client_secret":"dummy-not-real",` +
		`"_comment":null}`
	planetToken = `{"_exp":1700003600,"_iat":1700000000,"access_token":"dummy-opaque","expires_in":3600,` +
		`"refresh_token":"` + refresh + `","scope":"planet offline_access","token_type":"Bearer"}`
	m2mLine = ": Planet machine account -> planet-m2m client_credentials id=22222222-3333-4444-8555-666666666666 " +
		"secret=dummy-not-real"
	userLine = ": Planet session -> planet-user device_code id=" + planet + " refresh=" + refresh + " (shared)"
)

func TestPlanetProfiles(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
		warns []string
	}{
		"built-in, signed in": {
			files: map[string]string{".planet/planet-user/token.json": planetToken},
			want:  []string{"planet-user" + userLine},
			warns: []string{"the refresh token stays with the other program too"},
		},
		"built-in, a name for both": {
			files: map[string]string{".planet/planet-user/token.json": planetToken,
				".planet/planet-user/auth_client.json": planetM2M},
			want:  []string{"planet-user" + userLine},
			warns: []string{"Planet's programs ignore this directory's auth_client.json"},
		},
		"built-in, only a configuration": {
			files: map[string]string{".planet/planet-m2m/auth_client.json": planetM2M},
			want:  []string{"planet-m2m: Planet profile refused: the directory holds no tokens"},
			warns: []string{"built-in"},
		},
		"built-in, signed out": {
			files: map[string]string{".planet/planet-user/token.json": `{"access_token":"dummy"}`},
			want: []string{"planet-user: Planet profile refused: token.json holds an access token that nothing can " +
				"renew: there is no refresh token"},
		},
		"refresh token alone": {
			files: map[string]string{".planet/planet-user/token.json": `{"refresh_token":"` + refresh + `"}`},
			want:  []string{"planet-user" + userLine},
		},
		"legacy": {files: map[string]string{".planet/legacy/token.json": `{"key":"PLAK-dummy","jwt":"a.b.c"}`},
			want: []string{"planet-legacy: Planet API key -> planet-legacy api_key apikey=PLAK-dummy"}},
		"static key": {files: map[string]string{".planet/k/token.json": `{"api_key":"PLAK-dummy",` +
			`"bearer_token_prefix":"api-key"}`}, want: []string{"k: Planet API key -> planet-key api_key " +
			"apikey=PLAK-dummy"}},
		"static key, another header": {
			files: map[string]string{".planet/k/auth_client.json": `{"client_type":"static_apikey",` +
				`"api_key":"PLAK-dummy"}`},
			want: []string{"k: Planet API key -> planet-key api_key apikey=PLAK-dummy header=Authorization:Bearer"},
		},
		"static key without its prefix": {
			files: map[string]string{".planet/k/token.json": `{"api_key":"PLAK-dummy"}`},
			want: []string{"k: Planet profile refused: a key needs its bearer_token_prefix beside it; Planet's own " +
				"library refuses the file too"},
		},
		"static key, none": {
			files: map[string]string{".planet/k/auth_client.json": `{"client_type":"static_apikey"}`},
			want:  []string{"k: Planet profile refused: there is no API key in it"},
		},
		"machine": {files: map[string]string{".planet/my-m2m/auth_client.json": planetM2M},
			want: []string{"my-m2m" + m2mLine}},
		"machine, signed in": {
			files: map[string]string{".planet/my-m2m/auth_client.json": planetM2M,
				".planet/my-m2m/token.json": `{"access_token":"dummy","expires_in":3600}`},
			want: []string{"my-m2m" + m2mLine},
		},
		"machine, damaged token": {
			files: map[string]string{".planet/my-m2m/auth_client.json": planetM2M, ".planet/my-m2m/token.json": `{`},
			want:  []string{"my-m2m" + m2mLine},
		},
		"machine called after its client": {
			files: map[string]string{".planet/22222222-3333-4444-8555-666666666666/auth_client.json": planetM2M},
			want:  []string{"planet-22222222" + m2mLine},
		},
		"machine, ad hoc": {
			files: map[string]string{
				".planet/planet-m2m-22222222-3333-4444-8555-666666666666/token.json": `{"access_token":"dummy"}`,
			},
			want: []string{"planet-m2m-22222222: Planet profile refused: it is the access token of a machine " +
				"account, whose client id and secret are not kept here"},
		},
		"machine without a secret": {
			files: map[string]string{".planet/m/auth_client.json": strings.Replace(planetM2M, "dummy-not-real", "", 1)},
			want: []string{"m: Planet profile refused: auth_client.json needs both client_id and client_secret, as " +
				"text that is not empty"},
		},
		"a person": {
			files: map[string]string{".planet/me/auth_client.json": planetUser, ".planet/me/token.json": planetToken},
			want:  []string{"me" + userLine},
		},
		"a person, signed out": {
			files: map[string]string{".planet/me/auth_client.json": planetUser},
			want:  []string{"me: Planet profile refused: nobody is signed in: there is no token.json"},
		},
		"a person, damaged": {
			files: map[string]string{".planet/me/auth_client.json": planetUser,
				".planet/me/token.json": `{"refresh_token":"dummy`},
			want: []string{"me: Planet profile refused: not JSON: a string is not closed at byte 23"},
		},
		"a person, an error": {
			files: map[string]string{".planet/me/auth_client.json": planetUser,
				".planet/me/token.json": `{"error":"invalid_grant"}`},
			want: []string{
				"me: Planet profile refused: an error message of the server was saved in the place of tokens",
			},
		},
		"capital letters": {
			files: map[string]string{".planet/Me/auth_client.json": planetUser, ".planet/Me/token.json": planetToken},
			want:  []string{"me" + userLine}, warns: []string{"none of them uses this one"},
		},
		"two that differ in case": {
			files: map[string]string{".planet/Me/auth_client.json": planetM2M,
				".planet/me/auth_client.json": planetUser, ".planet/me/token.json": planetToken},
			want: []string{"me" + m2mLine, "me-2" + userLine},
		},
		"no profile at all": {files: map[string]string{".planet/x/readme.txt": "hello", ".planet/file.json": "{}"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := newTestHome(t, test.files, nil).find()
			check(t, found, test.want...)
			for _, words := range test.warns {
				says(t, words, found[0].Warnings...)
			}
		})
	}
}

// TestPlanetCollision: a directory is a client id in lower case, so the tokens in it may be another client's.
func TestPlanetCollision(t *testing.T) {
	token := func(azp string) string {
		return `{"refresh_token":"` + refresh + `","access_token":"` +
			jwt(t, map[string]any{"azp": azp, "iss": "https://login.planet.com/"}) + `"}`
	}
	dir := ".planet/" + strings.ToLower(planet)
	w := newTestHome(t, map[string]string{dir + "/auth_client.json": planetUser, dir + "/token.json": token(planet)},
		nil)
	check(t, w.find(), "planet-49lhvbyl"+userLine)
	w.write(dir+"/token.json", token(strings.ToUpper(planet)))
	check(t, w.find(),
		"planet-49lhvbyl: Planet profile refused: the tokens were issued to another client than the one in "+
			"auth_client.json")
	// the client id never comes from the directory
	w = newTestHome(t, map[string]string{dir + "/token.json": token(planet)}, nil)
	check(t, w.find(), "planet-49lhvbyl"+userLine)
	w.write(dir+"/token.json", planetToken)
	check(t, w.find(),
		"planet-49lhvbyl: Planet profile refused: there is no auth_client.json, and the tokens do not say which "+
			"client they were issued to")
	w.write(dir+"/token.json", `{"refresh_token":"dummy","access_token":"`+
		jwt(t, map[string]any{"azp": "x", "iss": "https://login.example.com/"})+`"}`)
	check(t, w.find(),
		"planet-49lhvbyl: Planet profile refused: the tokens are from another server than Planet's for people, and "+
			"no auth_client.json says which client they belong to")
}

func TestPlanetChoice(t *testing.T) {
	key := map[string]string{"PL_API_KEY": "PLAK-dummy", "PL_AUTH_PROFILE": "batch"}
	keyLine := "planet-key: Planet API key -> planet-key api_key apikey=PLAK-dummy"
	for name, test := range map[string]struct {
		files, vars map[string]string
		want        []string
	}{
		"good": {files: map[string]string{".planet/batch/auth_client.json": planetM2M}, vars: key,
			want: []string{"batch" + m2mLine, keyLine}},
		"case": {files: map[string]string{".planet/batch/auth_client.json": planetM2M},
			vars: map[string]string{"PL_AUTH_PROFILE": "Batch"}, want: []string{"batch" + m2mLine}},
		"broken": {
			files: map[string]string{".planet/batch/auth_client.json": `{"detail":"no"}`}, vars: key,
			want: []string{"batch: Planet profile refused: its client_type is none that groat knows",
				keyLine + " (ask)"},
		},
		"missing": {vars: key,
			want: []string{"batch: Planet profile refused: PL_AUTH_PROFILE names the profile batch, which is not there",
				keyLine + " (ask)"}},
		"missing, in the preferences": {
			files: map[string]string{".planet.json": `{"PL_AUTH_PROFILE":"batch","PL_API_KEY":"PLAK-dummy"}`},
			want: []string{
				"batch: Planet profile refused: PL_AUTH_PROFILE names the profile batch, which is not there",
				keyLine + " (ask)",
			},
		},
		"a path": {vars: map[string]string{"PL_AUTH_PROFILE": "../../etc"},
			want: []string{"not-a-name: Planet profile refused: PL_AUTH_PROFILE names the profile '(not a name)', " +
				"which is not there"}},
		"empty": {vars: map[string]string{"PL_AUTH_PROFILE": "", "PL_API_KEY": "PLAK-dummy"},
			want: []string{keyLine}},
		"built-in": {vars: map[string]string{"PL_AUTH_PROFILE": "planet-user", "PL_API_KEY": "PLAK-dummy"},
			want: []string{keyLine}},
	} {
		t.Run(name, func(t *testing.T) {
			found := newTestHome(t, test.files, test.vars).find()
			// A refused row is named after what can be imported, and stands where it was found.
			check(t, found, test.want...)
		})
	}
}

func TestPlanetPreferences(t *testing.T) {
	const pair = `"PL_AUTH_CLIENT_ID":"22222222-3333-4444-8555-666666666666","PL_AUTH_CLIENT_SECRET":"dummy-not-real"`
	for text, want := range map[string]string{
		`{"PL_API_KEY":"PLAK-dummy"}`: "planet-key: Planet API key -> planet-key api_key " +
			"apikey=PLAK-dummy",
		`{"key":"PLAK-dummy","jwt":"a.b.c"}`: "planet-key: Planet API key -> planet-key api_key " +
			"apikey=PLAK-dummy",
		`{"APP_PL_API_KEY":"PLAK-dummy"}`: "planet-key-app: Planet API key -> planet-key api_key " +
			"apikey=PLAK-dummy",
		`{` + pair + `}`: "planet-m2m" + m2mLine,
		`{"PL_AUTH_CLIENT_ID":"x"}`: "planet-m2m: Planet machine account refused: " +
			"PL_AUTH_CLIENT_ID and PL_AUTH_CLIENT_SECRET must both be set, to printable ASCII: Planet's programs " +
			"ignore one without the other",
		`{"PL_AUTH_CLIENT_SECRET":"dummy","A":1}`: "planet-m2m: Planet machine account refused: " +
			"PL_AUTH_CLIENT_ID and PL_AUTH_CLIENT_SECRET must both be set, to printable ASCII: Planet's programs " +
			"ignore one without the other",
		`{"PL_API_KEY":"","PL_AUTH_PROFILE":"planet-user"}`: "",
		`[`: "planet: Planet preferences refused: not JSON: a value is missing at byte 1",
	} {
		found := newTestHome(t, map[string]string{".planet.json": text}, nil).find()
		if want == "" {
			check(t, found)
			continue
		}
		check(t, found, want)
	}
	w := newTestHome(t, map[string]string{".planet.json": `{` + pair + `,"PL_AUTH_PROFILE":"planet-user"}`}, nil)
	c := w.find()[0].Copies[0]
	if c.Remove != "${EDITOR:-vi} "+w.path(".planet.json") ||
		!strings.Contains(c.Note, "PL_AUTH_CLIENT_ID and PL_AUTH_CLIENT_SECRET") {
		t.Errorf("a file with other settings: %+v", c)
	}
	w = newTestHome(t, map[string]string{".planet.json": `{` + pair + `}`}, nil)
	if c := w.find()[0].Copies[0]; c.Remove != "rm -- "+w.path(".planet.json") {
		t.Errorf("a file with nothing else: %+v", c)
	}
}

func TestPlanetVariables(t *testing.T) {
	pair := map[string]string{"PL_AUTH_CLIENT_ID": "22222222-3333-4444-8555-666666666666",
		"PL_AUTH_CLIENT_SECRET": "dummy-not-real"}
	found := newTestHome(t, map[string]string{".planet/my-m2m/auth_client.json": planetM2M}, pair).find()
	check(t, found, "my-m2m"+m2mLine)
	if len(found[0].Copies) != 2 {
		t.Errorf("a profile and the same in the environment: %+v", found[0].Copies)
	}
	pair["PL_AUTH_AUDIENCE"], pair["PL_AUTH_SCOPE"], pair["PL_AUTH_EXTRA"] = "https://x.example/", "b a", "k=v"
	found = newTestHome(t, nil, pair).find()
	check(t, found,
		"planet-m2m: Planet machine account -> planet-m2m client_credentials scope=a b audience=https://x.example/ "+
			"id=22222222-3333-4444-8555-666666666666 secret=dummy-not-real")
	says(t, "PL_AUTH_EXTRA", found[0].Lost...)
	found = newTestHome(t, nil, map[string]string{"PL_AUTH_CLIENT_SECRET": "dummy", "PL_API_KEY": ""}).find()
	check(t, found,
		"planet-m2m: Planet machine account refused: PL_AUTH_CLIENT_ID and PL_AUTH_CLIENT_SECRET must both be set, "+
			"to printable ASCII: Planet's programs ignore one without the other")
	found = newTestHome(t, nil, map[string]string{"PL_AUTH_API_KEY": "PLAK-dummy"}).find()
	check(t, found, "planet-key: Planet API key -> planet-key api_key apikey=PLAK-dummy (ask)")
	says(t, "its programs read PL_API_KEY", found[0].Confirm)
}

func TestPlanetLeftOvers(t *testing.T) {
	w := newTestHome(t, map[string]string{
		".planet-2025-01-02-030405/me/token.json": planetToken,
		".planet.json-2025-01-02-030405":          `{"key":"PLAK-dummy"}`, ".planet-old/token.json": planetToken,
	}, nil)
	found := w.find()
	const refused = "Planet left-over refused: `plauth reset` put it aside, and no program reads it any more"
	check(t, found, "planet: "+refused, "planet-2: "+refused)
	if a, b := found[0].Copies[0].Remove, found[1].Copies[0].Remove; a != "rm -r -- "+
		w.path(".planet-2025-01-02-030405") || b != "rm -- "+w.path(".planet.json-2025-01-02-030405") {
		t.Errorf("%q, %q", a, b)
	}
}
