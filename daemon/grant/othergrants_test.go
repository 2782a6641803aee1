package grant_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

func TestPassword(t *testing.T) {
	box, server := generic(t, grant.None, func(o *sandbox.Options) { o.PasswordGrant, o.Refresh.Always = true, true })
	item, pass := server.NewItem(publicID, grant.ByPassword), keystore.SecretString(alicePass)
	server.Grants = nil
	if _, err := endpoint(server).Password(t.Context(), item, alice, pass, keystore.Secret{},
		grant.Request{}); !errors.Is(err,
		grant.ErrNotOffered) {
		t.Errorf("where nobody asks for it: %v", err)
	}
	server.Grants = []grant.Kind{grant.ByPassword}
	e := endpoint(server)
	s, err := e.Password(t.Context(), item, alice, pass, keystore.Secret{}, grant.Request{})
	if err != nil || s.Refresh.IsZero() {
		t.Fatal(err)
	}
	_, err = e.Password(t.Context(), item, alice, keystore.SecretString("wrong-password"),
		keystore.Secret{}, grant.Request{})
	if got := wantClass(t, err, grant.Refused); !strings.Contains(got.Error(), "user name or password") {
		t.Errorf("%v", got)
	}
	box.Script(strings.TrimPrefix(server.TokenEndpoint, box.URL()), sandbox.Refuse(403, "mfa_required"))
	_, err = e.Password(t.Context(), item, alice, pass, keystore.Secret{}, grant.Request{})
	if got := wantClass(t, err, grant.Refused); !strings.Contains(got.Error(), "sign in with a browser") {
		t.Errorf("%v", got)
	}
}

