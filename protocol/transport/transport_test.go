package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/transport"
)

// api is a server that remembers what it was sent and answers 401 to every token but one.
type api struct {
	*httptest.Server
	mu     sync.Mutex
	wants  string
	seen   []string // the Authorization of each request
	bodies []string
}

func newAPI(t *testing.T, wants string) *api {
	t.Helper()
	a := &api{wants: wants}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen = append(a.seen, r.Header.Get("Authorization"))
		a.bodies = append(a.bodies, string(body))
		if r.Header.Get("Authorization") != "Bearer "+a.wants {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, "refused")
			return
		}
		io.WriteString(w, "done")
	}))
	t.Cleanup(a.Close)
	return a
}

func read(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status[:3] + " " + string(body)
}

func TestTheHeaderIsSent(t *testing.T) {
	for _, profile := range []string{"", "work"} {
		a := newAPI(t, "token-1")
		g := &groatd{current: 1, origins: []string{a.URL}}
		client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: profile}}
		resp, err := client.Get(a.URL + "/x")
		if got := read(t, resp, err); got != "200 done" {
			t.Errorf("%q: %s", profile, got)
		}
	}
}

// A token that the API refuses is reported, and the request is sent once more, with its body.
func TestA401IsSurvived(t *testing.T) {
	a := newAPI(t, "token-2")
	g := &groatd{current: 1, origins: []string{a.URL}}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
	resp, err := client.Post(a.URL, "text/plain", strings.NewReader("the body"))
	if got := read(t, resp, err); got != "200 done" {
		t.Error(got)
	}
	if want := []string{"the body", "the body"}; !slices.Equal(a.bodies, want) {
		t.Errorf("the bodies were %q", a.bodies)
	}
	if want := []string{"Bearer token-1", "Bearer token-2"}; !slices.Equal(a.seen, want) {
		t.Errorf("it was sent %q", a.seen)
	}
}

// An API that refuses every token gets two requests, and its own answer is the result.
func TestA401IsNotRepeatedTwice(t *testing.T) {
	for name, g := range map[string]*groatd{
		"a better token": {}, "the same token": {sameNext: true},
		"a person must sign in": {refusal: `{"code":-32001,"message":"m","data":{"kind":"login_required"}}`},
	} {
		a := newAPI(t, "never")
		g.current, g.origins = 1, []string{a.URL}
		client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
		resp, err := client.Get(a.URL)
		if got := read(t, resp, err); got != "401 refused" {
			t.Errorf("%s: %s", name, got)
		}
		if want := map[bool]int{true: 2, false: 1}[name == "a better token"]; len(a.seen) != want {
			t.Errorf("%s: %d requests", name, len(a.seen))
		}
	}
}

// once is a body that cannot be had again, and knows whether it was closed.
type once struct {
	io.Reader
	closed bool
}

func (o *once) Close() error { o.closed = true; return nil }

// A stream is sent once. The token is reported all the same, so that the next request has a better one.
func TestAStreamIsNotRepeated(t *testing.T) {
	a := newAPI(t, "token-2")
	g := &groatd{current: 1, origins: []string{a.URL}}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
	body := &once{Reader: strings.NewReader("a stream")}
	resp, err := client.Post(a.URL, "text/plain", body)
	if got := read(t, resp, err); got != "401 refused" || len(a.seen) != 1 || !body.closed {
		t.Errorf("%s, %d requests, closed: %v", got, len(a.seen), body.closed)
	}
	resp, err = client.Get(a.URL)
	if got := read(t, resp, err); got != "200 done" {
		t.Error(got)
	}
}

