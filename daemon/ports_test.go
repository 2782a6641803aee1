package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// byBrowser are the parameters of a login in a browser.
func (h *env) byBrowser(profile string) protocol.LoginParams {
	params := h.ofDevice(profile)
	params.Grant = string(grant.ByAuthorizationCode)
	return params
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

// newFixedPortEnv is an env whose client is registered with one port, which is free.
func newFixedPortEnv(t *testing.T) (h *env, redirect string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	redirect = "http://" + l.Addr().String() + "/callback"
	l.Close()
	return newEnv(t, sandbox.Options{
		Consent: sandbox.ConsentAllow, Refresh: sandbox.Refresh{Always: true, Rotate: true},
		Clients: []sandbox.Client{{ID: "app", Method: sandbox.None,
			RedirectURIs: []string{redirect, "http://127.0.0.1/callback"}}},
	}), redirect
}

// taken reports whether no other process can listen where a redirect goes.
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

// The port is held while the code is exchanged, and free when the login is over.
func TestI10ThePortIsHeldUntilTheLoginHasEnded(t *testing.T) {
	h, redirect := newFixedPortEnv(t)
	g := newGate(t, h)
	params := h.byBrowser("p")
	params.Issuer, params.Redirect = g.URL, redirect
	over := make(chan error, 1)
	client := h.client(t)
	pages := make(chan string, 1)
	go func() {
		_, err := client.Login(t.Context(), params,
			func(_ context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
				pages <- p.URL
				return protocol.LoginSecret{}, nil
			})
		over <- err
	}()
	back, err := elsewhere(t.Context(), <-pages)
	if err != nil {
		t.Fatal(err)
	}
	g.shut() // the token endpoint does not answer yet
	if status, err := browse(t.Context(), back); status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	g.arrived(t, 1)
	if !taken(t, redirect) {
		t.Error("the port is free while the code is exchanged")
	}
	if status, err := browse(t.Context(), back); status != http.StatusConflict {
		t.Errorf("a late visitor: %d, %v", status, err)
	}
	g.open()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if taken(t, redirect) || h.budget.Held() != 0 {
		t.Errorf("the port is held after the login, and %d descriptors", h.budget.Held())
	}
}

// Connections of every kind and listeners come out of one budget, of which browser logins have a part.
func TestI12OneBudgetOfDescriptors(t *testing.T) {
	d := newIsolated(t, nowhere{})
	s := d.newServer(896) // of 1024
	var got int
	for ; ; got++ {
		if err := d.budget.Take(12); err != nil {
			if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message, "descriptors") ||
				e.Hint() == "" {
				t.Errorf("%v", e)
			}
			break
		}
	}
	if most := (896/4 - grant.CallbackPending) / 12; got != most {
		t.Errorf("%d logins, want %d", got, most)
	}
	s.most = d.budget.Held() - 1
	if !s.full() {
		t.Error("the Unix socket's connections do not see what browser logins take")
	}
	for range got {
		d.budget.Give(12)
	}
	if d.budget.Held() != 0 || s.full() {
		t.Errorf("%d are still taken", d.budget.Held())
	}
	// Clients' connections that cannot be closed leave no room for a login.
	for range 896 {
		c := d.newConn(nil, nil)
		c.room <- struct{}{}
		s.conns[c] = struct{}{}
	}
	wantError(t, d.budget.Take(12), protocol.Temporary)
	clear(s.conns)
}

func TestALoginSaysThatItsNameIsMissing(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	_, err := h.client(t).Login(t.Context(), protocol.LoginParams{Profile: "My Lab"}, nil)
	if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Data == nil || !slices.Equal(e.Data.Missing,
		[]string{"profile"}) {
		t.Errorf("%v, want that the profile's name is missing", err)
	}
}

func TestI13LoginsOfOneConnection(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	c := dialRaw(t, h.socket)
	for i := range maxLoginsOfOne + 1 {
		c.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"login","params":{"profile":"p%d",`+
			`"token_url":%q,"client_id":"c","client_auth":"client_secret_post"}}`+"\n",
			i, i, h.server.URL()+"/token"))
	}
	asked := 0
	for {
		line, ok := c.hear(t)
		if strings.Contains(line, `"secret"`) {
			asked++
			continue
		}
		if !ok || !strings.Contains(line, "there are 8 logins of this connection under way") ||
			!strings.Contains(line, `"kind":"temporary"`) {
			t.Fatalf("%q", line)
		}
		break
	}
	c.Close()
	if asked > maxLoginsOfOne {
		t.Errorf("%d were asked for a secret", asked)
	}
}

// A hint is a command that works when it is typed, whatever it is given.
func TestI18AHintIsAWordForAWord(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		params := h.ofMachine("p")
		params.ClientID = "my id; groat: hint: x"
		_, err := h.visit(t).Login(t.Context(), params, typing("wrong"))
		e := wantError(t, err, protocol.LoginRequired)
		if !strings.HasSuffix(e.Hint(), ` --client-id $'my id; groat\x3a hint\x3a x'`) ||
			strings.Contains(e.Message, "hint:") {
			t.Errorf("%s\n%s", e.Message, e.Hint())
		}
	})
}
