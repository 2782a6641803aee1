package grant

import (
	"errors"
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
