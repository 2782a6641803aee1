package grant_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

// waiting is a receiver that waits for the browser, and the sign-in that it is for.
type waiting struct {
	r      *grant.Receiver
	a      *grant.Authorization
	base   string // http://127.0.0.1:port
	result chan outcome
}

type outcome struct {
	code keystore.Secret
	err  error
}

func wait(t *testing.T, e *grant.Endpoint, item keystore.Item, registered string) *waiting {
	t.Helper()
	r, err := grant.Listen(registered, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := e.StartAuthCode(t.Context(), item, grant.Request{}, r.RedirectURI())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(r.RedirectURI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	w := &waiting{r: r, a: a, base: "http://" + u.Host, result: make(chan outcome, 1)}
	go func() {
		code, err := r.Await(t.Context(), a)
		w.result <- outcome{code, err}
	}()
	return w
}

// static waits for a server that is sent no request.
func static(t *testing.T, registered string) *waiting {
	server := serverOf("https://auth.example.com", grant.None)
	server.AuthorizeEndpoint = "https://auth.example.com/authorize"
	return wait(t, endpoint(server), server.NewItem("c", grant.ByAuthorizationCode), registered)
}

func (w *waiting) answer(t *testing.T) outcome {
	t.Helper()
	select {
	case o := <-w.result:
		return o
	case <-time.After(2 * time.Minute):
		t.Fatal("the receiver still waits")
		return outcome{}
	}
}

func (w *waiting) mustStillWait(t *testing.T) {
	t.Helper()
	select {
	case o := <-w.result:
		t.Fatalf("it has ended: %v", o.err)
	default:
	}
}

// visit sends one request and returns the status and the page.
func visit(t *testing.T, method, address string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Content-Security-Policy", "Cache-Control", "Referrer-Policy"} {
		if resp.Header.Get(name) == "" {
			t.Errorf("the page has no %s", name)
		}
	}
	return resp.StatusCode, string(b)
}

// The whole way with a browser that does what a browser does: a prefetch, the answer, its favicon.
func TestReceiver(t *testing.T) {
	_, server := generic(t, grant.None, nil)
	server.PAREndpoint = "" // the address shows the state
	e, item := endpoint(server), server.NewItem(publicID, grant.ByAuthorizationCode)
	w := wait(t, e, item, "")
	back := browse(t, w.a.URL)
	if !strings.HasPrefix(back, w.base+"/callback?") {
		t.Fatalf("sent to %s", back)
	}
	visit(t, "GET", back, "Sec-Purpose", "prefetch;prerender")
	w.mustStillWait(t)
	status, page := visit(t, "GET", back)
	if status != 200 || !strings.Contains(page, "You can close this tab") {
		t.Errorf("%d %s", status, page)
	}
	o := w.answer(t)
	if o.err != nil {
		t.Fatal(o.err)
	}
	if strings.Contains(page, o.code.Reveal()) || strings.Contains(page, stateOf(t, w.a)) {
		t.Error("the page holds a secret")
	}
	if s, err := e.Exchange(t.Context(), item, w.a, o.code); err != nil || s.Token.Access.IsZero() {
		t.Error(err)
	}
	// Late: a page is shown until the login has ended; then nothing listens.
	if status, page := visit(t, "GET", back); status != 409 || !strings.Contains(page, "answered already") {
		t.Errorf("late: %d %s", status, page)
	}
	w.r.Close()
	if c, err := net.Dial("tcp", strings.TrimPrefix(w.base, "http://")); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}

// What is not the answer gets a page and changes nothing.
func TestReceiverIsNotConsumed(t *testing.T) {
	w := static(t, "")
	state := stateOf(t, w.a)
	good := w.base + "/callback?code=abc&state=" + state
	host := strings.TrimPrefix(w.base, "http://")
	_, port, _ := net.SplitHostPort(host)
	for _, c := range []struct {
		name, method, address string
		header                []string
		status                int
	}{
		{"favicon", "GET", w.base + "/favicon.ico", nil, 404},
		{"root", "GET", w.base + "/", nil, 404},
		{"another path", "GET", w.base + "/callback2?code=abc&state=" + state, nil, 404},
		{"below the path", "GET", w.base + "/callback/?code=abc&state=" + state, nil, 404},
		{"escaped path", "GET", w.base + "/%63allback?code=abc&state=" + state, nil, 404},
		{"HEAD", "HEAD", good, nil, 405},
		{"POST", "POST", good, nil, 405},
		{"OPTIONS", "OPTIONS", good, nil, 405},
		{"prefetch", "GET", good, []string{"Purpose", "prefetch"}, 503},
		{"prerender", "GET", good, []string{"Sec-Purpose", "prefetch;prerender"}, 503},
		{"old prefetch", "GET", good, []string{"X-Moz", "prefetch"}, 503},
		{"DNS rebinding", "GET", good, []string{"Host", "evil.example:" + port}, 421},
		{"another port's host", "GET", good, []string{"Host", "127.0.0.1"}, 421},
		{"a name for the address", "GET", good, []string{"Host", "localhost:" + port}, 421},
		{"nothing", "GET", w.base + "/callback", nil, 400},
		{"another state", "GET", w.base + "/callback?code=abc&state=x", nil, 400},
		{"no state", "GET", w.base + "/callback?code=abc", nil, 400},
		{"an error with another state", "GET", w.base + "/callback?error=access_denied&state=x", nil, 400},
		{"an error without state", "GET", w.base + "/callback?error=access_denied", nil, 400},
		{"state twice", "GET", good + "&state=" + state, nil, 400},
		{"code twice", "GET", good + "&code=def", nil, 400},
		{"bad escapes", "GET", w.base + "/callback?code=%zz&state=" + state, nil, 400},
	} {
		status, page := visit(t, c.method, c.address, c.header...)
		if status != c.status || strings.Contains(page, "abc") || strings.Contains(page, state) {
			t.Errorf("%s: %d %s", c.name, status, page)
		}
		w.mustStillWait(t)
	}
	if status, _ := visit(t, "GET", good); status != 200 {
		t.Errorf("the answer itself: %d", status)
	}
	if o := w.answer(t); o.err != nil || o.code.Reveal() != "abc" {
		t.Errorf("%v", o.err)
	}
}

// Bytes that are no HTTP, a connection that says nothing, one that says half: the answer comes through all the same.
func TestReceiverUnderNoise(t *testing.T) {
	w := static(t, "")
	for _, noise := range []string{"", "\x16\x03\x01", "GET /callback?code=", "GET / HTTP/1.1\r\nHost: x\r\n",
		strings.Repeat("A", 100<<10)} {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, noise)
	}
	if status, _ := visit(t, "GET", w.base+"/callback?code=abc&state="+stateOf(t, w.a)); status != 200 {
		t.Errorf("status %d", status)
	}
	if o := w.answer(t); o.err != nil {
		t.Error(o.err)
	}
}

