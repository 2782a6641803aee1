package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// newPerson is a userEnv with a server that knows a public client and asks no person for consent.
func newPerson(t *testing.T) *presetEnv {
	t.Helper()
	return newPresetEnv(t, presetLogin{server: sandbox.Options{
		Consent: sandbox.ConsentAllow, Refresh: sandbox.Refresh{Always: true, Rotate: true},
		Device: sandbox.Device{Interval: time.Second},
		Clients: []sandbox.Client{{ID: ownClient, Method: sandbox.None,
			RedirectURIs: []string{"http://127.0.0.1/callback"}}},
	}})
}

// toBrowser and toDevice are the flags of a sign-in in two ways; a client that is named is signed in anew, whatever
// there is. The browser's address shows all of the request: it is not pushed.
func (h *presetEnv) toBrowser() []string {
	return []string{"work", "--issuer", h.s.Issuer(), "--client-auth", "none", "--client-id", ownClient, "--grant",
		"authorization_code", "--par", "never", "--scope", "openid email"}
}

func (h *presetEnv) toDevice(profile string) []string {
	return []string{profile, "--issuer", h.s.Issuer(), "--client-auth", "none", "--client-id", ownClient, "--grant",
		"device_code"}
}

// signedIn signs in to "work", in a browser.
func (h *presetEnv) signedIn() {
	h.t.Helper()
	s := h.startLogin("", h.toBrowser()...)
	browses(h, s)
	s.succeeds()
}

// nothingLost wants the session that there was to go on, from what is stored.
func (h *presetEnv) nothingLost() {
	h.t.Helper()
	h.groat("", "get", "work")
	h.restart()
	h.groat("", "get", "work")
}

// callback returns where the browser is awaited, and the state.
func (s *loginRun) callback() (back, state string) {
	s.r.t.Helper()
	u, err := url.Parse(s.address())
	if err != nil {
		s.r.t.Fatal(err)
	}
	return u.Query().Get("redirect_uri"), u.Query().Get("state")
}

// While groat waits for the browser, everything else that comes is told so and changes nothing: a favicon, another
// path, another's state, another method, a name that points here, a prefetch, a scan. The right answer is taken once.
func TestCallbackTakesOneAnswer(t *testing.T) {
	t.Parallel()
	h := newPerson(t)
	s := h.startLogin("", h.toBrowser()...)
	back, state := s.callback()
	origin := strings.TrimSuffix(back, "/callback")
	for _, stray := range []struct {
		what, method, url string
		header            http.Header
		status            int
		says              string
	}{
		{"a favicon", "GET", origin + "/favicon.ico", nil, 404, "There is nothing here"},
		{"another path", "GET", origin + "/other?code=stray&state=" + state, nil, 404, "There is nothing here"},
		{"a path below", "GET", back + "/?code=stray&state=" + state, nil, 404, "There is nothing here"},
		{"no answer", "GET", back, nil, 400, "This is not the sign-in that groat waits for"},
		{"another's state", "GET", back + "?code=stray&state=another", nil, 400,
			"This is not the sign-in that groat waits for"},
		{"no state", "GET", back + "?code=stray", nil, 400, "This is not the sign-in that groat waits for"},
		{"another's refusal", "GET", back + "?error=access_denied&state=another", nil, 400,
			"This is not the sign-in that groat waits for"},
		{"a state twice", "GET", back + "?code=stray&state=" + state + "&state=" + state, nil, 400,
			"This is not the sign-in that groat waits for"},
		{"a form", "POST", back + "?code=stray&state=" + state, nil, 405, "There is nothing here"},
		{"a name that points here", "GET", back + "?code=stray&state=" + state, http.Header{"Host": {"evil.example"}},
			421, "There is nothing here"},
		{"a prefetch", "GET", back + "?code=stray&state=" + state, http.Header{"Sec-Purpose": {"prefetch"}}, 503,
			"There is nothing here"},
	} {
		if status, text := visit(t, stray.method, stray.url, stray.header); status != stray.status ||
			!strings.Contains(text, stray.says) {
			t.Errorf("%s is answered %d %s", stray.what, status, text)
		}
	}
	if text := fetch(t, s.address()); !strings.Contains(text, "You can close this tab") {
		t.Errorf("the right answer is answered %s", text)
	}
	s.succeeds()
	if resp, err := http.Get(back + "?code=late&state=" + state); err == nil {
		resp.Body.Close()
		t.Errorf("somebody still waits there: %s", resp.Status)
	}
	if n := h.s.Count(h.s.TokenPath()); n != 1 {
		t.Errorf("the token endpoint was asked %d times, want once: no stray code was tried", n)
	}
	h.nothingLost()
}

