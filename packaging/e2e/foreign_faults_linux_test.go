package e2e_test

import (
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// What goes wrong at servers that nobody here wrote says what it is, and there is a way on.

// A wrong secret ends the login with what it is. So does one that the server has changed, at the next renewal, of a
// client's own token and of a person's session; the new one heals the profile, typed at the same login.
func TestForeignWrongSecret(t *testing.T) {
	eachForeignServer(t, func(h *foreignEnv, s foreignServer) {
		machine := s.way(h.t, "client_credentials", "client_secret_basic")
		session := s.way(h.t, "authorization_code", "client_secret_post")
		code, text := s.refusal("does not accept the client id or secret", "the client id or secret may be wrong")
		args, _ := h.args(machine)
		h.refused(h.run(h.wrong+"\n", "groat", append([]string{"login"}, args...)...), code, text,
			"groat login "+machine.profile())
		h.refused(h.run("", "groat", "get", machine.profile()), 78, "there is no profile", "")
		h.signIn(machine)
		h.signIn(session)

		h.as.ChangeSecret(h.t)
		h.add("the clients' new secret at "+h.as.Name, h.as.Secret)
		h.restart()
		h.refused(h.run("", "groat", "get", machine.profile()), code, text, "")
		if s.silent { // where there is a session, that is what may be wrong
			text = "the session may have ended"
		}
		h.refused(h.run("", "groat", "get", session.profile()), code, text, "")
		h.groat(h.as.Secret+"\n", "login", machine.profile(), "--secret-stdin")
		h.groat("", "get", machine.profile())
		h.healed(session)
	})
}

// healed signs in to a session whose client has a new secret, given on stdin. The person signs in anew: what there is is
// the old secret's.
func (h *foreignEnv) healed(w foreignWay) {
	h.t.Helper()
	again := h.startLogin(h.as.Secret+"\n", w.profile(), "--secret-stdin")
	h.person(again.opened(), "")
	again.succeeds()
	h.get(w.profile())
	h.restart()
	h.get(w.profile())
}

// A session that was ended at the server, by its person or an administrator, is told as that at the next renewal, and
// not asked for again. The login that the hint names signs in anew.
func TestForeignEndedSession(t *testing.T) {
	eachForeignServer(t, func(h *foreignEnv, s foreignServer) {
		w := s.way(h.t, "authorization_code", "none")
		h.signIn(w)
		token := h.get(w.profile())
		h.as.EndSessions(h.t)
		code, text := s.refusal("has ended the session", "the session may have ended")
		h.refused(h.run(token, "groat", "get", w.profile(), "--refused"), code, text, "")
		h.restart()
		h.refused(h.run("", "groat", "get", w.profile()), code, text, "")
		again := h.startLogin("", w.profile())
		h.person(again.opened(), "")
		again.succeeds()
		h.get(w.profile())
	})
}

// The use of a refresh token ends the access token before it. Once groat knows, by configuration or from an API that
// refuses a token far from its end, a token that is dead is not handed out again, and one program's scope takes nothing
// from the others.
func TestForeignOneTokenASession(t *testing.T) {
	eachForeignServer(t, func(h *foreignEnv, s foreignServer) {
		if !s.ends {
			return
		}
		for _, configured := range []bool{true, false} {
			w := s.way(h.t, "authorization_code", "none")
			h.signIn(w)
			profile := w.profile()
			if configured {
				h.groat("", "profile", "set", profile, "refresh_ends_tokens", "true")
			} else {
				h.learns(profile, s.narrow)
			}
			if said := h.groat("", "status", profile); !strings.Contains(said, "keeps one token a session") {
				h.t.Errorf("its status is %s", said)
			}
			token := h.get(profile)
			h.refused(h.run("", "groat", "get", profile, "--scope", s.other), 78,
				"this server keeps one token a session: sign in another profile for that scope", "")
			if h.get(profile) != token {
				h.t.Error("another program's scope took the token from this one")
			}
			h.restart()
			h.get(profile)
			h.refused(h.run("", "groat", "get", profile, "--scope", s.other), 78, "this server keeps one token a session", "")
			h.get(profile)
			h.groat("", "logout", profile)
		}
	})
}

// learns has another scope end the default token, which an API then refuses.
func (h *foreignEnv) learns(profile, scope string) {
	h.t.Helper()
	token := h.get(profile)
	h.run("", "groat", "get", profile, "--scope", scope) // its answer is not what matters here
	if h.good(token) {
		h.t.Fatal("the server has not ended the token: this test has no point")
	}
	if next := h.groat(token, "get", profile, "--refused"); next == token || !h.good(next) {
		h.t.Error("the dead token was not replaced by one that is good")
	}
}

// Some servers narrow the session for good where a narrower scope is asked for. It is said what that has cost and how
// it comes back, and after that sign-in nobody's scope takes the token from the others. Where the configuration says it
// before, nothing is lost at all. At the other servers the session keeps its scope.
func TestForeignNarrowing(t *testing.T) {
	eachForeignServer(t, func(h *foreignEnv, s foreignServer) {
		w := s.way(h.t, "authorization_code", "none")
		h.signIn(w)
		profile := w.profile()
		lost := func() bool {
			return strings.Contains(h.groat("", "status", profile), "less scope than it was signed in for, without ")
		}
		token := h.get(profile)
		h.run("", "groat", "get", profile, "--scope", s.narrow)
		h.groat(token, "get", profile, "--refused")
		if lost() != s.narrows {
			h.t.Fatalf("its status is %s", h.groat("", "status", profile))
		}
		if !s.narrows {
			return
		}
		h.restart()
		said := h.groat("", "status", profile)
		if !lost() || !strings.Contains(said, "groat login "+profile+" --replace") {
			h.t.Errorf("its status after a restart is %s", said)
		}
		h.get(profile)
		for _, configured := range []bool{false, true} {
			again := h.startLogin("", profile, "--replace")
			h.person(again.opened(), "")
			again.succeeds()
			if configured {
				h.groat("", "profile", "set", profile, "refresh_narrows", "true")
			}
			token := h.get(profile)
			h.refused(h.run("", "groat", "get", profile, "--scope", s.narrow), 78,
				"a session: sign in another profile for that scope", "")
			h.groat(token, "get", profile, "--refused")
			h.restart()
			if h.get(profile); lost() {
				h.t.Errorf("its status is %s", h.groat("", "status", profile))
			}
		}
	})
}

// A scope that cannot be had is held back alone: the profile's own token is there all the time.
func TestForeignScopeAlone(t *testing.T) {
	eachForeignServer(t, func(h *foreignEnv, s foreignServer) {
		w := s.way(h.t, "authorization_code", "none")
		h.signIn(w)
		for range 5 {
			got := h.run("", "groat", "get", w.profile(), "--scope", "no-such-scope")
			if got.code == 75 || got.code == 0 && !s.ignores {
				h.t.Errorf("a scope that there is not: %d %s", got.code, got.stderr)
			}
			h.groat("", "get", w.profile())
		}
		h.restart()
		h.get(w.profile())
	})
}

// A client whose secret has another form in a URL signs in at a server that takes HTTP Basic as it is: by itself, which a
// notice says, or as it is told, and it stays so.
func TestForeignRawBasic(t *testing.T) {
	t.Parallel()
	h := newForeignEnv(t, parts.Glewlwyd(t))
	w := foreignServers["glewlwyd"].way(t, "client_credentials", "client_secret_basic")
	args, secret := h.args(w)
	if got := h.run(secret, "groat", append([]string{"login"}, args...)...); got.code != 0 ||
		!strings.Contains(got.stderr, "takes id and secret in HTTP Basic as they are (--basic raw)") {
		t.Errorf("it ended with %d: %s", got.code, got.stderr)
	}
	h.groat(secret, append([]string{"login", "told", "--basic", "raw"}, args[1:]...)...)
	h.restart()
	h.groat("", "get", w.profile())
	h.groat("", "get", "told")
}

// An assertion that is a grant is for the token endpoint unless somebody says else, which a server that wants its issuer
// refuses in words of its own. The hint is a command that works.
func TestForeignAssertionAudience(t *testing.T) {
	t.Parallel()
	h := newForeignEnv(t, parts.Zitadel(t))
	w := foreignWay{"jwt_bearer", "RS256", "none", nil}
	args, _ := h.args(w)
	hint := "groat login " + strings.Join(append(args, "--assertion-audience", "issuer"), " ")
	h.refused(h.run("", "groat", append([]string{"login"}, args...)...), 75, "audience is not valid", "--assertion-audience issuer")
	h.groat("", strings.Fields(hint)[1:]...)
	h.groat("", "get", w.profile())
}

// An endpoint that wants assertions for itself, and not for the issuer or the token endpoint, refuses them in words of
// its own. The hint is a command that works.
func TestForeignAudienceOfAnEndpoint(t *testing.T) {
	t.Parallel()
	h := newForeignEnv(t, parts.Glewlwyd(t))
	for _, w := range []foreignWay{
		{"authorization_code", "client_secret_jwt", "client_secret_jwt", nil},
		{"device_code", "client_secret_jwt", "client_secret_jwt", nil},
	} {
		args, secret := h.args(w)
		got := h.run(secret, "groat", append([]string{"login"}, args...)...)
		if got.code == 0 || !strings.Contains(got.stderr, "--assertion-audience called") {
			t.Errorf("%s: it ended with %d: %s", w, got.code, got.stderr)
		}
		w.more = []string{"--assertion-audience", "called"}
		h.signIn(w)
		h.get(w.profile())
	}
}