// A refusal that carries our state ends the sign-in, and the page does not say that it worked.
func TestReceiverRefusals(t *testing.T) {
	for _, c := range []struct {
		query string
		class grant.Class
		text  string
	}{
		{"error=access_denied&error_description=The+person+refused", grant.Refused,
			`declined (access_denied); the server says: "The person refused"`},
		{"error=server_error", grant.Transient, "server_error"},
		{"code=abc&iss=https%3A%2F%2Fevil.example", grant.Refused, "evil.example"},
		{"code=", grant.Malformed, "without a code"},
	} {
		w := static(t, "")
		status, page := visit(t, "GET", w.base+"/callback?state="+stateOf(t, w.a)+"&"+c.query)
		if status != 200 || !strings.Contains(page, "did not work") {
			t.Errorf("%s: %d %s", c.query, status, page)
		}
		if e := wantClass(t, w.answer(t).err, c.class); !strings.Contains(e.Error(), c.text) {
			t.Errorf("%v", e)
		}
	}
}

func TestReceiverDenied(t *testing.T) {
	_, server := generic(t, grant.None, func(o *sandbox.Options) { o.Consent = sandbox.ConsentDeny })
	w := wait(t, endpoint(server), server.NewItem(publicID, grant.ByAuthorizationCode), "")
	visit(t, "GET", browse(t, w.a.URL))
	if e := wantClass(t, w.answer(t).err, grant.Refused); e.Code != "access_denied" {
		t.Errorf("%v", e)
	}
}