// A sign-in that fails tells why and what to type next. What there was before goes on.
func TestSignInRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		device bool
		set    [2]string // of the sandbox
		person func(*presetEnv, *loginRun)
		theErr string
	}{
		{"another issuer", false, [2]string{}, func(h *presetEnv, s *loginRun) {
			back, state := s.callback()
			text := fetch(h.t, back+"?code=stolen&state="+state+"&iss=https://evil.example")
			if !strings.Contains(text, "The sign-in did not work") {
				h.t.Errorf("the browser ended at %s", text)
			}
		}, "is not who answered: the redirect names as its issuer \"https://evil.example\""},
		{"no issuer", false, [2]string{}, func(h *presetEnv, s *loginRun) {
			back, state := s.callback()
			fetch(h.t, back+"?code=stolen&state="+state)
		}, "is not who answered"},
		{"denied in the browser", false, [2]string{"consent", "deny"}, func(h *presetEnv, s *loginRun) {
			if text := fetch(h.t, s.address()); !strings.Contains(text, "The sign-in did not work") {
				h.t.Errorf("the browser ended at %s", text)
			}
		}, "says that the sign-in was declined (access_denied)"},
		{"denied for a device", true, [2]string{"consent", "form"}, func(h *presetEnv, s *loginRun) {
			if err := h.s.DenyDevice(s.code()); err != nil {
				h.t.Error(err)
			}
		}, "says that the sign-in was declined"},
		{"the device's code has expired", true, [2]string{"device_lifetime", "2s"}, nil,
			"the code has expired before anybody signed in with it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newPerson(t)
			h.signedIn()
			if h.s.SetConsent(sandbox.ConsentForm); test.set[0] != "" {
				if err := h.s.Set(test.set[0], test.set[1]); err != nil {
					t.Fatal(err)
				}
			}
			if test.name == "another issuer" || test.name == "no issuer" {
				h.s.SetConsent(sandbox.ConsentAllow)
			}
			args := h.toBrowser()
			if test.device {
				args = h.toDevice("work")
			}
			s := h.startLogin("", args...)
			if test.person != nil {
				test.person(h, s)
			}
			h.refused(s.result(), 4, test.theErr, "groat login work")
			h.nothingLost()
		})
	}
}

// The person's account is blocked: the session ends at its next renewal, and not for ever, since nothing is forgotten.
func TestBlockedPerson(t *testing.T) {
	t.Parallel()
	h := newPerson(t)
	h.signedIn()
	h.s.BlockUser(person, true)
	h.groat("", "get", "work") // is good until it expires
	h.restart()
	h.refused(h.run("", "groat", "get", "work"), 4, "has ended the session (HTTP 400, invalid_grant)",
		"groat login work")
	h.s.BlockUser(person, false)
	if got := h.groat("", "login", "work"); !strings.Contains(got, "its session works") {
		t.Errorf("it says %q", got)
	}
	h.nothingLost()
}

