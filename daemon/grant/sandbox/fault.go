package sandbox

import (
	"net/http"
	"slices"
	"time"
)

// Cut is a way for a connection to end without an answer.
type Cut string

// The ways. After CutAfterHandling the server has done what was asked (issued the token, created the client), and the
// client cannot know.
const (
	CutBeforeBody    Cut = "before-body"    // reset before the request's body is read
	CutAfterBody     Cut = "after-body"     // reset after it is read; nothing is done
	CutAfterHandling Cut = "after-handling" // reset after the request was carried out
	Hang             Cut = "hang"           // no answer until the client leaves; nothing is done
)

// Fault is what a path does instead of, or to, its normal answer.
//
// With Status, Body, Raw, Endless or Gunzipped the fault is the whole answer and the request is not carried out.
// Otherwise the request is carried out and its answer is changed: by Set, Header, Delay, Truncate and Rate.
type Fault struct {
	// Times is how many requests get it; 0 means one, -1 all until ClearFaults.
	Times int
	// Cut ends the connection instead of answering.
	Cut Cut
	// Delay comes before the answer, or before the Cut.
	Delay time.Duration

	// Status of the answer; 0 means 200 where the fault is the whole answer.
	Status int
	// Header is added to the answer, or replaces what it has, also Date; Content-Type is application/json where it does
	// not say.
	Header http.Header
	// Body of the answer.
	Body string
	// RetryAt adds a Retry-After with an HTTP date this long from now by the server's clock (RFC 9110 §10.2.3).
	RetryAt time.Duration
	// Set changes members of a JSON answer, or the parameters in a redirect's URL; a nil value removes one. Use
	// json.RawMessage for odd numbers.
	Set map[string]any

	// Truncate ends the connection after this many bytes of a body whose Content-Length promises all of it; 0 does not.
	Truncate int
	// Rate is bytes of the body a second; 0 means as fast as possible.
	Rate int
	// Endless repeats Body (a space, if it is empty) until the client leaves, at most 1 GiB.
	Endless bool
	// Gunzipped is the size of a body of spaces, sent with Content-Encoding: gzip at about a thousandth of that.
	Gunzipped int64
	// HeaderBytes is how much of useless header fields is added, at most 64 MiB.
	HeaderBytes int
	// Raw is written to the connection as it is, then the connection is closed: bad framing, headers that stop.
	Raw string
}

// HTML is what a captive portal or a proxy says.
func HTML(status int) Fault {
	return Fault{Status: status, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body: "<!DOCTYPE html><html><title>Sign in to the network</title></html>"}
}

// Redirect is a 307 to the URL, which keeps method and body (RFC 9110 §15.4.8).
func Redirect(url string) Fault {
	return Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {url}}}
}

// Refuse is an RFC 6749 §5.2 error with its status.
func Refuse(status int, code string) Fault {
	return Fault{Status: status, Body: `{"error":"` + code + `","error_description":"scripted by the sandbox"}`}
}

// Busy is a 429 or 503 with Retry-After in seconds, as given; "" leaves it out.
func Busy(status int, retryAfter string) Fault {
	f := Fault{Status: status, Body: `{"detail":"slow down"}`, Header: http.Header{}}
	if retryAfter != "" {
		f.Header.Set("Retry-After", retryAfter)
	}
	return f
}

// whole reports whether the fault is the whole answer.
func (f Fault) whole() bool {
	return f.Status != 0 || f.Body != "" || f.Raw != "" || f.Endless || f.Gunzipped > 0
}

// Script appends faults to what the path does with its next requests, whatever their method; then it is normal again.
func (s *Server) Script(path string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = 1
		}
		s.faults[path] = append(s.faults[path], f)
	}
}

// ClearFaults makes every path normal.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// nextFault takes the next fault of the path's queue.
func (s *Server) nextFault(path string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.faults[path]
	if len(queue) == 0 {
		return Fault{}, false
	}
	f := queue[0]
	if f.Times > 0 {
		if queue[0].Times--; queue[0].Times == 0 {
			s.faults[path] = slices.Delete(queue, 0, 1)
		}
	}
	return f, true
}
