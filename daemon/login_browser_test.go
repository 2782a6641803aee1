package daemon

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/login"
	"github.com/groat-dev/groat/protocol"
)

// What a device login shows is what a person needs to go on, on another device.
func TestDeviceLogin(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		signing := h.watch(t, h.ofDevice("p"))
		p := <-signing.asked
		page, err := url.Parse(p.URL)
		if err != nil || "http://"+page.Host != h.server.URL() || p.Code == "" || p.ExpiresIn != 900 || !strings.Contains(p.QR, "█") ||
			p.Text != "Sign in at "+page.Host+" with this code, on any device" || p.Question != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		if err := h.server.ApproveDevice(p.Code); err != nil {
			t.Fatal(err)
		}
		r := <-signing.over
		if r.err != nil || r.result.Grant != "device_code" || r.result.ClientID != "app" || r.result.Created || r.result.ExpiresIn == 0 {
			t.Errorf("%+v", r)
		}
		if got := stored(t, store, "p"); got.RefreshToken.IsZero() || got.Grant != "device_code" {
			t.Error("no session was stored")
		}
		if again := h.signIn(t, protocol.LoginParams{Profile: "p"}); again.Outcome != protocol.AlreadySignedIn {
			t.Errorf("%+v", again)
		}
	})
}

// Who says no on the other device, or does not come while the code is good, is told so; nothing is kept.
func TestDeviceLoginThatComesToNothing(t *testing.T) {
	for name, test := range map[string]struct {
		come  func(h *house, code string) error
		after time.Duration // at least
	}{
		"denied": {come: func(h *house, code string) error { return h.server.DenyDevice(code) }},
		"nobody": {func(*house, string) error { return nil }, 30 * time.Minute},
		"blocked": {come: func(h *house, code string) error {
			defer h.server.BlockUser(person, true)
			return h.server.ApproveDevice(code)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{Device: sandbox.Device{Lifetime: 30 * time.Minute}}, func(t *testing.T, h *house, store *picky) {
				signing := h.watch(t, h.ofDevice("p"))
				begin := time.Now()
				if err := test.come(h, (<-signing.asked).Code); err != nil {
					t.Fatal(err)
				}
				r := <-signing.over
				if e := wantError(t, r.err, protocol.LoginRequired); e.Hint() != login.Command(h.ofDevice("p")) || time.Since(begin) < test.after {
					t.Errorf("%v, %q after %s", e, e.Hint(), time.Since(begin))
				}
				if h.profiles.Named("p") != nil || stored(t, store, "p").ClientID != "" {
					t.Error("it left something behind")
				}
			})
		})
	}
}

// byBrowser are the parameters of a login in a browser.
func (h *house) byBrowser(profile string) protocol.LoginParams {
	params := h.ofDevice(profile)
	params.Grant = string(grant.ByAuthorizationCode)
	return params
}

// newBrowserHouse is a house on real sockets whose server lets everybody in whose browser comes.
func newBrowserHouse(t *testing.T) *house {
	return newHouse(t, sandbox.Options{
		Consent: sandbox.ConsentAllow, Refresh: sandbox.Refresh{Always: true, Rotate: true},
		Clients: []sandbox.Client{{ID: "app", Method: sandbox.None, RedirectURIs: []string{"http://127.0.0.1/callback"}}},
	})
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
func (h *house) works(t *testing.T, profile string) {
	t.Helper()
	for range 2 {
		var token protocol.TokenResult
		if err := h.client(t).Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: profile}, &token); err != nil || token.AccessToken == "" {
			t.Error(err)
		}
		h.cool(profile)
	}
}

// The browser comes back to this machine by itself.
func TestBrowserLogin(t *testing.T) {
	h := newBrowserHouse(t)
	r, err := h.client(t).Login(t.Context(), h.byBrowser("p"), func(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
		if p.Kind != protocol.PromptBrowser || p.Text != "Sign in at "+strings.TrimPrefix(h.server.URL(), "http://") || p.Question != 1 {
			t.Errorf("%+v", p)
		}
		status, err := browse(context.WithoutCancel(ctx), p.URL) // the login goes on before the page has been read
		if status != http.StatusOK {
			t.Errorf("the browser ended at a page with status %d: %v", status, err)
		}
		return protocol.LoginSecret{}, err
	})
	if err != nil || r.Outcome != protocol.SignedIn || r.Grant != string(grant.ByAuthorizationCode) {
		t.Fatalf("%+v, %v", r, err)
	}
	h.works(t, "p")
}

// A person whose browser is on another machine pastes what it ended at. What is not the answer to this sign-in is said to be
// none, and asked for again; the code of somebody else, with another state, is never exchanged.
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
			h := newBrowserHouse(t)
			var pastes []string
			notices, exchanges := 0, h.server.Count(h.server.TokenPath())
			r, err := h.client(t).Login(t.Context(), h.byBrowser("p"), func(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
				if p.Kind == protocol.PromptNotice {
					if notices++; !strings.HasSuffix(p.Text, "Paste the whole address that the browser ended at.") || strings.Contains(p.Text, "somebody-elses") {
						t.Errorf("%q", p.Text)
					}
					return protocol.LoginSecret{}, nil
				}
				if pastes == nil {
					redirect, err := elsewhere(ctx, p.URL)
					if err != nil {
						return protocol.LoginSecret{}, err
					}
					pastes = test.pastes(redirect)
				}
				paste := pastes[0]
				pastes = pastes[1:]
				return protocol.NewLoginSecret([]byte(paste)), nil
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
	h := newBrowserHouse(t)
	h.server.SetConsent(sandbox.ConsentDeny)
	_, err := h.client(t).Login(t.Context(), h.byBrowser("p"), func(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
		_, err := browse(context.WithoutCancel(ctx), p.URL)
		return protocol.LoginSecret{}, err
	})
	if e := wantError(t, err, protocol.LoginRequired); e.Hint() != login.Command(h.byBrowser("p")) {
		t.Errorf("%v, %q", e, e.Hint())
	}
	if n := h.server.Count(h.server.TokenPath()); n != 0 {
		t.Errorf("%d exchanges", n)
	}
}
