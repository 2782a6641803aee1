package grant_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

const redirectURI = "http://127.0.0.1:4711/callback"

// browse goes where a browser would go, to where the server redirects it, and returns that.
func browse(t *testing.T, address string) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound && resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("the server does not redirect: %s", resp.Status)
	}
	return resp.Header.Get("Location")
}

func startAuthCode(t *testing.T, e *grant.Endpoint, item keystore.Item, req grant.Request) *grant.Authorization {
	t.Helper()
	a, err := e.StartAuthCode(t.Context(), item, req, redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthCode(t *testing.T) {
	for name, change := range map[string]func(*sandbox.Options){
		"plain": nil, "pushed": func(o *sandbox.Options) { o.RequirePAR = true },
	} {
		for _, method := range []grant.Method{grant.None, grant.ClientSecretBasic, grant.ClientSecretPost,
			grant.ClientSecretJWT} {
			t.Run(name+" "+string(method), func(t *testing.T) {
				box, server := generic(t, method, func(o *sandbox.Options) {
					o.Clients = append(o.Clients, sandbox.Client{ID: "web", Secret: secret,
						RedirectURIs: []string{redirectURI}, Method: string(method)})
					if change != nil {
						change(o)
					}
				})
				if change == nil {
					server.PAREndpoint = ""
				}
				id := "web"
				if method == grant.None {
					id = publicID
				}
				e, item := endpoint(server), server.NewItem(id, grant.ByAuthorizationCode)
				if method != grant.None {
					item.ClientSecret = keystore.SecretString(secret)
				}
				a := startAuthCode(t, e, item, grant.Request{Scope: []string{"openid", "read"}})
				code, err := a.ParseRedirect(browse(t, a.URL))
				if err != nil {
					t.Fatal(err)
				}
				s, err := e.Exchange(t.Context(), item, a, code)
				if err != nil || !strings.Contains(s.Token.Scope, "read") {
					t.Fatalf("%+v, %v", s, err)
				}
				if _, err := e.Userinfo(t.Context(), s.Token); err != nil {
					t.Errorf("the token does not work: %v", err)
				}
				if pushed := box.Count(box.PARPath()); pushed > 0 != (change != nil) ||
					strings.Contains(a.URL, "code_challenge") == (change != nil) {
					t.Errorf("%d pushed requests; %s", pushed, a.URL)
				}
				// A code is good once.
				_, err = e.Exchange(t.Context(), item, a, code)
				if got := wantClass(t, err, grant.Refused); strings.Contains(got.Error(), code.Reveal()) {
					t.Errorf("%v", got)
				}
			})
		}
	}
}

func TestAuthCodeRequest(t *testing.T) {
	server := serverOf("https://auth.example.com", grant.None)
	server.AuthorizeEndpoint = "https://auth.example.com/authorize?tenant=one"
	server.Scope, server.SessionScope, server.Audience = []string{
		"read"}, []string{"offline_access"}, "https://api.example.com/"
	server.AuthorizeParams = map[string]string{"prompt": "consent", "access_type": "offline"}
	e, item := endpoint(server), server.NewItem("my client", grant.ByAuthorizationCode)
	seen := map[string]bool{}
	for _, scope := range [][]string{nil, {"openid"}} {
		a := startAuthCode(t, e, item, grant.Request{Scope: scope})
		u, err := url.Parse(a.URL)
		if err != nil || u.Host != "auth.example.com" || a.RedirectURI != redirectURI {
			t.Fatalf("%s, %v", a.URL, err)
		}
		q := u.Query()
		for name, want := range map[string]string{
			"tenant": "one", "client_id": "my client", "response_type": "code", "redirect_uri": redirectURI,
			"code_challenge_method": "S256",
			"audience":              "https://api.example.com/", "prompt": "consent", "access_type": "offline",
		} {
			if q.Get(name) != want {
				t.Errorf("%s is %q", name, q.Get(name))
			}
		}
		want := "offline_access read"
		if scope != nil {
			want = "offline_access openid"
		}
		if q.Get("scope") != want || q.Has("nonce") != slices.Contains(scope, "openid") {
			t.Errorf("scope %q, nonce %q", q.Get("scope"), q.Get("nonce"))
		}
		if len(q.Get("state")) < 26 || len(q.Get("code_challenge")) != 43 || seen[q.Get("state")] ||
			seen[q.Get("code_challenge")] {
			t.Errorf("state %q, challenge %q", q.Get("state"), q.Get("code_challenge"))
		}
		seen[q.Get("state")], seen[q.Get("code_challenge")] = true, true
	}
	server.AuthorizeEndpoint = ""
	if _, err := endpoint(server).StartAuthCode(t.Context(), item, grant.Request{}, redirectURI); !errors.Is(err,
		grant.ErrNotOffered) {
		t.Error(err)
	}
}

// stateOf returns the state of a request, which only tests look at.
func stateOf(t *testing.T, a *grant.Authorization) string {
	u, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("state")
}

func TestParseRedirect(t *testing.T) {
	for _, c := range []struct {
		name    string
		pasted  string // with STATE
		wantIss bool
		code    string
		class   grant.Class // OK: not this sign-in
		text    string
	}{
		{name: "address", pasted: redirectURI + "?code=abc&state=STATE", code: "abc"},
		{name: "address with white space", pasted: "\n " + redirectURI + "?state=STATE&code=abc \n", code: "abc"},
		{name: "address with an empty fragment", pasted: redirectURI + "?code=abc&state=STATE#", code: "abc"},
		{name: "escaped code", pasted: redirectURI + "?code=4%2F0Ab&state=STATE", code: "4/0Ab"},
		{name: "query", pasted: "?code=abc&state=STATE", code: "abc"},
		{name: "query without a mark", pasted: "code=abc&state=STATE", code: "abc"},
		{name: "bare code", pasted: "4/0AbCd-ef_gh", code: "4/0AbCd-ef_gh"},
		{name: "issuer named", pasted: redirectURI + "?code=abc&state=STATE&iss=https%3A%2F%2Fauth.example.com",
			code: "abc"},
		{name: "issuer announced and named", wantIss: true,
			pasted: redirectURI + "?code=abc&state=STATE&iss=https%3A%2F%2Fauth.example.com", code: "abc"},

		{name: "another state", pasted: redirectURI + "?code=abc&state=other", text: "state"},
		{name: "no state", pasted: redirectURI + "?code=abc", text: "state"},
		{name: "an error without our state", pasted: redirectURI + "?error=access_denied&state=x", text: "state"},
		{name: "another path", pasted: "http://127.0.0.1:4711/other?code=abc&state=STATE", text: "begin with"},
		{name: "a slash too many", pasted: redirectURI + "/?code=abc&state=STATE", text: "begin with"},
		{name: "another host", pasted: "https://evil.example/callback?code=abc&state=STATE", text: "begin with"},
		{name: "another port", pasted: "http://127.0.0.1:4712/callback?code=abc&state=STATE", text: "begin with"},
		{name: "the wrong address", pasted: "https://auth.example.com/authorize", text: "begin with"},
		{name: "state twice", pasted: redirectURI + "?code=abc&state=STATE&state=STATE", text: "twice"},
		{name: "code twice", pasted: redirectURI + "?code=abc&code=def&state=STATE", text: "twice"},
		{name: "nothing", pasted: "", text: "neither"},
		{name: "words", pasted: "I do not know", text: "neither"},
		{name: "control characters", pasted: "ab\x1b[2Jc", text: "neither"},
		{name: "no answer", pasted: redirectURI + "?x=y", text: "no answer"},
		{name: "without end", pasted: strings.Repeat("a", 1<<20), text: "too long"},
		{name: "bad escapes", pasted: redirectURI + "?code=%zz&state=STATE", text: "cannot be read"},

		{name: "denied", pasted: redirectURI + "?error=access_denied&error_description=no%0Away&state=STATE",
			class: grant.Refused, text: "declined"},
		{name: "an unknown error", pasted: redirectURI + "?error=full_moon&state=STATE", class: grant.Refused,
			text: "full_moon"},
		{name: "bad scope", pasted: redirectURI + "?error=invalid_scope&state=STATE", class: grant.Misconfigured,
			text: "invalid_scope"},
		{name: "server trouble", pasted: redirectURI + "?error=temporarily_unavailable&state=STATE",
			class: grant.Transient, text: "temporarily_unavailable"},
		{name: "another issuer", pasted: redirectURI + "?code=abc&state=STATE&iss=https%3A%2F%2Fevil.example",
			class: grant.Refused, text: "evil.example"},
		{name: "the issuer's slash", pasted: redirectURI +
			"?code=abc&state=STATE&iss=https%3A%2F%2Fauth.example.com%2F", class: grant.Refused, text: "issuer"},
		{name: "issuer announced and not named", wantIss: true, pasted: redirectURI + "?code=abc&state=STATE",
			class: grant.Refused, text: "issuer none"},
		{name: "empty issuer", pasted: redirectURI + "?code=abc&state=STATE&iss=", class: grant.Refused,
			text: "issuer none"},
		{name: "empty code", pasted: redirectURI + "?code=&state=STATE", class: grant.Malformed,
			text: "without a code"},
		{name: "code with a line feed", pasted: redirectURI + "?code=a%0Ab&state=STATE", class: grant.Malformed,
			text: "without a code"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := serverOf("https://auth.example.com", grant.None)
			server.AuthorizeEndpoint, server.IssInRedirect = "https://auth.example.com/authorize", c.wantIss
			a := startAuthCode(t, endpoint(server), server.NewItem("c", grant.ByAuthorizationCode), grant.Request{})
			code, err := a.ParseRedirect(strings.ReplaceAll(c.pasted, "STATE", stateOf(t, a)))
			switch {
			case c.code != "":
				if err != nil || code.Reveal() != c.code {
					t.Errorf("code %q, %v", code.Reveal(), err)
				}
				return
			case c.class == grant.OK:
				if !errors.Is(err, grant.ErrNotThisLogin) {
					t.Fatalf("got %v", err)
				}
			default:
				wantClass(t, err, c.class)
			}
			if !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "abc") ||
				strings.Contains(err.Error(), stateOf(t, a)) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q", err)
			}
		})
	}
}