func TestTokenExchange(t *testing.T) {
	_, server := generic(t, grant.ClientSecretBasic, nil)
	e, item := endpoint(server), itemOf(server)
	first, err := e.ClientCredentials(t.Context(), item, grant.Request{Scope: []string{"read", "write"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.TokenExchange(t.Context(), item, grant.Presentation{Subject: first.Access},
		grant.Request{Scope: []string{"read"}})
	if err != nil || s.Token.Scope != "read" || s.Token.Access.Equal(first.Access) {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = e.TokenExchange(t.Context(), item, grant.Presentation{Subject: keystore.SecretString("dummy")},
		grant.Request{})
	if e, ok := errors.AsType[*grant.Error](err); !ok || !e.Class.Definitive() {
		t.Errorf("a token of nobody: %v", err)
	}
	if _, err = e.TokenExchange(t.Context(), item, grant.Presentation{}, grant.Request{}); !errors.Is(err,
		grant.ErrNotOffered) {
		t.Errorf("nothing presented: %v", err)
	}
	if _, err = e.TokenExchange(t.Context(), item, grant.Presentation{Subject: first.Access,
		Requested: grant.IDTokenType}, grant.Request{}); err == nil {
		t.Error("an ID token is no access token")
	}
}

func TestTokenExchangeForm(t *testing.T) {
	var got string
	url, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"abc","issued_token_type":"urn:x","token_type":"N_A"}`)
	})
	server := serverOf(url, grant.None)
	_, err := endpoint(server).TokenExchange(t.Context(), server.NewItem("c", grant.ByTokenExchange),
		grant.Presentation{
			Subject: keystore.SecretString("s1"), SubjectType: grant.IDTokenType, Actor: keystore.SecretString("a1"),
			Resource: "https://api.example.com/x",
		}, grant.Request{Audience: "you"})
	wantClass(t, err, grant.Malformed) // N_A
	want := "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s1" +
		"&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token" +
		"&resource=https%3A%2F%2Fapi.example.com%2Fx" +
		"&actor_token=a1&actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token" +
		"&client_id=c&audience=you"
	if got != want {
		t.Errorf("sent %s", got)
	}
}

// serviceAccount returns a key file as Google makes them, for a server.
func serviceAccount(t *testing.T, tokenURI string, key keystore.Secret, change map[string]any) keystore.Secret {
	t.Helper()
	file := map[string]any{
		"type": "service_account", "project_id": "dummy", "private_key_id": "dummy-key-1", "private_key": key.Reveal(),
		"client_email": "robot@dummy.iam.gserviceaccount.com", "client_id": "1", "token_uri": tokenURI,
		"universe_domain": "googleapis.com",
	}
	for name, v := range change {
		file[name] = v
	}
	b, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return keystore.NewSecret(b)
}

func TestServiceAccount(t *testing.T) {
	public, key := keyOf(t, "RS256")
	o := people(sandbox.Google)
	o.Clients = append(o.Clients, sandbox.Client{ID: "robot@dummy.iam.gserviceaccount.com", Key: public,
		KeyID: "dummy-key-1"})
	box := startBox(t, o)
	server := presetFor(t, "google", box.URL(), grant.ByJWTBearer)
	item, err := server.ServiceAccount(serviceAccount(t, server.TokenEndpoint, key, nil))
	if err != nil || item.KeyID != "dummy-key-1" || item.Grant != "jwt_bearer" {
		t.Fatalf("%+v, %v", item, err)
	}
	token, _, err := endpoint(server).Renew(t.Context(), item,
		grant.Request{Scope: []string{"https://www.googleapis.com/auth/earthengine"}})
	if err != nil || token.Lifetime < 3598*time.Second {
		t.Fatalf("%+v, %v", token, err)
	}
	item.Subject = alice // speaks for a person
	if _, _, err = endpoint(server).Renew(t.Context(), item, grant.Request{}); err != nil {
		t.Error(err)
	}
	item.Subject = "nobody@example.com"
	_, _, err = endpoint(server).Renew(t.Context(), item, grant.Request{})
	if got := wantClass(t, err, grant.Refused); !strings.Contains(got.Error(), "vouches") {
		t.Errorf("%v", got)
	}
	if n := len(box.Log()); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// A service account's ID token is for the audience that was asked for, and comes with each access token by an assertion
// of its own. One with a flaw takes nothing from the access token; a failure of the second request is one of both.
func TestServiceAccountIDToken(t *testing.T) {
	const account, target = "robot@dummy.iam.gserviceaccount.com", "dummy.apps.googleusercontent.com"
	public, key := keyOf(t, "RS256")
	o := people(sandbox.Google)
	o.Clients = append(o.Clients, sandbox.Client{ID: account, Key: public})
	box := startBox(t, o)
	server := presetFor(t, "google", box.URL(), grant.ByJWTBearer)
	server.Issuer, server.TargetAudience = box.Issuer(), target // its metadata is where its keys are found
	item, err := server.ServiceAccount(serviceAccount(t, server.TokenEndpoint, key, nil))
	if err != nil {
		t.Fatal(err)
	}
	e := endpoint(server)
	renew := func() (grant.Token, error) {
		t.Helper()
		token, _, err := e.Renew(t.Context(), item, grant.Request{})
		return token, err
	}
	adjust := func(key, value string) {
		t.Helper()
		if err := box.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	token, err := renew()
	if err != nil || token.ID == nil || token.ID.Flaw != "" || token.ID.Account != account ||
		token.ID.Lifetime < 3598*time.Second {
		t.Fatalf("%+v, %v", token, err)
	}
	if err := e.VerifyIDToken(t.Context(), token.ID); err != nil || !token.ID.Verified() {
		t.Error(err)
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token.ID.Text.Reveal(), claims); err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != target || claims["azp"] == account || token.Access.Equal(token.ID.Text) {
		t.Errorf("%v", claims)
	}
	for flaw, says := range map[sandbox.IDFlaw]string{
		sandbox.IDAudience: "for another audience", sandbox.IDIssuer: "of another issuer",
		sandbox.IDExpired: "has expired",
	} {
		adjust("id_flaw", string(flaw))
		if token, err := renew(); err != nil || token.Access.IsZero() || !strings.Contains(token.ID.Flaw, says) {
			t.Errorf("%s: %+v, %v", flaw, token, err)
		}
	}
	adjust("id_flaw", "")
	for name, second := range map[string]sandbox.Fault{
		"no ID token":  {Set: map[string]any{"id_token": nil}},
		"out of order": {Status: 503},
	} {
		box.Script("/token", sandbox.Fault{Set: map[string]any{"first": true}}, second)
		if token, err := renew(); err == nil {
			t.Errorf("%s: %+v", name, token)
		}
	}
}

func TestServiceAccountRefuses(t *testing.T) {
	_, key := keyOf(t, "RS256")
	server := presetFor(t, "google", "", grant.ByJWTBearer)
	const uri = "https://oauth2.googleapis.com/token"
	if _, err := server.ServiceAccount(serviceAccount(t, uri, key, nil)); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		file keystore.Secret
		text string
	}{
		"another token_uri": {serviceAccount(t, "https://evil.example/token", key, nil), "evil.example"},
		"no token_uri":      {serviceAccount(t, "", key, nil), "token_uri is none"},
		"a person's file": {serviceAccount(t, uri, key, map[string]any{"type": "authorized_user"}),
			"authorized_user"},
		"no email":           {serviceAccount(t, uri, key, map[string]any{"client_email": nil}), "client_email"},
		"no key":             {serviceAccount(t, uri, key, map[string]any{"private_key": nil}), "private_key"},
		"a key that is none": {serviceAccount(t, uri, key, map[string]any{"private_key": "canary"}), "PEM"},
		"an error body":      {keystore.SecretString(`{"error":"x"}`), "service_account"},
		"a list":             {keystore.SecretString(`[]`), "JSON object"},
		"no JSON":            {keystore.SecretString(`canary`), "no JSON"},
		"two of the same name": {keystore.SecretString(`{"type":"service_account","type":"service_account"}`),
			"no JSON"},
		"longer than any other": {keystore.SecretString(`"` + strings.Repeat("a", 64<<10) + `"`), "too long"},
	} {
		item, err := server.ServiceAccount(c.file)
		if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "canary") ||
			!errors.Is(err, grant.ErrKeyFile) && !errors.Is(err, privatekey.ErrUnusable) {
			t.Errorf("%s: %+v, %v", name, item, err)
		}
	}
}

func TestPlanetLegacy(t *testing.T) {
	box := startBox(t, people(""))
	server := presetFor(t, "planet-legacy", box.URL(), "")
	e := endpoint(server)
	item, err := e.KeyLogin(t.Context(), alice, keystore.SecretString(alicePass))
	if err != nil || item.APIKey.Reveal() != box.APIKey(alice) || item.Grant != "api_key" {
		t.Fatalf("%+v, %v", item, err)
	}
	if b, err := keystore.EncodeItem(item); err != nil || b.IsZero() {
		t.Errorf("it cannot be stored: %v", err)
	}
	token, _, err := e.Renew(t.Context(), item, grant.Request{})
	if err != nil || !token.Static || token.Lifetime != 24*time.Hour {
		t.Errorf("%+v, %v", token, err)
	}
	if name, value := server.HeaderFor(token); name != "Authorization" || value != "api-key "+box.APIKey(alice) {
		t.Errorf("%s: %s", name, value)
	}
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		class grant.Class
	}{
		{"401 without a body", sandbox.Fault{Status: 401, Header: http.Header{"Content-Type": {"text/plain"}}},
			grant.Refused},
		{"401 with text", sandbox.Fault{Status: 401, Body: "no", Header: http.Header{"Content-Type": {"text/plain"}}},
			grant.Refused},
		{"401 page", sandbox.HTML(401), grant.TransientSlow},
		{"403 page", sandbox.HTML(403), grant.TransientSlow},
		{"429", sandbox.Busy(429, ""), grant.Transient},
		{"500", sandbox.Fault{Status: 500, Body: "{}"}, grant.Transient},
		{"200 page", sandbox.HTML(200), grant.Malformed},
		{"200 that says it is HTML", sandbox.Fault{Header: http.Header{"Content-Type": {"text/html"}}},
			grant.Malformed},
		{"no token", sandbox.Fault{Set: map[string]any{"token": nil}}, grant.Malformed},
		{"no JWT", sandbox.Fault{Set: map[string]any{"token": "x"}}, grant.Malformed},
		{"no key in it", sandbox.Fault{Set: map[string]any{"token": jwtOf(`{"email":"x"}`)}}, grant.Malformed},
		{"a key with a line feed", sandbox.Fault{Set: map[string]any{"token": jwtOf(`{"api_key":"a\nb"}`)}},
			grant.Malformed},
		{"an empty key", sandbox.Fault{Set: map[string]any{"token": jwtOf(`{"api_key":""}`)}}, grant.Malformed},
		{"redirect", sandbox.Redirect("https://elsewhere.example/"), grant.Misconfigured},
		{"lost", sandbox.Fault{Cut: sandbox.CutAfterHandling}, grant.Ambiguous},
	} {
		before := box.Count(sandbox.PlanetLoginPath)
		box.Script(sandbox.PlanetLoginPath, c.fault)
		_, err := e.KeyLogin(t.Context(), alice, keystore.SecretString(alicePass))
		if got, ok := errors.AsType[*grant.Error](err); !ok || got.Class != c.class ||
			strings.Contains(got.Error(), alicePass) {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := box.Count(sandbox.PlanetLoginPath) - before; n != 1 {
			t.Errorf("%s: %d requests", c.name, n)
		}
	}
	_, err = e.KeyLogin(t.Context(), alice, keystore.SecretString("wrong"))
	if got := wantClass(t, err, grant.Refused); !strings.Contains(got.Error(), "user name or password") {
		t.Errorf("%v", got)
	}
	if _, err := endpoint(presetFor(t, "planet-key", "", "")).KeyLogin(t.Context(), alice,
		keystore.Secret{}); !errors.Is(err, grant.ErrNotOffered) {
		t.Error(err)
	}
}

func TestAPIKeys(t *testing.T) {
	for name, want := range map[string][2]string{
		"climateengine-key": {"Authorization", "dummy-key"}, "planet-key": {"Authorization", "api-key dummy-key"},
		"earthscope": {"Authorization", "Bearer dummy-key"},
	} {
		server := presetFor(t, name, "", "")
		n, v := server.HeaderFor(grant.Token{Access: keystore.SecretString("dummy-key")})
		if [2]string{n, v} != want {
			t.Errorf("%s: %s: %s", name, n, v)
		}
	}
	server := presetFor(t, "climateengine-key", "", "")
	server.Header = &grant.Header{Name: "X-API-Key"}
	if n, v := server.HeaderFor(grant.Token{Access: keystore.SecretString("k")}); n != "X-API-Key" || v != "k" ||
		server.Check() != nil {
		t.Errorf("%s: %s", n, v)
	}
	for _, bad := range []grant.Header{{}, {Name: "X Key"}, {Name: "X:Key"}, {Name: "X\r\nKey"},
		{Name: "X", Prefix: "a\nb"}, {Name: "X", Prefix: "a b"}, {Name: "X", Prefix: "é"}} {
		server.Header = &bad
		if server.Check() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	for key, ok := range map[string]bool{
		"PLAK0123": true, "a b": true, "eyJ.eyJ.sig": true, "": false, " a": false, "a ": false, "a\nb": false,
		"a\r": false, "é": false,
		"a\x00": false, strings.Repeat("a", 4097): false,
	} {
		if err := grant.CheckAPIKey(keystore.SecretString(key)); (err == nil) != ok {
			t.Errorf("%q: %v", key, err)
		}
	}
	item := server.NewItem("", grant.ByAPIKey)
	item.APIKey, item.Issuer = keystore.SecretString("dummy-key"), "https://elsewhere.example"
	if _, err := endpoint(server).APIKey(item); !errors.Is(err, grant.ErrEndpointChanged) {
		t.Errorf("of another provider: %v", err)
	}
}

// A key's holder is asked for in the key's own header.
func TestUserinfoWithAKey(t *testing.T) {
	var got http.Header
	url, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"user":"alice"}`)
	})
	server := presetFor(t, "climateengine-key", url, "")
	item := server.NewItem("", grant.ByAPIKey)
	item.APIKey = keystore.SecretString("dummy-key")
	e := endpoint(server)
	token, err := e.APIKey(item)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := e.Userinfo(t.Context(), token)
	if err != nil || claims["user"] != "alice" || got.Get("Authorization") != "dummy-key" {
		t.Errorf("%v, %v, %v", claims, got, err)
	}
}

