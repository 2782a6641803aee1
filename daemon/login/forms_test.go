package login

import (
	"context"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// oddSecret has another form where it is form-encoded; any base64 secret may.
const oddSecret = "dummy+secret/not=real%41"

// oddClient is a client that has it.
func oddClient() sandbox.Client {
	return sandbox.Client{ID: "odd", Secret: oddSecret, RedirectURIs: []string{"http://127.0.0.1/callback"}}
}

// typing is a person who types one secret and approves of every device. Notices are added to said.
func (h *harness) typing(t *testing.T, secret string, said *[]string) answerFunc {
	return func(ctx context.Context, p protocol.Prompt) (keystore.Secret, error) {
		switch p.Kind {
		case protocol.PromptNotice:
			*said = append(*said, p.Text)
		case protocol.PromptBrowser:
			return h.comeBack(ctx, p.URL)
		case protocol.PromptDevice:
			if err := h.server.ApproveDevice(p.Code); err != nil {
				t.Error(err)
			}
		}
		return keystore.SecretString(secret), nil
	}
}

// posts counts the requests to a path.
func (h *harness) posts(path string) (n int) {
	for _, e := range h.server.Log() {
		if e.Path == path {
			n++
		}
	}
	return n
}

// A server may fail over the second form. What it said of the first is what the person reads.
func TestAServerThatFailsOverTheOtherForm(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{"a broken connection": {Cut: sandbox.CutAfterBody}, "500": {Status: 500}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{Clients: []sandbox.Client{oddClient()}}, func(t *testing.T, h *harness) {
				h.server.Script(h.server.TokenPath(), sandbox.Fault{Status: 401, Body: `{"error":"invalid_client"}`}, fault)
				var said []string
				_, err := h.login(t.Context(), protocol.LoginParams{Profile: "p", Issuer: h.server.URL(), ClientID: "odd",
					ClientAuth: "client_secret_basic"}, h.typing(t, "also+wrong", &said))
				wantError(t, err, protocol.LoginRequired)
				if n := h.posts(h.server.TokenPath()); n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
			})
		})
	}
}

