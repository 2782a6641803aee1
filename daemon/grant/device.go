package grant

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

const (
	pollInterval   = 5 * time.Second // RFC 8628 §3.2: where the server names none
	pollSlower     = 5 * time.Second // §3.5: by slow_down
	pollMost       = time.Minute     // between two polls while the network is down
	deviceLife     = 5 * time.Minute // where the server forgets to say
	deviceLifeMost = 30 * time.Minute
	maxUserCode    = 64
	deviceGrant    = "urn:ietf:params:oauth:grant-type:device_code"
	napMost        = 30 * time.Second // timers stand still during suspend
)

// DeviceLogin is a device authorization in progress (RFC 8628 §3.2). A person must be shown the code together with the
// host: an attacker who sends a code of their own to a person can otherwise sign in as that person (§5.4).
type DeviceLogin struct {
	// UserCode is what the person types: letters, digits, '-', '.', '_' and spaces, at most 64 characters.
	UserCode string
	// VerificationURI is the page to type the code at: https, or http on a loopback address.
	VerificationURI string
	// VerificationURIComplete is the page's address with the code in it, for a QR code or a browser; empty where the
	// server gave none on the same origin.
	VerificationURIComplete string
	// Lifetime is how long the code is valid, counted from the answer.
	Lifetime time.Duration

	code     keystore.Secret
	verifier keystore.Secret // zero without PKCE
	interval time.Duration
	answered clock.Instant
	scope    []string
}

// StartDevice requests a device authorization (RFC 8628 §3.1). req is completed by the server's defaults. The error is
// as [Endpoint.ClientCredentials]'s, or [ErrNotOffered].
func (e *Endpoint) StartDevice(ctx context.Context, item keystore.Item, req Request) (*DeviceLogin, error) {
	if e.server.DeviceEndpoint == "" {
		return nil, ErrNotOffered
	}
	req = e.server.Default(req, true)
	c := httpRequest{method: http.MethodPost, url: e.server.DeviceEndpoint, body: req.form()}
	var verifier keystore.Secret
	if e.server.DevicePKCE {
		verifier = keystore.SecretString(rand.Text() + rand.Text())
		c.body = c.body.add("code_challenge", challenge(verifier)).add("code_challenge_method", "S256")
	}
	a, err := e.requestBeside(ctx, c, item, e.server.ClientAuth)
	defer clear(a.Body)
	if err != nil {
		return nil, err
	}
	d, flaw := readDevice(a)
	if flaw != "" {
		return nil, malformed(a, flaw).withServer(c.url)
	}
	d.scope, d.answered, d.verifier = req.Scope, e.now(), verifier
	return d, nil
}

// readDevice reads the answer of RFC 8628 §3.2. It ignores members that it does not know.
func readDevice(a Answer) (d *DeviceLogin, flaw string) {
	body, flaw := a.object()
	if flaw != "" {
		return nil, flaw
	}
	d = &DeviceLogin{code: readToken(body["device_code"])}
	if d.code.IsZero() {
		return nil, "holds no device code"
	}
	d.UserCode, _ = body.text("user_code")
	if len(d.UserCode) > maxUserCode || strings.TrimSpace(d.UserCode) == "" || !isUserCode(d.UserCode) {
		return nil, "holds no code that a person could type"
	}
	d.VerificationURI, _ = body.text("verification_uri")
	if d.VerificationURI == "" {
		d.VerificationURI, _ = body.text("verification_url") // Google's, from before the RFC
	}
	if err := checkPage(d.VerificationURI, "the page to sign in at"); err != nil {
		return nil, "cannot be shown: " + err.Error()
	}
	complete, _ := body.text("verification_uri_complete")
	if checkPage(complete, "") == nil && origin.Of(complete) == origin.Of(d.VerificationURI) {
		d.VerificationURIComplete = complete
	}
	d.Lifetime = deviceLife
	if in, ok := seconds(body["expires_in"]); ok {
		if in < 1 {
			return nil, "holds a code that has expired"
		}
		d.Lifetime = min(duration(in), deviceLifeMost)
	}
	d.interval = readInterval(body["interval"])
	return d, ""
}

// checkPage is [origin.CheckURL] for a page that a person opens. Unlike an address that is sent something, it may have a
// fragment: a program in the page reads that.
func checkPage(address, what string) error {
	return origin.CheckURL(strings.Replace(address, "#", "?", 1), what) // a query has the same characters
}

