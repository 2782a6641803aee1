package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

const bearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// JWTBearer obtains a token with an assertion that the item's private key signs (RFC 7523 §2.1): the item's client
// speaks for its Subject, or for itself. The client does not authenticate in addition unless the server requires that.
// req is completed by the server's defaults. The error is as [Endpoint.ClientCredentials]'s.
//
// Where the server has a TargetAudience, a second assertion brings the ID token for it. A failure of either is one of
// both.
func (e *Endpoint) JWTBearer(ctx context.Context, item keystore.Item, req Request) (Token, error) {
	to := e.DestinationsOf(item)
	if err := e.checkDestination(to, e.server.TokenEndpoint, Anything); err != nil {
		return Token{}, err
	}
	req = e.server.Default(req, false)
	for again := true; ; again = false {
		t, used, err := e.bearer(ctx, to, item, req)
		if e.server.AssertionFile != "" {
			return t, err
		}
		err, other := e.noteAssertion(e.server.TokenEndpoint, used, aboutTheAssertion, err)
		if other && again {
			continue
		}
		if err == nil && e.server.TargetAudience != "" {
			t.ID, err = e.targetToken(ctx, to, item)
		}
		return t, err
	}
}

// targetToken obtains a service account's ID token, in Google's way: the assertion names the audience in place of a
// scope, and the answer is an ID token and nothing else
// (https://cloud.google.com/iap/docs/authentication-howto#authenticating_from_a_service_account, and
// google.oauth2.service_account.IDTokenCredentials of Google's library). One with a flaw is no error: it takes nothing
// from the access token.
func (e *Endpoint) targetToken(ctx context.Context, to *Destinations, item keystore.Item) (*IDToken, error) {
	s := e.server
	claims := s.bearerClaims(item, e.clockFor(s.TokenEndpoint).time)
	claims.Target = s.TargetAudience
	c, err := e.bearerRequest(item, claims)
	if err != nil {
		return nil, err
	}
	a, sent, err := e.send(ctx, to, c)
	if err != nil {
		return nil, err
	}
	defer clear(a.Body)
	if a.Sent {
		e.requests.Add(1)
	}
	if verdict := Classify(a, Assertion); verdict.Class != OK {
		return nil, verdict.withServer(c.url)
	}
	body, flaw := a.object()
	if flaw != "" {
		return nil, malformed(a, flaw).withServer(c.url)
	}
	id := e.parseIDToken(body, item, sent, a.date())
	if id == nil {
		flaw := "holds no ID token, although one for " + shown(s.TargetAudience) + " was asked for"
		return nil, malformed(a, flaw).withServer(c.url)
	}
	return id, nil
}

// bearerClaims returns what every assertion of this grant claims.
func (s Server) bearerClaims(item keystore.Item, at time.Time) claims {
	c := s.assertion(item.ClientID, s.TokenEndpoint, at)
	c.Audience, c.typ = s.grantAudience()
	if c.Subject = item.Subject; c.Subject == "" && !s.ScopeInAssertion {
		c.Subject = item.ClientID
	}
	return c
}

// bearerRequest returns a request with an assertion that claims c, and with the client's credentials where the server
// wants both. The error is an [*Error] of the class [Misconfigured].
func (e *Endpoint) bearerRequest(item keystore.Item, c claims) (r httpRequest, err error) {
	s := e.server
	assertion, err := s.grantAssertion(item, c)
	if err != nil {
		return r, unsendable(s.TokenEndpoint, err)
	}
	r = httpRequest{method: "POST", url: s.TokenEndpoint}
	r.body = form{}.add("grant_type", bearerGrant).add("assertion", r.reveal(assertion))
	if s.ClientAuth != None {
		_, err = e.addClientCredentials(&r, s.ClientAuth, item)
	}
	return r, err
}

func (e *Endpoint) bearer(ctx context.Context, to *Destinations, item keystore.Item,
	req Request) (Token, reading, error) {
	used := e.clockFor(e.server.TokenEndpoint)
	s := e.server
	claims := s.bearerClaims(item, used.time)
	beside := req
	if s.ScopeInAssertion {
		claims.Scope = strings.Join(req.Scope, " ")
		beside.Scope = nil
	}
	c, err := e.bearerRequest(item, claims)
	if err != nil {
		return Token{}, used, err
	}
	c.body = c.body.append(beside.form())
	t, err := e.readTokenOnly(ctx, to, c, Assertion, req)
	return t, used, err
}

// grantAssertion returns the assertion that is a grant: one that the item's key signs, or the one in a file.
func (s Server) grantAssertion(item keystore.Item, c claims) (keystore.Secret, error) {
	if s.AssertionFile != "" {
		return s.fileAssertion(item)
	}
	sign, err := keySigner(item, s.AssertionAlgs)
	if err != nil {
		return keystore.Secret{}, err
	}
	text, err := sign.sign(c)
	return keystore.SecretString(text), err
}

// ErrKeyFile means that a file is not the key file of a service account.
var ErrKeyFile = errors.New("this is not the key file of a service account")

// ServiceAccount reads the key file (JSON) of a Google service account and returns the item for this server. The file
// must name this server's token endpoint, so that a file from an attacker cannot decide where an assertion goes. The
// caller owns both secrets. The error wraps [ErrKeyFile] or one of package privatekey's and quotes nothing of the key.
func (s Server) ServiceAccount(file keystore.Secret) (keystore.Item, error) {
	text := file.AppendTo(nil)
	defer clear(text)
	if len(text) > privatekey.MaxSize || strictjson.Check(text) != nil {
		return keystore.Item{}, fmt.Errorf("%w: it is no JSON, or too long", ErrKeyFile)
	}
	var body object
	if json.Unmarshal(text, &body) != nil {
		return keystore.Item{}, fmt.Errorf("%w: it is no JSON object", ErrKeyFile)
	}
	if kind, _ := body.text("type"); kind != "service_account" {
		return keystore.Item{}, fmt.Errorf("%w: its type is %s, not service_account", ErrKeyFile, shown(kind))
	}
	if uri, _ := body.text("token_uri"); uri != s.TokenEndpoint {
		return keystore.Item{}, fmt.Errorf("%w: its token_uri is %s, not %s", ErrKeyFile, shown(uri), s.TokenEndpoint)
	}
	email, _ := body.text("client_email")
	if !isVSCHAR([]byte(email)) {
		return keystore.Item{}, fmt.Errorf("%w: it has no client_email", ErrKeyFile)
	}
	item := s.NewItem(email, ByJWTBearer)
	item.KeyID, _ = body.text("private_key_id")
	key, err := strictjson.AppendUnquoted(make([]byte, 0, len(body["private_key"])), body["private_key"])
	if err != nil || len(key) == 0 {
		return keystore.Item{}, fmt.Errorf("%w: it has no private_key", ErrKeyFile)
	}
	item.PrivateKey = keystore.NewSecret(key)
	if _, err := privatekey.DefaultAlg(item.PrivateKey, keystore.Secret{}); err != nil {
		item.Wipe()
		return keystore.Item{}, err
	}
	return item, nil
}
