package sandbox

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

const apiPath = "/api/info"

// get asks the API and returns what came of it; the body is read to its end or its error.
func get(ctx context.Context, s *Server, path string) (*http.Response, string, error) {
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL()+path, nil)
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := direct.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return resp, string(b), err
}

func TestFaultsQueueAndEnd(t *testing.T) {
	s := newServer(t, Options{})
	s.Script(apiPath, Fault{Status: 502, Times: 2}, HTML(200), Fault{Status: 503, Times: -1})
	var got []int
	for range 6 {
		resp, _, err := get(t.Context(), s, apiPath)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, resp.StatusCode)
	}
	if other, _, err := get(t.Context(), s, "/api/other"); err != nil || other.StatusCode != 401 {
		t.Errorf("another path: %v %v", other, err)
	}
	s.ClearFaults()
	resp, _, err := get(t.Context(), s, apiPath)
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, resp.StatusCode)
	want := []int{502, 502, 200, 503, 503, 503, 401}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("statuses %v, want %v", got, want)
		}
	}
}

func TestFaultAnswers(t *testing.T) {
	now := t0
	s := newServer(t, Options{Clock: func() time.Time { return now }})
	for _, tt := range []struct {
		name   string
		fault  Fault
		status int
		header string // name: value
		body   string // prefix
	}{
		{"HTML", HTML(200), 200, "Content-Type: text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"JSON by default", Fault{Body: `{}`}, 200, "Content-Type: application/json", "{}"},
		{"redirect", Redirect("https://other.example/x"), 307, "Location: https://other.example/x", ""},
		{"refusal", Refuse(400, "invalid_grant"), 400, "", `{"error":"invalid_grant"`},
		{"busy for seconds", Busy(429, "7"), 429, "Retry-After: 7", ""},
		{"busy without a time", Busy(429, ""), 429, "Retry-After: ", ""},
		{"busy until a date of its clock", Fault{Status: 503, RetryAt: time.Minute}, 503,
			"Retry-After: Tue, 14 Nov 2023 22:14:20 GMT", ""},
		{"its Date", Fault{Status: 500}, 500, "Date: Tue, 14 Nov 2023 22:13:20 GMT", ""},
		{"no content", Fault{Status: 204}, 204, "", ""},
		{"headers", Fault{Status: 200, HeaderBytes: 50_000}, 200, "X-Filler-49: " + strings.Repeat("x", 1000), ""},
		{"raw", Fault{Raw: "HTTP/1.1 299 Odd\r\nX-A: b\r\n\r\nhello"}, 299, "X-A: b", "hello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.Script(apiPath, tt.fault)
			resp, body, err := get(t.Context(), s, apiPath)
			if err != nil {
				t.Fatal(err)
			}
			name, value, _ := strings.Cut(tt.header, ": ")
			if resp.StatusCode != tt.status || resp.Header.Get(name) != value || !strings.HasPrefix(body, tt.body) {
				t.Errorf("%s %v %.80q", resp.Status, resp.Header, body)
			}
		})
	}
}

func TestCuts(t *testing.T) {
	s := newServer(t, Options{})
	bearer := "Bearer " + personToken(t, s)
	for _, tt := range []struct {
		cut     Cut
		clients int
	}{{CutBeforeBody, 1}, {CutAfterBody, 1}, {CutAfterHandling, 2}} {
		s.Script(SpatiafiClientsPath, Fault{Cut: tt.cut})
		req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL()+SpatiafiClientsPath, nil)
		req.Header.Set("Authorization", bearer)
		resp, err := direct.Do(req)
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: %s", tt.cut, resp.Status)
		}
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", tt.cut, err)
		}
		if n := len(s.Clients()); n != tt.clients {
			t.Errorf("%s: %d clients, want %d", tt.cut, n, tt.clients)
		}
	}
	for _, e := range s.Log()[1:] {
		if e.Status != 0 || !e.Fault {
			t.Errorf("log: %+v", e)
		}
	}
}

