package grant

import (
	"context"
	"errors"

	"github.com/groat-dev/groat/keystore"
)

// Refresh obtains a token with an item's refresh token (RFC 6749 §6). Leave req empty for what was signed in for: some
// servers refuse a scope or an audience that is repeated, and a scope can only be narrowed.
//
// rotated is the refresh token that replaces the item's; zero where the old one stays, because the server sent none, an
// empty one or the same. The caller owns it and makes it durable before the token is used. It may come beside an error (an
// answer whose access token is unusable): it must be kept all the same.
//
// One POST is sent and never repeated here, for the server may have acted on the one whose answer was lost (RFC 9700
// §4.14.2). The error is an [*Error], whose RotationLost says so, or wraps [ErrEndpointChanged] or [ErrNotOffered].
func (e *Endpoint) Refresh(ctx context.Context, item keystore.Item, req Request) (t Token, rotated keystore.Secret, err error) {
	if item.RefreshToken.IsZero() {
		return Token{}, keystore.Secret{}, ErrNotOffered
	}
	var c call
	first := form{}.add("grant_type", "refresh_token").add("refresh_token", c.reveal(item.RefreshToken))
	s, err := e.ask(ctx, question{
		item: item, by: e.server.later(), proof: RefreshToken,
		first: first, last: req.form(), carried: c.carried, scope: req.Scope,
		again: aboutTheClient, once: true,
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

// Renew obtains a token with whatever an item holds; see [Endpoint.Refresh] for rotated and the error.
func (e *Endpoint) Renew(ctx context.Context, item keystore.Item, req Request) (t Token, rotated keystore.Secret, err error) {
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
