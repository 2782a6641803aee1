package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// newBrowserHarness is a room on real sockets, whose server signs in everyone whose browser comes. redirect is a free
// port that the client is registered with.
func newBrowserHarness(t *testing.T) (h *harness, redirect string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	redirect = "http://" + l.Addr().String() + "/callback"
	l.Close()
	o := sandbox.Options{
		Consent: sandbox.ConsentAllow,
		Clients: []sandbox.Client{{ID: "app", Method: sandbox.None,
			RedirectURIs: []string{redirect, "http://127.0.0.1/callback"}}},
	}
	return onSockets(t, o), redirect
}

// taken reports whether another program cannot listen where a redirect leads.
func taken(t *testing.T, redirect string) bool {
	t.Helper()
	u, err := url.Parse(redirect)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", u.Host)
	if err != nil {
		return true
	}
	l.Close()
	return false
}

// A browser: the page is shown, the browser comes back to this machine, and the port is free after that.
func TestABrowsersLogin(t *testing.T) {
	h, redirect := newBrowserHarness(t)
	params := h.ofBrowser("p")
	params.Redirect = redirect
	v := h.watch(params)
	p := v.next(t)
	if p.Kind != protocol.PromptBrowser || p.URL == "" {
		t.Fatalf("%+v", p)
	}
	_, back := visit(t, p.URL)
	if status, _ := visit(t, back); status != http.StatusOK {
		t.Errorf("the browser ends at a page with status %d", status)
	}
	if result := v.done(t); result.Outcome != protocol.SignedIn || result.Grant != "authorization_code" {
		t.Errorf("%+v", result)
	}
	if h.stored(t, "p").RefreshToken.IsZero() || taken(t, redirect) || h.Budget.(*budget).held.Load() != 0 {
		t.Error("no session is stored, or the port is still held")
	}
}

// givenUp begins a login in a browser and leaves when the page is shown. It returns where the browser would come back
// to, once the login has ended.
func (h *harness) givenUp(t *testing.T, params protocol.LoginParams) (back string) {
	t.Helper()
	v := h.watch(params)
	_, back = visit(t, v.next(t).URL)
	h.mu.Lock()
	l := h.running[params.Profile]
	h.mu.Unlock()
	v.leave()
	<-v.over
	<-l.done
	return back
}

// After a login that was given up its port is held, since the browser may still come; another login on the port gets
// it.
func TestI11TheBrowserComesLate(t *testing.T) {
	h, redirect := newBrowserHarness(t)
	params := h.ofBrowser("p")
	params.Redirect = redirect
	back := h.givenUp(t, params)
	if !taken(t, redirect) {
		t.Error("the port is free, and the browser may still come")
	}
	if status, _ := visit(t, back); status != http.StatusGone {
		t.Errorf("late: %d", status)
	}
	if n := h.server.Count(h.server.TokenPath()); n != 0 {
		t.Errorf("%d exchanges", n)
	}
	v := h.watch(params)
	_, back = visit(t, v.next(t).URL)
	visit(t, back)
	v.done(t)
	if taken(t, redirect) {
		t.Error("the port is held after a login that succeeded")
	}
}

// Few ports are held so.
func TestI11FewPortsAreHeld(t *testing.T) {
	h, _ := newBrowserHarness(t)
	var back []string
	for i := range lateMost + 1 {
		back = append(back, h.givenUp(t, h.ofBrowser(fmt.Sprint("p", i))))
	}
	h.ports.mu.Lock()
	held := len(h.ports.held)
	h.ports.mu.Unlock()
	if held != lateMost || !taken(t, back[lateMost]) {
		t.Errorf("%d are held", held)
	}
	if n := h.ports.freeAll(); n != lateMost || taken(t, back[lateMost]) {
		t.Errorf("%d were freed", n)
	}
}

// Wrong pastes leave no trace but the last notices, and the right one is still taken.
func TestI14ManyWrongPastes(t *testing.T) {
	h, _ := newBrowserHarness(t)
	v := h.watch(h.ofBrowser("p"))
	p := v.next(t)
	_, right := visit(t, p.URL)
	for i := range 100 {
		if !v.answer(p, "not an address") {
			t.Fatalf("paste %d was not taken", i)
		}
	}
	h.mu.Lock()
	l := h.running["p"]
	h.mu.Unlock()
	l.mu.Lock()
	if len(l.prompts) > 1+maxNotices {
		t.Errorf("%d prompts are kept", len(l.prompts))
	}
	l.mu.Unlock()
	if !v.answer(p, right) {
		t.Error("the right one was not taken")
	}
	v.done(t)
}