func TestHangEndsWithItsClient(t *testing.T) {
	s := newServer(t, Options{})
	s.Script(apiPath, Fault{Cut: Hang, Times: -1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, _, err := get(ctx, s, apiPath); done <- err }()
	if err := s.WaitFor(t.Context(), apiPath, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// And with its server: Close does not wait for the client.
	go func() { _, _, err := get(t.Context(), s, apiPath); done <- err }()
	if err := s.WaitFor(t.Context(), apiPath, 2); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := <-done; err == nil {
		t.Error("a hanging request was answered")
	}
}

// A changed answer is still the answer: the request was carried out.
func TestSetMembers(t *testing.T) {
	s := newServer(t, Options{Clock: func() time.Time { return t0 }})
	s.Script(SpatiafiBasicPath, Fault{Set: map[string]any{
		"expires_at": nil, "expires_in": json.RawMessage("9e2"), "token_type": "mac", "more": []int{1},
	}})
	r := send(t, "GET", s.URL()+SpatiafiBasicPath, "", "Authorization", basicHeader(alice, alicePass))
	if !strings.Contains(r.body, `"expires_in":9e2`) || !strings.Contains(r.body, `"token_type":"mac"`) ||
		!strings.Contains(r.body, `"more":[1]`) || strings.Contains(r.body, "expires_at") {
		t.Error(r.body)
	}
	token := r.member(t, "access_token").(string)
	if r := send(t, "GET", s.URL()+apiPath, "", "Authorization", "Bearer "+token); r.StatusCode != 200 {
		t.Error(r.Status)
	}
}

func TestSpoiltBodies(t *testing.T) {
	s := newServer(t, Options{})
	s.Script(apiPath, Fault{Body: `{"a":"bcdef"}`, Truncate: 5})
	resp, body, err := get(t.Context(), s, apiPath)
	if body != `{"a":` || !errors.Is(err, io.ErrUnexpectedEOF) || resp.ContentLength != 13 {
		t.Errorf("truncated: %q %v", body, err)
	}
	s.Script(apiPath, Fault{Body: "slow", Rate: 1000})
	if _, body, err = get(t.Context(), s, apiPath); body != "slow" || err != nil {
		t.Errorf("slow: %q %v", body, err)
	}
	s.Script(apiPath, Fault{Endless: true})
	if _, body, err = get(t.Context(), s, apiPath); len(body) != 8<<20 || err != nil {
		t.Errorf("endless: %d %v", len(body), err)
	}
	s.Script(apiPath, Fault{Gunzipped: 4 << 20})
	resp, body, err = get(t.Context(), s, apiPath)
	if err != nil || len(body) > 8<<10 || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("bomb: %d bytes, %v", len(body), err)
	}
	z, err := gzip.NewReader(bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, z); n != 4<<20 || err != nil {
		t.Errorf("bomb: %d bytes inside, %v", n, err)
	}
}

// The log says what was asked and how, and holds none of the secrets that it saw.
func TestLogHoldsNoSecret(t *testing.T) {
	s := newServer(t, Options{})
	token := personToken(t, s)
	aud := s.URL() + SpatiafiTokenPath
	jwt := assertion{id: clientID, secret: secret, aud: aud, iat: time.Now(),
		set: map[string]any{"jti": "the-jti"}}.sign()
	postForm(t, aud, assertionForm(jwt))
	postForm(t, aud, url.Values{"grant_type": {"password"}, "username": {alice}, "password": {alicePass}})
	postForm(t, s.URL()+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID},
		"client_secret": {secret}, "scope": {"read"}})
	send(t, "GET", s.URL()+apiPath+"?access_token="+token, "", "Authorization", "Bearer "+token)
	postForm(t, aud, assertionForm(jwt), "Authorization", basicHeader(clientID, secret))

	log := s.Log()
	want := []Entry{
		{Method: "GET", Path: SpatiafiBasicPath, Auth: "basic", Status: 200},
		{Method: "POST", Path: SpatiafiTokenPath, GrantType: "client_credentials", Auth: ClientSecretJWT,
			ClientID: clientID, Assertion: Digest("the-jti"), Status: 200},
		{Method: "POST", Path: SpatiafiTokenPath, GrantType: "password", Status: 200},
		{Method: "POST", Path: "/token", GrantType: "client_credentials", Auth: ClientSecretPost, ClientID: clientID,
			Scope: "read", Status: 200},
		{Method: "GET", Path: apiPath, Auth: "bearer", Token: Digest(token), Status: 200},
		{Method: "POST", Path: SpatiafiTokenPath, GrantType: "client_credentials", Auth: "several", ClientID: clientID,
			Assertion: Digest("the-jti"), Status: 400},
	}
	if len(log) != len(want) {
		t.Fatalf("%d entries", len(log))
	}
	for i, e := range log {
		e.Time = time.Time{}
		if e != want[i] {
			t.Errorf("entry %d: %+v, want %+v", i, e, want[i])
		}
	}
	text, _ := json.Marshal(log)
	for _, s := range []string{secret, alicePass, token, jwt, "the-jti"} {
		if bytes.Contains(text, []byte(s)) {
			t.Errorf("the log holds %q", s)
		}
	}
	if s.Count(SpatiafiTokenPath) != 3 {
		t.Errorf("count %d", s.Count(SpatiafiTokenPath))
	}
}
