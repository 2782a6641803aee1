package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// newFixedHouse is a house whose client is registered with one port, which is free.
func newFixedHouse(t *testing.T) (h *house, redirect string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	redirect = "http://" + l.Addr().String() + "/callback"
	l.Close()
	return newHouse(t, sandbox.Options{
		Consent: sandbox.ConsentAllow, Refresh: sandbox.Refresh{Always: true, Rotate: true},
		Clients: []sandbox.Client{{ID: "app", Method: sandbox.None, RedirectURIs: []string{redirect, "http://127.0.0.1/callback"}}},
	}), redirect
}

// taken reports whether nobody else can listen where a redirect goes.
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
	h, redirect := newFixedHouse(t)
	g := newGate(t, h)
	params := h.byBrowser("p")
	params.Issuer, params.Redirect = g.URL, redirect
	over := make(chan error, 1)
	client := h.client(t)
	pages := make(chan string, 1)
	go func() {
		_, err := client.Login(t.Context(), params, func(_ context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
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
	if taken(t, redirect) || h.budget.held() != 0 {
		t.Errorf("the port is held after the login, and %d descriptors", h.budget.held())
	}
}

// givenUp begins a login in a browser, and leaves when the page is shown. It returns where the browser would come back to.
func (h *house) givenUp(t *testing.T, params protocol.LoginParams) (back string) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	client := h.visit(t)
	_, err := client.Login(ctx, params, func(_ context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
		var err error
		if back, err = elsewhere(t.Context(), p.URL); err != nil {
			t.Error(err)
		}
		leave()
		return protocol.LoginSecret{}, ctx.Err()
	})
	if err == nil || back == "" {
		t.Fatalf("it was not given up: %v", err)
	}
	client.Close()
	h.ended(t, params.Profile)
	return back
}

// ended waits until no login of the profile is under way.
func (h *house) ended(t *testing.T, profile string) {
	t.Helper()
	h.mu.Lock()
	l := h.logins[profile]
	h.mu.Unlock()
	if l == nil {
		return
	}
	select {
	case <-l.done:
	case <-time.After(patience):
		t.Fatal("the login goes on")
	}
}

// After a login that was given up its port is held, since the browser may still come; another login on the port gets it.
func TestI11TheBrowserComesLate(t *testing.T) {
	h, redirect := newFixedHouse(t)
	params := h.byBrowser("p")
	params.Redirect = redirect
	back := h.givenUp(t, params)
	if !taken(t, redirect) {
		t.Error("the port is free, and the browser may still come")
	}
	if status, err := browse(t.Context(), back); status != http.StatusGone {
		t.Errorf("late: %d, %v", status, err)
	}
	if n := h.server.Count(h.server.TokenPath()); n != 0 {
		t.Errorf("%d exchanges", n)
	}
	_, err := h.client(t).Login(t.Context(), params, func(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
		_, err := browse(context.WithoutCancel(ctx), p.URL)
		return protocol.LoginSecret{}, err
	})
	if err != nil {
		t.Errorf("the next login: %v", err)
	}
	if taken(t, redirect) {
		t.Error("the port is held after a login that succeeded")
	}
}

// Few ports are held so.
func TestI11FewPortsAreHeld(t *testing.T) {
	h, _ := newFixedHouse(t)
	var back []string
	for i := range lateMost + 1 {
		back = append(back, h.givenUp(t, h.byBrowser(fmt.Sprint("p", i))))
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

// Connections of every kind and listeners come out of one budget, of which browser logins have a part.
func TestI12OneBudgetOfDescriptors(t *testing.T) {
	d := newIsolated(t, nowhere{})
	s := d.newServer(896) // of 1024
	var got int
	for ; ; got++ {
		if err := d.budget.Take(12); err != nil {
			if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message, "descriptors") || e.Hint() == "" {
				t.Errorf("%v", e)
			}
			break
		}
	}
	if most := (896/4 - grant.CallbackPending) / 12; got != most {
		t.Errorf("%d logins, want %d", got, most)
	}
	s.most = d.budget.held() - 1
	if !s.full() {
		t.Error("the Unix socket's connections do not see what browser logins take")
	}
	for range got {
		d.budget.Give(12)
	}
	if d.budget.held() != 0 || s.full() {
		t.Errorf("%d are still taken", d.budget.held())
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

// There are at most so many logins, of one connection and of all.
func TestI13LoginsAreBounded(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
		var all []*viewer
		for i := range maxLogins {
			v := h.watch(t, h.ofMachine(fmt.Sprint("p", i)))
			<-v.asked
			all = append(all, v)
		}
		_, err := h.visit(t).Login(t.Context(), h.ofMachine("more"), unasked(t))
		if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message, "there are 64 logins of groatd under way") || e.Hint() != "groat login more" {
			t.Errorf("%v", e)
		}
		joined := h.watch(t, h.ofMachine("p0")) // is no login more
		<-joined.asked
		joined.leave()
		<-joined.over
		all[0].leave()
		<-all[0].over
		h.ended(t, "p0")
		v := h.watch(t, h.ofMachine("more"))
		<-v.asked
		for _, v := range append(all[1:], v) {
			v.leave()
			<-v.over
		}
	})
}

func TestI13LoginsOfOneConnection(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	c := dialRaw(t, h.socket)
	for i := range maxLoginsOfOne + 1 {
		c.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"login","params":{"profile":"p%d","token_url":%q,"client_id":"c","client_auth":"client_secret_post"}}`+"\n",
			i, i, h.server.URL()+"/token"))
	}
	asked := 0
	for {
		line, ok := c.hear(t)
		if strings.Contains(line, `"secret"`) {
			asked++
			continue
		}
		if !ok || !strings.Contains(line, "there are 8 logins of this connection under way") || !strings.Contains(line, `"kind":"temporary"`) {
			t.Fatalf("%q", line)
		}
		break
	}
	c.Close()
	if asked > maxLoginsOfOne {
		t.Errorf("%d were asked for a secret", asked)
	}
}

// However much was shown, who joins is shown what is open and the last notices, and memory does not grow.
func TestI14WhatIsShownIsBounded(t *testing.T) {
	d := newIsolated(t, nowhere{})
	l := d.newLogin(protocol.LoginParams{Profile: "p"})
	kinds := func() (s string) {
		for _, p := range l.shown {
			s += string(p.Kind) + " "
		}
		return s
	}
	l.tell("first")
	l.show(protocol.Prompt{Kind: protocol.PromptSecret, Text: "secret"})
	l.show(protocol.Prompt{Kind: protocol.PromptBrowser, Text: "page"})
	if got := kinds(); got != "notice browser " {
		t.Errorf("%s", got)
	}
	for i := range 10_000 {
		l.tell(fmt.Sprint("That was not it: ", i))
	}
	if got := kinds(); got != "browser notice notice notice notice " || l.shown[4].Text != "That was not it: 9999" || l.shown[0].Question != 2 {
		t.Errorf("%s: %+v", got, l.shown)
	}
	if cap(l.shown) > 64 {
		t.Errorf("room for %d", cap(l.shown))
	}
	l.show(protocol.Prompt{Kind: protocol.PromptDevice, Code: "code"})
	if got := kinds(); got != "notice notice notice notice device " {
		t.Errorf("%s", got)
	}
}

// Wrong pastes leave no trace but the last notices, and the right one is still taken.
func TestI14ManyWrongPastes(t *testing.T) {
	h := newBrowserHouse(t)
	pastes := 0
	var right string
	_, err := h.client(t).Login(t.Context(), h.byBrowser("p"), func(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
		if p.Kind == protocol.PromptNotice {
			return protocol.LoginSecret{}, nil
		}
		if right == "" {
			var err error
			if right, err = elsewhere(ctx, p.URL); err != nil {
				return protocol.LoginSecret{}, err
			}
		}
		if pastes++; pastes <= 100 {
			return protocol.NewLoginSecret([]byte("not an address")), nil
		}
		h.mu.Lock()
		l := h.logins["p"]
		h.mu.Unlock()
		l.mu.Lock()
		if len(l.shown) > 1+maxNotices {
			t.Errorf("%d prompts are kept", len(l.shown))
		}
		l.mu.Unlock()
		return protocol.NewLoginSecret([]byte(right)), nil
	})
	if err != nil || pastes != 101 {
		t.Errorf("after %d pastes: %v", pastes, err)
	}
}

// A hint is a command that works when it is typed, whatever it is given.
func TestI18AHintIsAWordForAWord(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
		params := h.ofMachine("p")
		params.ClientID = "my id; groat: hint: x"
		_, err := h.visit(t).Login(t.Context(), params, typing("wrong"))
		e := wantError(t, err, protocol.LoginRequired)
		if !strings.HasSuffix(e.Hint(), ` --client-id $'my id; groat\x3a hint\x3a x'`) || strings.Contains(e.Message, "hint:") {
			t.Errorf("%s\n%s", e.Message, e.Hint())
		}
	})
}
