package grant

import (
	"context"

	"github.com/groat-dev/groat/keystore"
)

// Password signs in with a person's user name and password (RFC 6749 §4.3), only where the preset offers it: the grant
// is deprecated (RFC 9700 §2.4) because it teaches people to type their password into programs. code is a one-time code
// that the server takes beside it ([Server.SecondFactor]), or zero. It sends one request; password and code stay the
// caller's to wipe. req is completed by the server's defaults. The error is as [Endpoint.ClientCredentials]'s, or
// [ErrNotOffered].
func (e *Endpoint) Password(ctx context.Context, item keystore.Item, username string, password, code keystore.Secret,
	req Request) (Session, error) {
	if !e.server.offers(ByPassword) {
		return Session{}, ErrNotOffered
	}
	req = e.server.Default(req, true)
	var c httpRequest
	first := form{}.add("grant_type", "password").add("username", username).add("password", c.reveal(password))
	if name := e.server.SecondFactor; name != "" && !code.IsZero() {
		first = first.add(name, c.reveal(code))
	}
	return e.requestToken(ctx, tokenRequest{
		item: item, by: e.server.ClientAuth, proof: Password,
		first: first, carried: c.carried, last: req.form(), scope: req.Scope,
		rule: e.server.scopeRule(req), maybeClock: aboutTheClient,
	})
}
