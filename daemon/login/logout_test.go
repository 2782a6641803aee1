package login

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/protocol"
)

// logout is a logout as the daemon runs it.
func (h *harness) logout(t *testing.T, params protocol.LogoutParams) (r protocol.LogoutResult, err error) {
	t.Helper()
	p, err := h.Profiles.Find(profile.Wanted{Name: params.Profile})
	if err != nil {
		return r, h.Wire(err, params.Profile)
	}
	return h.Logout(p, params.Yes, params.KeepRemote)
}

// logoutError is logout for its error alone.
func (h *harness) logoutError(t *testing.T, params protocol.LogoutParams) error {
	t.Helper()
	_, err := h.logout(t, params)
	return err
}

// gone makes sure that nothing is left of a profile here.
func (h *harness) gone(t *testing.T, profile string) {
	t.Helper()
	if got := h.stored(t, profile); got.ClientID != "" {
		t.Errorf("the keystore still has a credential of %q", got.ClientID)
	}
	if h.holds(profile) {
		t.Error("a token is still handed out")
	}
	if c, err := h.Profiles.Config.Load(); err != nil || len(c.Profiles) != 0 {
		t.Errorf("configured are %v, %v", c.Profiles, err)
	}
	_, err := h.token(t, profile)
	wantError(t, err, protocol.UnknownProfile)
}

// A logout ends the session at the provider and leaves nothing here.
func TestLogoutEndsTheSession(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		before := h.stored(t, "p")
		r, err := h.logout(t, protocol.LogoutParams{Profile: "p"})
		want := protocol.LogoutResult{Profile: "p", Forgotten: true, Revoked: true, Issuer: h.server.URL()}
		if err != nil || r != want {
			t.Errorf("%+v, %v, want %+v", r, err, want)
		}
		h.gone(t, "p")
		// A copy of the refresh token is worth nothing.
		h.signIn(t, h.ofDevice("p"))
		if err := h.store.Set(t.Context(), "p", before); err != nil {
			t.Fatal(err)
		}
		h.cool("p")
		_, err = h.token(t, "p")
		wantError(t, err, protocol.LoginRequired)
	})
}

// A server that names no address at which a session is ended is not asked to, and the result says that the session goes
// on there.
func TestLogoutSaysThatASessionGoesOn(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		var kept []string
		for line := range strings.Lines(h.written(t, "p")) {
			if !strings.HasPrefix(line, "revocation_endpoint") {
				kept = append(kept, line)
			}
		}
		h.write(t, "profiles.d/p.toml", strings.Join(kept, ""))
		h.reload(t)
		r, err := h.logout(t, protocol.LogoutParams{Profile: "p"})
		if err != nil || !r.Forgotten || r.Revoked || !strings.Contains(r.NotEnded, "RFC 7009") {
			t.Errorf("%+v, %v", r, err)
		}
		if n := h.server.Count(h.server.RevokePath()); n != 0 {
			t.Errorf("%d requests to revoke", n)
		}
		h.gone(t, "p")
	})
}

// With KeepRemote a logout sends nothing to the provider.
func TestLogoutKeepsTheSessionWhereThatIsAskedFor(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		r, err := h.logout(t, protocol.LogoutParams{Profile: "p", KeepRemote: true})
		if err != nil || !r.Forgotten || r.Revoked {
			t.Errorf("%+v, %v", r, err)
		}
		if n := h.server.Count(h.server.RevokePath()); n != 0 {
			t.Errorf("%d requests to revoke", n)
		}
		h.gone(t, "p")
	})
}

// Where the provider does not end the session nothing is forgotten: the token that is held goes on being handed out,
// the next is had, and the command that forgets all the same is said.
func TestALogoutThatTheProviderDoesNotTake(t *testing.T) {
	for name, test := range map[string]struct {
		fault sandbox.Fault
		kind  protocol.Kind
	}{
		"refused":     {sandbox.Refuse(400, "unsupported_token_type"), protocol.Config},
		"unavailable": {sandbox.Busy(503, ""), protocol.Temporary},
		"cut off":     {sandbox.Fault{Cut: sandbox.CutAfterBody}, protocol.Temporary},
		"silent":      {sandbox.Fault{Cut: sandbox.Hang}, protocol.Temporary},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				h.signIn(t, h.ofDevice("p"))
				before, err := h.token(t, "p")
				if err != nil {
					t.Fatal(err)
				}
				h.server.Script(h.server.RevokePath(), test.fault)
				_, err = h.logout(t, protocol.LogoutParams{Profile: "p"})
				if e := wantError(t, err, test.kind); e.Hint() != "groat logout p --keep-remote" {
					t.Errorf("%v, %q", e, e.Hint())
				}
				if got := h.stored(t, "p"); got.RefreshToken.IsZero() {
					t.Error("the credential is forgotten")
				}
				if token, err := h.token(t, "p"); err != nil || token.Access.Reveal() != before.Access.Reveal() {
					t.Errorf("the token that was held is not handed out any more: %v", err)
				}
				h.cool("p")
				if _, err := h.token(t, "p"); err != nil {
					t.Error("the session does not work any more:", err)
				}
				if r, err := h.logout(t, protocol.LogoutParams{Profile: "p"}); err != nil || !r.Revoked {
					t.Errorf("the second logout: %+v, %v", r, err)
				}
				h.gone(t, "p")
			})
		})
	}
}

