package sandbox

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestPasswordGrant(t *testing.T) {
	s := newPersonServer(t, Options{PasswordGrant: true})
	ask := func(changes url.Values) reply {
		t.Helper()
		return postForm(t, s.URL()+"/token", with(url.Values{
			"grant_type": {"password"}, "client_id": {native}, "username": {alice}, "password": {alicePass},
		}, changes))
	}
	r := ask(url.Values{"scope": {"openid offline_access"}})
	if r.StatusCode != 200 || r.text(t, "refresh_token") == "" || r.text(t, "id_token") == "" ||
		r.api(t, s, apiPath) != 200 {
		t.Errorf("%s %s", r.Status, r.body)
	}
	ask(url.Values{"password": {"x"}}).refused(t, "wrong password", 400, "invalid_grant")
	ask(url.Values{"password": {""}}).refused(t, "no password", 400, "invalid_request")
	ask(url.Values{"client_id": {"x"}}).refused(t, "unknown client", 401, "invalid_client")
	s.BlockUser(alice, true)
	ask(nil).refused(t, "blocked", 400, "invalid_grant")
	s = newPersonServer(t, Options{})
	ask(nil).refused(t, "not asked for", 400, "unsupported_grant_type")
}

func TestMachinesAndGrantTypes(t *testing.T) {
	s := newPersonServer(t, Options{Clients: []Client{{ID: "narrow", Secret: secret, Grants: []string{grantRefresh}}}})
	ask := func(form url.Values) reply { return postForm(t, s.URL()+"/token", form) }
	ask(url.Values{"grant_type": {"client_credentials"}, "client_id": {native}}).refused(t, "public client", 400,
		"unauthorized_client")
	ask(url.Values{"grant_type": {"client_credentials"}, "client_id": {"narrow"}, "client_secret": {secret}}).refused(t,
		"grant of others", 400, "unauthorized_client")
	s = newPersonServer(t, Options{ClientAuth: []string{ClientSecretBasic}})
	if r := redeem(t, s, authorize(t, s, nil).Get("code"), nil); r.StatusCode != 401 {
		t.Errorf("public where only Basic is accepted: %s", r.Status)
	}
}

func TestTokenExchange(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now },
		Audiences: []string{"https://other.example"}})
	subject := tokens(t, s, url.Values{"scope": {"openid read write"}})
	ask := func(changes url.Values) reply {
		t.Helper()
		return postForm(t, s.URL()+"/token", with(url.Values{
			"grant_type": {grantExchange}, "client_id": {native},
			"subject_token": {subject.text(t, "access_token")}, "subject_token_type": {typeAccess},
		}, changes))
	}
	r := ask(url.Values{"audience": {"https://other.example"}, "scope": {"read"}})
	claims := segment(t, r.text(t, "access_token"), 1)
	if r.StatusCode != 200 || r.member(t, "issued_token_type") != typeAccess ||
		claims["aud"] != "https://other.example" ||
		claims["scope"] != "read" || claims["sub"] != "00000000-1111-4222-8333-444444444444" ||
		r.member(t, "refresh_token") != nil {
		t.Errorf("%s %s %v", r.Status, r.body, claims)
	}
	if r := ask(url.Values{"subject_token": {subject.text(t, "id_token")},
		"subject_token_type": {typeID}}); r.StatusCode != 200 {
		t.Errorf("id_token: %s %s", r.Status, r.body)
	}
	for name, tt := range map[string]struct {
		changes url.Values
		code    string
	}{
		"no token":                  {url.Values{"subject_token": {""}}, "invalid_request"},
		"no type":                   {url.Values{"subject_token_type": {""}}, "invalid_request"},
		"a refresh token":           {url.Values{"subject_token_type": {typeRefresh}}, "invalid_request"},
		"a refresh token asked for": {url.Values{"requested_token_type": {typeRefresh}}, "invalid_request"},
		"nonsense":                  {url.Values{"subject_token": {"x"}}, "invalid_request"},
		"an id_token as an access token": {url.Values{"subject_token": {subject.text(t, "id_token")}},
			"invalid_request"},
		"an access token as an id_token": {url.Values{"subject_token_type": {typeID}}, "invalid_request"},
		"an actor": {url.Values{"actor_token": {"x"}, "actor_token_type": {typeJWT}},
			"invalid_request"},
		"an actor's type without a token": {url.Values{"actor_token_type": {typeJWT}}, "invalid_request"},
		"more scope":                      {url.Values{"scope": {"admin"}}, "invalid_scope"},
		"unknown API":                     {url.Values{"audience": {"https://unknown.example"}}, "invalid_target"},
	} {
		ask(tt.changes).refused(t, name, 400, tt.code)
	}
	ask(url.Values{"client_id": {""}}).refused(t, "no client", 401, "invalid_client")
	now = t0.Add(900 * time.Second)
	ask(nil).refused(t, "expired", 400, "invalid_request")
	now = t0
	s.BlockUser(alice, true)
	ask(nil).refused(t, "blocked", 400, "invalid_request")
}

