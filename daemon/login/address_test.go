package login

import (
	"net/http"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// An address without https:// is refused before anything is asked or sent, and the hint is the command with it.
func TestAnAddressWithoutAScheme(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		for flag, p := range map[string]protocol.LoginParams{
			"issuer":      {Issuer: "%login.example.org", ClientID: "me"},
			"backend":     {Backend: "%openeo.example.org/v1"},
			"token-url":   {TokenURL: "%login.example.org:8443/token", ClientID: "me"},
			"auth-server": {Provider: "spatiafi", AuthServer: "%login.example.org"},
		} {
			for _, begin := range []string{"", "http://"} {
				p := p
				p.Profile = "p"
				for _, s := range []*string{&p.Issuer, &p.Backend, &p.TokenURL, &p.AuthServer} {
					*s = strings.Replace(*s, "%", begin, 1)
				}
				_, _, err := h.attend(p)
				e := wantError(t, err, "")
				if want := "--" + flag + " https://" + map[string]string{
					"issuer": "login.example.org", "backend": "openeo.example.org/v1",
					"token-url": "login.example.org:8443/token", "auth-server": "login.example.org",
				}[flag]; !strings.HasPrefix(e.Message, "--"+flag+" must begin with https://") ||
					!strings.Contains(e.Hint(), want) {
					t.Errorf("%s %q: %v, hint %q", flag, begin, e, e.Hint())
				}
			}
		}
	})
}

// Nothing is at an address that was typed: that is no matter of waiting, and the hint names the flag.
func TestAnAddressWithNothingThere(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		nothing := h.server.URL() + "/nothing"
		for flag, p := range map[string]protocol.LoginParams{
			"issuer":      {Issuer: nothing, ClientID: "machine"},
			"backend":     {Backend: nothing},
			"token-url":   {TokenURL: nothing, ClientID: "machine"},
			"auth-server": {Provider: "spatiafi", AuthServer: h.server.URL(), ClientID: "machine"},
		} {
			p.Profile = "p"
			h.server.Script("/api/v1/auth/jwt/token", sandbox.Fault{Status: http.StatusNotFound})
			_, _, err := h.attend(p)
			e := wantError(t, err, protocol.Config)
			if !strings.HasSuffix(e.Message, "; check the URL given by --"+flag) ||
				!strings.HasSuffix(e.Hint(), "--"+flag+" URL") {
				t.Errorf("%v, hint %q", e, e.Hint())
			}
		}
		h.server.Script(h.server.TokenPath(), sandbox.Fault{Status: http.StatusServiceUnavailable})
		_, _, err := h.attend(protocol.LoginParams{Profile: "p", TokenURL: h.server.URL() + h.server.TokenPath(),
			ClientID: "machine"})
		wantError(t, err, protocol.Temporary)
	})
}
