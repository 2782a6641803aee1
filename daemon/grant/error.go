package grant

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/protocol/visible"
)

var (
	// ErrEndpointChanged: the configuration names another server, or another way to authenticate, than the one the
	// credential was stored for. Nothing was sent.
	ErrEndpointChanged = errors.New("the credential was stored for another server")
	// ErrNotOffered: this server has no such endpoint. Nothing was sent.
	ErrNotOffered = errors.New("this server does not offer that")
)

// Error is a failed exchange. Its text is safe to show: it holds no secret and no response body, and what the server
// said is cut to printable ASCII.
type Error struct {
	Class Class
	// Where is the host and port that were asked.
	Where string
	// Reason is our own words for what happened: a predicate whose subject is Where.
	Reason string
	// Code is the RFC 6749 §5.2 error, or empty.
	Code string
	// Description is the server's explanation, at most 200 printable ASCII characters.
	Description string
	// Status is the HTTP status, or 0 where no answer came.
	Status int
	// RetryAfter is the server's wish, counted from the answer; 0 where it has none.
	RetryAfter time.Duration
	// RotationLost: the request carried a refresh token, and the server may have replaced it by one that did not arrive or
	// cannot be used. The old one is still worth one try, soon; if that is refused, this is why.
	RotationLost bool
	// Trouble is what kept the server from being reached, or safely; empty where it was, or was not even tried.
	Trouble Trouble
	// Proxy is the host of the proxy that was used, or empty.
	Proxy string
	// Err is the cause for errors.Is; it may be nil. It never quotes what the server sent.
	Err error

	otherClock bool // the next attempt's assertion is dated by another clock; Err is then [ErrClock]

	wished bool // RetryAfter is the server's own, not a default
	spent  bool // the server has given a token, which cannot be used; a code that was presented is gone
}

// Trouble is what is wrong between this machine and a server.
type Trouble string

// The troubles.
const (
	// Unreachable: no connection, and no proxy was used: no such name, no route, no answer.
	Unreachable Trouble = "unreachable"
	// UntrustedAuthority: the certificate, of the server or of an https proxy, is from an authority that is not trusted.
	UntrustedAuthority Trouble = "untrusted_authority"
	// ProxyFailed: the proxy refused, or could not be reached itself.
	ProxyFailed Trouble = "proxy"
	// Broken: anything else that kept an exchange from being complete.
	Broken Trouble = "broken"
)

// Error returns one sentence, such as
// `auth.example.com does not accept the client id or secret (HTTP 401, invalid_client); the server says: "unknown client"`.
// An error code that no specification knows, and the explanation, are the server's words: they stand in quotation marks.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Where == "" {
		b.WriteString("the server")
	}
	b.WriteString(e.Where + " " + e.Reason)
	code := e.Code
	if _, known := codes[code]; !known && code != "" {
		code = "the server's error " + visible.Quote(code)
	}
	switch {
	case e.Status != 0 && code != "":
		b.WriteString(" (HTTP " + strconv.Itoa(e.Status) + ", " + code + ")")
	case e.Status != 0:
		b.WriteString(" (HTTP " + strconv.Itoa(e.Status) + ")")
	case code != "":
		b.WriteString(" (" + code + ")")
	}
	if e.Description != "" {
		b.WriteString("; the server says: " + visible.Quote(e.Description))
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Action is what is to be done about a failed exchange: the right-hand column of the table whose left-hand one is [Class].
// It says how, not when: the times are the broker's, which knows what went before. Two rules stand above every row: what
// the server wishes ([Error.RetryAfter]) is a floor, and a token that is still valid goes on being served.
type Action int

const (
	// Proceed: there is nothing to do about a success.
	Proceed Action = iota
	// Retry with backoff, from a second on: the same request may succeed at any moment.
	Retry
	// RetrySlowly: with a backoff that begins slowly, for something stands in between (a proxy, a firewall, a certificate).
	RetrySlowly
	// RetrySeldom: as RetrySlowly, up to a quarter of an hour: a wrong address, a redirect, a word that nobody knows. Most
	// likely somebody must change something, but no specification says that it is final, so it heals by itself.
	RetrySeldom
	// RetryOnceSoon: the server may have carried the request out. Once, after a few seconds, it is sent again, while servers
	// that rotate refresh tokens still take the one before; if that is lost too, it is RetrySlowly.
	RetryOnceSoon
	// ConfirmThenPark: believed when it is said twice, a minute apart; then Park.
	ConfirmThenPark
	// Park the credential: no request until it is stored anew or its configuration changes, or a person asks for one.
	Park
	// ParkRequest: only the scope or audience that was asked for is refused; other tokens of the credential are not.
	ParkRequest
	// ParkDoubtful: servers say this of a credential, and of a scope or audience that they do not know. Where the profile's
	// own default was asked for it is Park, else ParkRequest: the default's own request will tell.
	ParkDoubtful
	// Poll again after the interval: a person has not answered yet (RFC 8628 §3.5). Only a sign-in gets this.
	Poll
)

var actionNames = [...]string{
	"proceed", "retry", "retry slowly", "retry seldom", "retry once soon", "confirm, then park",
	"park", "park the request", "park, or the request", "poll",
}

func (a Action) String() string { return actionNames[a] }

// Parks reports whether the action, when it is carried out, ends with no further request until something changes.
func (a Action) Parks() bool {
	switch a {
	case ConfirmThenPark, Park, ParkRequest, ParkDoubtful:
		return true
	}
	return false
}

// Action is pure: it depends on the class, the code, the status and on what became of a refresh token, and on nothing that
// happened before. Only what RFC 6749 or an extension of it makes final parks anything.
func (e *Error) Action() Action {
	if e.RotationLost {
		return RetryOnceSoon // whatever the answer was, its refresh token may be the only one that still works
	}
	switch e.Class {
	case OK:
		return Proceed
	case Transient, Malformed:
		if e.Code == "slow_down" {
			return RetrySlowly
		}
		return Retry
	case TransientSlow:
		switch {
		case e.otherClock:
			return Retry
		case e.Code != "" || wrongPlace(e.Status) || e.Err == ErrClock:
			return RetrySeldom
		}
		return RetrySlowly
	case Ambiguous:
		return RetryOnceSoon
	case InvalidClient:
		return ConfirmThenPark
	case Pending:
		return Poll
	}
	return e.definitiveAction()
}

// definitiveAction is the action for what is definitive: [Refused] and [Misconfigured].
func (e *Error) definitiveAction() Action {
	switch e.Code {
	case "invalid_scope", "invalid_target": // RFC 6749 §5.2, RFC 8707 §2
		return ParkRequest
	case "access_denied", "unauthorized_client", "invalid_request": // an unknown audience at Auth0, and worse
		return ParkDoubtful
	}
	if e.Class == Misconfigured && e.Code == "" && e.Status != 0 {
		return RetrySeldom // a redirect to a maintenance page, a scope too many: not in the words that make it final
	}
	return Park
}

// wrongPlace reports whether a status says that nothing, or something else, is at this address.
func wrongPlace(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusMisdirectedRequest:
		return true
	}
	return false
}