// The description of the server names a token endpoint of another origin: a person is told before anything goes there.
// An edit of the profile's file that does the same gets nothing sent at all.
func TestTokenEndpointMoves(t *testing.T) {
	t.Parallel()
	h := newPerson(t)
	h.signedIn()
	other, err := startServer(sandbox.Options{}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	h.servers["other"] = other
	moved := sandbox.Fault{Set: map[string]any{"token_endpoint": other.URL() + "/token"}}
	h.s.Script("/.well-known/oauth-authorization-server", moved)
	question := regexp.QuoteMeta(strings.TrimPrefix(other.URL(), "http://")) +
		` would receive the sign-in's code and refresh tokens\..* Go on\? \[y/N\]`
	s := h.startLogin("", h.toBrowser()...)
	s.asks(question)
	s.types("n")
	h.refused(s.result(), 78, "nothing was asked or sent",
		"groat login work --issuer "+h.s.Issuer()+" --grant authorization_code --par never --client-auth none --client-id "+
			ownClient+" --scope 'openid email' --trust "+other.URL())
	h.s.Script("/.well-known/oauth-authorization-server", moved)
	s = h.startLogin("", h.toBrowser()...)
	s.asks(question)
	s.types("y")
	s.shown(`(?s)tokens come from ` + other.URL() + `.*redirect_uri`)
	s.interrupt()
	if got := s.result(); got.code != 130 {
		t.Errorf("Ctrl-C ended it with %d: %s", got.code, got.stderr)
	}
	h.nothingLost()

	file := filepath.Join(h.home, ".config", "groat", "profiles.d", "work.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"token_endpoint", "revocation_endpoint"} {
		path := map[string]string{"token_endpoint": h.s.TokenPath(), "revocation_endpoint": h.s.RevokePath()}[name]
		edited := strings.Replace(string(text), h.s.URL()+path, other.URL()+path, 1)
		if edited == string(text) {
			t.Fatalf("there is no %s in %s", name, text)
		}
		if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
		h.restart()
		if name == "token_endpoint" {
			h.refused(h.run("", "groat", "get", "work"), 78, "was changed", "groat login work")
		} else {
			h.groat("", "get", "work")
		}
	}
	h.groat("", "logout", "work") // the refresh token is shown to nobody else
	if n := len(other.Log()); n != 0 {
		t.Errorf("the other server was asked: %+v", other.Log())
	}
}

// A private key is read from a file that is nobody else's, with the right password.
func TestKeyFileRefused(t *testing.T) {
	t.Parallel()
	h := newPresetEnv(t, presetLogin{prepare: keyed})
	key := filepath.Join(h.home, "key.pem")
	login := func(file string, more ...string) []string {
		return append([]string{"login", "work", "--issuer", h.s.Issuer(), "--client-auth", "private_key_jwt",
			"--client-id", "keyed", "--key", file}, more...)
	}
	h.groat("", login(key)...)

	locked, hint := filepath.Join(h.home, "locked.pem"), "groat login work --key FILE"
	house := &certifiedEnv{userEnv: h.userEnv}
	password := filepath.Join(h.home, "..", "password")
	if err := os.WriteFile(password, []byte(h.password), 0o600); err != nil {
		t.Fatal(err)
	}
	house.openssl("", "pkcs8", "-topk8", "-in", key, "-out", locked, "-v2", "aes-256-cbc", "-passout", "file:"+password)
	h.refused(h.run(h.wrong+"\n", "groat", login(locked, "--secret-stdin")...), 78, locked+": ", hint)
	h.groat(h.password+"\n", login(locked, "--secret-stdin")...)

	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	h.refused(h.run("", "groat", login(key)...), 78, "0644", "chmod 600 "+key)
	broken := filepath.Join(h.home, "broken.pem")
	if err := os.WriteFile(broken, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.refused(h.run("", "groat", login(broken)...), 78, broken+": ", hint)
	h.refused(h.run("", "groat", login(filepath.Join(h.home, "none.pem"))...), 78, "none.pem", "")
	h.nothingLost()
}

// Another server's token is exchanged for one of this server's (RFC 8693), and kept nowhere. There is nothing to renew
// it by.
func TestTokenExchangeEnds(t *testing.T) {
	t.Parallel()
	h := newPerson(t)
	h.signedIn()
	subject := h.groat("", "get", "work")
	said := h.run(subject, "groat", "login", "exchanged", "--issuer", h.s.Issuer(), "--grant", "token_exchange",
		"--client-auth", "none",
		"--client-id", ownClient, "--secret-stdin")
	if said.code != 0 || !strings.Contains(said.stderr,
		"gave no refresh token: this sign-in ends with its access token") {
		t.Errorf("the exchange ended with %d: %s", said.code, said.stderr)
	}
	if got := h.groat("", "get", "exchanged"); got == subject {
		t.Error("the token is the one that was exchanged")
	}
	h.refused(h.run("no token", "groat", "login", "other", "--issuer", h.s.Issuer(), "--grant", "token_exchange",
		"--client-auth", "none",
		"--client-id", ownClient, "--secret-stdin"), 78, "subject_token is not valid", "")
	h.restart()
	h.refused(h.run("", "groat", "get", "exchanged"), 4, `"exchanged"`, "groat login exchanged")
}