func TestJWTBearer(t *testing.T) {
	k := newTestKeys(t)
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now }, Clients: []Client{
		{ID: "robot", Key: &k.rsa.PublicKey}, {ID: "other", Key: &k.ec.PublicKey},
		{ID: "no", Key: &k.rsa.PublicKey, Grants: []string{grantCode}},
	}})
	aud := s.URL() + "/token"
	ask := func(jwt string, changes url.Values) reply {
		t.Helper()
		return postForm(t, aud, with(url.Values{"grant_type": {grantJWT}, "assertion": {jwt}}, changes))
	}
	jwt := func(changes map[string]any) string {
		claims := assertionClaims("robot", aud)
		for name, v := range changes {
			if claims[name] = v; v == nil {
				delete(claims, name)
			}
		}
		return signWith(t, k.rsa, "RS256", "RS256", map[string]any{"typ": "JWT"}, claims)
	}
	r := ask(jwt(map[string]any{"sub": alice}), url.Values{"scope": {"read"}})
	if claims := segment(t, r.text(t, "access_token"), 1); r.StatusCode != 200 || claims["scope"] != "read" ||
		claims["sub"] != "00000000-1111-4222-8333-444444444444" || r.member(t, "refresh_token") != nil {
		t.Errorf("%s %s %v", r.Status, r.body, claims)
	}
	if r := ask(jwt(map[string]any{"sub": "00000000-1111-4222-8333-444444444444"}), nil); r.StatusCode != 200 {
		t.Errorf("a person by id: %s %s", r.Status, r.body)
	}
	s.AddClient(Client{ID: "only PS256", Key: &k.rsa.PublicKey, Alg: "PS256"})
	ask(jwt(map[string]any{"iss": "only PS256"}), nil).refused(t, "another algorithm", 400, "invalid_grant")
	once := jwt(nil)
	if r := ask(once, nil); r.StatusCode != 200 || segment(t, r.text(t, "access_token"), 1)["sub"] != "robot" {
		t.Errorf("for itself: %s %s", r.Status, r.body)
	}
	if r := ask(jwt(map[string]any{"jti": nil}), nil); r.StatusCode != 200 {
		t.Errorf("without jti: %s %s", r.Status, r.body)
	}
	ask(once, nil).refused(t, "replay", 400, "invalid_grant")
	for name, changes := range map[string]map[string]any{
		"no sub": {"sub": nil}, "no iss": {"iss": nil}, "unknown issuer": {"iss": "x"},
		"another's key":   {"iss": "other"},
		"unknown subject": {"sub": "bob"}, "another audience": {"aud": "https://other.example/token"},
		"two audiences": {"aud": []string{aud, "x"}},
		"expired":       {"exp": t0.Unix() - 60}, "no exp": {"exp": nil}, "too long": {"exp": t0.Unix() + 3661},
		"not yet": {"nbf": t0.Unix() + 61},
	} {
		ask(jwt(changes), nil).refused(t, name, 400, "invalid_grant")
	}
	ask("x", nil).refused(t, "no JWT", 400, "invalid_grant")
	ask(jwt(map[string]any{"iss": "no", "sub": "no"}), nil).refused(t, "client without this grant", 400,
		"unauthorized_client")
	ask(jwt(nil), url.Values{"scope": {`"`}}).refused(t, "scope", 400, "invalid_scope")
	ask(jwt(nil), url.Values{"client_id": {clientID}, "client_secret": {secret}}).refused(t,
		"another client authenticates", 400, "invalid_grant")
	ask(jwt(nil), url.Values{"client_id": {clientID}, "client_secret": {"x"}}).refused(t, "wrong secret besides", 401,
		"invalid_client")
	s.BlockUser(alice, true)
	ask(jwt(map[string]any{"sub": alice}), nil).refused(t, "blocked", 400, "invalid_grant")
}

