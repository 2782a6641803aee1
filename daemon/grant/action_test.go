package grant

import (
	"crypto/x509"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

func TestAction(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Error
		want Action
	}{
		{"success", Error{Status: 200}, Proceed},
		{"an outage", Error{Class: Transient, Status: 503}, Retry},
		{"no server there", Error{Class: Transient}, Retry},
		{"a page under 200", Error{Class: Malformed, Status: 200}, Retry},
		{"a request to slow down", Error{Class: Transient, Status: 400, Code: "slow_down"}, RetrySlowly},
		{"a firewall, or a refusal without a word", Error{Class: TransientSlow, Status: 403}, RetrySeldom},
		{"a certificate", Error{Class: TransientSlow}, RetrySlowly},
		{"a wrong path", Error{Class: TransientSlow, Status: 404}, RetrySeldom},
		{"a wrong host", Error{Class: TransientSlow, Status: 421}, RetrySeldom},
		{"an unknown word", Error{Class: TransientSlow, Status: 400, Code: "full_moon"}, RetrySeldom},
		{"a redirect", Error{Class: Misconfigured, Status: 307}, RetrySeldom},
		{"a framework's complaint", Error{Class: Misconfigured, Status: 422}, RetrySeldom},
		{"a wider scope", Error{Class: Misconfigured, Status: 200}, RetrySeldom},
		{"a key that cannot be used", Error{Class: Misconfigured}, Park},
		{"a lost answer", Error{Class: Ambiguous}, RetryOnceSoon},
		{"a lost successor", Error{Class: Malformed, Status: 200, RotationLost: true}, RetryOnceSoon},
		{"a wrong client", Error{Class: InvalidClient, Status: 401, Code: "invalid_client"}, ConfirmThenPark},
		{"an ended session", Error{Class: Refused, Status: 400, Code: "invalid_grant"}, Park},
		{"a person is needed", Error{Class: Refused, Status: 400, Code: "interaction_required"}, Park},
		{"a grant type that is not spoken", Error{Class: Misconfigured, Status: 400, Code: "unsupported_grant_type"},
			Park},
		{"a scope", Error{Class: Misconfigured, Status: 400, Code: "invalid_scope"}, ParkRequest},
		{"an audience", Error{Class: Misconfigured, Status: 400, Code: "invalid_target"}, ParkRequest},
		{"an audience at Auth0", Error{Class: Refused, Status: 403, Code: "access_denied"}, ParkDoubtful},
		{"a person who is awaited", Error{Class: Pending, Status: 400, Code: "authorization_pending"}, Poll},
	} {
		if got := c.e.Action(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A class that parks is one of the three that servers give in words; an answer without a word of OAuth never parks.
func TestOnlyWordsPark(t *testing.T) {
	for status := 100; status < 600; status++ {
		for _, proof := range []Presented{ClientCredential, RefreshToken, Assertion} {
			e := Classify(page(status), proof)
			if e.Class != OK && e.Action().Parks() {
				t.Errorf("HTTP %d with a page: %s", status, e.Action())
			}
			if e.Answered() {
				t.Errorf("HTTP %d with a page is taken for the server's own word", status)
			}
		}
	}
}

func TestWhoHasSpoken(t *testing.T) {
	for _, c := range []struct {
		name              string
		in                Answer
		reached, answered bool
	}{
		{"invalid_grant", said(400, `{"error":"invalid_grant"}`), true, true},
		{"an unknown word", said(400, `{"error":"full_moon"}`), true, true},
		{"a word under 503", said(503, `{"error":"temporarily_unavailable"}`), true, false},
		{"a firewall", page(403), true, false},
		{"a redirect", said(302, ``), true, false},
		{"silence", broken(errTimeout{}, true), true, false},
		{"no server there", broken(errTimeout{}, false), false, false},
		{"a certificate", broken(x509.UnknownAuthorityError{}, false), false, false},
		{"nothing was tried", Answer{Err: &Error{Class: Misconfigured}}, false, false},
	} {
		e := Classify(c.in, RefreshToken)
		if e.Reached() != c.reached || e.Answered() != c.answered {
			t.Errorf("%s: reached %v, answered %v", c.name, e.Reached(), e.Answered())
		}
	}
}

// The headers of Auth0 and of draft-ietf-httpapi-ratelimit-headers.
func TestQuotas(t *testing.T) {
	at := func(d time.Duration) string { return strconv.FormatInt(noon.Add(d).Unix(), 10) }
	for _, c := range []struct {
		name   string
		status int
		header []string
		want   time.Duration
	}{
		{"the limit for all clients, by the server's clock", 429,
			[]string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(20 * time.Second)}, 20 * time.Second},
		{"the same, already over", 429, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset",
			at(-20 * time.Second)}, time.Minute},
		{"seconds", 429, []string{"RateLimit-Remaining", "0", "RateLimit-Reset", "20"}, 20 * time.Second},
		{"nothing said of what is left", 429, []string{"RateLimit-Reset", "20"}, 20 * time.Second},
		{"something is left", 429, []string{"X-RateLimit-Remaining", "3", "X-RateLimit-Reset", at(20 * time.Second)},
			time.Minute},
		{"a client's quota", 429, []string{"Auth0-Client-Quota-Limit",
			"b=per_hour;q=10;r=0;t=3540,b=per_day;q=100;r=50;t=80000"}, 3540 * time.Second},
		{"a client's day is over", 429, []string{"Auth0-Client-Quota-Limit",
			"b=per_hour;q=10;r=3;t=3540,b=per_day;q=100;r=0;t=80000"}, time.Hour},
		{"with a shorter wish", 429, []string{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=0;t=600", "Retry-After",
			"5"}, 10 * time.Minute},
		{"with a longer wish", 429, []string{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=0;t=5", "Retry-After",
			"600"}, 10 * time.Minute},
		{"garbage", 429, []string{"Auth0-Client-Quota-Limit", "b;q=;r=;t=-1,,;=;r=0", "RateLimit-Reset", "soon"},
			time.Minute},
		{"an outage", 503, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", at(20 * time.Second)},
			20 * time.Second},
		{"an outage and something is left", 503, []string{"X-RateLimit-Remaining", "1", "X-RateLimit-Reset",
			at(20 * time.Second)}, 0},
		{"an outage and nothing is said", 503, []string{"X-RateLimit-Reset", at(20 * time.Second)}, 0},
		{"a year", 429, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "9999999999999999999"}, time.Hour},
	} {
		if e := Classify(said(c.status, ``, c.header...), ClientCredential); e.RetryAfter != c.want {
			t.Errorf("%s: %v, want %v", c.name, e.RetryAfter, c.want)
		}
	}
	const token = `{"access_token":"abc","token_type":"bearer","expires_in":900}`
	for header, want := range map[string]time.Duration{
		"b=per_hour;q=10;r=0;t=3540": 3540 * time.Second, "b=per_hour;q=10;r=1;t=3540": 0, "": 0,
	} {
		got, err := parseToken(said(200, token, "Auth0-Client-Quota-Limit", header),
			clock.Instant{Wall: noon}, nil, noteWider)
		if err != nil || got.Hold != want {
			t.Errorf("a token with %q: %v, %v", header, got.Hold, err)
		}
	}
}

// C44: a certificate that has expired is the server's business, unless it is the clock that is wrong.
func TestAWrongClockIsNamed(t *testing.T) {
	c := &x509.Certificate{NotBefore: noon.AddDate(0, -1, 0), NotAfter: noon.AddDate(0, 2, 0)}
	for _, test := range []struct {
		now  time.Time
		want string
		hint bool
	}{
		{c.NotAfter.Add(3 * time.Hour), "has expired", false},
		{c.NotAfter.Add(25 * time.Hour), "has expired", true},
		{c.NotBefore.Add(-3 * time.Hour), "not valid yet", false},
		{c.NotBefore.Add(-25 * time.Hour), "not valid yet", true},
		{time.Unix(0, 0), "not valid yet (check this machine's clock, which says 1970-01-01)", true},
	} {
		a := broken(x509.CertificateInvalidError{Cert: c, Reason: x509.Expired}, false)
		a.At = test.now
		e := Classify(a, ClientCredential)
		if !strings.Contains(e.Reason, test.want) || strings.Contains(e.Reason, "clock") != test.hint ||
			e.Action() != RetrySlowly {
			t.Errorf("at %s: %q, %s", test.now, e.Reason, e.Action())
		}
	}
}