// A renewal is under way when a person signs out. Its answer comes later and brings nothing back, and the refresh token
// that it brought is the one that is revoked.
func TestALogoutDuringARenewal(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		h.cool("p")
		h.late(h.server.TokenPath())
		renewed := h.asking(t, "p")
		begin := time.Now()
		r, err := h.logout(t, protocol.LogoutParams{Profile: "p"})
		if err != nil || !r.Forgotten || !r.Revoked {
			t.Errorf("%+v, %v", r, err)
		}
		if waited := time.Since(begin); waited < 10*time.Second {
			t.Errorf("it took %s: the renewal was over before", waited)
		}
		if err := <-renewed; err != nil {
			t.Error("whoever waited for the renewal:", err)
		}
		time.Sleep(time.Minute)
		h.gone(t, "p")
	})
}

// A provider takes its time to end a session. Meanwhile the profile's token is served, and all other requests are
// answered.
func TestASlowLogoutHoldsNobodyUp(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		h.signIn(t, h.ofMachine("machine"))
		h.server.Script(h.server.RevokePath(), sandbox.Fault{Delay: 8 * time.Second})
		over := make(chan error, 1)
		go func() { over <- h.logoutError(t, protocol.LogoutParams{Profile: "p"}) }()
		synctest.Wait()
		begin := time.Now()
		h.cool("machine")
		for _, profile := range []string{"p", "machine"} {
			if _, err := h.token(t, profile); err != nil {
				t.Errorf("a token of %s: %v", profile, err)
			}
		}
		h.reload(t)
		if _, err := h.logout(t, protocol.LogoutParams{Profile: "machine"}); err != nil {
			t.Error(err)
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("they waited for %s", waited)
		}
		if err := <-over; err != nil || time.Since(begin) != 8*time.Second {
			t.Errorf("the logout took %s: %v", time.Since(begin), err)
		}
		h.gone(t, "p")
	})
}

// A logout beside a mistake elsewhere in the configuration names the mistake and changes nothing, neither here nor at
// the provider: a configuration that cannot be read cannot be written.
func TestALogoutBesideABrokenConfiguration(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		h.write(t, "config.toml", "oops")
		_, err := h.logout(t, protocol.LogoutParams{Profile: "p"})
		wantError(t, err, protocol.Config)
		if n := h.server.Count(h.server.RevokePath()); n != 0 {
			t.Errorf("%d requests to revoke", n)
		}
		if got := h.stored(t, "p"); got.RefreshToken.IsZero() || !h.holds("p") {
			t.Error("something was forgotten")
		}
		h.write(t, "config.toml", "")
		if r, err := h.logout(t, protocol.LogoutParams{Profile: "p"}); err != nil || !r.Revoked {
			t.Errorf("%+v, %v", r, err)
		}
		h.gone(t, "p")
	})
}

// A profile that the person's own file describes stays, signed out.
func TestALogoutOfAProfileOfThePersonsFile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.write(t, "config.toml", "[profiles.work]\nprovider = \"spatiafi\"\nauth_server = \""+h.server.URL()+"\"\n")
		if _, err := h.login(t.Context(), protocol.LoginParams{Profile: "work", Username: person},
			typing(password)); err != nil {
			t.Fatal(err)
		}
		if r, err := h.logout(t, protocol.LogoutParams{Profile: "work", Yes: true}); err != nil || !r.Forgotten ||
			!r.Permanent {
			t.Errorf("%+v, %v", r, err)
		}
		if h.holds("work") || h.stored(t, "work").ClientID != "" {
			t.Error("something of the credential is left")
		}
		_, err := h.token(t, "work")
		wantError(t, err, protocol.LoginRequired)
	})
}
