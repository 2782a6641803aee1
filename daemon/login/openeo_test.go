package login

import (
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
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
			if r.ClientID != client || r.Provider != "" || !slices.Equal(r.Added, []string{h.server.URL()}) ||
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
