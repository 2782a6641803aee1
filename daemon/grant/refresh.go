package grant

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/groat-dev/groat/keystore"
)

// Refresh obtains a token with an item's refresh token (RFC 6749 §6). An empty req asks for what the person signed in
// for: some servers refuse a repeated scope or audience, and a scope can only be narrowed.
//
// rotated is the refresh token that replaces the item's, or zero where the old one stays valid because the server sent
// none, an empty one or the same. The caller owns it, and stores it durably before the token is used. It may come
// beside an error, when only the access token was unusable, and must be stored then too.
//
// Refresh sends one POST and never repeats it, since the server may have acted on a request whose answer was lost (RFC
// 9700 §4.14.2). The error is an [*Error], whose RotationLost reports that case, or wraps [ErrEndpointChanged] or
// [ErrNotOffered].
func (e *Endpoint) Refresh(ctx context.Context, item keystore.Item,
	req Request) (t Token, rotated keystore.Secret, err error) {
	if item.RefreshToken.IsZero() {
		return Token{}, keystore.Secret{}, ErrNotOffered
	}
	var c httpRequest
	first := form{}.add("grant_type", "refresh_token").add("refresh_token", c.reveal(item.RefreshToken))
	s, err := e.requestToken(ctx, tokenRequest{
		item: item, by: e.server.refreshAuth(), proof: RefreshToken,
		first: first, last: req.form(), carried: c.carried, scope: req.Scope, rule: e.server.scopeRule(req),
		maybeClock: aboutTheClient, unrepeatable: true,
	})
	if failed, ok := errors.AsType[*Error](err); ok {
		success := failed.Status >= 200 && failed.Status < 300
		failed.RotationLost = s.Refresh.IsZero() && (failed.Class == Ambiguous || failed.Class == Malformed && success)
	}
	if s.Refresh.Equal(item.RefreshToken) {
		s.Refresh.Wipe()
		s.Refresh = keystore.Secret{}
	}
	return s.Token, s.Refresh, err
}

// Renew obtains a token with the credential that an item holds, by its grant. See [Endpoint.Refresh] for rotated and
// the error.
func (e *Endpoint) Renew(ctx context.Context, item keystore.Item,
	req Request) (t Token, rotated keystore.Secret, err error) {
	switch kind := Kind(item.Grant); {
	case kind == "" || kind == ByClientCredentials:
		t, err = e.ClientCredentials(ctx, item, req)
	case kind == ByJWTBearer:
		t, err = e.JWTBearer(ctx, item, req)
	case kind == ByAPIKey:
		t, err = e.APIKey(item)
	default:
		return e.Refresh(ctx, item, req)
	}
	return t, keystore.Secret{}, err
}

// Revoke ends the session of an item's refresh token at the server (RFC 7009, or Auth0's JSON form of it). A token that
// was already invalid is no error (§2.2). Access tokens may work until they expire. Revoke sends one request. The error
// is an [*Error], or wraps [ErrEndpointChanged] (nothing was sent), or is [ErrNotOffered].
func (e *Endpoint) Revoke(ctx context.Context, item keystore.Item) error {
	if e.server.RevocationEndpoint == "" || item.RefreshToken.IsZero() {
		return ErrNotOffered
	}
	if at := item.RevocationEndpoint; at != "" && at != e.server.RevocationEndpoint {
		return fmt.Errorf("%w: its revocation endpoint is %s, not %s", ErrEndpointChanged, shown(at),
			shown(e.server.RevocationEndpoint))
	}
	to := e.DestinationsOf(item)
	if err := e.checkDestination(to, e.server.RevocationEndpoint, Anything); err != nil { // before anything is signed
		return err
	}
	c := httpRequest{method: http.MethodPost, url: e.server.RevocationEndpoint}
	c.body = form{}.add("token", c.reveal(item.RefreshToken))
	if !e.server.RevokeJSON {
		c.body = c.body.add("token_type_hint", "refresh_token")
	}
	if _, err := e.addClientCredentials(&c, e.server.refreshAuth(), item); err != nil {
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
	// what Google says of one that is dead already
	if verdict.Code == "invalid_token" || verdict.Code == "invalid_grant" {
		return nil
	}
	if unexplained(verdict) {
		verdict.Reason = "did not end the session, and does not say why"
		if e.server.refreshAuth() == None {
			verdict.Reason += " (it may want a client with a secret for that)"
		}
	}
	return verdict.withServer(c.url)
}

// revoked reads the answer of RFC 7009 §2.2: the status decides, and the body may be empty, "OK" or anything but an
// error.
func revoked(a Answer) bool {
	if a.Err != nil || a.Status != http.StatusOK && a.Status != http.StatusNoContent {
		return false
	}
	body, _ := a.object()
	_, failed := body.errorCode()
	return !failed
}