// No redirect carries a token to an origin that the profile does not list.
func TestARedirectLeavesTheTokenBehind(t *testing.T) {
	for _, profile := range []string{"", "work"} {
		foreign := newAPI(t, "any")
		// another host too, where net/http drops Authorization
		far := strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1)
		for _, to := range []string{foreign.URL, far} {
			foreign.seen = nil
			first := httptest.NewServer(http.RedirectHandler(to, http.StatusTemporaryRedirect))
			defer first.Close()
			for _, header := range []string{"", "X-Api-Key: "} {
				g := &groatd{current: 1, origins: []string{first.URL}, header: header}
				var sent []string
				client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: profile,
					Base: roundTripper(func(r *http.Request) (*http.Response, error) {
						sent = append(sent, r.URL.Host+" "+r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"))
						return http.DefaultTransport.RoundTrip(r)
					})}}
				resp, err := client.Get(first.URL)
				if got := read(t, resp, err); got != "401 refused" {
					t.Error(got)
				}
				if len(sent) != 2 || !strings.HasSuffix(sent[0], "token-1") || !strings.HasSuffix(sent[1], " ") {
					t.Errorf("%q", sent)
				}
				if slices.ContainsFunc(g.requests(), func(q string) bool { return strings.HasPrefix(q, "reject") }) {
					t.Error("a token that was not sent was reported")
				}
			}
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A request to an origin that is not listed is not sent at all.
func TestAForeignOriginIsRefused(t *testing.T) {
	a := newAPI(t, "token-1")
	for _, profile := range []string{"", "work", "other"} {
		for _, origins := range [][]string{nil, {strings.Replace(a.URL, "http:", "https:", 1)}, {a.URL + "0"}} {
			g := &groatd{current: 1, origins: origins}
			client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: profile}}
			body := &once{Reader: strings.NewReader("x")}
			_, err := client.Post(a.URL, "text/plain", body)
			if !errors.Is(err, transport.ErrOrigin) || !body.closed {
				t.Errorf("%q: %v, closed: %v", profile, err, body.closed)
			}
		}
	}
	g := &groatd{current: 1, origins: []string{"http://api.example:80"}}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
	if _, err := client.Get("http://api.example/"); !errors.Is(err, transport.ErrOrigin) {
		t.Errorf("a token may leave this machine without TLS: %v", err)
	}
	if len(a.seen) > 0 {
		t.Errorf("it was sent %q", a.seen)
	}
}

// groatd is asked about where a request goes, with its path and without its query, and about no other host.
func TestTheTargetIsTheRequests(t *testing.T) {
	for at, target := range map[string]string{
		"https://api.example":                 "https://api.example/",
		"https://API.example:443/x":           "https://api.example:443/x",
		"https://api.example:8443/?sig=abc":   "https://api.example:8443/",
		"https://api.example/team/a%2Fb%20c?": "https://api.example/team/a%2Fb%20c",
		"https://[::1]/x":                     "https://[::1]/x",
		"http://[::1]:81/":                    "http://[::1]:81/",
		"http://localhost/a/../b":             "http://localhost/a/../b",
	} {
		for _, profile := range []string{"work", ""} {
			u, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			g := &groatd{current: 1, origins: []string{strings.TrimSuffix(target, u.EscapedPath())}}
			g.origins = append(g.origins, strings.TrimSuffix(target, "/"))
			sent := ""
			client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: profile,
				Base: roundTripper(func(r *http.Request) (*http.Response, error) {
					sent = r.Header.Get("Authorization")
					return &http.Response{StatusCode: 204, Status: "204 No Content", Body: http.NoBody, Request: r}, nil
				})}}
			if _, err := client.Get(at); err != nil || sent != "Bearer token-1" {
				t.Errorf("%s: %q, %v", at, sent, err)
			}
			if want := []string{"token " + profile + target}; !slices.Equal(g.requests(), want) {
				t.Errorf("%s: asked %q, want %q", at, g.requests(), want)
			}
		}
	}
	for _, u := range []*url.URL{
		{Scheme: "https", Host: "api.exampl", Path: "e/x"},
		{Scheme: "https", Host: "evil.example", Opaque: "//api.example/x"},
	} {
		g := &groatd{current: 1, origins: []string{"https://api.example"}}
		rt := &transport.Transport{Client: start(t, g)}
		if _, err := rt.RoundTrip(&http.Request{Method: http.MethodGet, URL: u}); !errors.Is(err, transport.ErrOrigin) {
			t.Errorf("%+v: %v", u, err)
		}
	}
}

// A header that the program sets itself stays, and groatd's refusal reaches the program.
func TestWhatTheProgramSets(t *testing.T) {
	a := newAPI(t, "mine")
	g := &groatd{current: 1, origins: []string{a.URL}}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer mine")
	resp, err := client.Do(req)
	if got := read(t, resp, err); got != "200 done" || len(req.Header) != 1 {
		t.Errorf("%s, %v", got, req.Header)
	}
}

