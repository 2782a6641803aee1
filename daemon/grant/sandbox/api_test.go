package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What the API must find out by itself, and not by remembering what it issued.
func TestAPIRefusesTokens(t *testing.T) {
	now := t0
	s := newServer(t, Options{Clock: func() time.Time { return now }})
	other := newServer(t, Options{Clock: func() time.Time { return now }})
	good := personToken(t, s)
	parts := strings.Split(good, ".")
	claims := segment(t, good, 1)
	claims["exp"] = claims["exp"].(float64) + 3600
	longer, _ := json.Marshal(claims)
	// Signed with the right key, so that nothing but the changed member can be the reason.
	forged := func(alg, claim string, value any) string {
		claims := segment(t, good, 1)
		if claim != "" {
			claims[claim] = value
		}
		return signRSA(s.key, map[string]string{"alg": alg}, claims)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	get := func(token string) reply {
		return send(t, "GET", s.URL()+"/api/info", "", "Authorization", "Bearer "+token)
	}
	for name, token := range map[string]string{
		"changed claims":   parts[0] + "." + base64.RawURLEncoding.EncodeToString(longer) + "." + parts[2],
		"alg none":         none,
		"another alg":      forged("RS384", "", nil),
		"another issuer":   forged("RS256", "iss", other.URL()),
		"another audience": forged("RS256", "aud", []string{other.URL()}),
		"exp is text":      forged("RS256", "exp", "1800000000"),
		"another server's": personToken(t, other),
	} {
		if r := get(token); r.StatusCode != 401 || !strings.Contains(r.Header.Get("WWW-Authenticate"),
			"invalid_token") {
			t.Errorf("%s: %s %v", name, r.Status, r.Header)
		}
	}
	for _, token := range []string{good, forged("RS256", "", nil)} {
		if r := get(token); r.StatusCode != 200 {
			t.Errorf("good: %s", r.Status)
		}
	}
	// RFC 6750 §3.1: who brings no token is not told that it is invalid.
	if r := send(t, "GET", s.URL()+"/api/info", ""); r.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("challenge without a token: %q", r.Header.Get("WWW-Authenticate"))
	}
	now = t0.Add(900*time.Second - time.Millisecond)
	if r := get(good); r.StatusCode != 200 {
		t.Errorf("just before exp: %s", r.Status)
	}
	now = t0.Add(900 * time.Second)
	if r := get(good); r.StatusCode != 401 {
		t.Errorf("at exp: %s", r.Status)
	}
	now = t0
	s.Revoke(good)
	if r := get(good); r.StatusCode != 401 {
		t.Errorf("revoked: %s", r.Status)
	}
}

func TestKnobsForPeopleAndClients(t *testing.T) {
	s := newServer(t, Options{})
	bearer := "Bearer " + personToken(t, s)
	token := func() int {
		return postForm(t, s.URL()+SpatiafiTokenPath, url.Values{"grant_type": {"client_credentials"}},
			"Authorization", basicHeader(clientID, secret)).StatusCode
	}
	check := func(what string, want int) {
		t.Helper()
		if got := token(); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	check("at first", 200)
	s.DisableClient(clientID, true)
	check("disabled", 401)
	s.DisableClient(clientID, false)
	check("enabled", 200)
	s.SetClientSecret(clientID, "another-dummy")
	check("another secret", 401)
	s.SetClientSecret(clientID, secret)
	s.BlockUser(alice, true)
	check("owner blocked", 401)
	for _, r := range []reply{
		send(t, "GET", s.URL()+SpatiafiBasicPath, "", "Authorization", basicHeader(alice, alicePass)),
		send(t, "GET", s.URL()+SpatiafiMePath, "", "Authorization", bearer),
		send(t, "POST", s.URL()+SpatiafiClientsPath, "", "Authorization", bearer),
	} {
		if r.StatusCode != 401 {
			t.Errorf("blocked person at %s: %s", r.Request.URL.Path, r.Status)
		}
	}
	s.BlockUser(alice, false)
	check("owner back", 200)
}

func TestOnlyLoopback(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	if err := s.Start("0.0.0.0:0"); err == nil {
		t.Error("listens everywhere")
	}
}
