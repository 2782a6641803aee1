package e2e_test

import (
	"cmp"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// foreignServer is what one server can do, as its own documentation says.
type foreignServer struct {
	start func(testing.TB) *parts.AuthServer
	ways  []foreignWay
	// ends says that the use of a refresh token ends the access token before; revokes, that there is an endpoint for
	// that (RFC 7009), which lives says does not end access tokens; silent, that refusals have no words; ignores, that it
	// does not look at the scope that a refresh token is used with; narrows, that it keeps that scope for the session.
	ends, revokes, lives, silent, ignores, narrows bool
	// oneByOne: it fails where two requests write at once.
	oneByOne bool
	// narrow and other are scopes within the one that the ways are signed in for.
	narrow, other string
}

// foreignServers are those that nobody here wrote, with every grant and client authentication that groat has too.
var foreignServers = map[string]foreignServer{
	"zitadel": {start: parts.Zitadel, ways: []foreignWay{
		{"client_credentials", "client_secret_basic", "client_secret_basic", nil},
		{"client_credentials", "client_secret_post", "client_secret_post", nil},
		{"authorization_code", "none", "none", nil},
		{"authorization_code", "client_secret_basic", "client_secret_basic", nil},
		{"authorization_code", "client_secret_post", "client_secret_post", nil},
		{"authorization_code", "RS256", "private_key_jwt", nil},
		{"device_code", "none", "none", nil},
		{"device_code", "client_secret_basic", "client_secret_basic", nil},
		{"device_code", "RS256", "private_key_jwt", nil},
		// It takes assertions for its issuer only, and those that are a grant are for the token endpoint unless told so.
		{"jwt_bearer", "RS256", "none", []string{"--assertion-audience", "issuer"}},
	}, ends: true, revokes: true, narrows: true, narrow: "openid", other: "offline_access"},
	"fosite": {start: parts.Fosite, ways: []foreignWay{
		{"client_credentials", "client_secret_basic", "client_secret_basic", nil},
		{"client_credentials", "client_secret_post", "client_secret_post", nil},
		{"client_credentials", "RS256", "private_key_jwt", nil},
		{"client_credentials", "ES256", "private_key_jwt", nil},
		{"authorization_code", "none", "none", nil},
		{"authorization_code", "par", "none", nil}, // must be pushed, which no metadata says
		{"authorization_code", "client_secret_basic", "client_secret_basic", nil},
		{"authorization_code", "client_secret_post", "client_secret_post", nil},
		{"authorization_code", "RS256", "private_key_jwt", nil},
		{"password", "client_secret_basic", "client_secret_basic", nil},
		{"password", "client_secret_post", "client_secret_post", nil},
		{"password", "none", "none", nil},
		{"jwt_bearer", "RS256", "none", nil},
	}, ends: true, revokes: true, narrow: "openid", other: "offline_access"},
	"django-oauth-toolkit": {start: parts.DjangoOAuthToolkit, ways: []foreignWay{
		{"client_credentials", "client-credentials", "client_secret_basic", nil},
		{"client_credentials", "client-credentials", "client_secret_post", nil},
		{"authorization_code", "public", "none", nil},
		{"authorization_code", "authorization-code", "client_secret_basic", nil},
		{"authorization_code", "authorization-code", "client_secret_post", nil},
		{"password", "password", "client_secret_basic", nil},
		{"password", "password", "client_secret_post", nil},
	}, ends: true, narrows: true, narrow: "read", other: "write"},

	// It takes id and secret in HTTP Basic as they are, and assertions for its token endpoint.
	"glewlwyd": {start: parts.Glewlwyd, ways: []foreignWay{
		{"client_credentials", "client_secret_basic", "client_secret_basic", []string{"--scope", "read"}},
		{"client_credentials", "client_secret_post", "client_secret_post", []string{"--scope", "read"}},
		{"client_credentials", "client_secret_jwt", "client_secret_jwt", []string{"--scope", "read"}},
		{"client_credentials", "RS256", "private_key_jwt", []string{"--scope", "read"}},
		{"authorization_code", "none", "none", nil},
		{"authorization_code", "client_secret_basic", "client_secret_basic", nil},
		{"authorization_code", "client_secret_post", "client_secret_post", nil},
		{"authorization_code", "client_secret_jwt", "client_secret_jwt", []string{"--assertion-audience", "called"}},
		{"authorization_code", "RS256", "private_key_jwt", []string{"--assertion-audience", "called"}},
		{"password", "client_secret_post", "client_secret_post", nil}, // its list of grants leaves it out
		{"device_code", "none", "none", nil},
		{"device_code", "client_secret_basic", "client_secret_basic", nil},
		{"device_code", "client_secret_post", "client_secret_post", nil},
		{"device_code", "client_secret_jwt", "client_secret_jwt", []string{"--assertion-audience", "called"}},
	}, revokes: true, lives: true, silent: true, ignores: true, oneByOne: true, narrow: "read", other: "write"},
}

// refusal is how groat tells what a refusal is about: where the server has no words for it, nothing is certain.
func (s foreignServer) refusal(certain, possible string) (code int, text string) {
	if s.silent {
		return 75, possible
	}
	return 4, certain
}

// eachForeignServer runs a test at each of them, at once.
func eachForeignServer(t *testing.T, test func(h *foreignEnv, s foreignServer)) {
	t.Helper()
	t.Parallel()
	for name, s := range foreignServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newForeignEnv(t, s.start(t)), s)
		})
	}
}

// beside lets a subtest run beside others, where the server can.
func (s foreignServer) beside(t *testing.T) {
	if !s.oneByOne {
		t.Parallel()
	}
}