// browse is a browser without pictures: it follows where the server leads. What it ends at is the callback's page.
func browse(ctx context.Context, page string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// elsewhere is a browser on another machine: it cannot come back to this one. What it ends at is in its address bar.
func elsewhere(ctx context.Context, page string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 3 {
		return "", errors.New("the server did not send the browser back: " + resp.Status)
	}
	return resp.Header.Get("Location"), nil
}

// works makes sure of a session: its token, and one more by its refresh token.
func (h *harness) works(t *testing.T, profile string) {
	t.Helper()
	for range 2 {
		if token, err := h.token(t, profile); err != nil || token.Access.IsZero() {
			t.Error(err)
		}
		h.cool(profile)
	}
}

// The browser comes back to this machine by itself.
func TestBrowserLogin(t *testing.T) {
	h, _ := newBrowserHarness(t)
	r, err := h.login(t.Context(), h.ofBrowser("p"), func(ctx context.Context, p protocol.Prompt) (keystore.Secret,
		error) {
		if p.Kind != protocol.PromptBrowser || p.Text != "Sign in at "+strings.TrimPrefix(h.server.URL(), "http://") ||
			p.Question != 1 {
			t.Errorf("%+v", p)
		}
		status, err := browse(context.WithoutCancel(ctx), p.URL) // the login goes on before the page has been read
		if status != http.StatusOK {
			t.Errorf("the browser ended at a page with status %d: %v", status, err)
		}
		return keystore.Secret{}, err
	})
	if err != nil || r.Outcome != protocol.SignedIn || r.Grant != string(grant.ByAuthorizationCode) {
		t.Fatalf("%+v, %v", r, err)
	}
	h.works(t, "p")
}

// A person whose browser is on another machine pastes what it ended at. What is not the answer to this sign-in is said
// to be none, and asked for again; the code of somebody else, with another state, is never exchanged.
func TestPastedRedirect(t *testing.T) {
	for name, test := range map[string]struct {
		pastes  func(redirect string) []string
		notices int
	}{
		"the address": {func(r string) []string { return []string{r} }, 0},
		"the query":   {func(r string) []string { return []string{r[strings.Index(r, "?"):]} }, 0},
		"another state, then the address": {func(r string) []string {
			u, _ := url.Parse(r)
			q := u.Query()
			q.Set("state", "somebody-elses")
			u.RawQuery = q.Encode()
			return []string{u.String(), r}
		}, 1},
		"nonsense, then another page, then the address": {func(r string) []string {
			return []string{"not an address", "https://elsewhere.example/?code=c&state=s", r}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newBrowserHarness(t)
			var pastes []string
			notices, exchanges := 0, h.server.Count(h.server.TokenPath())
			r, err := h.login(t.Context(), h.ofBrowser("p"),
				func(ctx context.Context, p protocol.Prompt) (keystore.Secret, error) {
					if p.Kind == protocol.PromptNotice {
						if notices++; !strings.HasSuffix(p.Text,
							"Paste the whole address that the browser ended at.") ||
							strings.Contains(p.Text, "somebody-elses") {
							t.Errorf("%q", p.Text)
						}
						return keystore.Secret{}, nil
					}
					if pastes == nil {
						redirect, err := elsewhere(ctx, p.URL)
						if err != nil {
							return keystore.Secret{}, err
						}
						pastes = test.pastes(redirect)
					}
					paste := pastes[0]
					pastes = pastes[1:]
					return keystore.SecretString(paste), nil
				})
			if err != nil || r.Outcome != protocol.SignedIn {
				t.Fatalf("%+v, %v", r, err)
			}
			if n := h.server.Count(h.server.TokenPath()) - exchanges; n != 1 || notices != test.notices {
				t.Errorf("%d exchanges, %d notices; want 1 and %d", n, notices, test.notices)
			}
			h.works(t, "p")
		})
	}
}

// A person who says no is told what to type next.
func TestBrowserLoginDenied(t *testing.T) {
	h, _ := newBrowserHarness(t)
	h.server.SetConsent(sandbox.ConsentDeny)
	_, err := h.login(t.Context(), h.ofBrowser("p"), func(ctx context.Context, p protocol.Prompt) (keystore.Secret,
		error) {
		_, err := browse(context.WithoutCancel(ctx), p.URL)
		return keystore.Secret{}, err
	})
	if e := wantError(t, err, protocol.LoginRequired); e.Hint() != Command(h.ofBrowser("p")) {
		t.Errorf("%v, %q", e, e.Hint())
	}
	if n := h.server.Count(h.server.TokenPath()); n != 0 {
		t.Errorf("%d exchanges", n)
	}
}
