// Package transport puts the access tokens of groatd on HTTP requests.
//
// A [Transport] is an [http.RoundTripper] for the [http.Client] of a program. The invariants: a token goes only to an
// origin that its profile lists as a resource, whatever redirects say; a request is sent twice at most; nothing is
// logged, and no error holds a token.
package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/protocol"
)

// ErrOrigin means that no token may be sent to the origin of a request: the profile does not list it as a resource. The
// request was not sent. "groat login PROFILE --resource ORIGIN" adds it.
var ErrOrigin = errors.New("the profile does not list the origin of the request")

var errNoURL = errors.New("the request has no URL")

// Transport is an [http.RoundTripper] that sends each request with the header of a profile:
// "Authorization: Bearer TOKEN", or what the provider's own scheme is.
//
// It asks groatd before every request, which costs one local round trip, or two with a Profile, and keeps nothing
// itself. If the API answers with 401 it tells groatd so ([protocol.Client.Reject]), and repeats the request once with
// the better token, if there is one and if the body can be had again: [http.Request.GetBody] is set for the usual ones
// by [http.NewRequest]. Otherwise the API's own answer is returned.
//
// A request whose origin (scheme, host and port) the profile does not list is refused with [ErrOrigin]. One that
// follows a redirect to such an origin is sent without the header, as one to a signed address of a store needs; so is
// one that a redirect has led from an origin of one profile to an origin of another: an API cannot use the token of
// another one by a redirect. A request that brings a header of the same name is sent as it is. The Request of an answer
// is the caller's, without the header.
//
// Errors of groatd's are [*protocol.Error]; package net/http wraps them. The context of a request bounds all that is
// done for it. A Transport may be used by any number of goroutines; its fields must not be changed then.
type Transport struct {
	// Client asks groatd. The transport does not close it.
	Client *protocol.Client
	// Profile is whose token is sent. If it is empty, groatd chooses the one profile that lists the origin, and makes
	// sure that its credential is sealed for that origin.
	Profile string
	// MinTTL is how many seconds a token must be good for; nil asks for no promise.
	MinTTL *int64
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		closeBody(req)
		return nil, errNoURL
	}
	params, err := t.params(req)
	if errors.Is(err, ErrOrigin) && req.Response != nil { // it follows a redirect
		return t.base().RoundTrip(req)
	}
	if err != nil {
		closeBody(req)
		return nil, err
	}
	token, err := t.Client.Token(req.Context(), params)
	if t.Profile == "" && kind(err) == protocol.UnknownProfile {
		if req.Response != nil {
			return t.base().RoundTrip(req)
		}
		err = fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if t.Profile == "" && !t.startedWith(token.Profile, req, params.Target) {
		return t.base().RoundTrip(req)
	}
	name, value, err := token.Field()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if req.Header.Get(name) != "" {
		return t.base().RoundTrip(req)
	}
	resp, err := t.send(req, req.Body, name, value)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || token.Static {
		return resp, err
	}
	return t.again(req, resp, params, token), nil
}

// again reports the token that was refused with 401, and repeats the request if it can; it returns the last answer.
func (t *Transport) again(req *http.Request, refused *http.Response, params protocol.TokenParams,
	token protocol.TokenResult) *http.Response {
	body, ok := repeat(req)
	if !ok {
		params.Wait = new(int64) // the next request wants the better token, and this one does not wait for it
	}
	better, err := t.Client.Reject(req.Context(), params, token.AccessToken)
	if !ok {
		return refused
	}
	name, value, fieldErr := better.Field()
	if err != nil || fieldErr != nil || better.AccessToken == token.AccessToken {
		if body != nil {
			body.Close()
		}
		return refused
	}
	resp, err := t.send(req, body, name, value)
	if err != nil {
		return refused
	}
	refused.Body.Close() // unread: its server may never finish it
	return resp
}

// send sends a copy of a request, which a round tripper must not change, with another body and one more header field.
func (t *Transport) send(req *http.Request, body io.ReadCloser, name, value string) (*http.Response, error) {
	c := req.Clone(req.Context())
	if c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Set(name, value)
	c.Body = body
	resp, err := t.base().RoundTrip(c)
	if err == nil {
		resp.Request = req // a program that logs it shows no token
	}
	return resp, err
}

// startedWith reports whether the first request of the redirects that have led to req, if there are any, was one to an
// origin of the same profile. target is the origin of req.
func (t *Transport) startedWith(profile string, req *http.Request, target string) bool {
	if req.Response == nil {
		return true
	}
	first := req
	for first.Response != nil {
		if first = first.Response.Request; first == nil || first.URL == nil {
			return false
		}
	}
	origin, ok := originOf(first.URL)
	if !ok || origin+"/" == target {
		return ok
	}
	token, err := t.Client.Token(req.Context(), protocol.TokenParams{Target: origin + "/"})
	return err == nil && token.Profile == profile
}

// params returns what to ask groatd for a request, or an error that wraps [ErrOrigin] if its profile does not list the
// origin.
func (t *Transport) params(req *http.Request) (protocol.TokenParams, error) {
	params := protocol.TokenParams{Profile: t.Profile, MinTTL: t.MinTTL}
	origin, ok := originOf(req.URL)
	if !ok {
		return params, fmt.Errorf("%w: %s is neither https nor on this machine", ErrOrigin, origin)
	}
	if t.Profile == "" {
		params.Target = origin + "/"
		return params, nil
	}
	all, err := t.Client.Profiles(req.Context()) // each time, so that an origin that was taken away gets nothing more
	if err != nil {
		return params, err
	}
	for _, p := range all.Profiles {
		if p.Profile == t.Profile && slices.Contains(p.Resources, origin) {
			return params, nil
		}
	}
	return params, fmt.Errorf("%w: %s is not one of profile %s", ErrOrigin, origin, t.Profile)
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

// originOf returns a URL's origin with its port, as groatd lists them; ok is false if no token may go there, whichever
// profile lists it: it is neither https nor http on this machine.
func originOf(u *url.URL) (origin string, ok bool) {
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	addr, err := netip.ParseAddr(host)
	switch scheme {
	case "https":
		ok = true
	case "http":
		ok = host == "localhost" || err == nil && addr.IsLoopback()
	}
	if port == "" && scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return scheme + "://" + net.JoinHostPort(host, port), ok
}

// repeat returns the body for sending a request once more, which is nil if it has none; ok is false if it cannot be had
// again.
func repeat(req *http.Request) (body io.ReadCloser, ok bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	return body, err == nil
}

// closeBody closes the body of a request that is not sent, as a round tripper must.
func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// kind returns the kind of groatd's refusal, or "".
func kind(err error) protocol.Kind {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e.Kind()
	}
	return ""
}
