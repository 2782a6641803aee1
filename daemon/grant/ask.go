package grant

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/groat-dev/groat/keystore"
)

// question is one request at the token endpoint, before the client's own credentials are added to it.
type question struct {
	item  keystore.Item
	by    Method
	proof Presented
	// first and last stand before and after the client's parameters, in the order of the providers' own clients.
	first, last form
	carried     []keystore.Secret
	// scope is what was asked for, so that more can be told.
	scope []string
	// again says of an error that the client's assertion may be to blame; nil: nothing is ever sent twice.
	again func(error) bool
}

// form returns the parameters that a request's members become.
func (r Request) form() form {
	return form{}.add("scope", strings.Join(r.Scope, " ")).add("audience", r.Audience)
}

// ask sends q. Where the answer shows that our clock was wrong, and an assertion was what the server refused, it is sent
// once more with the right time.
func (e *Endpoint) ask(ctx context.Context, q question) (Session, error) {
	s, used, err := e.askOnce(ctx, q)
	if q.again != nil && q.by.signs() && q.again(err) && e.clockMoved(used) {
		s, _, err = e.askOnce(ctx, q)
	}
	return s, err
}

// askOnce sends one request; used is the moment at which it was sent, with the time that an assertion carried.
func (e *Endpoint) askOnce(ctx context.Context, q question) (s Session, used usedTime, err error) {
	c := call{method: http.MethodPost, url: e.server.TokenEndpoint, body: append(form{}, q.first...), carried: q.carried}
	to := e.Seal(q.item)
	if err := e.allowed(to, c.url); err != nil { // before anything is signed
		return Session{}, usedTime{}, err
	}
	if used, err = e.identify(&c, q.by, q.item); err != nil {
		return Session{}, used, err
	}
	c.body = c.body.append(q.last)
	s, err = e.session(ctx, to, c, q.proof, q.scope)
	return s, used, err
}

// identify adds the client's credentials to a request.
func (e *Endpoint) identify(c *call, by Method, item keystore.Item) (usedTime, error) {
	now := e.now()
	used := usedTime{at: now, server: e.time(now)}
	err := e.server.present(by, c, item, used.server)
	if item.ClientID == "" {
		err = errors.New("there is no client id")
	}
	if err != nil {
		return used, &Error{Class: Misconfigured, Where: host(c.url), Reason: "cannot be sent the credential: " + err.Error(), Err: err}
	}
	return used, nil
}

// token sends a request for a token and reads the answer; a refresh token in it is forgotten.
func (e *Endpoint) token(ctx context.Context, to *Sealed, c call, proof Presented, asked []string) (Token, error) {
	s, err := e.session(ctx, to, c, proof, asked)
	s.Refresh.Wipe()
	return s.Token, err
}

// session is token with the refresh token. That one is returned even beside an error, if it could be read: it may be the
// only one that still works.
func (e *Endpoint) session(ctx context.Context, to *Sealed, c call, proof Presented, asked []string) (Session, error) {
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
	token.Sealed = to
	s.Token = token
	if text, ok := body.text("id_token"); ok {
		s.idToken = keystore.SecretString(text)
	}
	return s, err
}

// askBeside sends a request with the client's credentials to another endpoint than the token endpoint, once, and once more
// where an assertion was refused and our clock was wrong. The answer is one that [Classify] calls OK where err is nil.
func (e *Endpoint) askBeside(ctx context.Context, c call, item keystore.Item, by Method) (Answer, error) {
	to := e.Seal(item)
	if err := e.allowed(to, c.url); err != nil { // before anything is signed
		return Answer{}, err
	}
	plain := c
	for again := by.signs(); ; again = false {
		c = plain
		c.body = append(form{}, plain.body...)
		used, err := e.identify(&c, by, item)
		if err != nil {
			return Answer{}, err
		}
		a, _, err := e.send(ctx, to, c)
		if err != nil {
			return Answer{}, err
		}
		verdict := Classify(a, ClientCredential)
		if verdict.Class == OK {
			return a, nil
		}
		if !again || !aboutTheClient(&verdict) || !e.clockMoved(used) {
			return a, verdict.at(c.url)
		}
		clear(a.Body)
	}
}

// aboutTheClient is [aboutTheAssertion] for requests whose own subject may be what invalid_grant is about. A server looks at
// the client first (RFC 6749 §3.2.1), so what the request carried has not been used up.
func aboutTheClient(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Class == InvalidClient
}