func TestRevoke(t *testing.T) {
	for _, c := range []struct {
		name        string
		status      int
		contentType string
		body        string
		class       grant.Class
		ok          bool
	}{
		{"empty", 200, "", "", 0, true},
		{"OK", 200, "text/plain", "OK", 0, true},
		{"an object", 200, "application/json", "{}", 0, true},
		{"204", 204, "", "", 0, true},
		{"dead already (Google)", 400, "application/json", `{"error":"invalid_token"}`, 0, true},
		{"dead already (another)", 400, "application/json", `{"error":"invalid_grant"}`, 0, true},
		{"an error under 200", 200, "application/json", `{"error":"server_error"}`, grant.Transient, false},
		{"client", 401, "application/json", `{"error":"invalid_client"}`, grant.InvalidClient, false},
		{"token type", 400, "application/json", `{"error":"unsupported_token_type"}`, grant.Misconfigured, false},
		{"busy", 503, "", "", grant.Transient, false},
		{"gone", 404, "", "", grant.TransientSlow, false},
		{"redirect", 307, "", "", grant.Misconfigured, false},
	} {
		for _, asJSON := range []bool{false, true} {
			var sent, contentType string
			url, requests := handler(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				sent, contentType = string(b), r.Header.Get("Content-Type")
				if c.contentType != "" {
					w.Header().Set("Content-Type", c.contentType)
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			})
			server := serverOf(url, grant.None)
			server.RevocationEndpoint, server.RevokeJSON = url+"/revoke", asJSON
			item := server.NewItem(publicID, grant.ByDeviceCode)
			item.RefreshToken = keystore.SecretString("dummy/token")
			err := endpoint(server).Revoke(t.Context(), item)
			if c.ok != (err == nil) {
				t.Errorf("%s: %v", c.name, err)
			}
			if err != nil {
				wantClass(t, err, c.class)
			}
			want := "token=dummy%2Ftoken&token_type_hint=refresh_token&client_id=public-client"
			media := "application/x-www-form-urlencoded"
			if asJSON {
				want, media = `{"client_id":"public-client","token":"dummy/token"}`, "application/json"
			}
			if sent != want || contentType != media || requests.Load() != 1 {
				t.Errorf("%s: sent %s as %s, %d times", c.name, sent, contentType, requests.Load())
			}
		}
	}
}

