package grant

import (
	"context"

	"github.com/groat-dev/groat/keystore"
)

// ClientCredentials obtains a token by RFC 6749 §4.4. It sends one POST, and a second one only where the server refuses
// an assertion and its clock differs from this machine's. Each takes at most 15 s, whatever ctx allows. A request that
// was sent has its effect at the server even if ctx ends, so ctx should not be that of a client that may disconnect.
// req is completed by the server's defaults.
//
// The error is an [*Error], or wraps [ErrEndpointChanged]: then nothing was sent, because the item belongs to another
// server than this one.
func (e *Endpoint) ClientCredentials(ctx context.Context, item keystore.Item, req Request) (Token, error) {
	req = e.server.Default(req, false)
	s, err := e.requestToken(ctx, tokenRequest{
		item: item, by: e.server.ClientAuth, proof: ClientCredential,
		first: form{}.add("grant_type", "client_credentials"), last: req.form(), scope: req.Scope,
		rule:       e.server.scopeRule(req),
		maybeClock: aboutTheAssertion,
	})
	s.Refresh.Wipe() // RFC 6749 §4.4.3: there should be none
	return s.Token, err
}
