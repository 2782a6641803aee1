package login

import (
	"errors"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// An assertion is for whom the server wants it, at the sign-in and at each renewal, and the profile says so.
func TestAssertionsAreForWhomTheServerWants(t *testing.T) {
	for _, c := range []struct {
		name, rule   string
		server       sandbox.AssertionAudience
		grant        string
		byToken      bool
		fails        bool
		configured   string
		unconfigured string
	}{
		{name: "by its issuer", server: sandbox.AudienceTyped, configured: "discovered = true",
			unconfigured: "assertion_audience"},
		{name: "by its issuer, a grant", server: sandbox.AudienceTyped, grant: "jwt_bearer"},
		{name: "by its issuer, which wants the token endpoint", server: sandbox.AudienceToken, rule: "endpoint",
			configured: "assertion_audience = 'endpoint'"},
		{name: "by its issuer, which is a grant's audience", server: sandbox.AudienceIssuer, rule: "issuer",
			grant: "jwt_bearer"},
		{name: "by its issuer, a URL", server: sandbox.AudienceToken, rule: "URL"},
		{name: "by its token endpoint", byToken: true, server: sandbox.AudienceToken, unconfigured: "discovered"},
		{name: "by its token endpoint, which wants the issuer", byToken: true, server: sandbox.AudienceIssuer,
			rule: "issuer"},
		{name: "by its token endpoint, which wants a typ", byToken: true, server: sandbox.AudienceTyped,
			rule: "issuer"},
		{name: "by its token endpoint, and nobody said more", byToken: true, server: sandbox.AudienceTyped,
			fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sandbox.Options{AssertionAudience: c.server}, func(t *testing.T, h *harness) {
				file, public := keyPair(t)
				h.server.AddClient(sandbox.Client{ID: "keyed", Key: public})
				p := protocol.LoginParams{Profile: "p", Issuer: h.server.URL(), ClientID: "keyed", Key: file,
					ClientAuth: "private_key_jwt", Grant: c.grant, AssertionAudience: c.rule}
				if c.byToken {
					p.Issuer, p.TokenURL = "", h.server.URL()+h.server.TokenPath()
				}
				if c.rule == "URL" {
					p.AssertionAudience = h.server.URL() + h.server.TokenPath()
				}
				if c.grant != "" {
					p.ClientAuth = "none"
				}
				_, err := h.login(t.Context(), p, h.willing(t))
				if c.fails {
					wantError(t, err, protocol.LoginRequired)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				h.cool("p")
				if err := h.tokenError(t, "p"); err != nil {
					t.Errorf("a renewal: %v", err)
				}
				text := h.written(t, "p")
				if !strings.Contains(text, c.configured) ||
					c.unconfigured != "" && strings.Contains(text, c.unconfigured) {
					t.Errorf("configured: %s", text)
				}
			})
		})
	}
}

// A word that is none is refused by name, before anything is asked or sent.
func TestAnAssertionAudienceThatIsNone(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		p := h.ofMachine("p")
		p.AssertionAudience = "isuer"
		_, err := h.login(t.Context(), p, nil)
		if e := wantError(t, err, ""); !strings.Contains(e.Message, "--assertion-audience") {
			t.Errorf("%v", e)
		}
	})
}

// A refusal that may be about the audience of an assertion that is a grant, which is not tried twice, says how the other
// one is chosen, and that works as it is typed.
func TestTheOtherAudienceOfAGrantIsNamed(t *testing.T) {
	inBubble(t, sandbox.Options{AssertionAudience: sandbox.AudienceIssuer}, func(t *testing.T, h *harness) {
		file, public := keyPair(t)
		h.server.AddClient(sandbox.Client{ID: "keyed", Key: public})
		p := protocol.LoginParams{Profile: "p", Issuer: h.server.URL(), ClientID: "keyed", Key: file,
			ClientAuth: "none", Grant: "jwt_bearer"}
		_, err := h.login(t.Context(), p, h.willing(t))
		e, ok := errors.AsType[*protocol.Error](err)
		if !ok || !strings.Contains(e.Hint(), "--assertion-audience issuer") {
			t.Fatalf("%v", err)
		}
		p.AssertionAudience = "issuer"
		if _, err := h.login(t.Context(), p, h.willing(t)); err != nil {
			t.Error(err)
		}
	})
}

// A device endpoint, and one for pushed requests, that wants assertions for itself refuses those that are tried: the
// hint says how that is chosen, and works as it is typed.
func TestTheAudienceOfAnotherEndpointIsNamed(t *testing.T) {
	for _, way := range []grant.Kind{grant.ByDeviceCode, grant.ByAuthorizationCode} {
		inBubble(t, sandbox.Options{AssertionAudience: sandbox.AudienceEndpoint},
			func(t *testing.T, h *harness) {
				h.server.AddClient(sandbox.Client{ID: "signs", Secret: clientSecret, Method: sandbox.ClientSecretJWT,
					Grants: []string{string(grant.ByAuthorizationCode), "refresh_token",
						"urn:ietf:params:oauth:grant-type:device_code"}})
				p := protocol.LoginParams{Profile: "p", Issuer: h.server.URL(), ClientID: "signs",
					ClientAuth: sandbox.ClientSecretJWT, Grant: string(way)}
				_, err := h.login(t.Context(), p, h.willing(t))
				e, ok := errors.AsType[*protocol.Error](err)
				typed := "groat login p --issuer " + h.server.URL() + " --grant " + string(way) +
					" --client-auth client_secret_jwt --client-id signs"
				want := typed + " --assertion-audience called"
				if !ok || e.Hint() != want {
					t.Fatalf("%s: %v, the hint is %q, want %q", way, err, e.Hint(), want)
				}
				if p.AssertionAudience = "called"; way == grant.ByDeviceCode {
					h.signIn(t, p)
				}
			})
	}
}
