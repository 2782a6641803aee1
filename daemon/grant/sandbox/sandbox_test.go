package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Dummies, all of them.
const (
	alice     = "alice@example.com"
	alicePass = "dummy-pass"
	clientID  = "11111111-2222-4333-8444-555555555555"
	secret    = "dummy-secret-not-real-0123456789-abcdefghij"
)

var t0 = time.Unix(1_700_000_000, 0)

// newServer starts a server on loopback with alice and one client of hers.
func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	o.Users = append(o.Users, User{Name: alice, Password: alicePass, ID: "00000000-1111-4222-8333-444444444444"})
	o.Clients = append(o.Clients, Client{ID: clientID, Secret: secret})
	s := New(o)
	t.Cleanup(s.Close)
	if err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	return s
}

type reply struct {
	*http.Response
	body string
}

// member returns a top-level member of a JSON object.
func (r reply) member(t *testing.T, name string) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	return m[name]
}

var direct = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableKeepAlives: true},
	Timeout:       30 * time.Second,
}

// send makes one request; headers are names and values in turn.
func send(t *testing.T, method, url, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp, string(b)}
}

func postForm(t *testing.T, url string, form url.Values, headers ...string) reply {
	t.Helper()
	return send(t, "POST", url, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"},
		headers...)...)
}