// RFC 7009: a refresh token takes its access tokens along, an access token goes alone, and a client revokes only its
// own.
func TestRevocation(t *testing.T) {
	s := newPersonServer(t, Options{})
	revoke := func(token string, changes url.Values) reply {
		t.Helper()
		return postForm(t, s.URL()+s.RevokePath(), with(url.Values{"token": {token}, "client_id": {native}}, changes))
	}
	web := url.Values{"client_id": {"web"}, "client_secret": {secret}}
	first := tokens(t, s, offline)
	rt := first.text(t, "refresh_token")
	revoke(rt, web).refused(t, "another client's refresh token", 400, "invalid_request")
	revoke(first.text(t, "access_token"), web).refused(t, "another client's access token", 400, "invalid_request")
	revoke(rt, url.Values{"client_id": {"web"}}).refused(t, "no secret", 401, "invalid_client")
	revoke("", nil).refused(t, "empty token", 400, "invalid_request")
	revoke("x", url.Values{"token": {""}}).refused(t, "no token", 400, "invalid_request")
	there := s.URL() + KeycloakIssuerPath + "/protocol/openid-connect/revoke"
	postForm(t, there, url.Values{"token": {rt}, "client_id": {native}}).refused(t, "at another server", 400,
		"invalid_request")
	// unknown there: no error
	postForm(t, there, url.Values{"token": {first.text(t, "access_token")}, "client_id": {native}})
	if first.api(t, s, apiPath) != 200 {
		t.Fatal("a refused revocation revoked")
	}
	if r := revoke(first.text(t, "access_token"),
		url.Values{"token_type_hint": {"refresh_token"}}); r.StatusCode != 200 || r.body != "" ||
		first.api(t, s, apiPath) != 401 {
		t.Errorf("access token: %s %q", r.Status, r.body)
	}
	second := refresh(t, s, rt, nil)
	if second.StatusCode != 200 {
		t.Fatalf("the access token took the refresh token along: %s", second.body)
	}
	for range 2 {
		if r := revoke(rt, nil); r.StatusCode != 200 || r.body != "" {
			t.Errorf("refresh token: %s %q", r.Status, r.body)
		}
	}
	if second.api(t, s, apiPath) != 401 {
		t.Error("its access token lives on")
	}
	refresh(t, s, rt, nil).refused(t, "revoked", 400, "invalid_grant")
	if r := revoke("nonsense", nil); r.StatusCode != 200 {
		t.Errorf("unknown token: %s %s", r.Status, r.body)
	}
	if r := send(t, "POST", s.URL()+s.RevokePath(), `{"token":"x"}`, "Content-Type",
		"application/json"); r.StatusCode != 400 || !strings.Contains(r.body, "invalid_request") {
		t.Errorf("JSON: %s %s", r.Status, r.body)
	}
}
