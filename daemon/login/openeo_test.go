package login

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/protocol"
)

const deviceCode = "urn:ietf:params:oauth:grant-type:device_code"

// eoClient is a public client of the back end, which must use PKCE with device codes; eoBrowser comes back to a port.
var (
	eoClient  = sandbox.Client{ID: "eo-default", Method: sandbox.None, DevicePKCE: true}
	eoBrowser = sandbox.Client{ID: "eo-browser", Method: sandbox.None, RedirectURIs: []string{"http://127.0.0.1/cb"}}
)

func backEnd() sandbox.Options {
	return sandbox.Options{
		Clients: []sandbox.Client{eoClient, eoBrowser},
		OpenEO: &sandbox.OpenEO{ID: "box", Scopes: []string{"openid", "email"}, Clients: []sandbox.OpenEOClient{
			{ID: eoBrowser.ID, Grants: []string{"authorization_code+pkce"},
				Redirects: []string{"https://editor.example/", "http://127.0.0.1/cb"}},
			{ID: eoClient.ID, Grants: []string{deviceCode + "+pkce", "refresh_token"}},
		}},
	}
}

// A back end says where to sign in, as whom, for what, and how its tokens are written.
func TestASignInAtAnOpenEOBackEnd(t *testing.T) {
	for name, p := range map[string]protocol.LoginParams{
		"alone":             {},
		"with the provider": {Provider: "openeo"},
		"with its issuer":   {Issuer: "ISSUER"},
		"without one":       {NoBrowser: true},
		"as a client":       {ClientID: "machine", ClientAuth: "client_secret_post"},
	} {
		inBubble(t, backEnd(), func(t *testing.T, h *harness) {
			p.Profile, p.Backend = "eo", h.server.URL()+"/"
			if p.Issuer != "" {
				p.Issuer = h.server.Issuer()
			}
			r := h.signIn(t, p)
			client, scope := eoClient.ID, "openid email"
			if p.ClientID != "" {
				client, scope = p.ClientID, ""
			}
			text := h.written(t, "eo")
			if r.ClientID != client || r.Provider != "" || !slices.Equal(r.Added,
				[]string{h.server.URL() + sandbox.OpenEOAPI}) ||
				!strings.Contains(text, "backend = '"+p.Backend+"'") ||
				!strings.Contains(text, "token_prefix = 'oidc/box/'") ||
				scope != "" && !strings.Contains(text, "scope = '"+scope+"'") {
				t.Errorf("%s: %+v\n%s", name, r, text)
			}
			token, err := h.token(t, "eo")
			if err != nil {
				t.Fatal(err)
			}
			if _, value := token.Header(); value != "Bearer oidc/box/"+token.Access.Reveal() {
				t.Errorf("%s: the header is %.20s…", name, value)
			}
			again := h.signIn(t, protocol.LoginParams{Profile: "eo"})
			if again.Outcome != protocol.AlreadySignedIn || h.written(t, "eo") != text {
				t.Errorf("%s: then %+v\n%s", name, again, h.written(t, "eo"))
			}
		})
	}
}

// What a back end names on another host is asked about, and refused where nobody can be asked.
func TestABackEndNamesOtherHosts(t *testing.T) {
	o := backEnd()
	o.OpenEO.Elsewhere = "http://localhost:7"
	inBubble(t, o, func(t *testing.T, h *harness) {
		p := protocol.LoginParams{Profile: "eo", Backend: h.server.URL()}
		for word, want := range map[string]int{"": 0, "no": 1} {
			_, a, err := h.sign(t, p, word)
			if err == nil || len(a.asked) != want || !strings.Contains(err.Error(), "http://localhost:7") {
				t.Errorf("%q: %v, %q", word, err, a.asked)
			}
		}
		if n := len(h.server.Log()); n != 4 { // two documents each
			t.Errorf("the back end was asked %d times", n)
		}
	})
	inBubble(t, backEnd(), func(t *testing.T, h *harness) {
		p := protocol.LoginParams{Profile: "eo", Backend: "http://localhost"} // the server calls itself 127.0.0.1
		_, a, err := h.sign(t, p, "no")
		if err == nil || len(a.asked) != 1 || !strings.Contains(a.asked[0], "access tokens") {
			t.Errorf("%v, %q", err, a.asked)
		}
		p.Resources = []string{h.server.URL()}
		_, a, err = h.sign(t, p, "no")
		if err == nil || len(a.asked) != 1 || !strings.HasPrefix(a.asked[0], "localhost names other hosts. 127.0.0.1 would") {
			t.Errorf("%v, %q", err, a.asked)
		}
		p.Trust = []string{h.server.URL()}
		if _, err = h.login(t.Context(), p, h.willing(t)); err != nil {
			t.Error(err)
		}
	})
}

