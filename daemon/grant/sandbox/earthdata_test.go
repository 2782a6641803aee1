package sandbox

import (
	"encoding/json"
	"testing"
	"time"
)

// Earthdata's user tokens, as its documentation describes them: found or made, two at most, sixty days.
func TestEarthdata(t *testing.T) {
	s := newServer(t, Options{Users: []User{{Name: "ann", Password: "pw"}}})
	ask := func(method, path, password string) reply {
		t.Helper()
		return send(t, method, s.URL()+path, "", "Authorization", basicHeader("ann", password))
	}
	first := ask("POST", EarthdataFindPath, "pw")
	token := first.text(t, "access_token")
	if claims := segment(t, token, 1); claims["uid"] != "ann" ||
		claims["exp"].(float64)-claims["iat"].(float64) != EarthdataLifetime.Seconds() {
		t.Errorf("%v", claims)
	}
	day := time.Now().UTC().Add(EarthdataLifetime).Format("01/02/2006")
	if first.member(t, "token_type") != "Bearer" || first.member(t, "expiration_date") != day {
		t.Errorf("%s", first.body)
	}
	if again := ask("POST", EarthdataFindPath, "pw"); again.text(t, "access_token") != token {
		t.Error("another token is found")
	}
	second := ask("POST", EarthdataCreatePath, "pw")
	if second.StatusCode != 200 || second.text(t, "access_token") == token {
		t.Errorf("%s %s", second.Status, second.body)
	}
	ask("POST", EarthdataCreatePath, "pw").refused(t, "a third", 403, "max_token_limit")
	var list []struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal([]byte(ask("GET", EarthdataListPath, "pw").body), &list); len(list) != 2 || list[0].Token != token {
		t.Errorf("%d are listed", len(list))
	}
	ask("POST", EarthdataFindPath, "x").refused(t, "wrong password", 401, "invalid_credentials")
	ask("GET", EarthdataListPath, "x").refused(t, "wrong password", 401, "invalid_credentials")
	if r := ask("GET", EarthdataFindPath, "pw"); r.StatusCode != 405 {
		t.Errorf("GET: %s", r.Status)
	}
	if n := first.api(t, s, "/search/collections"); n != 200 {
		t.Errorf("the API answers %d", n)
	}
	s.Revoke(token)
	if n := first.api(t, s, "/search/collections"); n != 401 {
		t.Errorf("with a revoked token the API answers %d", n)
	}
	if r := ask("POST", EarthdataCreatePath, "pw"); r.StatusCode != 200 {
		t.Errorf("in the place of a revoked one: %s %s", r.Status, r.body)
	}
}
