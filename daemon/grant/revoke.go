package grant

import (
	"context"
	"fmt"
	"net/http"

	"github.com/groat-dev/groat/keystore"
)

// Revoke ends the session of an item's refresh token at the server (RFC 7009, or Auth0's JSON form of it). A token that
// was invalid already is no error (§2.2). Access tokens that were handed out may work until they expire. One request is
// sent. The error is an [*Error], or wraps [ErrEndpointChanged] (nothing was sent), or is ErrNotOffered.
func (e *Endpoint) Revoke(ctx context.Context, item keystore.Item) error {
	if e.server.RevocationEndpoint == "" || item.RefreshToken.IsZero() {
		return ErrNotOffered
	}
	if at := item.RevocationEndpoint; at != "" && at != e.server.RevocationEndpoint {
		return fmt.Errorf("%w: its revocation endpoint is %s, not %s", ErrEndpointChanged, shown(at), shown(e.server.RevocationEndpoint))
	}
	to := e.Seal(item)
	if err := e.allowed(to, e.server.RevocationEndpoint, Anything); err != nil { // before anything is signed
		return err
	}
	c := call{method: http.MethodPost, url: e.server.RevocationEndpoint}
	c.body = form{}.add("token", c.reveal(item.RefreshToken))
	if !e.server.RevokeJSON {
		c.body = c.body.add("token_type_hint", "refresh_token")
	}
	if _, err := e.identify(&c, e.server.later(), item); err != nil {
		return err
	}
	if c.json = e.server.RevokeJSON; c.json {
		body, err := c.body.object()
		if err != nil {
			return err
		}
		c.body = body
	}
	a, _, err := e.send(ctx, to, c)
	if err != nil {
		return err
	}
	if revoked(a) {
		return nil
	}
	verdict := Classify(a, ClientCredential)
	if verdict.Code == "invalid_token" || verdict.Code == "invalid_grant" { // what Google says of one that is dead already
		return nil
	}
	return verdict.at(c.url)
}

// revoked reads RFC 7009 §2.2: the status says it all, the body may be empty, "OK" or anything but an error.
func revoked(a Answer) bool {
	if a.Err != nil || a.Status != http.StatusOK && a.Status != http.StatusNoContent {
		return false
	}
	body, _ := a.object()
	_, failed := body.errorCode()
	return !failed
}
