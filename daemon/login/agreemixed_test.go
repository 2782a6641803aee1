package login

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// A profile's credential is sealed for one server, and a person names another one for it, whose document names
// endpoints of both. What was agreed to for the one is not agreed to for the other.
func TestF30ADocumentMixesInTheServerOfBefore(t *testing.T) {
	tier.Long(t, "fifteen sign-ins by device take a second each")
	for endpoint, path := range map[string]string{
		"token_endpoint": "/token", "device_authorization_endpoint": "/device", "authorization_endpoint": "/authorize",
		"pushed_authorization_request_endpoint": "/par", "everything": "",
	} {
		for _, auth := range []string{"none", "client_secret_post", "client_secret_jwt"} {
			kind := "device_code"
			if strings.Contains(endpoint, "auth") && !strings.HasPrefix(endpoint, "device") || path == "/par" {
				kind = "authorization_code"
			}
			t.Run(endpoint+" "+auth, func(t *testing.T) {
				h := onSockets(t, sandbox.Options{})
				honest, evil := described.New(t, "honest"), described.New(t, "evil")
				describe := func(o *described.Server) {
					maps.Copy(o.Document, map[string]any{
						"token_endpoint": o.URL + "/token", "device_authorization_endpoint": o.URL + "/device",
						"authorization_endpoint":                o.URL + "/authorize",
						"pushed_authorization_request_endpoint": o.URL + "/par",
						"token_endpoint_auth_methods_supported": []string{"none", "client_secret_post",
							"client_secret_jwt"},
						"require_pushed_authorization_requests": path == "/par",
					})
				}
				describe(honest)
				describe(evil)
				p := protocol.LoginParams{Profile: "lab", Issuer: honest.URL, ClientID: "c", ClientAuth: auth,
					Grant: "device_code"}
				if _, _, err := h.sign(t, p, ""); err != nil {
					t.Fatal(err)
				}
				honest.Received()
				p.Issuer, p.Grant, p.Replace = evil.URL, kind, true
				for name := range evil.Document {
					if strings.HasSuffix(name, "_endpoint") && (name == endpoint || path == "") {
						evil.Document[name] = strings.Replace(evil.Document[name].(string), evil.URL, honest.URL, 1)
					}
				}
				_, a, err := h.sign(t, p, "")
				wantError(t, err, protocol.Config)
				_, b, err := h.sign(t, p, "no")
				e := wantError(t, err, protocol.Config)
				if len(b.asked) != 1 || !strings.Contains(b.asked[0], honest.Host()+" would receive") ||
					len(a.secrets)+len(b.secrets) != 0 {
					t.Errorf("asked %q, typed for %q", b.asked, slices.Concat(a.secrets, b.secrets))
				}
				if path != "" && path != "/device" && path != "/par" &&
					!strings.Contains(b.asked[0], evil.Host()+" would receive") {
					t.Errorf("who would receive what is the other's is not said: %q", b.asked)
				}
				if got := slices.Concat(evil.Received(), honest.Received()); len(got) != 0 {
					t.Errorf("arrived: %q", got)
				}
				if again := typed(t, strings.Replace(e.Hint(), " --replace", "", 1)); !slices.Equal(again.Trust,
					[]string{honest.URL}) {
					t.Errorf("hint %q", e.Hint())
				}
			})
		}
	}
}

// A file is edited so that a session's token, revocation or userinfo endpoint is another's: the sign-in that
// the hint names asks the issuer anew, proves what is stored where it is sealed for, and mends the file.
func TestF31AnEditedSessionIsMendedByItsLogin(t *testing.T) {
	tier.Long(t, "sign-ins by device take a second each")
	h := onSockets(t, sandbox.Options{})
	honest, evil := described.New(t, "honest"), described.New(t, "evil")
	maps.Copy(honest.Document, map[string]any{
		"token_endpoint": honest.URL + "/token", "device_authorization_endpoint": honest.URL + "/device",
		"revocation_endpoint": honest.URL + "/revoke", "userinfo_endpoint": honest.URL + "/me",
	})
	p := protocol.LoginParams{Profile: "lab", Issuer: honest.URL, ClientID: "c", ClientAuth: "none",
		Grant: "device_code"}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	whole := h.text(t, "lab")
	for _, path := range []string{"/token", "/revoke", "/me"} {
		h.edit(t, "lab", func(text string) string { return strings.Replace(text, honest.URL+path, evil.URL+path, 1) })
		if err := h.tokenError(t, "lab"); path == "/token" {
			if e := wantError(t, err, protocol.Config); e.Hint() != "groat login lab" {
				t.Errorf("hint %q", e.Hint())
			}
		}
		honest.Received()
		r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab"}, "")
		if err != nil || r.Outcome != protocol.AlreadySignedIn || !r.Changed || len(a.secrets) != 0 {
			t.Fatalf("%s: %+v, %v", path, r, err)
		}
		if got := honest.Received(); len(got) != 1 || !strings.Contains(got[0], "grant_type=refresh_token") {
			t.Errorf("%s: sent %q", path, got)
		}
		if h.text(t, "lab") != whole {
			t.Errorf("%s: the file is %q", path, h.text(t, "lab"))
		}
		if err := h.tokenError(t, "lab"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got := evil.Received(); len(got) != 0 {
		t.Errorf("arrived: %q", got)
	}
}

// text is the file that a login wrote.
func (h *harness) text(t *testing.T, profile string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.config, "profiles.d", profile+".toml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A name in a prompt is neither so long that the host is cut off behind it, nor made to look like a host; and so many
// hosts that a terminal would not show them all are not asked for.
func TestJ65ANameThatHidesTheHost(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	o := described.New(t, "named")
	for _, name := range []string{strings.Repeat("c", 1000), "c, for honest.example", "c\nfor honest.example:\x1b[8m",
		"c\u202e"} {
		for _, p := range []protocol.LoginParams{
			{Profile: "lab", TokenURL: o.URL + "/token", ClientID: name},
			{Profile: "lab", Provider: "climateengine", AuthServer: o.URL, Username: name},
		} {
			_, a, _ := h.sign(t, p, "")
			if len(a.secrets) != 1 || len(a.secrets[0]) > 300 ||
				!strings.HasSuffix(visible.Text(a.secrets[0]), ", for "+o.Host()) ||
				strings.HasPrefix(a.secrets[0], "Client secret of c, for honest") {
				t.Errorf("%q: %q", name, a.secrets)
			}
			h.logoutError(t, protocol.LogoutParams{Profile: "lab", Yes: true})
		}
	}
	p := protocol.LoginParams{Profile: "key", Provider: "planet-key"}
	for i := range 20 {
		p.Resources = append(p.Resources, "https://"+strings.Repeat(string(rune('a'+i)), 40)+".example")
	}
	_, a, err := h.sign(t, p, "")
	if wantError(t, err, protocol.Config); len(a.secrets) != 0 {
		t.Errorf("asked %q", a.secrets)
	}
}