func TestRevokeEndpoints(t *testing.T) {
	server := serverOf("https://auth.example.com", grant.None)
	item := server.NewItem(publicID, grant.ByDeviceCode)
	item.RefreshToken = keystore.SecretString("dummy")
	if err := endpoint(server).Revoke(t.Context(), item); !errors.Is(err, grant.ErrNotOffered) {
		t.Errorf("no endpoint: %v", err)
	}
	// Stored with one on another host, which takes a person's word; the configuration may not change it.
	url, requests := handler(t, func(http.ResponseWriter, *http.Request) {})
	server.RevocationEndpoint = url + "/revoke"
	item = server.NewItem(publicID, grant.ByDeviceCode)
	item.RefreshToken = keystore.SecretString("dummy")
	if err := endpoint(server).Revoke(t.Context(), item); !errors.Is(err, grant.ErrEndpointChanged) ||
		requests.Load() != 0 {
		t.Errorf("stored, but not agreed to: %v", err)
	}
	item.Origins = []string{url}
	if err := endpoint(server).Revoke(t.Context(), item); err != nil || requests.Load() != 1 {
		t.Errorf("stored: %v", err)
	}
	server.RevocationEndpoint = url + "/other"
	if err := endpoint(server).Revoke(t.Context(), item); !errors.Is(err, grant.ErrEndpointChanged) ||
		requests.Load() != 1 {
		t.Errorf("edited: %v", err)
	}
	item.RefreshToken = keystore.Secret{}
	if err := endpoint(server).Revoke(t.Context(), item); !errors.Is(err, grant.ErrNotOffered) {
		t.Errorf("nothing to revoke: %v", err)
	}
}

