package importer_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/importer"
)

// TestRecognize is a row for each shape, under a name that says nothing, and the same from standard input.
func TestRecognize(t *testing.T) {
	planetJWT := jwt(t, map[string]any{"iss": "https://login.planet.com/", "azp": planet})
	for name, test := range map[string]struct{ text, want string }{
		"answer of clients/": {apps, "spatiafi" + appsLine},
		"without user": {`{"client_id":"x","client_secret":"dummy"}`,
			"spatiafi: SpatiaFi App Credentials -> spatiafi client_credentials id=x secret=dummy"},
		"error": {`{"detail":"dummy"}`,
			"imported:  file refused: it is an error message of a server; no credential was ever in it"},
		"sso_tokens.json": {`{"access_token":"` + esJWT(t, "https://account.earthscope.org") +
			`","refresh_token":"` + refresh +
			`","expires_at":1,"issued_at":1}`, "earthscope: EarthScope session -> earthscope-0.2 device_code id=" + es +
			" refresh=" + refresh + " (shared)"},
		"sso_tokens.json, JWT?": {`{"access_token":"dummy","refresh_token":"` + refresh +
			`","expires_at":1,"issued_at":1}`, "earthscope: EarthScope session -> earthscope-0.2 device_code id=" + es +
			" refresh=" + refresh + " (shared)"},
		"tokens.json": {esTokens(t, refresh), "earthscope" + sessionLine + " refresh=" + refresh + " (shared)"},
		"token.json": {`{"_iat":1,"_exp":2,"access_token":"` + planetJWT + `","refresh_token":"` + refresh +
			`"}`, "planet" + userLine},
		"token.json, opaque": {planetToken,
			"planet: Planet profile refused: there is no auth_client.json, and the tokens do not say which client " +
				"they were issued to"},
		"tokens of nobody": {`{"access_token":"dummy","refresh_token":"dummy"}`,
			"imported:  tokens refused: nothing says which program signed in, and where; a session is of use only " +
				"to the program that it was made for"},
		"tokens of others": {`{"access_token":"` + jwt(t, map[string]any{"iss": "https://login.example.com/"}) +
			`","_iat":1}`, "imported:  tokens refused: nothing says which program signed in, and where; a session " +
			"is of use only to the program that it was made for"},
		"auth_client.json": {planetM2M, "planet" + m2mLine},
		"auth_client, person": {planetUser,
			"planet: Planet profile refused: nobody is signed in: there is no token.json"},
		"legacy key": {`{"key":"PLAK-dummy","jwt":"a.b.c"}`,
			"planet-key: Planet API key -> planet-key api_key apikey=PLAK-dummy"},
		"legacy JWT": {`{"key":"","jwt":"` + jwt(t, map[string]any{"api_key": "PLAK-dummy"}) + `"}`,
			"planet-key: Planet API key -> planet-key api_key apikey=PLAK-dummy"},
		"static key": {`{"api_key":"PLAK-dummy","bearer_token_prefix":"api-key"}`,
			"planet: Planet API key -> planet-key api_key apikey=PLAK-dummy"},
		".planet.json": {`{"PL_API_KEY":"PLAK-dummy"}`,
			"planet-key: Planet API key -> planet-key api_key apikey=PLAK-dummy"},
		"authorized_user": {googleFile(t, nil),
			"google: Google session -> google authorization_code id=c.apps.example secret=dummy-secret refresh=" +
				refresh},
		"Google client": {`{"installed":{"client_id":"x","client_secret":"dummy"}}`,
			"imported:  file refused: it is a client of Google's, with which nobody has signed in yet"},
		"notebook": {`{"cells":[{"outputs":["dummy"]}]}`,
			"imported:  file refused: it is a notebook: copy the object with client_id and client_secret out of it, " +
				"and clear its output"},
		"anything": {`{"dummy":"dummy"}`, "imported:  file refused: it is none of the files that groat knows"},
		"broken":   {`{"client_id":"dummy`, "imported:  file refused: not JSON: a string is not closed at byte 19"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestHome(t, map[string]string{"x": test.text}, nil)
			found, err := importer.Read(t.Context(), w.env(), w.path("x"))
			if err != nil {
				t.Fatal(err)
			}
			sound(t, found)
			check(t, found, test.want)
			if len(found[0].Copies) != 1 || found[0].Copies[0].Path != w.path("x") {
				t.Errorf("its copy: %+v", found[0].Copies)
			}
			data := []byte(test.text)
			piped, err := importer.Parse(t.Context(), w.env(), data)
			if err != nil {
				t.Fatal(err)
			}
			sound(t, piped)
			check(t, piped, test.want)
			if len(piped[0].Copies) != 0 || !bytes.Equal(data, []byte(test.text)) {
				t.Errorf("what was piped stays somewhere, or was changed: %+v", piped[0].Copies)
			}
		})
	}
	w := newTestHome(t, map[string]string{"app_credentials.json": apps}, nil)
	found, err := importer.Read(t.Context(), w.env(), w.path("app_credentials.json"))
	if diff := cmp.Diff([]string{"spatiafi", "climateengine"}, found[0].Target.Either); err != nil || diff != "" {
		t.Errorf("two providers answer alike: %v\n%s", err, diff)
	}
}

