package grant

import (
	"context"

	"github.com/groat-dev/groat/keystore"
)

// Password signs in with a person's user name and password (RFC 6749 §4.3), only where the preset offers it: the grant
// is deprecated (RFC 9700 §2.4) because it teaches people to type their password into programs. It sends one request;
// the password stays the caller's to wipe. req is completed by the server's defaults. The error is as
// [Endpoint.ClientCredentials]'s, or [ErrNotOffered].
func (e *Endpoint) Password(ctx context.Context, item keystore.Item, username string, password keystore.Secret,
	req Request) (Session, error) {
	if !e.server.offers(ByPassword) {
		return Session{}, ErrNotOffered
	}
	req = e.server.Default(req, true)
	var c httpRequest
	return e.requestToken(ctx, tokenRequest{
		item: item, by: e.server.ClientAuth, proof: Password,
		first:   form{}.add("grant_type", "password").add("username", username).add("password", c.reveal(password)),
		carried: c.carried, last: req.form(), scope: req.Scope,
		rule: e.server.scopeRule(req), maybeClock: aboutTheClient,
	})
}