// Two answers that race: one is taken, the other is told so or finds the port closed.
func TestSecondCallback(t *testing.T) {
	w := static(t, "")
	address := strings.TrimPrefix(w.base, "http://")
	conns := make([]net.Conn, 2)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", address); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		fmt.Fprintf(conns[i], "GET /callback?code=code%d&state=%s HTTP/1.1\r\nHost: %s\r\n", i,
			stateOf(t, w.a), address)
	}
	for _, c := range conns {
		io.WriteString(c, "\r\n")
	}
	statuses := map[int]int{}
	for _, c := range conns {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			continue
		}
		resp.Body.Close()
		statuses[resp.StatusCode]++
	}
	if statuses[200] != 1 || statuses[409] > 1 {
		t.Errorf("answered with %v", statuses)
	}
	if o := w.answer(t); o.err != nil || !strings.HasPrefix(o.code.Reveal(), "code") {
		t.Errorf("%v", o.err)
	}
}

func TestReceiverGivenUp(t *testing.T) {
	r, err := grant.Listen("", nil)
	if err != nil {
		t.Fatal(err)
	}
	server := serverOf("https://auth.example.com", grant.None)
	server.AuthorizeEndpoint = "https://auth.example.com/authorize"
	a, err := endpoint(server).StartAuthCode(t.Context(), server.NewItem("c", grant.ByAuthorizationCode),
		grant.Request{}, r.RedirectURI())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Await(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	u, _ := url.Parse(r.RedirectURI())
	state := stateOf(t, a)
	if status, page := visit(t, "GET", r.RedirectURI()+"?code=abc&state="+state); status != 410 ||
		!strings.Contains(page, "is over") {
		t.Errorf("late: %d %s", status, page)
	}
	if !r.Unanswered() {
		t.Error("a late visit counts as an answer")
	}
	r.Close()
	if c, err := net.Dial("tcp", u.Host); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}

func TestListen(t *testing.T) {
	for _, c := range []struct{ registered, redirect, dial string }{
		{"", "http://127.0.0.1:PORT/callback", "127.0.0.1"},
		{"http://127.0.0.1", "http://127.0.0.1:PORT", "127.0.0.1"},
		{"http://127.0.0.1/", "http://127.0.0.1:PORT/", "127.0.0.1"},
		{"http://127.0.0.1/a/b", "http://127.0.0.1:PORT/a/b", "127.0.0.1"},
		{"http://localhost/cb", "http://localhost:PORT/cb", "127.0.0.1"},
		{"http://localhost/cb", "http://localhost:PORT/cb", "::1"},
		{"http://[::1]/cb", "http://[::1]:PORT/cb", "::1"},
	} {
		r, err := grant.Listen(c.registered, nil)
		if err != nil {
			t.Errorf("%s: %v", c.registered, err)
			continue
		}
		u, err := url.Parse(r.RedirectURI())
		if err != nil || strings.ReplaceAll(c.redirect, "PORT", u.Port()) != r.RedirectURI() {
			t.Errorf("%s: %s, %v", c.registered, r.RedirectURI(), err)
		}
		conn, err := net.Dial("tcp", net.JoinHostPort(c.dial, u.Port()))
		if err != nil {
			t.Errorf("%s: %v", c.registered, err)
		} else {
			conn.Close()
		}
		// The registered port, and one that is taken.
		if _, err := grant.Listen(r.RedirectURI(), nil); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: taken twice: %v", c.registered, err)
		}
		r.Close()
		again, err := grant.Listen(r.RedirectURI(), nil)
		if err != nil || again.RedirectURI() != r.RedirectURI() {
			t.Errorf("%s: %v", r.RedirectURI(), err)
			continue
		}
		again.Close()
	}
	for _, bad := range []string{
		"https://127.0.0.1/callback", "http://0.0.0.0/callback", "http://192.0.2.1/callback",
		"http://example.com/callback",
		"http://127.0.0.1/callback?x=y", "http://127.0.0.1/callback?", "http://127.0.0.1/#x", "127.0.0.1:80",
		"urn:ietf:wg:oauth:2.0:oob",
		"http://127.0.0.1:0/callback", "http://a@127.0.0.1/",
	} {
		if r, err := grant.Listen(bad, nil); err == nil {
			r.Close()
			t.Errorf("%s is accepted", bad)
		}
	}
}

// A redirect URI without a path is the root.
func TestReceiverRoot(t *testing.T) {
	w := static(t, "http://127.0.0.1")
	if status, _ := visit(t, "GET", w.base+"/?code=abc&state="+stateOf(t, w.a)); status != 200 {
		t.Errorf("status %d", status)
	}
	if o := w.answer(t); o.err != nil {
		t.Error(o.err)
	}
}
