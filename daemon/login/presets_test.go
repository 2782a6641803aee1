package login

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

const oneTimeCode = "246810"

// A Copernicus account with a second factor: its code is asked for after the password, by a prompt that may stay empty,
// sent once and never kept. Without it, and with a wrong one, the sign-in is refused; a notice says what may be
// missing.
func TestAOneTimeCodeIsSentOnceAndNeverKept(t *testing.T) {
	o := sandbox.Options{
		Dialect: sandbox.Copernicus, Clients: []sandbox.Client{{ID: "cdse-public", Method: sandbox.None}},
	}
	inBubble(t, o, func(t *testing.T, h *harness) {
		params := protocol.LoginParams{
			Profile: "p", Provider: "copernicus", AuthServer: h.server.URL(), Username: person,
		}
		signIn := func(code string) (texts []string, err error) {
			_, err = h.login(t.Context(), params, func(_ context.Context, p protocol.Prompt) (keystore.Secret, error) {
				texts = append(texts, p.Text)
				switch {
				case p.Kind != protocol.PromptSecret:
				case p.Optional && !p.Further:
					return keystore.SecretString(code), nil
				case p.Further && !p.Optional:
					return keystore.SecretString(password), nil
				default:
					t.Errorf("%+v", p)
				}
				return keystore.Secret{}, nil
			})
			return texts, err
		}
		texts, err := signIn("")
		if err != nil || len(texts) < 2 || !strings.HasPrefix(texts[1], "One-time code of "+person) {
			t.Errorf("without a second factor: %q, %v", texts, err)
		}
		h.server.AddUser(sandbox.User{Name: person, Password: password, Code: oneTimeCode})
		params.Profile = "q"
		for _, code := range []string{"", "000000"} {
			texts, err := signIn(code)
			wantError(t, err, protocol.LoginRequired)
			told := slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, "No one-time code") })
			if told != (code == "") {
				t.Errorf("with the code %q: %q", code, texts)
			}
		}
		if _, err := signIn(oneTimeCode); err != nil {
			t.Fatal(err)
		}
		item := h.stored(t, "q")
		for _, s := range []keystore.Secret{item.APIKey, item.ClientSecret, item.RefreshToken} {
			if strings.Contains(s.Reveal(), oneTimeCode) {
				t.Error("the code is kept")
			}
		}
		sent := len(h.server.Log())
		h.cool("q")
		if _, err := h.token(t, "q"); err != nil || len(h.server.Log()) != sent+1 {
			t.Errorf("a renewal: %v, after %d requests", err, len(h.server.Log())-sent)
		}
	})
}

func github(h *harness) protocol.LoginParams {
	return protocol.LoginParams{
		Profile: "p", Provider: "github", AuthServer: h.server.URL(), ClientID: "app", Scope: "repo",
	}
}

