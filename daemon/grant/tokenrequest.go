package grant

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/groat-dev/groat/keystore"
)

// tokenRequest is one request to the token endpoint, before the client's credentials are added to it.
type tokenRequest struct {
	item  keystore.Item
	by    Method
	proof Presented
	// first and last are the parameters before and after the client's, in the order of the providers' own clients.
	first, last form
	carried     []keystore.Secret
	// scope is the scope that was asked for, and rule what is done about a wider one.
	scope []string
	rule  scopeRule
	// maybeClock reports whether an error may be about the time of the client's assertion.
	maybeClock func(error) bool
	// unrepeatable means that the request carries a refresh token or a code, which must not be sent twice.
	unrepeatable bool
}

// form returns the request's members as parameters.
func (r Request) form() form {
	return form{}.add("scope", strings.Join(r.Scope, " ")).add("audience", r.Audience).
		add("resource", r.resource)
}

// requestToken sends q. Where the server refuses an assertion, and the server's clock differs from this machine's, it
// sends q once more with an assertion that is dated by the other clock, unless q is unrepeatable.
func (e *Endpoint) requestToken(ctx context.Context, q tokenRequest) (Session, error) {
	for again := !q.unrepeatable; ; again = false {
		s, used, err := e.requestTokenOnce(ctx, q)
		if !e.dates(q.by) {
			return s, err
		}
		err, other := e.noteAssertion(e.server.TokenEndpoint, used, q.maybeClock, err)
		if !other || !again {
			return s, err
		}
	}
}

// requestTokenOnce sends q as one request. used is the clock that dated an assertion in it.
func (e *Endpoint) requestTokenOnce(ctx context.Context, q tokenRequest) (s Session, used reading, err error) {
	c := httpRequest{method: http.MethodPost, url: e.server.TokenEndpoint, body: append(form{}, q.first...),
		carried: q.carried}
	to := e.DestinationsOf(q.item)
	if err := e.checkDestination(to, c.url, Anything); err != nil { // before anything is signed
		return Session{}, reading{}, err
	}
	if used, err = e.addClientCredentials(&c, q.by, q.item); err != nil {
		return Session{}, used, err
	}
	c.body = c.body.append(q.last)
	s, err = e.readSession(ctx, to, c, q)
	return s, used, err
}

// addClientCredentials adds the client's credentials to a request. It returns the clock that dates an assertion. The
// error is an [*Error] of the class [Misconfigured].
func (e *Endpoint) addClientCredentials(c *httpRequest, by Method, item keystore.Item) (reading, error) {
	var used reading
	if e.dates(by) {
		used = e.clockFor(c.url)
	}
	err := e.server.authenticate(by, c, item, used.time)
	if item.ClientID == "" {
		err = errors.New("there is no client id")
	}
	if err != nil {
		return used, unsendable(c.url, err)
	}
	return used, nil
}

// readTokenOnly is readSession for grants that have neither a session nor a person: it discards a refresh token and an
// ID token.
func (e *Endpoint) readTokenOnly(ctx context.Context, to *Destinations, c httpRequest, proof Presented,
	asked Request) (Token, error) {
	s, err := e.readSession(ctx, to, c, tokenRequest{proof: proof, scope: asked.Scope, rule: e.server.scopeRule(asked)})
	s.Refresh.Wipe()
	s.Token.SessionLeft, s.Token.ID = 0, nil
	return s.Token, err
}

// readSession sends c, which is q on its way, and reads the answer. A refresh token that could be read is returned
// beside an error too: it may be the only one that still works.
func (e *Endpoint) readSession(ctx context.Context, to *Destinations, c httpRequest, q tokenRequest) (Session, error) {
	a, sent, err := e.send(ctx, to, c)
	if err != nil {
		return Session{}, err
	}
	defer clear(a.Body)
	if a.Sent {
		e.requests.Add(1)
	}
	if verdict := Classify(a, q.proof); verdict.Class != OK {
		if e.server.DPoP && mayWantDPoP(verdict, q.proof) {
			verdict.Reason += " (it can bind tokens to a key, DPoP, RFC 9449, which groat does not have: " +
				"the client may be registered for that)"
		}
		return Session{}, verdict.withServer(c.url)
	}
	body, flaw := a.object()
	if flaw != "" {
		return Session{}, malformed(a, flaw).withServer(c.url)
	}
	var s Session
	if s.Refresh, flaw = refreshToken(body["refresh_token"]); flaw != "" {
		failed := malformed(a, flaw).withServer(c.url)
		failed.spent = true
		return Session{}, failed
	}
	token, err := parseToken(a, sent, q.scope, q.rule)
	if failed, ok := errors.AsType[*Error](err); ok {
		failed.spent = true
		return s, failed.withServer(c.url)
	}
	token.Destinations = to
	token.ID = e.parseIDToken(body, q.item, sent, a.date())
	if !s.Refresh.IsZero() || q.proof == RefreshToken {
		token.SessionLeft = sessionLeft(body)
	}
	s.Token = token
	e.issued(c.url, token)
	return s, err
}

// requestBeside sends a request with the client's credentials to another endpoint than the token endpoint. Where an
// assertion is refused, it sends it once more with the other clock, if there is one. Without an error, [Classify] calls
// the answer OK.
func (e *Endpoint) requestBeside(ctx context.Context, c httpRequest, item keystore.Item, by Method) (Answer, error) {
	to := e.DestinationsOf(item)
	if by == None {
		c.carries = SignInRequest // the client's id is no secret
	}
	if err := e.checkDestination(to, c.url, c.carries); err != nil { // before anything is signed
		return Answer{}, err
	}
	plain := c
	for again := e.dates(by); ; again = false {
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
			err = verdict.withServer(c.url)
		}
		other := false
		if e.dates(by) {
			err, other = e.noteAssertion(c.url, used, aboutTheClient, err)
		}
		if !again || !other {
			return a, err
		}
		clear(a.Body)
	}
}