// An API key is sent as its provider wants it, and a 401 is no reason to ask for another one.
func TestAnAPIKey(t *testing.T) {
	a := newAPI(t, "none")
	g := &groatd{current: 1, origins: []string{a.URL}, header: "Authorization: api-key ", static: true}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
	resp, err := client.Get(a.URL)
	if got := read(t, resp, err); got != "401 refused" || !slices.Equal(a.seen, []string{"api-key token-1"}) {
		t.Errorf("%s, %q", got, a.seen)
	}
}

// What groatd hands out is a header field, or it is not sent and not quoted.
func TestABrokenHeaderIsNotSent(t *testing.T) {
	a := newAPI(t, "none")
	g := &groatd{current: 1, origins: []string{a.URL}, header: "Authorization: a\nX: "}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
	if _, err := client.Get(a.URL); err == nil || strings.Contains(err.Error(), "token-") || len(a.seen) > 0 {
		t.Errorf("%v, %q", err, a.seen)
	}
}

// The context of a request ends the question to groatd, too; the next request is served as ever.
func TestTheContextEndsARequest(t *testing.T) {
	a := newAPI(t, "token-1")
	g := &groatd{current: 1, origins: []string{a.URL}}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(req); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	resp, err := client.Get(a.URL)
	if got := read(t, resp, err); got != "200 done" {
		t.Error(got)
	}
}

// groatd's refusal is what the program sees, with its kind; nothing is sent.
func TestARefusalReachesTheProgram(t *testing.T) {
	a := newAPI(t, "none")
	g := &groatd{origins: []string{a.URL}, refusing: true,
		refusal: `{"code":-32001,"message":"not signed in","data":{"kind":"login_required","hint":"groat login work"}}`}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"}}
	body := &once{Reader: strings.NewReader("x")}
	_, err := client.Post(a.URL, "text/plain", body)
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok || e.Kind() != protocol.LoginRequired || e.Hint() != "groat login work" || !body.closed || len(a.seen) > 0 {
		t.Errorf("%v, closed: %v, sent %q", err, body.closed, a.seen)
	}
}

// A redirect of one profile's API does not bring another profile's token to that one's.
func TestARedirectToAnotherProfilesOrigin(t *testing.T) {
	other := newAPI(t, "token-1")
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		other.seen = nil
		first := httptest.NewServer(http.RedirectHandler(other.URL+"/delete", status))
		defer first.Close()
		g := &groatd{current: 1, origins: []string{first.URL}, other: other.URL}
		client := &http.Client{Transport: &transport.Transport{Client: start(t, g)}}
		resp, err := client.Post(first.URL, "text/plain", strings.NewReader("the body"))
		if got := read(t, resp, err); got != "401 refused" || !slices.Equal(other.seen, []string{""}) {
			t.Errorf("%s, %q", got, other.seen)
		}
		resp, err = client.Get(other.URL) // which the program itself wants
		if got := read(t, resp, err); got != "200 done" {
			t.Error(got)
		}
		g.origins, g.other = append(g.origins, other.URL), ""
		resp, err = client.Get(first.URL) // and one profile with both
		if got := read(t, resp, err); got != "200 done" {
			t.Error(got)
		}
	}
}

// An answer of 401 whose body never ends does not hold up the one that follows.
func TestARefusalWithoutAnEnd(t *testing.T) {
	a := newAPI(t, "token-2")
	end := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
			w.(http.Flusher).Flush()
			select {
			case <-end:
			case <-r.Context().Done():
			}
			return
		}
		a.Config.Handler.ServeHTTP(w, r)
	}))
	defer slow.Close()
	defer close(end)
	g := &groatd{current: 1, origins: []string{slow.URL}}
	client := &http.Client{Transport: &transport.Transport{Client: start(t, g), Profile: "work"},
		Timeout: 10 * time.Second}
	resp, err := client.Get(slow.URL)
	if got := read(t, resp, err); got != "200 done" {
		t.Error(got)
	}
}

// The answer leads back to the caller's request, which has no token. A request needs no header of its own, and one
// without a URL is an error.
func TestTheCallersRequest(t *testing.T) {
	a := newAPI(t, "token-2")
	g := &groatd{current: 1, origins: []string{a.URL}}
	rt := &transport.Transport{Client: start(t, g), Profile: "work"}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = nil
	resp, err := rt.RoundTrip(req)
	if got := read(t, resp, err); got != "200 done" || resp.Request != req || req.Header != nil {
		t.Errorf("%s, %+v", got, resp.Request.Header)
	}
	req.URL = nil
	if _, err := rt.RoundTrip(req); err == nil {
		t.Error("it was sent")
	}
}
