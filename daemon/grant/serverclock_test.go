package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// clocked is a server that judges assertions by a clock of its own, and this machine, whose time stands still but where
// a test moves it.
type clocked struct {
	local, server, date time.Duration                         // by which each clock differs from noon
	boot                time.Duration                         // goes on by a second with each answer
	refuse              func(path string, claims claims) bool // nil: what server says
	origins             map[string]time.Duration              // :: host → its Date, where that differs
	status              int                                   // of a refusal, with code; 0: RFC 7523's
	code                string
	seen                []seen
	*Endpoint
	item keystore.Item
}

// seen is one request with an assertion.
type seen struct {
	host, path, grant string
	iat, exp          time.Duration // from noon
}

func newClocked(server Server) *clocked {
	c := &clocked{boot: time.Hour, origins: map[string]time.Duration{}}
	if server.TokenEndpoint == "" {
		server.TokenEndpoint, server.Issuer = "https://auth.example.com/token", "https://auth.example.com"
	}
	server.ClientAuth = ClientSecretJWT
	c.Endpoint = NewEndpoint(server, &http.Client{Transport: c}, func() clock.Instant {
		return clock.Instant{Wall: noon.Add(c.local + c.boot), Boot: c.boot}
	})
	c.item = server.NewItem("client", ByClientCredentials)
	c.item.ClientSecret = keystore.SecretString("0123456789012345678901234567890123456789")
	c.item.RefreshToken = keystore.SecretString("refresh")
	return c
}

func (c *clocked) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, err
	}
	body, _ := jwtClaims(form.Get("client_assertion"))
	var claims claims
	if err := json.Unmarshal(body["iat"], &claims.Issued); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body["exp"], &claims.Expires); err != nil {
		return nil, err
	}
	now := noon.Add(c.boot)
	c.seen = append(c.seen, seen{
		r.URL.Host, r.URL.Path, form.Get("grant_type"), time.Unix(claims.Issued, 0).Sub(now),
		time.Unix(claims.Expires, 0).Sub(now),
	})
	here := now.Add(c.server)
	refused := time.Unix(claims.Expires, 0).Before(here) || time.Unix(claims.Issued, 0).After(here.Add(wrongClock))
	if c.refuse != nil {
		refused = c.refuse(r.URL.Path, claims)
	}
	status, answer := 200, `{"access_token":"abc","token_type":"Bearer","expires_in":900}`
	switch {
	case refused:
		status, answer = 401, `{"error":"invalid_client","error_description":"the assertion's time"}`
		if c.status != 0 {
			status, answer = c.status, `{"error":"`+c.code+`"}`
		}
	case r.URL.Path == "/par":
		answer = `{"request_uri":"urn:x"}`
	case r.URL.Path == "/device":
		answer = `{"device_code":"d","user_code":"ABCD","verification_uri":"https://auth.example.com/activate",` +
			`"expires_in":600,"interval":1}`
	}
	c.boot += time.Second
	date := c.date
	if d, ok := c.origins[r.URL.Host]; ok {
		date = d
	}
	h := http.Header{"Content-Type": {"application/json"},
		"Date": {noon.Add(c.boot + date).UTC().Format(http.TimeFormat)}}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

// sent returns and forgets by how much the assertions since then were ahead of the true time, in minutes.
func (c *clocked) sent() (ahead []int) {
	for _, s := range c.seen {
		ahead = append(ahead, int(s.iat.Round(time.Minute)/time.Minute))
	}
	c.seen = nil
	return ahead
}

func (c *clocked) token() error {
	_, err := c.ClientCredentials(context.Background(), c.item, Request{})
	return err
}

func (c *clocked) renew() error {
	_, _, err := c.Refresh(context.Background(), c.item, Request{})
	return err
}

func wantSent(t *testing.T, what string, c *clocked, want ...int) {
	t.Helper()
	if got := c.sent(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: assertions dated %v minutes ahead, want %v", what, got, want)
	}
}

func classOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return OK
}