// isUserCode reports whether s holds only characters of a code, so that it cannot read like a sentence or a command
// (RFC 8628 §6.1 proposes letters or digits with dashes).
func isUserCode(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._ ", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// readInterval reads a number of seconds, which may have a fraction, rounded up.
func readInterval(raw json.RawMessage) time.Duration {
	f, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || !(f >= 0) {
		return pollInterval
	}
	return time.Duration(min(max(math.Ceil(f), 1), deviceLifeMost.Seconds())) * time.Second
}

// readToken returns a string of printable ASCII of at most [maxToken] bytes, or the zero Secret.
func readToken(raw json.RawMessage) keystore.Secret {
	b, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	if err != nil || len(b) == 0 || len(b) > maxToken || !printableASCII(b) {
		clear(b[:cap(b)])
		return keystore.Secret{}
	}
	return keystore.NewSecret(b)
}

// AwaitDevice polls until the person has signed in or declined, or the code has expired. It waits for the interval
// between an answer and the next request; slow_down and any 429 lengthen the interval, Retry-After is obeyed, and while
// the network is down it goes on with longer waits. It returns at once with ctx's error when ctx ends. Any other error
// is an [*Error], whose Code for an expired code is "expired_token".
func (e *Endpoint) AwaitDevice(ctx context.Context, item keystore.Item, d *DeviceLogin) (Session, error) {
	expiry := d.answered.Boot + d.Lifetime
	next, pace, lost := d.answered.Boot+d.interval, pace{interval: d.interval}, false
	for {
		if err := e.waitUntil(ctx, min(next, expiry)); err != nil {
			return Session{}, err
		}
		if e.now().Boot >= expiry {
			return Session{}, expired(d)
		}
		s, err := e.poll(ctx, item, d)
		answered := e.now().Boot
		failed, ok := errors.AsType[*Error](err)
		switch {
		case !ok:
			return s, err
		case ctx.Err() != nil:
			return Session{}, ctx.Err()
		case !keepPolling(failed):
			if lost && failed.Code == "invalid_grant" {
				failed.Reason = "has given the token already, in an answer that was lost on the way"
			}
			return Session{}, failed
		}
		lost = lost || failed.Class == Ambiguous
		next = answered + pace.wait(failed)
	}
}

// pace is how often to poll.
type pace struct {
	interval time.Duration
	failures int // in a row, without an answer of the server's own
}

// wait returns how long after an answer the next poll is sent.
func (p *pace) wait(e *Error) time.Duration {
	switch {
	case e.Code == "slow_down" || e.Status == http.StatusTooManyRequests:
		p.interval += pollSlower // for all that follow (RFC 8628 §3.5)
		p.failures = 0
	case e.Class == Pending:
		p.failures = 0
	default:
		p.failures++
	}
	wait := p.interval
	for range min(p.failures, 4) { // §3.5: no answer, so ask less often
		wait = min(2*wait, max(p.interval, pollMost))
	}
	if e.wished {
		wait = max(wait, e.RetryAfter)
	}
	return wait
}

// keepPolling reports whether polling goes on after an answer. The status says little: RFC 8628 prescribes 400 for
// every error, Auth0 uses 403 and 429.
func keepPolling(e *Error) bool {
	switch e.Class {
	case Pending, Transient, Ambiguous: // slow_down and a 429 are Transient
		return true
	case Malformed: // a page under 200; a token that cannot be used has used up the code
		return !e.spent
	case TransientSlow: // a page under 403, a certificate of a proxy in between; but not an unknown error code
		if e.Err == ErrClock {
			return e.otherClock
		}
		gone := e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed ||
			e.Status == http.StatusGone
		return e.Code == "" && !gone
	}
	return false
}

func expired(d *DeviceLogin) *Error {
	return &Error{Class: Refused, Where: host(d.VerificationURI), Code: "expired_token",
		Reason: refusal("expired_token", Code)}
}

// poll asks once whether the person has signed in.
func (e *Endpoint) poll(ctx context.Context, item keystore.Item, d *DeviceLogin) (Session, error) {
	var c httpRequest
	first := form{}.add("grant_type", deviceGrant).add("device_code", c.reveal(d.code))
	if !d.verifier.IsZero() {
		first = first.add("code_verifier", c.reveal(d.verifier))
	}
	return e.requestToken(ctx, tokenRequest{
		item: item, by: e.server.ClientAuth, proof: Code, first: first, carried: c.carried, scope: d.scope,
		rule:       e.server.scopeRule(Request{}),
		maybeClock: aboutTheClient, unrepeatable: true,
	})
}

// waitUntil returns when the boot clock has reached until, or with ctx's error.
func (e *Endpoint) waitUntil(ctx context.Context, until time.Duration) error {
	for {
		left := until - e.now().Boot
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(min(left, napMost))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