// Where the redirect URI has no path, a browser shows one.
func TestParseRedirectWithoutPath(t *testing.T) {
	server := serverOf("https://auth.example.com", grant.None)
	server.AuthorizeEndpoint = "https://auth.example.com/authorize"
	a, err := endpoint(server).StartAuthCode(t.Context(), server.NewItem("c", grant.ByAuthorizationCode),
		grant.Request{}, "http://127.0.0.1:4711")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/"} {
		if code, err := a.ParseRedirect("http://127.0.0.1:4711" + path + "?code=abc&state=" +
			stateOf(t, a)); err != nil || code.Reveal() != "abc" {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// A code from another person's sign-in is refused, by PKCE (RFC 7636 §4.6).
func TestAuthCodeOfAnotherLogin(t *testing.T) {
	_, server := generic(t, grant.None, nil)
	e, item := endpoint(server), server.NewItem(publicID, grant.ByAuthorizationCode)
	mine, theirs := startAuthCode(t, e, item, grant.Request{}), startAuthCode(t, e, item, grant.Request{})
	back := browse(t, theirs.URL)
	if _, err := mine.ParseRedirect(back); !errors.Is(err, grant.ErrNotThisLogin) {
		t.Errorf("pasted into the wrong sign-in: %v", err)
	}
	code, err := theirs.ParseRedirect(back)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Exchange(t.Context(), item, mine, code)
	if got := wantClass(t, err, grant.Refused); got.Code != "invalid_grant" {
		t.Errorf("%v", got)
	}
}

// An ID token is there: it must be for this sign-in, of this issuer, for this client.
func TestIDToken(t *testing.T) {
	for name, c := range map[string]struct {
		idToken any
		text    string
	}{
		"none":           {nil, ""},
		"unreadable":     {"x.y.z", "cannot be read"},
		"another nonce":  {jwtOf(`{"nonce":"other","iss":"ISS","aud":"public-client"}`), "another sign-in"},
		"no nonce":       {jwtOf(`{"iss":"ISS","aud":"public-client"}`), "another sign-in"},
		"an empty nonce": {jwtOf(`{"nonce":"","iss":"ISS","aud":"public-client"}`), "another sign-in"},
	} {
		t.Run(name, func(t *testing.T) {
			box, server := generic(t, grant.None, nil)
			e, item := endpoint(server), server.NewItem(publicID, grant.ByAuthorizationCode)
			a := startAuthCode(t, e, item, grant.Request{Scope: []string{"openid"}})
			code, err := a.ParseRedirect(browse(t, a.URL))
			if err != nil {
				t.Fatal(err)
			}
			box.Script(strings.TrimPrefix(server.TokenEndpoint, box.URL()),
				sandbox.Fault{Set: map[string]any{"id_token": c.idToken}})
			_, err = e.Exchange(t.Context(), item, a, code)
			if c.text == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if got := wantClass(t, err, grant.Refused); !strings.Contains(got.Error(), c.text) {
				t.Errorf("%v", got)
			}
		})
	}
}

// The redirect of a real server says what it should, or not: faults in the address that the browser is sent to.
func TestRedirectFaults(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]any
		text string
	}{
		"another issuer": {map[string]any{"iss": "https://evil.example"}, "evil.example"},
		"no issuer":      {map[string]any{"iss": nil}, "issuer none"},
		"another state":  {map[string]any{"state": "x"}, "its state is another"},
		"no code":        {map[string]any{"code": nil}, "without a code"},
	} {
		box, server := generic(t, grant.None, nil)
		a := startAuthCode(t, endpoint(server), server.NewItem(publicID, grant.ByAuthorizationCode), grant.Request{})
		box.Script(box.AuthorizePath(), sandbox.Fault{Set: c.set})
		if _, err := a.ParseRedirect(browse(t, a.URL)); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPushedRequestRefused(t *testing.T) {
	box, server := generic(t, grant.None, func(o *sandbox.Options) { o.RequirePAR = true })
	e, item := endpoint(server), server.NewItem(publicID, grant.ByAuthorizationCode)
	for name, c := range map[string]struct {
		fault sandbox.Fault
		class grant.Class
	}{
		"no request_uri": {sandbox.Fault{Set: map[string]any{"request_uri": nil}}, grant.Malformed},
		"odd one":        {sandbox.Fault{Set: map[string]any{"request_uri": "a\nb"}}, grant.Malformed},
		"refused":        {sandbox.Refuse(400, "invalid_request"), grant.Misconfigured},
		"redirected":     {sandbox.Redirect("https://elsewhere.example"), grant.Misconfigured},
		"busy":           {sandbox.Busy(503, "3"), grant.Transient},
	} {
		box.Script(box.PARPath(), c.fault)
		_, err := e.StartAuthCode(t.Context(), item, grant.Request{}, redirectURI)
		if got := wantClass(t, err, c.class); got.Where == "" {
			t.Errorf("%s: %v", name, got)
		}
	}
	// Without pushing, such a server sends the person back with an error.
	server.PAREndpoint, server.RequirePAR = "", false
	a := startAuthCode(t, endpoint(server), item, grant.Request{})
	_, err := a.ParseRedirect(browse(t, a.URL))
	wantClass(t, err, grant.Misconfigured)
}