// A client that can prove itself in two forms is refused in one of them at some servers. The other is tried once, at a
// login that a person typed, and what worked is kept.
func TestTheOtherFormIsTriedOnce(t *testing.T) {
	type params = protocol.LoginParams
	for _, c := range []struct {
		name     string
		raw      bool
		audience sandbox.AssertionAudience
		change   func(*params)
		secret   string // oddSecret, if it is empty
		fault    *sandbox.Fault
		at       string // the path that is counted; the token endpoint's, if it is empty
		requests int
		fails    bool
		keeps    string // what the profile's file has of it
	}{
		{name: "raw", raw: true, requests: 2, keeps: "basic = 'raw'"},
		{name: "raw, by its token endpoint", raw: true, requests: 2, keeps: "basic = 'raw'", change: func(p *params) {
			p.TokenURL, p.Issuer = p.Issuer+"/token", ""
		}},
		{name: "raw, which was said", raw: true, requests: 1, keeps: "basic = 'raw'",
			change: func(p *params) { p.Basic = "raw" }},
		{name: "raw, and the other was said", raw: true, requests: 1, fails: true,
			change: func(p *params) { p.Basic = "form" }},
		{name: "form-encoded", requests: 1},
		{name: "form-encoded, and the other was said", requests: 1, fails: true,
			change: func(p *params) { p.Basic = "raw" }},
		{name: "a wrong secret", raw: true, secret: "also+wrong", requests: 2, fails: true},
		{name: "a wrong secret that has one form", raw: true, secret: "wrong", requests: 1, fails: true},
		{name: "a refusal that says nothing", raw: true, fault: &sandbox.Fault{Status: 403}, requests: 2,
			keeps: "basic = 'raw'"},
		{name: "a server that fails", raw: true, fault: &sandbox.Fault{Status: 503}, requests: 1, fails: true},
		{name: "another reason", raw: true, requests: 1, fails: true,
			fault: &sandbox.Fault{Status: 400, Body: `{"error":"invalid_scope"}`}},
		{name: "a method that has one form", requests: 1,
			change: func(p *params) { p.ClientAuth = "client_secret_post" }},
		{name: "an assertion", audience: sandbox.AudienceToken, requests: 2, keeps: "assertion_audience = 'endpoint'",
			change: func(p *params) { p.ClientAuth = "client_secret_jwt" }},
		{name: "an assertion, by its token endpoint", audience: sandbox.AudienceIssuer, requests: 1, fails: true,
			change: func(p *params) {
				p.TokenURL, p.Issuer, p.ClientAuth = p.Issuer+"/token", "", "client_secret_jwt"
			}},
		{name: "a device", raw: true, at: "/device/code", requests: 2, keeps: "basic = 'raw'",
			change: func(p *params) { p.Grant = "device_code" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := sandbox.Options{RawBasic: c.raw, AssertionAudience: c.audience,
				Clients: []sandbox.Client{oddClient()}}
			inBubble(t, o, func(t *testing.T, h *harness) {
				p := params{Profile: "p", Issuer: h.server.URL(), ClientID: "odd", ClientAuth: "client_secret_basic"}
				if c.change != nil {
					c.change(&p)
				}
				if c.secret == "" {
					c.secret = oddSecret
				}
				if c.at == "" {
					c.at = h.server.TokenPath()
				}
				if c.fault != nil {
					h.server.Script(c.at, *c.fault)
				}
				var said []string
				_, err := h.login(t.Context(), p, h.typing(t, c.secret, &said))
				if (err != nil) != c.fails {
					t.Fatalf("%v", err)
				}
				if n := h.posts(c.at); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
				told := strings.Contains(strings.Join(said, "\n"), "--basic raw") ||
					strings.Contains(strings.Join(said, "\n"), "--assertion-audience endpoint")
				if told != (c.requests == 2 && !c.fails) {
					t.Errorf("said %q", said)
				}
				if c.fails {
					if h.Profiles.Named("p") != nil || h.stored(t, "p").Issuer != "" {
						t.Error("something was stored")
					}
					return
				}
				text := h.written(t, "p")
				if !strings.Contains(text, c.keeps) || c.keeps == "" && strings.Contains(text, "basic =") {
					t.Errorf("configured: %s", text)
				}
				h.cool("p")
				before := h.posts(h.server.TokenPath())
				if err := h.tokenError(t, "p"); err != nil || h.posts(h.server.TokenPath()) != before+1 {
					t.Errorf("a renewal, with %d requests: %v", h.posts(h.server.TokenPath())-before, err)
				}
			})
		})
	}
}

// A code is presented once. A pushed request is sent in either form, and the code then in the one that worked.
func TestACodeIsPresentedOnce(t *testing.T) {
	for name, pushed := range map[string]bool{"pushed": true, "not pushed": false} {
		t.Run(name, func(t *testing.T) {
			h := onSockets(t, sandbox.Options{RawBasic: true, RequirePAR: pushed, Consent: sandbox.ConsentAllow,
				Clients: []sandbox.Client{oddClient()}})
			var said []string
			p := protocol.LoginParams{Profile: "p", Issuer: h.server.URL(), ClientID: "odd",
				ClientAuth: "client_secret_basic", Grant: "authorization_code"}
			if !pushed {
				p.PAR = "never"
			}
			_, err := h.login(t.Context(), p, h.typing(t, oddSecret, &said))
			if n := h.posts(h.server.TokenPath()); n != 1 {
				t.Errorf("%d requests with a code", n)
			}
			if pushed {
				if err != nil || h.posts("/par") != 2 || !strings.Contains(h.written(t, "p"), "basic = 'raw'") {
					t.Errorf("%v, %d were pushed", err, h.posts("/par"))
				}
				return
			}
			e := wantError(t, err, protocol.LoginRequired)
			if !strings.Contains(e.Hint(), "--basic raw") {
				t.Errorf("hint %q", e.Hint())
			}
			if _, err := h.login(t.Context(), typedWords(t, e.Hint()), h.typing(t, oddSecret, &said)); err != nil {
				t.Errorf("the hint's command: %v", err)
			}
		})
	}
}