// way returns the first of a server's ways that has the grant and the client authentication.
func (s foreignServer) way(t *testing.T, grant, method string) foreignWay {
	t.Helper()
	for _, w := range s.ways {
		if w.grant == grant && w.method == method {
			return w
		}
	}
	t.Fatalf("there is no %s with %s", grant, method)
	return foreignWay{}
}

// matrix counts what was done.
type matrix struct {
	ways, sessions    atomic.Int64
	kills, kept, told atomic.Int64
}

// At each server a client signs in by each grant and each client authentication that it has there, and gets tokens that
// the server takes, also after groatd was killed around a renewal, has started anew, and after an API has refused one.
// Signing out ends the session at the server, or says that it does not.
func TestForeignMatrix(t *testing.T) {
	kills, err := strconv.Atoi(cmp.Or(os.Getenv("GROAT_FOREIGN_KILLS"), "0"))
	if err != nil {
		t.Fatal(err)
	}
	var m matrix
	t.Cleanup(func() {
		t.Logf("matrix: at %d servers %d pairs of a grant and a client authentication signed in, renewed and were "+
			"ended, %d of them sessions; %d kills (SIGKILL) of groatd at random moments around a renewal: %d "+
			"went on, %d had ended and said so", len(foreignServers), m.ways.Load(), m.sessions.Load(), m.kills.Load(), m.kept.Load(),
			m.told.Load())
	})
	eachForeignServer(t, func(h *foreignEnv, s foreignServer) {
		for _, w := range s.ways {
			h.args(w) // the keys are made one by one
		}
		h.t.Run("sign in", func(t *testing.T) {
			for _, w := range s.ways {
				t.Run(w.String(), func(t *testing.T) {
					s.beside(t)
					h := h.in(t)
					h.signIn(w)
					if token := h.groat("", "get", w.profile()); w.session() && !h.good(token) {
						t.Error("groat handed out a token that the server does not take")
					}
				})
			}
		})
		if kills == 0 {
			h.killedWhileRenewing(&m, s, s.way(h.t, "authorization_code", "none"), 3)
		} else {
			for _, w := range s.ways {
				h.killedWhileRenewing(&m, s, w, kills)
			}
		}
		h.restart()
		for _, w := range s.ways {
			h.t.Run(w.String(), func(t *testing.T) {
				s.beside(t)
				h.in(t).goesOnAndEnds(s, w)
				m.ways.Add(1)
				if w.session() {
					m.sessions.Add(1)
				}
			})
		}
	})
}

// killedWhileRenewing kills groatd at random moments around renewals; how many are within one is not counted. These servers replace the refresh token, and take the
// one before no longer: a session goes on, or had been replaced at the server before the new token was on the disk, which
// no client can help and groat says.
func (h *foreignEnv) killedWhileRenewing(m *matrix, s foreignServer, w foreignWay, kills int) {
	h.t.Helper()
	if !w.session() {
		return
	}
	for range kills {
		token := h.get(w.profile())
		c := h.command(h.t.Context(), token, "groat", "get", w.profile(), "--refused")
		if err := c.Start(); err != nil {
			h.t.Fatal(err)
		}
		<-time.After(rand.N(12 * time.Millisecond)) // about as long as a renewal takes: where it is hit is left to chance
		p := h.daemon
		h.daemon = nil
		if _, err := p.stop(syscall.SIGKILL); err != nil {
			h.t.Fatal(err)
		}
		c.Wait() // as it may
		h.start()
		m.kills.Add(1)
		if got := h.run("", "groat", "get", w.profile()); got.code == 0 {
			m.kept.Add(1)
			if !h.good(got.stdout) {
				h.t.Errorf("%s: groat handed out a token that the server does not take", w)
			}
		} else {
			m.told.Add(1)
			code, text := s.refusal("groatd ended while the server replaced the session", "the session may have ended")
			h.refused(got, code, text, "")
			h.signIn(w)
		}
	}
}

// goesOnAndEnds uses a profile and signs out.
func (h *foreignEnv) goesOnAndEnds(s foreignServer, w foreignWay) {
	h.t.Helper()
	profile := w.profile()
	if !w.session() {
		token := h.groat("", "get", profile)
		if h.groat(token, "get", profile, "--refused") == token {
			h.t.Error("a token that was refused was not replaced")
		}
		h.groat("", "logout", profile, "--yes")
		return
	}
	first := h.get(profile)
	if h.get(profile) != first {
		h.t.Error("the token is not the same a moment later")
	}
	second := h.groat(first, "get", profile, "--refused")
	if second == first || !h.good(second) {
		h.t.Error("a token that was refused was not replaced by one that the server takes")
	}
	h.groat("", "login", profile) // proves what is stored, and asks nobody
	last := h.get(profile)
	if s.silent && w.method == "none" { // who has no secret may end nothing there
		h.refused(h.run("", "groat", "logout", profile), 75, "it may want a client with a secret for that",
			"groat logout "+profile+" --keep-remote")
		h.groat("", "logout", profile, "--keep-remote")
		return
	}
	said, want := h.groat("", "logout", profile), "has ended"
	if !s.revokes {
		want = "names no address at which a session is ended"
	}
	switch {
	case !strings.Contains(said, want):
		h.t.Errorf("signing out says %q", said)
	case s.revokes && !s.lives && h.good(last):
		h.t.Error("the server still takes the token")
	}
	h.refused(h.run("", "groat", "get", profile), 78, `there is no profile "`+profile+`"`, "")
}
