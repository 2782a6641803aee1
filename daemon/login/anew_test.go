package login

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A server does not take the stored session, and does not say so in the words of an RFC. A login that a person typed
// goes on to a new sign-in, where the next one would end at the same answer.
func TestALoginHasAWayForward(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		says  string
		ends  protocol.Kind // of the error, where there is no new sign-in
	}{
		{name: "ended", fault: sandbox.Refuse(400, "invalid_grant"), says: "has ended"},
		{name: "empty 403", fault: sandbox.Fault{Status: 403}, says: "could not be proven"},
		{name: "empty 400", fault: sandbox.Fault{Status: 400}, says: "the session may have ended"},
		{name: "a page under 401", fault: sandbox.HTML(401), says: "could not be proven"},
		{name: "an unknown word", fault: sandbox.Refuse(400, "full_moon"), says: "could not be proven"},
		{name: "no refreshing for this client", fault: sandbox.Refuse(400, "unauthorized_client"),
			says: "could not be proven"},
		{name: "zitadel's word", fault: sandbox.Refuse(400, "server_error"), says: "could not be proven"},
		{name: "a success that is none", fault: sandbox.HTML(200), says: "could not be proven"},
		{name: "an outage", fault: sandbox.Fault{Status: 503}, ends: protocol.Temporary},
		{name: "too many requests", fault: sandbox.Fault{Status: 429}, ends: protocol.Temporary},
		{name: "nothing there", fault: sandbox.HTML(404), ends: protocol.Temporary},
		{name: "a redirect", fault: sandbox.Redirect("https://elsewhere.example/"), ends: protocol.Config},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				h.signIn(t, h.ofDevice("p"))
				before := h.stored(t, "p")
				h.server.Script(h.server.TokenPath(), c.fault)
				r, said, err := h.attend(protocol.LoginParams{Profile: "p"})
				if c.ends != "" {
					wantError(t, err, c.ends)
					if got := h.stored(t, "p"); !got.RefreshToken.Equal(before.RefreshToken) {
						t.Error("the stored session is another one")
					}
					return
				}
				if err != nil || r.Outcome != protocol.SignedIn || !strings.Contains(said, c.says) {
					t.Fatalf("%+v, %v, said %q", r, err, said)
				}
				if got := h.stored(t, "p"); got.RefreshToken.Equal(before.RefreshToken) {
					t.Error("the session is the old one")
				}
				h.cool("p")
				if err := h.tokenError(t, "p"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What is stored stays until the new sign-in has worked: it does not, and the old session works once the server is well
// again.
func TestASessionThatCouldNotBeProvenStays(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		h.server.Script(h.server.TokenPath(), sandbox.Fault{Status: 403}, sandbox.Refuse(400, "access_denied"))
		_, _, err := h.attend(protocol.LoginParams{Profile: "p"})
		wantError(t, err, protocol.LoginRequired)
		h.cool("p")
		if err := h.tokenError(t, "p"); err != nil {
			t.Error(err)
		}
	})
}

// A client's secret was changed at the server. Whoever can be asked is asked for the new one; else the hint is the
// command that asks.
func TestAChangedSecretIsAskedFor(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"its name": sandbox.Refuse(401, "invalid_client"), "without a word": {Status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				h.signIn(t, h.ofMachine("p"))
				h.server.Script(h.server.TokenPath(), fault)
				_, _, err := h.attend(protocol.LoginParams{Profile: "p"})
				if e, ok := err.(*protocol.Error); !ok || e.Hint() != "groat login p --client-id machine" {
					t.Errorf("%v", err)
				}
				h.server.Script(h.server.TokenPath(), fault)
				r, said, err := h.attend(protocol.LoginParams{Profile: "p", Confirm: true})
				if err != nil || r.Outcome != protocol.SignedIn ||
					!strings.Contains(said, "client machine does not work") {
					t.Errorf("%+v, %v, said %q", r, err, said)
				}
				if r, _, err = h.attend(protocol.LoginParams{Profile: "p", Secret: true}); err != nil ||
					r.Outcome != protocol.SignedIn {
					t.Errorf("a secret that is at hand: %+v, %v", r, err)
				}
			})
		})
	}
}

// The same of a client through which a person signs in: its secret is asked for, and the person signs in.
func TestAChangedSecretOfASessionIsAskedFor(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		params := h.ofMachine("p")
		params.Grant = string(grant.ByDeviceCode)
		h.signIn(t, params)
		h.server.Script(h.server.TokenPath(), sandbox.Refuse(401, "invalid_client"))
		r, said, err := h.attend(protocol.LoginParams{Profile: "p"})
		if err != nil || r.Outcome != protocol.SignedIn || !strings.Contains(said, "type the client's secret") {
			t.Errorf("%+v, %v, said %q", r, err, said)
		}
	})
}

// A person who was warned of a session's end, and then types the login, signs in anew. A program is told that the
// session works.
func TestASessionThatEndsSoonIsSignedInAnew(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		p := h.ofDevice("p")
		p.Set = map[string]string{"session_absolute": "36000"}
		h.signIn(t, p)
		named := protocol.LoginParams{Profile: "p", Confirm: true}
		if r, err := h.login(t.Context(), named, unasked(t)); err != nil || r.Outcome != protocol.AlreadySignedIn {
			t.Errorf("long before its end: %+v, %v", r, err)
		}
		time.Sleep(9*time.Hour + 30*time.Minute)
		program := protocol.LoginParams{Profile: "p"}
		if r, err := h.login(t.Context(), program, unasked(t)); err != nil || r.Outcome != protocol.AlreadySignedIn {
			t.Errorf("a program: %+v, %v", r, err)
		}
		var asked []protocol.Prompt
		r, err := h.login(t.Context(), named, h.saying("no", &asked))
		if err != nil || r.Outcome != protocol.SignedIn {
			t.Errorf("%+v, %v", r, err)
		}
		want := "The sign-in of profile p ends in 30m, whatever is renewed: sign in again."
		if got := questions(asked, protocol.PromptNotice); !slices.Contains(got, want) {
			t.Errorf("%q", got)
		}
	})
}

// A token that nothing renews is good for some time: no notice says that it has ended.
func TestASignInThatCannotBeRenewed(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.server.Set("refresh_always", "false")
		h.signIn(t, h.ofDevice("p"))
		time.Sleep(time.Minute)
		var asked []protocol.Prompt
		r, err := h.login(t.Context(), protocol.LoginParams{Profile: "p"}, h.saying("no", &asked))
		if err != nil || r.Outcome != protocol.SignedIn {
			t.Errorf("%+v, %v", r, err)
		}
		got := questions(asked, protocol.PromptNotice)
		if !slices.ContainsFunc(got, func(text string) bool {
			return strings.HasPrefix(text, "The sign-in of profile p cannot be renewed, and ends in ")
		}) {
			t.Errorf("%q", got)
		}
	})
}
