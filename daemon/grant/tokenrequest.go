package grant

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/groat-dev/groat/keystore"
)

// tokenRequest is one request at the token endpoint, before the client's own credentials are added to it.
type tokenRequest struct {
	item  keystore.Item
	by    Method
	proof Presented
	// first and last stand before and after the client's parameters, in the order of the providers' own clients.
	first, last form
	carried     []keystore.Secret
	// scope is what was asked for, so that more can be told.
	scope []string
	// maybeClock says of an error that the client's assertion may be to blame.
	maybeClock func(error) bool
	// unrepeatable: what q carries is never sent twice in one go (a refresh token, a code).
	unrepeatable bool
}

// form returns the parameters that a request's members become.
func (r Request) form() form {
	return form{}.add("scope", strings.Join(r.Scope, " ")).add("audience", r.Audience)
}

// requestToken sends q. Where an assertion was what the server refused, and its clock is not this machine's, q is sent once more by the
// other clock, unless it must not be repeated.
func (e *Endpoint) requestToken(ctx context.Context, q tokenRequest) (Session, error) {
	for again := !q.unrepeatable; ; again = false {
		s, used, err := e.requestTokenOnce(ctx, q)
		if !q.by.signs() {
			return s, err
		}
		err, other := e.noteAssertion(e.server.TokenEndpoint, used, q.maybeClock, err)
		if !other || !again {
			return s, err
		}
	}
}

// requestTokenOnce sends one request; used is the clock that dated an assertion in it.
func (e *Endpoint) requestTokenOnce(ctx context.Context, q tokenRequest) (s Session, used reading, err error) {
	c := httpRequest{method: http.MethodPost, url: e.server.TokenEndpoint, body: append(form{}, q.first...), carried: q.carried}
	to := e.DestinationsOf(q.item)
	if err := e.checkDestination(to, c.url, Anything); err != nil { // before anything is signed
		return Session{}, reading{}, err
	}
	if used, err = e.addClientCredentials(&c, q.by, q.item); err != nil {
		return Session{}, used, err
	}
	c.body = c.body.append(q.last)
	s, err = e.readSession(ctx, to, c, q.proof, q.scope)
	return s, used, err
}

// addClientCredentials adds the client's credentials to a request; it returns the clock that dates an assertion.
func (e *Endpoint) addClientCredentials(c *httpRequest, by Method, item keystore.Item) (reading, error) {
	used := e.clockFor(c.url)
	err := e.server.authenticate(by, c, item, used.time)
	if item.ClientID == "" {
		err = errors.New("there is no client id")
	}
	if err != nil {
		return used, &Error{Class: Misconfigured, Where: host(c.url), Reason: "cannot be sent the credential: " + err.Error(), Err: err}
	}
	return used, nil
}

// readTokenOnly sends a request for a readTokenOnly and reads the answer; a refresh readTokenOnly in it is forgotten.
func (e *Endpoint) readTokenOnly(ctx context.Context, to *Destinations, c httpRequest, proof Presented, asked []string) (Token, error) {
	s, err := e.readSession(ctx, to, c, proof, asked)
	s.Refresh.Wipe()
	return s.Token, err
}

// readSession is token with the refresh token. That one is returned even beside an error, if it could be read: it may be the
// only one that still works.
func (e *Endpoint) readSession(ctx context.Context, to *Destinations, c httpRequest, proof Presented, asked []string) (Session, error) {
	a, sent, err := e.send(ctx, to, c)
	if err != nil {
		return Session{}, err
	}
	defer clear(a.Body)
	if a.Sent {
		e.requests.Add(1)
	}
	if verdict := Classify(a, proof); verdict.Class != OK {
		return Session{}, verdict.at(c.url)
	}
	body, flaw := a.object()
	if flaw != "" {
		return Session{}, malformed(a, flaw).at(c.url)
	}
	var s Session
	if s.Refresh, flaw = refreshToken(body["refresh_token"]); flaw != "" {
		failed := malformed(a, flaw).at(c.url)
		failed.spent = true
		return Session{}, failed
	}
	token, err := parseToken(a, sent, asked, e.server.WiderScope)
	if failed, ok := errors.AsType[*Error](err); ok {
		failed.spent = true
		return s, failed.at(c.url)
	}
	token.Destinations = to
	s.Token = token
	e.issued(c.url, token)
	if text, ok := body.text("id_token"); ok {
		s.idToken = keystore.SecretString(text)
	}
	return s, err
}

// requestBeside sends a request with the client's credentials to another endpoint than the token endpoint, once, and once more
// by another clock where an assertion was refused and there is one. The answer is one that [Classify] calls OK where err is nil.
func (e *Endpoint) requestBeside(ctx context.Context, c httpRequest, item keystore.Item, by Method) (Answer, error) {
	to := e.DestinationsOf(item)
	if by == None {
		c.carries = SignInRequest // the client's id is no secret
	}
	if err := e.checkDestination(to, c.url, c.carries); err != nil { // before anything is signed
		return Answer{}, err
	}
	plain := c
	for again := by.signs(); ; again = false {
		c = plain
		c.body = append(form{}, plain.body...)
		used, err := e.addClientCredentials(&c, by, item)
		if err != nil {
			return Answer{}, err
		}
		a, _, err := e.send(ctx, to, c)
		if err != nil {
			return Answer{}, err
		}
		if verdict := Classify(a, ClientCredential); verdict.Class != OK {
			err = verdict.at(c.url)
		}
		other := false
		if by.signs() {
			err, other = e.noteAssertion(c.url, used, aboutTheClient, err)
		}
		if !again || !other {
			return a, err
		}
		clear(a.Body)
	}
}