func basicHeader(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// personToken signs alice in.
func personToken(t *testing.T, s *Server) string {
	t.Helper()
	r := send(t, "GET", s.URL()+SpatiafiBasicPath, "", "Authorization", basicHeader(alice, alicePass))
	token, _ := r.member(t, "access_token").(string)
	if r.StatusCode != 200 || token == "" {
		t.Fatalf("%s %s", r.Status, r.body)
	}
	return token
}

// segment decodes part i of a compact JWT.
func segment(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The answer has the real one's shape to the last member, and its three lifetimes that disagree.
func TestSpatiafiTokenIsTheRealOne(t *testing.T) {
	s := newServer(t, Options{Clock: func() time.Time { return t0.Add(400 * time.Millisecond) },
		API: "https://api.example"})
	r := send(t, "GET", s.URL()+SpatiafiBasicPath, "", "Authorization", basicHeader(alice, alicePass))
	var body map[string]any
	json.Unmarshal([]byte(r.body), &body)
	token, _ := body["access_token"].(string)
	delete(body, "access_token")
	want := map[string]any{"token_type": "bearer", "expires_at": float64(1700000840), "expires_in": float64(839)}
	if d := cmp.Diff(want, body); d != "" || r.StatusCode != 200 {
		t.Errorf("%s, answer (-want +got):\n%s", r.Status, d)
	}
	if d := cmp.Diff(map[string]any{"typ": "JWT", "alg": "RS256"}, segment(t, token, 0)); d != "" {
		t.Errorf("header (-want +got):\n%s", d)
	}
	claims := segment(t, token, 1)
	if jti, _ := claims["jti"].(string); len(jti) != 36 {
		t.Errorf("jti %q", jti)
	}
	delete(claims, "jti")
	want = map[string]any{
		"user_id": "00000000-1111-4222-8333-444444444444", "groups": []any{}, "roles": []any{"all-datasets"},
		"aud": []any{s.URL(), "https://api.example"}, "iss": s.URL(),
		"exp": float64(1700000900), "iat": float64(1700000000),
	}
	if d := cmp.Diff(want, claims); d != "" {
		t.Errorf("claims (-want +got):\n%s", d)
	}
	if got := r.Header.Get("Date"); got != "Tue, 14 Nov 2023 22:13:20 GMT" {
		t.Errorf("Date %q is not the server's clock", got)
	}
}

func TestLifetimesScale(t *testing.T) {
	for _, tt := range []struct {
		life                   time.Duration
		exp, expiresAt, expiry float64
	}{
		{3 * time.Second, 3, 2, 1},
		{9 * time.Second, 9, 8, 7},
		{10 * time.Second, 10, 9, 8},
		{60 * time.Second, 60, 56, 55},
		{900 * time.Second, 900, 840, 839},
		{24 * time.Hour, 86400, 80640, 80639},
	} {
		s := newServer(t, Options{Clock: func() time.Time { return t0 }, TokenLifetime: tt.life})
		r := send(t, "GET", s.URL()+SpatiafiBasicPath, "", "Authorization", basicHeader(alice, alicePass))
		exp := segment(t, r.member(t, "access_token").(string), 1)["exp"].(float64) - float64(t0.Unix())
		at := r.member(t, "expires_at").(float64) - float64(t0.Unix())
		in := r.member(t, "expires_in").(float64)
		if exp != tt.exp || at != tt.expiresAt || in != tt.expiry {
			t.Errorf("%v: exp +%v, expires_at +%v, expires_in %v", tt.life, exp, at, in)
		}
	}
}

// The whole way of a person: password, temporary token, App Credentials, token, API.
func TestSpatiafiStory(t *testing.T) {
	s := newServer(t, Options{})
	bearer := "Bearer " + personToken(t, s)

	created := send(t, "POST", s.URL()+SpatiafiClientsPath, "", "Authorization", bearer)
	id, _ := created.member(t, "client_id").(string)
	key, _ := created.member(t, "client_secret").(string)
	if created.StatusCode != 201 || !regexp.MustCompile(`^[0-9a-f-]{14}4[0-9a-f-]{21}$`).MatchString(id) ||
		!regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(key) {
		t.Fatalf("%s %s", created.Status, created.body)
	}
	if n := len(s.Clients()); n != 2 {
		t.Errorf("%d clients", n)
	}
	me := send(t, "GET", s.URL()+SpatiafiMePath, "", "Authorization", bearer)
	want := `{"id":"00000000-1111-4222-8333-444444444444","email":"alice@example.com","is_active":true,` +
		`"is_superuser":false,"is_verified":false}`
	if me.body != want {
		t.Errorf("users/me: %s", me.body)
	}
	for method, r := range map[string]reply{
		ClientSecretBasic: postForm(t, s.URL()+SpatiafiTokenPath, url.Values{"grant_type": {"client_credentials"}},
			"Authorization", basicHeader(id, key)),
		ClientSecretPost: postForm(t, s.URL()+SpatiafiTokenPath, url.Values{
			"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {key}}),
		ClientSecretJWT: postForm(t, s.URL()+SpatiafiTokenPath, assertionForm(assertion{id: id, secret: key,
			aud: s.URL() + SpatiafiTokenPath, iat: time.Now()}.sign())),
	} {
		token, _ := r.member(t, "access_token").(string)
		got := send(t, "GET", s.URL()+"/api/info?item_id=x", "", "Authorization", "Bearer "+token)
		if r.StatusCode != 200 || got.StatusCode != 200 || got.member(t, "path") != "/api/info" {
			t.Errorf("%s: %s %s, then %s %s", method, r.Status, r.body, got.Status, got.body)
		}
	}
}

// Every refusal of the SpatiaFi dialect, with status and body.
func TestSpatiafiRefusals(t *testing.T) {
	s := newServer(t, Options{})
	const form = "application/x-www-form-urlencoded"
	missingBoth := `{"detail":[{"loc":["body","username"],"msg":"field required","type":"value_error.missing"},` +
		`{"loc":["body","password"],"msg":"field required","type":"value_error.missing"}]}`
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string // in the body
	}{
		{"basic without header", "GET", SpatiafiBasicPath, "", nil, 401, `{"detail":"Unauthorized"}`},
		{"basic wrong password", "GET", SpatiafiBasicPath, "", []string{"Authorization", basicHeader(alice, "x")}, 401,
			`{"detail":"Unauthorized"}`},
		{"basic unknown user", "GET", SpatiafiBasicPath, "", []string{"Authorization", basicHeader("bob", alicePass)},
			401, `{"detail":"Unauthorized"}`},
		{"basic with control character", "GET", SpatiafiBasicPath, "",
			[]string{"Authorization", basicHeader(alice, alicePass+"\n")}, 401, "Unauthorized"},
		{"basic not base64", "GET", SpatiafiBasicPath, "", []string{"Authorization", "Basic !!"}, 401, "Unauthorized"},
		{"basic without colon", "GET", SpatiafiBasicPath, "", []string{"Authorization", "Basic YQ=="}, 401,
			"Unauthorized"},
		{"basic twice", "GET", SpatiafiBasicPath, "", []string{"Authorization", basicHeader(alice, alicePass),
			"Authorization", basicHeader(alice, alicePass)}, 401, "Unauthorized"},
		{"basic by POST", "POST", SpatiafiBasicPath, "", nil, 405, "Method Not Allowed"},
		{"password wrong", "POST", SpatiafiTokenPath, "grant_type=password&username=alice%40example.com&password=x",
			[]string{"Content-Type", form}, 400, `{"detail":"LOGIN_BAD_CREDENTIALS"}`},
		{"password fields missing", "POST", SpatiafiTokenPath, "grant_type=password", []string{"Content-Type", form},
			422, missingBoth},
		{"grant_type missing", "POST", SpatiafiTokenPath, "username=a&password=b", []string{"Content-Type", form}, 422,
			`"grant_type"`},
		{"grant_type unknown", "POST", SpatiafiTokenPath, "grant_type=refresh_token", []string{"Content-Type", form},
			400, `"unsupported_grant_type"`},
		{"JSON", "POST", SpatiafiTokenPath, `{"grant_type":"password"}`, []string{"Content-Type", "application/json"},
			422, `"field required"`},
		{"no content type", "POST", SpatiafiTokenPath, `grant_type=password`, nil, 422, `"field required"`},
		{"another charset", "POST", SpatiafiTokenPath, "grant_type=password",
			[]string{"Content-Type", form + ";charset=latin1"}, 400, `"invalid_request"`},
		{"repeated parameter", "POST", SpatiafiTokenPath, "grant_type=password&grant_type=password",
			[]string{"Content-Type", form}, 400, "repeated"},
		{"empty parameter", "POST", SpatiafiTokenPath, "grant_type=client_credentials&scope=",
			[]string{"Content-Type", form}, 400, "empty"},
		{"not UTF-8", "POST", SpatiafiTokenPath, "grant_type=%ff", []string{"Content-Type", form}, 400, "UTF-8"},
		{"bad escape", "POST", SpatiafiTokenPath, "grant_type=%zz", []string{"Content-Type", form}, 400, "parsed"},
		{"parameters in the URL", "POST", SpatiafiTokenPath + "?client_id=x", "grant_type=password",
			[]string{"Content-Type", form}, 400, "body"},
		{"client credentials without any", "POST", SpatiafiTokenPath, "grant_type=client_credentials",
			[]string{"Content-Type", form}, 401, `"invalid_client"`},
		{"too big", "POST", SpatiafiTokenPath, strings.Repeat("x", maxBody+1), []string{"Content-Type", form}, 413,
			"Too Large"},
		{"clients without token", "POST", SpatiafiClientsPath, "", nil, 401, `{"detail":"Unauthorized"}`},
		{"users/me without token", "GET", SpatiafiMePath, "", nil, 401, `{"detail":"Unauthorized"}`},
		{"API without token", "GET", "/v1/raster/export/values?dataset=x", "", nil, 401, `{"detail":"Unauthorized"}`},
		{"API with another scheme", "GET", "/api/info", "", []string{"Authorization", basicHeader(alice, alicePass)},
			401, "Unauthorized"},
		{"API with nonsense", "GET", "/api/info", "", []string{"Authorization", "Bearer nonsense"}, 401,
			"Unauthorized"},
		{"API with a token that is no b64token", "GET", "/api/info", "", []string{"Authorization", "Bearer a,b"}, 401,
			"Unauthorized"},
		{"elsewhere", "GET", "/", "", nil, 404, `{"detail":"Not Found"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := send(t, tt.method, s.URL()+tt.path, tt.body, tt.headers...)
			if r.StatusCode != tt.status || !strings.Contains(r.body, tt.want) {
				t.Errorf("%s %s", r.Status, r.body)
			}
		})
	}
	if n := len(s.Clients()); n != 1 {
		t.Errorf("a refused request left a client: %d", n)
	}
}

func TestClientsWantsItsSlashAndNoBody(t *testing.T) {
	s := newServer(t, Options{})
	bearer := "Bearer " + personToken(t, s)
	r := send(t, "POST", s.URL()+"/api/v1/clients", "", "Authorization", bearer)
	if r.StatusCode != 307 || r.Header.Get("Location") != s.URL()+SpatiafiClientsPath {
		t.Errorf("%s %v", r.Status, r.Header)
	}
	r = send(t, "POST", s.URL()+SpatiafiClientsPath, "{}", "Authorization", bearer, "Content-Type", "application/json")
	if r.StatusCode != 422 || len(s.Clients()) != 1 {
		t.Errorf("%s %s, %d clients", r.Status, r.body, len(s.Clients()))
	}
}
