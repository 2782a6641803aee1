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
	// Where is the host and port that the request was for.
	Where string
	// Reason describes the failure in groat's own words, as a predicate whose subject is Where.
	Reason string
	// Code is the RFC 6749 §5.2 error, or empty.
	Code string
	// Description is the server's explanation, at most 200 printable ASCII characters.
	Description string
	// Status is the HTTP status, or 0 where no answer came.
	Status int
	// RetryAfter is the least wait that the server asked for, counted from its answer; 0 where it named none.
	RetryAfter time.Duration
	// RotationLost means that the request carried a refresh token which the server may have replaced by one that did
	// not arrive or cannot be used. The old token is worth one try soon; if the server refuses that, this is the
	// reason.
	RotationLost bool
	// Redirect is where the answer's redirect leads, as printable ASCII of at most 200 bytes, or empty.
	Redirect string
	// Trouble says why the server was not reached, or not reached safely; empty where it was reached, or where nothing
	// was sent.
	Trouble Trouble
	// Proxy is the host of the proxy that was used, or empty.
	Proxy string
	// Err is the cause for errors.Is; it may be nil. It never quotes what the server sent.
	Err error

	otherClock bool // the next attempt's assertion is dated by another clock; Err is then [ErrClock]

	wished bool // RetryAfter is the server's own, not a default
	spent  bool // the server has given a token, which cannot be used; a code that was presented is gone
}

// Trouble is a kind of failure between this machine and a server.
type Trouble string

// The kinds of [Trouble].
const (
	// Unreachable: no connection was made, and no proxy was used: the name was not found, there is no route, or no
	// answer came.
	Unreachable Trouble = "unreachable"
	// UntrustedAuthority: an authority that is not trusted issued the certificate of the server or of an https proxy.
	UntrustedAuthority Trouble = "untrusted_authority"
	// ProxyFailed: the proxy refused the connection or could not be reached.
	ProxyFailed Trouble = "proxy"
	// Broken: the exchange failed in another way before a whole answer came.
	Broken Trouble = "broken"
)

// Error returns one sentence, such as `auth.example.com does not accept the client id or secret (HTTP 401,
// invalid_client); the server says: "unknown client"`. The server's own words stand in quotation marks: its
// explanation, and an error code that no specification has.
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

// Spent reports whether the server has given a token, which cannot be used: what was presented for it is used up.
func (e *Error) Spent() bool { return e.spent }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Action says how to go on after a failed exchange; [Error.Action] derives it from the answer's [Class]. It does not
// say when: the times are the broker's, which knows the earlier failures. Two rules hold for every action: the server's
// [Error.RetryAfter] is the least wait, and a token that is still valid goes on being served.
type Action int

const (
	// Proceed: the exchange succeeded.
	Proceed Action = iota
	// Retry with backoff that begins at a second: the same request may succeed at any moment.
	Retry
	// RetrySlowly retries with a backoff that begins slowly, because something between this machine and the server is
	// in the way: a proxy, a firewall, a certificate.
	RetrySlowly
	// RetrySeldom is RetrySlowly with waits of up to a quarter of an hour, for a wrong address, a redirect or an error
	// code that is not known. A person most likely has to change something. No specification makes these answers final,
	// so the retries go on.
	RetrySeldom
	// RetryOnceSoon sends the request once more after a few seconds, since the server may have carried it out: servers
	// that rotate refresh tokens still accept the previous one for a short time. If the second answer is lost too, the
	// action is RetrySlowly.
	RetryOnceSoon
	// ConfirmThenPark parks the credential after the server has said the same twice, a minute apart.
	ConfirmThenPark
	// Park stops all requests for the credential until it is stored anew, its configuration changes, or a person asks
	// for a request.
	Park
	// ParkRequest parks only the scope or audience that was asked for; other tokens of the credential are not affected.
	ParkRequest
	// ParkDoubtful is for an answer that servers give both to a refused credential and to a scope or audience that they
	// do not know. It is Park where the profile's default was asked for, else ParkRequest.
	ParkDoubtful
	// Poll again after the interval: the person has not answered yet (RFC 8628 §3.5). Only a sign-in gets this.
	Poll
)

var actionNames = [...]string{
	"proceed", "retry", "retry slowly", "retry seldom", "retry once soon", "confirm, then park",
	"park", "park the request", "park, or the request", "poll",
}

func (a Action) String() string { return actionNames[a] }

// Parks reports whether the action ends with no further request until something changes.
func (a Action) Parks() bool {
	switch a {
	case ConfirmThenPark, Park, ParkRequest, ParkDoubtful:
		return true
	}
	return false
}

// Action returns how to go on after e. It is pure: it depends on the class, the code, the status and on what happened
// to a refresh token, and not on earlier exchanges. Only answers that RFC 6749 or one of its extensions makes final
// park anything.
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
		case e.Code != "" || wrongPlace(e.Status) || unexplained(*e) || e.Err == ErrClock:
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

// WrongPlace reports whether the answer means that nothing, or something else, is at the address.
func (e *Error) WrongPlace() bool { return wrongPlace(e.Status) }

// wrongPlace reports whether a status means that nothing, or something else, is at the address.
func wrongPlace(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusMisdirectedRequest:
		return true
	}
	return false
}

// Reached reports whether a part of the request may have reached the server. An exchange that did not costs the server
// nothing.
func (e *Error) Reached() bool { return e.Status != 0 || e.Class == Ambiguous || e.Class == Malformed }

// Answered reports whether the server itself answered, even if it refused. An answer of a proxy or a firewall does not
// count.
func (e *Error) Answered() bool {
	switch e.Class {
	case Refused, InvalidClient, Misconfigured, Pending, OK:
		return e.Status != 0 && (e.Status < 300 || e.Status >= 400)
	case TransientSlow:
		return e.Code != "" || e.Err == ErrClock
	}
	return false
}

// Class is what an answer, or the lack of one, means for the credential.
type Class int

// The classes; [Classify] is the table that decides.
const (
	// OK: a usable token.
	OK Class = iota
	// Transient: the same request may succeed soon (5xx, 429, a network failure before anything was sent).
	Transient
	// TransientSlow: the same request may succeed later, but something is in the way: a proxy, a firewall, TLS, a wrong
	// path.
	TransientSlow
	// Malformed: the answer is neither a token nor an OAuth error. It is treated as Transient.
	Malformed
	// Ambiguous: the request was sent and no whole answer came, so the server may have acted on it.
	Ambiguous
	// InvalidClient: the server does not accept the client's credentials. It is believed after one confirmation.
	InvalidClient
	// Refused: a definitive refusal of the grant or of the person; only a new login helps.
	Refused
	// Misconfigured: this request will never succeed (a scope, a grant type, a redirect).
	Misconfigured
	// Pending: a person has not answered yet (RFC 8628 §3.5).
	Pending
)

var classNames = [...]string{
	"ok", "transient", "transient_slow", "malformed", "ambiguous", "invalid_client", "refused",
	"misconfigured", "pending",
}

func (c Class) String() string { return classNames[c] }

// Definitive reports whether repeating the same request is useless until the person or the configuration changes
// something.
func (c Class) Definitive() bool { return c == Refused || c == Misconfigured }

// withServer sets Where to the host of the server that was called, and returns e.
func (e *Error) withServer(url string) *Error {
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
