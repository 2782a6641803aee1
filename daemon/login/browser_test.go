package login

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// newBrowserRoom is a room on real sockets, whose server signs in everyone whose browser comes. redirect is a free port that the
// client is registered with.
func newBrowserRoom(t *testing.T) (r *room, redirect string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	redirect = "http://" + l.Addr().String() + "/callback"
	l.Close()
	o := sandbox.Options{
		Consent: sandbox.ConsentAllow,
		Clients: []sandbox.Client{{ID: "app", Method: sandbox.None, RedirectURIs: []string{redirect, "http://127.0.0.1/callback"}}},
	}
	return newRoom(t, o, func(s *sandbox.Server, _ *http.Transport) {
		if err := s.Start(""); err != nil {
			t.Fatal(err)
		}
	}), redirect
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
	r, redirect := newBrowserRoom(t)
	params := r.ofBrowser("p")
	params.Redirect = redirect
	v := r.watch(params)
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
	if r.stored(t, "p").RefreshToken.IsZero() || taken(t, redirect) || r.Budget.(*budget).held.Load() != 0 {
		t.Error("no session is stored, or the port is still held")
	}
}

// givenUp begins a login in a browser and leaves when the page is shown. It returns where the browser would come back to, once the
// login has ended.
func (r *room) givenUp(t *testing.T, params protocol.LoginParams) (back string) {
	t.Helper()
	v := r.watch(params)
	_, back = visit(t, v.next(t).URL)
	r.mu.Lock()
	l := r.running[params.Profile]
	r.mu.Unlock()
	v.leave()
	<-v.over
	<-l.done
	return back
}

// After a login that was given up its port is held, since the browser may still come; another login on the port gets it.
func TestI11TheBrowserComesLate(t *testing.T) {
	r, redirect := newBrowserRoom(t)
	params := r.ofBrowser("p")
	params.Redirect = redirect
	back := r.givenUp(t, params)
	if !taken(t, redirect) {
		t.Error("the port is free, and the browser may still come")
	}
	if status, _ := visit(t, back); status != http.StatusGone {
		t.Errorf("late: %d", status)
	}
	if n := r.server.Count(r.server.TokenPath()); n != 0 {
		t.Errorf("%d exchanges", n)
	}
	v := r.watch(params)
	_, back = visit(t, v.next(t).URL)
	visit(t, back)
	v.done(t)
	if taken(t, redirect) {
		t.Error("the port is held after a login that succeeded")
	}
}

// Few ports are held so.
func TestI11FewPortsAreHeld(t *testing.T) {
	r, _ := newBrowserRoom(t)
	var back []string
	for i := range lateMost + 1 {
		back = append(back, r.givenUp(t, r.ofBrowser(fmt.Sprint("p", i))))
	}
	r.ports.mu.Lock()
	held := len(r.ports.held)
	r.ports.mu.Unlock()
	if held != lateMost || !taken(t, back[lateMost]) {
		t.Errorf("%d are held", held)
	}
	if n := r.ports.freeAll(); n != lateMost || taken(t, back[lateMost]) {
		t.Errorf("%d were freed", n)
	}
}

// Wrong pastes leave no trace but the last notices, and the right one is still taken.
func TestI14ManyWrongPastes(t *testing.T) {
	r, _ := newBrowserRoom(t)
	v := r.watch(r.ofBrowser("p"))
	p := v.next(t)
	_, right := visit(t, p.URL)
	for i := range 100 {
		if !v.answer(p, "not an address") {
			t.Fatalf("paste %d was not taken", i)
		}
	}
	r.mu.Lock()
	l := r.running["p"]
	r.mu.Unlock()
	l.mu.Lock()
	if len(l.shown) > 1+maxNotices {
		t.Errorf("%d prompts are kept", len(l.shown))
	}
	l.mu.Unlock()
	if !v.answer(p, right) {
		t.Error("the right one was not taken")
	}
	v.done(t)
}