// Date alone moves nothing: where this machine's clock is right, it dates every assertion.
func TestG4DateAloneMovesNothing(t *testing.T) {
	for _, date := range []time.Duration{90 * time.Second, -90 * time.Second, time.Hour, -23 * time.Hour,
		10 * 365 * 24 * time.Hour} {
		c := newClocked(Server{})
		c.date = date
		for range 3 {
			if err := c.token(); err != nil {
				t.Error(err)
			}
			if err := c.renew(); err != nil {
				t.Error(err)
			}
		}
		wantSent(t, date.String(), c, 0, 0, 0, 0, 0, 0)
		if c.ClockOffset() != 0 {
			t.Errorf("%s: corrected by %s", date, c.ClockOffset())
		}
	}
}

// A correction is confirmed by a refusal and an acceptance, is used from then on, ends with a refusal, and is seen.
func TestG4ACorrectionIsConfirmedAndEnds(t *testing.T) {
	c := newClocked(Server{})
	c.server, c.date = time.Hour, time.Hour
	if err := c.token(); err != nil {
		t.Fatal(err)
	}
	wantSent(t, "the first", c, 0, 60)
	if off := c.ClockOffset(); (off - time.Hour).Abs() > 2*time.Second {
		t.Errorf("corrected by %s", off)
	}
	if err := c.token(); err != nil {
		t.Fatal(err)
	}
	wantSent(t, "the second", c, 60)

	c.server, c.date = 0, 0 // the server's clock has been set right
	if err := c.token(); err != nil || c.ClockOffset() != 0 {
		t.Errorf("%v, corrected by %s", err, c.ClockOffset())
	}
	wantSent(t, "the local clock is tried", c, 60, 0)

	c.server, c.date = -time.Hour, -time.Hour
	if err := c.token(); err != nil {
		t.Fatal(err)
	}
	wantSent(t, "another correction", c, 0, -60)
	c.local = -time.Hour // this machine's clock is put right
	if err := c.token(); err != nil || c.ClockOffset() != 0 {
		t.Errorf("%v, corrected by %s", err, c.ClockOffset())
	}
	c.local = 9 * time.Hour // and is set wrong
	if err := c.token(); err != nil {
		t.Fatal(err)
	}
	wantSent(t, "while the clock is set", c, -60, -60)
	if off := c.ClockOffset(); (off + 10*time.Hour).Abs() > 2*time.Second {
		t.Errorf("corrected by %s", off)
	}
}

// This machine's clock is set from one wrong time to another while the server answers: what is sent again is dated by
// the second, which is no Date. So Date has still to be tried, and the refusal says nothing about the credential.
func TestG4TheLocalClockJumpsDuringARequest(t *testing.T) {
	c := newClocked(Server{})
	c.local = 3 * time.Hour
	c.refuse = func(_ string, s claims) bool {
		c.local = 5 * time.Hour
		return time.Unix(s.Issued, 0).Sub(noon.Add(c.boot)).Abs() > wrongClock
	}
	if err := c.token(); classOf(err) != TransientSlow || !errors.Is(err, ErrClock) {
		t.Errorf("refused by two local times: %v", err)
	}
	wantSent(t, "before and after the jump", c, 3*60, 5*60)
	if err := c.token(); err != nil {
		t.Error(err)
	}
	wantSent(t, "Date is tried", c, 0)
}