// Google's installed application: a client of one's own, a refresh token by access_type=offline.
func TestGoogle(t *testing.T) {
	o := people(sandbox.Google)
	o.Clients = append(o.Clients, sandbox.Client{ID: "desktop", Secret: secret,
		RedirectURIs: []string{"http://127.0.0.1"}})
	box := startBox(t, o)
	server := presetFor(t, "google", box.URL(), "")
	if server.ClientID != "" || server.Redirect != "http://127.0.0.1" {
		t.Errorf("%+v", server)
	}
	e, item := endpoint(server), server.NewItem("desktop", grant.ByAuthorizationCode)
	item.ClientSecret = keystore.SecretString(secret)
	w := wait(t, e, item, server.Redirect)
	visit(t, "GET", browse(t, w.a.URL))
	got := w.answer(t)
	if got.err != nil {
		t.Fatal(got.err)
	}
	s, err := e.Exchange(t.Context(), item, w.a, got.code)
	if err != nil || s.Refresh.IsZero() {
		t.Fatal(err)
	}
	claims, err := e.Userinfo(t.Context(), s.Token)
	if err != nil || claims["email"] != alice {
		t.Errorf("%v, %v", claims, err)
	}
	item.RefreshToken = s.Refresh
	if _, _, err := e.Renew(t.Context(), item, grant.Request{}); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := e.Revoke(t.Context(), item); err != nil {
			t.Error(err)
		}
	}
}
