package grant

import (
	"context"
	"errors"

	"github.com/groat-dev/groat/keystore"
)

// The token types of RFC 8693 §3 that are requested or presented most often.
const (
	AccessTokenType = "urn:ietf:params:oauth:token-type:access_token"
	IDTokenType     = "urn:ietf:params:oauth:token-type:id_token"
	JWTType         = "urn:ietf:params:oauth:token-type:jwt"
)

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"

// Presentation is the tokens that a token exchange presents (RFC 8693 §2.1). Empty members are not sent.
type Presentation struct {
	// Subject is the token of the identity that the new token is about. SubjectType is its type; empty means an access
	// token.
	Subject     keystore.Secret
	SubjectType string
	// Actor is the token of the party that acts for the subject, if it is another one.
	Actor     keystore.Secret
	ActorType string
	// Requested is the type of the new token; empty means an access token.
	Requested string
	// Resource is the URI of the API that the new token is for (RFC 8707).
	Resource string
}

// TokenExchange obtains a token in exchange for another one (RFC 8693). req is completed by the server's defaults. The
// error is as [Endpoint.ClientCredentials]'s, or [ErrNotOffered] where p has no subject.
func (e *Endpoint) TokenExchange(ctx context.Context, item keystore.Item, p Presentation,
	req Request) (Session, error) {
	if p.Subject.IsZero() {
		return Session{}, ErrNotOffered
	}
	if p.Requested != "" && p.Requested != AccessTokenType && p.Requested != JWTType {
		return Session{}, errors.New("a token exchange can ask for an access token or a JWT only")
	}
	if req = e.server.Default(req, false); p.Resource != "" {
		req.resource = ""
	}
	var c httpRequest
	first := form{}.add("grant_type", exchangeGrant).add("subject_token", c.reveal(p.Subject)).
		add("subject_token_type", orAccessToken(p.SubjectType)).
		add("requested_token_type", p.Requested).
		add("resource", p.Resource)
	if !p.Actor.IsZero() {
		first = first.add("actor_token", c.reveal(p.Actor)).add("actor_token_type", orAccessToken(p.ActorType))
	}
	// §2.2.1: a token_type of "N_A" is no access token; it is refused with every other that is not Bearer.
	return e.requestToken(ctx, tokenRequest{
		item: item, by: e.server.ClientAuth, proof: Assertion,
		first: first, carried: c.carried, last: req.form(), scope: req.Scope,
		rule: e.server.scopeRule(req), maybeClock: aboutTheClient,
	})
}

func orAccessToken(kind string) string {
	if kind == "" {
		return AccessTokenType
	}
	return kind
}