// Date and the iat of a JWT that was issued beside it confirm a clock together, and neither does alone.
func TestG4DateAndIatConfirmAClockTogether(t *testing.T) {
	for _, w := range []struct {
		date, iat, want time.Duration
		unsigned        bool
	}{
		{date: time.Hour, iat: time.Hour, want: time.Hour},
		{date: -5 * time.Hour, iat: -5*time.Hour + 20*time.Second, want: -5 * time.Hour},
		{date: time.Hour},
		{iat: time.Hour},
		{date: time.Hour, iat: time.Hour + 90*time.Second},
		{date: 25 * time.Hour, iat: 25 * time.Hour},
		{date: 10 * 365 * 24 * time.Hour, iat: 10 * 365 * 24 * time.Hour},
		{date: time.Hour, iat: time.Hour, unsigned: true},
	} {
		c := newClocked(Server{})
		if w.unsigned {
			c.Endpoint.server.ClientAuth = ClientSecretBasic
		}
		now := noon.Add(c.boot)
		c.dated(c.Endpoint.server.TokenEndpoint, now.Add(w.date), c.now())
		c.issued(c.Endpoint.server.TokenEndpoint,
			Token{Access: keystore.SecretString(jwtWith(fmt.Sprintf(`{"iat":%d}`, now.Add(w.iat).Unix())))})
		if got := c.ClockOffset(); got != w.want {
			t.Errorf("%+v: corrected by %s", w, got)
		}
		if w.unsigned {
			continue
		}
		// An assertion that is accepted says more.
		if err := c.token(); err != nil {
			t.Error(err)
		}
		if w.want == 0 {
			wantSent(t, "not corrected", c, 0)
			continue
		}
		wantSent(t, "corrected, in vain", c, int(w.want/time.Minute), 0)
		if got := c.ClockOffset(); got != 0 {
			t.Errorf("%+v: still corrected by %s", w, got)
		}
	}
}

// A refresh token is sent once; the next attempt goes by the other clock, and so on until all have been refused.
func TestG4ARefreshTokenIsSentOnceForEachClock(t *testing.T) {
	c := newClocked(Server{})
	c.server, c.date = -2*time.Hour, -2*time.Hour
	err := c.renew()
	e, ok := errors.AsType[*Error](err)
	if !ok || !errors.Is(err, ErrClock) || e.Action() != Retry || e.Action().Parks() || e.Code != "invalid_client" ||
		!e.Answered() {
		t.Errorf("%v", err)
	}
	for range 3 {
		if err := c.renew(); err != nil {
			t.Error(err)
		}
	}
	wantSent(t, "corrected", c, 0, -120, -120, -120)

	c.server, c.date = 0, -2*time.Hour // the correction is refused, the local clock is next
	if err := c.renew(); classOf(err) != TransientSlow {
		t.Error(err)
	}
	if err := c.renew(); err != nil {
		t.Error(err)
	}
	wantSent(t, "and back", c, -120, 0)

	c.refuse = func(string, claims) bool { return true } // the secret is wrong
	for range 2 {
		if err := c.renew(); classOf(err) != TransientSlow {
			t.Errorf("by the first clock: %v", err)
		}
		if err := c.renew(); classOf(err) != InvalidClient {
			t.Errorf("by both clocks: %v", err)
		}
		c.boot += time.Minute
	}
	wantSent(t, "a wrong secret", c, 0, -120, 0, -120)
}

// A code is sent once, whatever the clocks say; so is a device code in each poll, and the next poll goes by the other
// clock.
func TestG4ACodeIsSentOnce(t *testing.T) {
	const issuer = "https://auth.example.com"
	c := newClocked(Server{
		Issuer: issuer, TokenEndpoint: issuer + "/token", DeviceEndpoint: "https://device.example.com/device",
		AuthorizeEndpoint: issuer + "/authorize",
	})
	c.server, c.date = time.Hour, time.Hour
	a, err := c.StartAuthCode(t.Context(), c.item, Request{}, "http://127.0.0.1/callback")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Exchange(t.Context(), c.item, a, keystore.SecretString("code"))
	if classOf(err) != TransientSlow || !strings.Contains(err.Error(), "13:00:0") ||
		!strings.Contains(err.Error(), "14:00:0") {
		t.Errorf("%v", err)
	}
	wantSent(t, "a code", c, 0)

	c = newClocked(*c.Endpoint.server)
	c.server, c.date = time.Hour, time.Hour
	d := &DeviceLogin{code: keystore.SecretString("device"), Lifetime: time.Minute, answered: c.now()}
	if _, err := c.AwaitDevice(t.Context(), c.item, d); err != nil {
		t.Error(err)
	}
	wantSent(t, "a device code", c, 0, 60)
}