// Reached reports whether the request, or a part of it, may have reached the server: an exchange that has not costs the
// server nothing.
func (e *Error) Reached() bool { return e.Status != 0 || e.Class == Ambiguous || e.Class == Malformed }

// Answered reports whether the server itself has spoken, however unfavourably: it is there and works. What a proxy, a
// firewall or an outage says is no such word.
func (e *Error) Answered() bool {
	switch e.Class {
	case Refused, InvalidClient, Misconfigured, Pending, OK:
		return e.Status != 0 && (e.Status < 300 || e.Status >= 400)
	case TransientSlow:
		return e.Code != "" || e.Err == ErrClock
	}
	return false
}

// Class is what an answer, or its absence, means for the credential.
type Class int

// The classes; [Classify] is the table that decides.
const (
	// OK: a usable token.
	OK Class = iota
	// Transient: the same request may succeed soon (5xx, 429, a network failure before anything was sent).
	Transient
	// TransientSlow: it may succeed later, but something stands between (a proxy, a WAF, TLS, a wrong path).
	TransientSlow
	// Malformed: an answer that is no token and no OAuth error; treated as Transient.
	Malformed
	// Ambiguous: the request was sent and no answer came, so the server may have acted on it.
	Ambiguous
	// InvalidClient: the server does not accept the client's credentials; confirmed once before it is believed.
	InvalidClient
	// Refused: a definitive refusal of the grant or of the person; only a new login helps.
	Refused
	// Misconfigured: this request will never succeed (a scope, a grant type, a redirect).
	Misconfigured
	// Pending: a person has not answered yet (RFC 8628 §3.5).
	Pending
)

var classNames = [...]string{
	"ok", "transient", "transient_slow", "malformed", "ambiguous", "invalid_client", "refused", "misconfigured", "pending",
}

func (c Class) String() string { return classNames[c] }

// Definitive reports whether repeating the same request is pointless until the person or the configuration changes.
func (c Class) Definitive() bool { return c == Refused || c == Misconfigured }

func (e *Error) at(url string) *Error {
	e.Where = host(url)
	return e
}

func malformed(a Answer, flaw string) *Error {
	body, _ := a.object()
	return &Error{
		Class: Malformed, Status: a.Status, Reason: "gave an answer that " + flaw,
		Description: sanitize(body.description(), a.Carried, maxDescription),
	}
}

// host returns the host and port of a URL, or "".
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}