// A back end of another host that names an issuer, a client, a scope and an API of its own choice gets nothing before a
// person has seen who gains what: neither a new sign-in's tokens nor those of a session that is there. The hint is one
// command, and it works.
func TestF48ABackEndThatTakesTokensOfAForeignIssuer(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	issuer, evil := described.New(t, "issuer"), described.New(t, "evil")
	maps.Copy(issuer.Document, map[string]any{
		"token_endpoint": issuer.URL + "/token", "device_authorization_endpoint": issuer.URL + "/device",
	})
	evil.BackEnd(issuer.URL, "evil-client", "openid", "admin")
	sso := protocol.LoginParams{Profile: "sso", Issuer: issuer.URL, ClientID: "c", ClientAuth: "none", Grant: "device_code"}
	if _, _, err := h.sign(t, sso, ""); err != nil {
		t.Fatal(err)
	}
	issuer.Received()
	for _, p := range []protocol.LoginParams{
		{Profile: "new", Backend: evil.URL},
		{Profile: "new", Backend: evil.URL, Resources: []string{evil.URL}},
		{Profile: "sso", Backend: evil.URL},
		{Profile: "sso", Backend: evil.URL, Issuer: issuer.URL},
	} {
		_, a, err := h.sign(t, p, "no")
		wantError(t, err, protocol.Config)
		asked := strings.Join(a.asked, "\n")
		for _, want := range []string{evil.Host() + " signs people in at " + issuer.URL, "evil-client",
			`"openid admin"`, evil.URL + "/api would receive the access tokens"} {
			if len(a.asked) != 1 || !strings.Contains(asked, want) {
				t.Errorf("%+v: asked %q, without %s", p, a.asked, want)
			}
		}
	}
	if got := issuer.Received(); len(got) != 0 {
		t.Errorf("arrived: %q", got)
	}
	for _, p := range []protocol.LoginParams{{Profile: "new", Backend: evil.URL}, {Profile: "sso", Backend: evil.URL}} {
		_, _, err := h.sign(t, p, "")
		e := wantError(t, err, protocol.Config)
		if r, a, err := h.sign(t, typed(t, e.Hint()), ""); err != nil || len(a.asked) != 0 ||
			!slices.Equal(r.Added, []string{evil.URL + "/api"}) {
			t.Errorf("%s: %v, asked %q, %+v", e.Hint(), err, a.asked, r)
		}
	}
}

// The API of a back end on a host that many share is sealed with its path, and is below what was named.
func TestF49ABackEndBelowAPath(t *testing.T) {
	for backend, asked := range map[string]int{"/openeo": 0, "/alice": 1} {
		inBubble(t, backEnd(), func(t *testing.T, h *harness) {
			h.server.Script("/alice"+sandbox.OpenEOWellKnown, sandbox.Fault{Status: 200, Body: `{"versions":[{"url":"` +
				h.server.URL() + sandbox.OpenEOAPI + `","api_version":"1.2.0"}]}`, Times: -1})
			h.server.Script("/openeo"+sandbox.OpenEOWellKnown, sandbox.Fault{Status: 200, Body: `{"versions":[{"url":"` +
				h.server.URL() + sandbox.OpenEOAPI + `","api_version":"1.2.0"}]}`, Times: -1})
			p := protocol.LoginParams{Profile: "eo", Backend: h.server.URL() + backend, NoBrowser: true}
			if asked > 0 {
				if _, a, err := h.sign(t, p, "no"); len(a.asked) != asked || err == nil {
					t.Fatalf("%s: %v, asked %q", backend, err, a.asked)
				}
				return
			}
			h.signIn(t, p)
			if item := h.stored(t, "eo"); !slices.Equal(item.APIs, []string{"http://127.0.0.1:80" + sandbox.OpenEOAPI}) {
				t.Errorf("%q", item.APIs)
			}
		})
	}
}

func TestABackEndWithSeveralProviders(t *testing.T) {
	o := backEnd()
	o.OpenEO.Before = []string{"https://first.example"}
	inBubble(t, o, func(t *testing.T, h *harness) {
		p := protocol.LoginParams{Profile: "eo", Backend: h.server.URL()}
		_, a, err := h.sign(t, p, "no")
		if err == nil || !strings.Contains(err.Error(), "no public client") || len(a.notices) != 1 ||
			!strings.Contains(a.notices[0], "https://first.example") || !strings.Contains(a.notices[0], h.server.Issuer()) {
			t.Errorf("%v, %q", err, a.notices)
		}
		p.Issuer = "https://third.example"
		if _, _, err = h.sign(t, p, "no"); err == nil || !strings.Contains(err.Error(), "there are https://first.example, ") {
			t.Error(err)
		}
		p.Issuer = h.server.Issuer()
		h.signIn(t, p)
		p.Issuer = "" // it is known by now
		if r := h.signIn(t, p); r.Outcome != protocol.AlreadySignedIn {
			t.Errorf("%+v", r)
		}
	})
}

// A default client may be replaced any time: where the session is gone too, the new one signs in.
func TestABackEndReplacesItsClient(t *testing.T) {
	o := backEnd()
	o.Clients = append(o.Clients, sandbox.Client{ID: "eo-next", Method: sandbox.None})
	inBubble(t, o, func(t *testing.T, h *harness) {
		h.signIn(t, protocol.LoginParams{Profile: "eo", Backend: h.server.URL()})
		o.OpenEO.Clients = []sandbox.OpenEOClient{{ID: "eo-next", Grants: []string{deviceCode}}}
		if r := h.signIn(t, protocol.LoginParams{Profile: "eo"}); r.Outcome != protocol.AlreadySignedIn {
			t.Errorf("%+v", r)
		}
		h.server.EndSessions(person)
		r := h.signIn(t, protocol.LoginParams{Profile: "eo"})
		if r.Outcome != protocol.SignedIn || r.ClientID != "eo-next" {
			t.Errorf("%+v", r)
		}
	})
}

func TestABackEndIsRefused(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		for _, c := range []struct {
			p    protocol.LoginParams
			says string
		}{
			{protocol.LoginParams{Provider: "openeo"}, "name the openEO back end with --backend"},
			{protocol.LoginParams{Provider: "spatiafi", Backend: h.server.URL()}, "no provider but openeo"},
			{protocol.LoginParams{TokenURL: h.server.URL() + "/token", Backend: h.server.URL()}, "--token-url"},
			{protocol.LoginParams{Backend: "ftp://x"}, "https"},
			{protocol.LoginParams{Backend: h.server.URL()}, "does not list where people sign in"},
		} {
			c.p.Profile = "eo"
			if _, _, err := h.sign(t, c.p, "no"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v: %v", c.p, err)
			}
		}
	})
}
