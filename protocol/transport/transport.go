// Package transport puts the access tokens of groatd on HTTP requests.
//
// A [Transport] is an [http.RoundTripper] for the [http.Client] of a program. The invariants: a token goes only where
// its profile lists a resource, whatever redirects say; a request is sent twice at most; nothing is
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
	"strings"

	"github.com/groat-dev/groat/protocol"
)

// ErrOrigin means that no token may be sent where a request goes: the profile does not list it as a resource. The
// request was not sent. "groat login PROFILE --api ORIGIN" adds it.
var ErrOrigin = errors.New("the profile does not list the origin of the request")

var errNoURL = errors.New("the request has no URL")

// Transport is an [http.RoundTripper] that sends each request with the header of a profile:
// "Authorization: Bearer TOKEN", or what the provider's own scheme is.
//
// It asks groatd before every request, which costs one local round trip, and keeps nothing itself. If the API answers
// with 401 it tells groatd so ([protocol.Client.Reject]), and repeats the request once with the better token, if there
// is one and if the body can be had again: [http.Request.GetBody] is set for the usual ones by [http.NewRequest].
// Otherwise the API's own answer is returned.
//
// A request whose origin (scheme, host and port) the profile does not list, or lists with another path, is refused with
// [ErrOrigin]. One that follows a redirect there is sent without the header, as one to a signed address of a store
// needs; so is one that a redirect has led from a resource of one profile to a resource of another: an API cannot use
// the token of another one by a redirect. A request that brings a header of the same name is sent as it is. The Request
// of an answer is the caller's, without the header.
//
// Errors of groatd's are [*protocol.Error]; package net/http wraps them. The context of a request bounds all that is
// done for it. A Transport may be used by any number of goroutines; its fields must not be changed then.
type Transport struct {
	// Client asks groatd. The transport does not close it.
	Client *protocol.Client
	// Profile is whose token is sent. If it is empty, groatd chooses the one profile that lists where a request goes.
	// In either case groatd makes sure that the profile lists it and that its credential is sealed for it.
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
	var token protocol.TokenResult
	if err == nil {
		token, err = t.Client.Token(req.Context(), params)
	}
	if kind(err) == protocol.UnknownProfile {
		err = fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	if errors.Is(err, ErrOrigin) && req.Response != nil { // it follows a redirect
		return t.base().RoundTrip(req)
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

// startedWith reports whether the first request of the redirects that have led to req, if there are any, was one to a
// resource of the same profile. target is where req goes.
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
	from, ok := targetOf(first.URL)
	if !ok || from == target {
		return ok
	}
	token, err := t.Client.Token(req.Context(), protocol.TokenParams{Target: from})
	return err == nil && token.Profile == profile
}

// params returns what to ask groatd for a request, or an error that wraps [ErrOrigin] if no token may go there,
// whichever profile lists it.
func (t *Transport) params(req *http.Request) (protocol.TokenParams, error) {
	target, ok := targetOf(req.URL)
	if !ok {
		return protocol.TokenParams{}, fmt.Errorf("%w: %s is neither https nor on this machine", ErrOrigin, target)
	}
	return protocol.TokenParams{Profile: t.Profile, Target: target, MinTTL: t.MinTTL}, nil
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

// targetOf returns a URL without its query, which may hold a secret; ok is false if no token may go there, whichever
// profile lists it: it is neither https nor http on this machine. Where the path is not known (Opaque is anything)
// there is none.
func targetOf(u *url.URL) (target string, ok bool) {
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	addr, err := netip.ParseAddr(host)
	switch scheme {
	case "https":
		ok = true
	case "http":
		ok = host == "localhost" || err == nil && addr.IsLoopback()
	}
	target = scheme + "://" + host
	if port != "" {
		target = scheme + "://" + net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		target = scheme + "://[" + host + "]"
	}
	if u.Opaque != "" {
		return target + "/", ok
	}
	return target + "/" + strings.TrimPrefix(u.EscapedPath(), "/"), ok // a path without a slash would lengthen the host
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