// typedWords reads the command of a hint of these tests.
func typedWords(t *testing.T, command string) protocol.LoginParams {
	t.Helper()
	plain, raw := strings.CutSuffix(command, " --basic raw")
	p := typed(t, strings.Replace(plain, " --par never", "", 1))
	if raw {
		p.Basic, p.PAR = "raw", "never"
	}
	return p
}

// What could not be kept is not tried: the profile is described in a file that groat never writes.
func TestNoOtherFormForAFileOfThePersons(t *testing.T) {
	inBubble(t, sandbox.Options{RawBasic: true, Clients: []sandbox.Client{oddClient()}},
		func(t *testing.T, h *harness) {
			h.write(t, "config.toml", "[profiles.p]\n"+h.configFor("client_secret_basic", ""))
			var said []string
			_, err := h.login(t.Context(), protocol.LoginParams{Profile: "p", ClientID: "odd"},
				h.typing(t, oddSecret, &said))
			wantError(t, err, protocol.LoginRequired)
			if n := h.posts(h.server.TokenPath()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
}

// Nobody has said how the client proves itself, and the server takes its secret in the request's body only: that is
// tried once, and kept. Where it was said, or the server says that it takes another, it is not tried.
func TestASecretInTheBodyIsTriedOnce(t *testing.T) {
	type params = protocol.LoginParams
	for _, c := range []struct {
		name     string
		change   func(*params)
		secret   string
		requests int
		fails    bool
		hint     string
	}{
		{name: "by its token endpoint", requests: 2, change: byTokenEndpoint},
		{name: "by its issuer", requests: 2},
		{name: "which was said", requests: 1, change: func(p *params) { p.ClientAuth = "client_secret_post" }},
		{name: "and another was said", requests: 1, fails: true,
			change: func(p *params) { p.ClientAuth = "client_secret_basic" }},
		{name: "a wrong secret", requests: 2, fails: true, secret: "wrong", change: byTokenEndpoint,
			hint: "--client-id body"},
		{name: "a wrong secret of two forms", requests: 2, fails: true, secret: "wrong+", change: byTokenEndpoint,
			hint: "--client-auth client_secret_post"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := sandbox.Options{Clients: []sandbox.Client{
				{ID: "body", Secret: clientSecret, Method: "client_secret_post"},
			}}
			inBubble(t, o, func(t *testing.T, h *harness) {
				p := params{Profile: "p", Issuer: h.server.URL(), ClientID: "body"}
				if c.change != nil {
					c.change(&p)
				}
				if c.secret == "" {
					c.secret = clientSecret
				}
				var said []string
				_, err := h.login(t.Context(), p, h.typing(t, c.secret, &said))
				if n := h.posts(h.server.TokenPath()); (err != nil) != c.fails || n != c.requests {
					t.Fatalf("%d requests, %v", n, err)
				}
				if c.fails {
					if e := wantError(t, err, protocol.LoginRequired); !strings.Contains(e.Message+e.Hint(), c.hint) {
						t.Errorf("hint %q", e.Hint())
					}
					return
				}
				told := strings.Contains(strings.Join(said, "\n"), "--client-auth client_secret_post")
				if told != (c.requests == 2) {
					t.Errorf("said %q", said)
				}
				if text := h.written(t, "p"); !strings.Contains(text, "client_auth = 'client_secret_post'") {
					t.Errorf("configured: %s", text)
				}
				if got := h.stored(t, "p"); got.ClientAuth != "client_secret_post" {
					t.Errorf("stored for %s", got.ClientAuth)
				}
				h.cool("p")
				if err := h.tokenError(t, "p"); err != nil {
					t.Error("a renewal:", err)
				}
				r, err := h.login(t.Context(), params{Profile: "p"}, h.typing(t, "never typed", &said))
				if err != nil || r.Outcome != protocol.AlreadySignedIn {
					t.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
}

func byTokenEndpoint(p *protocol.LoginParams) { p.TokenURL, p.Issuer = p.Issuer+"/token", "" }
