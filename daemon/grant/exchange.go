package grant

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// RequestLimit bounds one exchange, from before it connects until the answer is complete. The machines of a fleet wait
// for longer before one takes over from another.
const RequestLimit = 15 * time.Second

// The other bounds of one exchange.
const (
	dialTimeout   = 5 * time.Second
	tlsTimeout    = 5 * time.Second
	headerTimeout = 10 * time.Second
	maxHeader     = 64 << 10
	maxBody       = 1 << 20
)

// httpRequest is one request that is about to be sent.
type httpRequest struct {
	method, url   string
	body          form                         // nil sends none
	json          bool                         // body is a JSON object instead
	authorization string                       // empty sends none
	header        struct{ name, value string } // another header with a credential
	certificate   *tls.Certificate             // the client's own; nil shows none
	// carried are the secrets in the request, which are removed from a description in the answer.
	carried []keystore.Secret
	carries Carries // how much of a credential it is, for the gate
	limit   *sendLimit
}

// reveal returns the text of a secret that the request carries. It adds the secret to carried, as it is and
// form-encoded.
func (c *httpRequest) reveal(s keystore.Secret) string {
	text := s.Reveal()
	c.carried = append(c.carried, s, keystore.SecretString(url.QueryEscape(text)))
	return text
}

// Answer is the server's answer to one request, or the reason why none came.
type Answer struct {
	// URL is where the request went.
	URL    string
	Status int
	Header http.Header
	Body   []byte
	// Flaw says why Body cannot be used and is nil; empty where Body can be used.
	Flaw string
	// Err is the transport's error. Status is set if the header came before it.
	Err error
	// Sent is false only if it is certain that no byte of the request reached the server.
	Sent bool
	// At is the wall time of the answer. A Retry-After that is a date is judged by it where the answer has no Date.
	At time.Time
	// Proxy is the host of the proxy that the request went through, or empty.
	Proxy string
	// Carried are the secrets of the request, which are removed from a description.
	Carried []keystore.Secret
}

// exchange sends one request once. sent is from before anything was sent, received from when the answer was complete.
// It takes at most [RequestLimit].
func exchange(ctx context.Context, client *http.Client, now clock.Func,
	c httpRequest) (a Answer, sent, received clock.Instant) {
	ctx, cancel := context.WithTimeout(ctx, RequestLimit)
	defer cancel()
	// Once there is a connection the request may leave at any moment. WroteHeaders of httptrace is called later, by
	// another goroutine: if a deadline strikes in between, the request may leave without a report.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connected.Store(true)
	}})

	a.URL, a.Carried = c.url, c.carried
	by := &passage{certificate: c.certificate}
	ctx = context.WithValue(ctx, passageKey{}, by)
	req, err := newRequest(ctx, c)
	sent = now()
	if err == nil {
		a.Header, a.Body, a.Status, a.Flaw, err = roundTrip(client, req)
	}
	received = now()
	if by.proxy != nil {
		a.Proxy = by.proxy.Host
	}
	a.Err, a.At, a.Sent = err, received.Wall, connected.Load() || a.Status != 0
	return a, sent, received
}

func newRequest(ctx context.Context, c httpRequest) (*http.Request, error) {
	if err := origin.CheckURL(c.url, "its address"); err != nil {
		return nil, &Error{Class: Misconfigured, Reason: "is not asked: " + err.Error()}
	}
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return nil, &Error{Class: Misconfigured, Reason: "is not asked: its address is not a URL"}
	}
	req.GetBody = nil // without it net/http cannot send a body twice
	if c.body != nil && c.limit != nil {
		req.Body = c.limit.body(c.body)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "groat")
	switch {
	case c.json:
		req.Header.Set("Content-Type", "application/json")
	case c.body != nil:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.authorization != "" {
		req.Header.Set("Authorization", c.authorization)
	}
	if c.header.name != "" {
		req.Header.Set(c.header.name, c.header.value)
	}
	return req, nil
}

func roundTrip(client *http.Client,
	req *http.Request) (header http.Header, body []byte, status int, flaw string, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, 0, "", err
	}
	defer resp.Body.Close()
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return resp.Header, nil, resp.StatusCode, "is compressed, though that was not asked for", nil
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if len(body) > maxBody {
		return resp.Header, nil, resp.StatusCode, "is larger than 1 MiB", nil
	}
	return resp.Header, body, resp.StatusCode, "", err
}

// date returns the time in the answer's Date header, or the zero time.
func (a Answer) date() time.Time {
	t, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// form is an application/x-www-form-urlencoded body. Its parameters keep the order in which they were added, which is
// the order of the providers' own clients; [url.Values] would sort them.
type form []byte

// add appends a parameter. It leaves out one with an empty value: some servers refuse an empty scope or audience.
func (f form) add(name, value string) form {
	if value == "" {
		return f
	}
	if len(f) > 0 {
		f = append(f, '&')
	}
	f = append(f, name...)
	f = append(f, '=')
	return append(f, url.QueryEscape(value)...)
}

// has reports whether there is a parameter of that name, which needs no encoding.
func (f form) has(name string) bool {
	return bytes.HasPrefix(f, []byte(name+"=")) || bytes.Contains(f, []byte("&"+name+"="))
}

// append adds all parameters of g.
func (f form) append(g form) form {
	if len(f) > 0 && len(g) > 0 {
		f = append(f, '&')
	}
	return append(f, g...)
}

// object returns the parameters as a JSON object.
func (f form) object() (form, error) {
	values, err := url.ParseQuery(string(f))
	if err != nil {
		return nil, err
	}
	members := make(map[string]string, len(values))
	for name := range values {
		members[name] = values.Get(name)
	}
	return json.Marshal(members)
}
