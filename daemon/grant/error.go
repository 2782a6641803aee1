package grant

import (
	"errors"
	"strconv"
	"strings"
	"time"
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
	// Err is the cause for errors.Is; it may be nil. It never quotes what the server sent.
	Err error

	otherClock bool // the next attempt's assertion is dated by another clock; Err is then [ErrClock]

	wished bool // RetryAfter is the server's own, not a default
	spent  bool // the server has given a token, which cannot be used; a code that was presented is gone
}

// Error returns one sentence, such as
// "auth.example.com does not accept the client id or secret (HTTP 401, invalid_client): unknown client".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Where == "" {
		b.WriteString("the server")
	}
	b.WriteString(e.Where + " " + e.Reason)
	switch {
	case e.Status != 0 && e.Code != "":
		b.WriteString(" (HTTP " + strconv.Itoa(e.Status) + ", " + e.Code + ")")
	case e.Status != 0:
		b.WriteString(" (HTTP " + strconv.Itoa(e.Status) + ")")
	case e.Code != "":
		b.WriteString(" (" + e.Code + ")")
	}
	if e.Description != "" {
		b.WriteString(": " + e.Description)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