// A GitHub token that does not expire is the credential: it is handed out for months without a request, as an access
// token, for its own scope alone. Once an API refuses it, a person must sign in, and a new sign-in asks anew.
func TestATokenThatDoesNotExpireIsKept(t *testing.T) {
	inBubble(t, sandbox.Options{Dialect: sandbox.GitHub}, func(t *testing.T, h *harness) {
		h.server.Set("refresh_always", "false")
		h.signIn(t, github(h))
		first, err := h.token(t, "p")
		if err != nil || first.Static || first.Last || first.Type != "Bearer" || first.Scope != "repo" {
			t.Fatalf("%+v, %v", first, err)
		}
		sent := len(h.server.Log())
		time.Sleep(100 * 24 * time.Hour)
		later, err := h.token(t, "p")
		if err != nil || !later.Access.Equal(first.Access) || len(h.server.Log()) != sent {
			t.Errorf("%v, after %d requests", err, len(h.server.Log())-sent)
		}
		_, err = h.Broker.Token(t.Context(), broker.Query{Profile: "p", Scope: "gist", MinTTL: broker.Unset})
		if e := h.Wire(err, "p"); !strings.Contains(e.Message, "another profile for that scope") {
			t.Errorf("another scope: %v", e)
		}
		ask := broker.Query{Profile: "p", MinTTL: broker.Unset, Refused: later.Access.Clone()}
		_, err = h.Broker.Token(t.Context(), ask)
		wantError(t, h.Wire(err, "p"), protocol.LoginRequired)
		if r := h.signIn(t, github(h)); r.Outcome != protocol.SignedIn {
			t.Errorf("%+v", r)
		}
		if again, err := h.token(t, "p"); err != nil || again.Access.Equal(first.Access) {
			t.Errorf("the new sign-in brought the old token; %v", err)
		}
		r, err := h.Logout(h.Profiles.Named("p"), true, false)
		if err != nil || r.Revoked || !strings.Contains(r.NotEnded, "does not end by itself") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A GitHub token that expires has a refresh token, whose use ends it, and whose own end is known.
func TestATokenThatExpiresIsRenewedAtGitHub(t *testing.T) {
	inBubble(t, sandbox.Options{Dialect: sandbox.GitHub}, func(t *testing.T, h *harness) {
		h.server.Set("end_access", "true")
		h.signIn(t, github(h))
		first, err := h.token(t, "p")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Hour)
		next, err := h.token(t, "p")
		if err != nil || next.Access.Equal(first.Access) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		st, _ := h.Broker.Status("p")
		if left := time.Until(st.Session.Idle); left < 182*24*time.Hour || left > 184*24*time.Hour ||
			st.Ending.String() != "configured" {
			t.Errorf("the session ends in %s; %s", left, st.Ending)
		}
		h.server.EndSessions(person)
		time.Sleep(9 * time.Hour)
		_, err = h.token(t, "p")
		wantError(t, err, protocol.LoginRequired)
	})
}

// GitLab's answer to a device code has no refresh token: the sign-in lasts as long as its token, and says so.
func TestADeviceSignInAtGitLabEndsWithItsToken(t *testing.T) {
	inBubble(t, sandbox.Options{Dialect: sandbox.GitLab}, func(t *testing.T, h *harness) {
		h.server.Set("refresh_always", "false")
		h.signIn(t, protocol.LoginParams{
			Profile: "p", Provider: "gitlab", AuthServer: h.server.URL(), ClientID: "app", NoBrowser: true,
		})
		token, err := h.token(t, "p")
		if err != nil || !token.Last || token.Lifetime > 2*time.Hour {
			t.Errorf("%+v, %v", token, err)
		}
		time.Sleep(3 * time.Hour)
		_, err = h.token(t, "p")
		wantError(t, err, protocol.LoginRequired)
	})
}

// A client id alone is a machine's where a machine is the only one that needs it, and a person's where people need one.
func TestAClientIDIsAPersonsWherePeopleNeedOne(t *testing.T) {
	inBubble(t, sandbox.Options{Dialect: sandbox.Globus}, func(t *testing.T, h *harness) {
		for _, c := range []struct {
			params protocol.LoginParams
			want   string
		}{
			{protocol.LoginParams{Provider: "globus", ClientID: "app"}, "authorization_code"},
			{protocol.LoginParams{Provider: "globus", ClientID: "machine", Secret: true}, "client_credentials"},
			{protocol.LoginParams{Provider: "gitlab", ClientID: "app", NoBrowser: true}, "device_code"},
			{protocol.LoginParams{Provider: "earthscope", ClientID: "machine"}, "client_credentials"},
			{protocol.LoginParams{Provider: "copernicus", ClientID: "machine"}, "client_credentials"},
			{protocol.LoginParams{Provider: "copernicus", Username: person}, "password"},
		} {
			c.params.Profile, c.params.AuthServer = "p", h.server.URL()
			l := &Login{logins: h.Logins, ctx: t.Context(), params: c.params, asked: c.params}
			if err := l.configure(); err != nil || string(l.kind) != c.want {
				t.Errorf("%+v: %s, %v", c.params, l.kind, err)
			}
		}
	})
}
