package parts_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

type reply struct {
	Status      int
	RetryAfter  string
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
	Error       string `json:"error"`
	Active      bool   `json:"active"`
}

// post sends a form, with Basic credentials unless id is empty.
func post(t *testing.T, endpoint, id, secret string, form url.Values) (r reply) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.Status, r.RetryAfter = resp.StatusCode, resp.Header.Get("Retry-After")
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func form(pairs ...string) url.Values {
	f := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

// assertion is RFC 7523 §3's, made as its text says.
func assertion(t *testing.T, as *parts.OIDC, id, secret string) url.Values {
	t.Helper()
	now := time.Now()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "client_secret_jwt", "sub": "client_secret_jwt", "aud": as.Issuer, "jti": id,
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion",
		signed)
}

func TestOIDCProviderAuthenticatesClients(t *testing.T) {
	as := parts.OIDCProvider(t)
	for _, test := range []struct {
		name       string
		id, secret string
		form       url.Values
		status     int
		error      string
	}{
		{"basic", "client_secret_basic", as.ClientSecret, form(), 200, ""},
		{"basic, wrong secret", "client_secret_basic", "wrong", form(), 401, "invalid_client"},
		{"post", "", "", form("client_id", "client_secret_post", "client_secret", as.ClientSecret), 200, ""},
		{"post, wrong secret", "", "", form("client_id", "client_secret_post", "client_secret", "wrong"), 401,
			"invalid_client"},
		{"basic, where an assertion is registered", "client_secret_jwt", as.ClientSecret, form(), 401,
			"invalid_client"},
		{"assertion", "", "", assertion(t, as, "once", as.ClientSecret), 200, ""},
		{"assertion, used again", "", "", assertion(t, as, "once", as.ClientSecret), 401, "invalid_client"},
		{"assertion, wrong secret", "", "", assertion(t, as, "twice", strings.Repeat("wrong", 10)), 401,
			"invalid_client"},
		{"scope", "client_secret_basic", as.ClientSecret, form("scope", "api:read"), 200, ""},
		{"scope of others", "client_secret_basic", as.ClientSecret, form("scope", "api:admin"), 400, "invalid_scope"},
	} {
		got := post(t, as.TokenEndpoint, test.id, test.secret, test.form)
		if got.Status != test.status || got.Error != test.error || (got.AccessToken != "") != (test.status == 200) {
			t.Errorf("%s: %d %q, want %d %q", test.name, got.Status, got.Error, test.status, test.error)
		}
	}
	seen := as.Requests(t)
	want := parts.OIDCRequest{
		Method: "POST", Path: "/token", Status: 200, Client: "client_secret_basic", Authorization: "Basic",
		GrantType: "client_credentials", Resource: []string{"https://api.example.test/"},
	}
	if len(seen) != 10 {
		t.Fatalf("%d requests in the log, want 10", len(seen))
	}
	if diff := cmp.Diff(want, seen[0]); diff != "" {
		t.Error(diff)
	}
}

func TestOIDCProviderTokens(t *testing.T) {
	as := parts.OIDCProvider(t)
	get := func() reply { return post(t, as.TokenEndpoint, "client_secret_basic", as.ClientSecret, form()) }

	claims := jwt.MapClaims{}
	token, _, err := jwt.NewParser().ParseUnverified(get().AccessToken, claims)
	if err != nil || token.Method.Alg() != "RS256" || claims["iss"] != as.Issuer {
		t.Errorf("access token %v of %v, %v; want an RS256 one of %s", token, claims["iss"], err, as.Issuer)
	}

	as.Configure(t, parts.OIDCConfig{AccessTTL: 2, Format: "opaque"})
	got := get()
	if strings.Contains(got.AccessToken, ".") || got.ExpiresIn != 2 {
		t.Errorf("got a token that lives %d s; want an opaque one that lives 2 s", got.ExpiresIn)
	}
	if !post(t, as.IntrospectionEndpoint, "client_secret_basic", as.ClientSecret,
		url.Values{"token": {got.AccessToken}}).Active {
		t.Error("the server does not know its own token")
	}
}

func TestOIDCProviderFaults(t *testing.T) {
	as := parts.OIDCProvider(t)
	as.Configure(t, parts.OIDCConfig{Faults: []parts.OIDCFault{
		{Path: "/token", Count: 2, Status: 503, Headers: map[string]string{"Retry-After": "1"}},
	}})
	type answer struct {
		Status     int
		RetryAfter string
	}
	var got []answer
	for range 3 {
		r := post(t, as.TokenEndpoint, "client_secret_basic", as.ClientSecret, form())
		got = append(got, answer{r.Status, r.RetryAfter})
	}
	if diff := cmp.Diff([]answer{{503, "1"}, {503, "1"}, {200, ""}}, got); diff != "" {
		t.Error(diff)
	}
	as.Configure(t, parts.OIDCConfig{Faults: []parts.OIDCFault{{Path: "/token", Count: 1, Drop: true}}})
	if resp, err := http.PostForm(as.TokenEndpoint, form()); err == nil {
		resp.Body.Close()
		t.Errorf("got %s where the server was told to hang up", resp.Status)
	}
}