// What one origin's answers say of the time is about that origin alone.
func TestG4AnotherOriginsDateSaysNothing(t *testing.T) {
	const issuer = "https://auth.example.com"
	c := newClocked(Server{
		Issuer: issuer, TokenEndpoint: issuer + "/token", DeviceEndpoint: "https://device.example.com/device",
		AuthorizeEndpoint: issuer + "/authorize",
		PAREndpoint:       "https://device.example.com/par", RequirePAR: true,
	})
	c.item.Origins = []string{"https://device.example.com"}
	c.origins["device.example.com"] = 5 * time.Hour
	c.refuse = func(path string, a claims) bool { // its clock is as wrong as its Date
		return path != "/token" && time.Unix(a.Issued, 0).Before(noon.Add(4*time.Hour))
	}
	if _, err := c.StartDevice(t.Context(), c.item, Request{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.StartAuthCode(t.Context(), c.item, Request{}, "http://127.0.0.1/callback"); err != nil {
		t.Fatal(err)
	}
	if err := c.token(); err != nil {
		t.Fatal(err)
	}
	wantSent(t, "device, PAR, token", c, 0, 300, 300, 0)
	if c.ClockOffset() != 0 {
		t.Errorf("the token endpoint's clock is corrected by %s", c.ClockOffset())
	}
}

// Whatever a hostile server says and refuses, no assertion is good for more than a day and its life, by this machine's
// clock.
func TestG4AHostileServerGetsNoAssertionOfTomorrow(t *testing.T) {
	tier.Long(t, "a server refuses twenty thousand requests")
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 4))
		c := newClocked(Server{})
		c.refuse = func(string, claims) bool { return rng.IntN(3) > 0 }
		for range 100 {
			switch rng.IntN(3) {
			case 0:
				c.date = time.Duration(rng.Int64N(int64(100 * time.Hour)))
			case 1:
				c.date = time.Duration(rng.Int64N(int64(10 * 365 * 24 * time.Hour)))
			case 2:
				c.date += time.Duration(rng.Int64N(int64(24 * time.Hour)))
			}
			c.token()
			c.renew()
			c.boot += time.Duration(rng.Int64N(int64(time.Hour)))
		}
		for _, s := range c.seen {
			if s.exp > correctionMost+assertionLife+time.Second || s.iat < -correctionMost-time.Second {
				t.Fatalf("an assertion was dated %s ahead and good for %s", s.iat, s.exp)
			}
		}
		if len(c.seen) > 300 {
			t.Errorf("%d requests for 200 attempts, half of which may be repeated once", len(c.seen))
		}
	}
}

// Servers have many words for an assertion of another time. What is said of something else is not taken for one.
func TestG4TheWordsForAnAssertionOfAnotherTime(t *testing.T) {
	for _, w := range []struct {
		status int
		code   string
		again  bool
	}{
		{400, "invalid_client", true}, {400, "invalid_grant", true}, {400, "unauthorized_client", true},
		{401, "unauthorized_client", true},
		{400, "invalid_request", true}, {401, "invalid_token", true}, {403, "access_denied", true},
		{401, "invalid_assertion", true},
		{400, "invalid_scope", false}, {400, "invalid_target", false}, {400, "unsupported_grant_type", false},
		{429, "too_many_requests", false}, {500, "server_error", false}, {503, "invalid_assertion", false},
		{404, "not_here", false},
	} {
		c := newClocked(Server{})
		c.server, c.date, c.status, c.code = time.Hour, time.Hour, w.status, w.code
		if err := c.token(); (err == nil) != w.again || len(c.sent()) != map[bool]int{true: 2, false: 1}[w.again] {
			t.Errorf("%d %s: %v", w.status, w.code, err)
		}
	}
}

// A request that may be repeated goes out twice at most.
func TestG4AWrongSecretIsNoLoop(t *testing.T) {
	c := newClocked(Server{})
	c.date = time.Hour
	c.refuse = func(string, claims) bool { return true }
	for range 5 {
		if err := c.token(); classOf(err) != InvalidClient || errors.Is(err, ErrClock) {
			t.Errorf("%v", err)
		}
	}
	wantSent(t, "within half a minute", c, 0, 60, 0, 0, 0, 0)
	c.boot += time.Minute
	if err := c.token(); classOf(err) != InvalidClient {
		t.Errorf("%v", err)
	}
	wantSent(t, "later", c, 0, 60)
}