func TestReadPlaces(t *testing.T) {
	toml := "[default.oauth2]\nclient_id='a'\nclient_secret='dummy'\n[profile.b.oauth2]\nclient_id='b'\n"
	w := newTestHome(t, map[string]string{
		"p/auth_client.json": planetUser, "p/token.json": planetToken, "lone/token.json": planetToken, "x.toml": toml,
		"y.toml":      "[default]\n",
		"theirs.json": apps, "p2/auth_client.sops.json": sopsFile, "p2/auth_client.sops.json.plain": planetM2M,
	}, nil)
	w.program("sops", standIn)
	giveAway(t, w.path("theirs.json"))
	symlink(t, w.path("p/token.json"), w.path("link.json"))
	giveAway(t, w.path("link.json"))
	for name, want := range map[string][]string{
		"p/token.json":        {"p" + userLine},
		"p/auth_client.json":  {"p" + userLine},
		"p2/auth_client.json": {"p2" + m2mLine},
		"lone/token.json": {"planet: Planet profile refused: there is no auth_client.json, and the tokens do " +
			"not say which client they were issued to"},
		"x.toml": {
			"earthscope: EarthScope machine account -> earthscope client_credentials id=a secret=dummy",
			"earthscope-b: EarthScope machine account -> earthscope client_credentials id=b secret=dummy",
		},
		"y.toml":      {"earthscope: EarthScope settings refused: there is no credential in it"},
		"theirs.json": {"spatiafi" + appsLine}, // a person named it
		"link.json": {
			"imported:  file refused: the way there goes through a symbolic link of another user (uid 4242)",
		},
	} {
		found, err := importer.Read(t.Context(), w.env(), w.path(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sound(t, found)
		check(t, found, want...)
		if name == "theirs.json" {
			says(t, "belongs to another user (uid 4242)", found[0].Warnings...)
		}
	}
	for _, path := range []string{"x", "../x", w.path("none"), "x\x1b", w.path("none/auth_client.json"),
		w.path("none.toml")} {
		found, err := importer.Read(t.Context(), w.env(), path)
		if err == nil || strings.HasPrefix(path, "/") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %+v, %v", path, found, err)
		}
	}
}

func TestParseBounds(t *testing.T) {
	w := newTestHome(t, nil, nil)
	for text, want := range map[string]string{
		"":                                "not JSON: a value is missing at byte 0",
		"dummy":                           "it is none of the files that groat knows: those are JSON objects",
		strings.Repeat(" ", 1<<20) + apps: "it is larger than 1048576 bytes",
		sopsFile:                          "it is encrypted by sops",
		strings.Repeat("{\"a\":", 100000): "JSON that is refused: nested too deep at byte 161",
	} {
		found, err := importer.Parse(t.Context(), w.env(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		check(t, found, "imported:  file refused: "+want)
	}
}

// FuzzParse: whatever comes in, nothing panics, and each row is sound.
func FuzzParse(f *testing.F) {
	for _, text := range []string{apps, planetM2M, planetUser, planetToken, sopsFile, `{"key":"k"}`,
		`{"type":"service_account"}`, `{"expires_at":1e400,"refresh_token":"r"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := importer.Parse(t.Context(), importer.Env{Home: "/nonexistent"}, data)
		if err != nil || len(found) == 0 {
			t.Errorf("%+v, %v", found, err)
		}
		for _, row := range found {
			if !validName(row.Name) || row.Importable() && row.Target.Grant == "" {
				t.Errorf("%+v", row)
			}
		}
	})
}
