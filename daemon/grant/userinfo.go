package grant

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/groat-dev/groat/keystore"
)

const (
	maxClaims     = 32
	maxClaim      = 512
	maxClaimsName = 64
)

// Userinfo returns who the person behind a token is (OpenID Connect Core §5.3, or users/me): the plain members of the
// answer, which are strings without control characters of at most 512 bytes, booleans, and numbers as [json.Number]; at
// most 32 members, the first by name. A signed answer (§5.3.2) is read where a key of the server's has signed it. A sub
// must be the one of the sign-in's ID token, if there was one (§5.3.2). The error is an [*Error] or [ErrNotOffered], or
// wraps [ErrEndpointChanged]: the token belongs to another endpoint or must not be sent to the userinfo endpoint, and
// nothing was sent.
func (e *Endpoint) Userinfo(ctx context.Context, token Token) (map[string]any, error) {
	if e.server.Userinfo == "" {
		return nil, ErrNotOffered
	}
	c := httpRequest{method: http.MethodGet, url: e.server.Userinfo, carries: AccessOnly,
		carried: []keystore.Secret{token.Access}}
	c.header.name, c.header.value = token.Header()
	if to := token.Destinations; to != nil && to.Header != nil && to.Header.TokenPrefix != "" { // an API's own form
		c.header.name, c.header.value = (*Header)(nil).format(token)
	}
	if token.Static {
		c.carries = Anything // an API key does not end
	}
	a, _, err := e.send(ctx, token.Destinations, c)
	if err != nil {
		return nil, err
	}
	defer clear(a.Body)
	claims, err := e.userinfoClaims(ctx, a, c.url)
	if err != nil {
		return nil, err
	}
	// An answer that is not OpenID Connect's, such as EarthScope's profile, has no sub.
	if to := token.Destinations; to != nil && to.Subject != "" && !missing(claims["sub"]) {
		if subject, _ := claims.text("sub"); subject != to.Subject {
			return nil, malformed(a, "is about somebody else than who signed in").withServer(c.url)
		}
	}
	return plain(claims, token.Access), nil
}

// userinfoClaims reads an answer of the userinfo endpoint.
func (e *Endpoint) userinfoClaims(ctx context.Context, a Answer, from string) (object, error) {
	if a.signed() {
		claims, flaw := e.verified(ctx, strings.TrimSpace(string(a.Body)))
		if flaw != "" {
			return nil, malformed(a, flaw).withServer(from)
		}
		return claims, nil
	}
	if verdict := Classify(a, AccessToken); verdict.Class != OK {
		return nil, verdict.withServer(from)
	}
	body, flaw := a.object()
	if flaw != "" {
		return nil, malformed(a, flaw).withServer(from)
	}
	return body, nil
}

// plain returns the members that can be shown, without any part of the token.
func plain(body object, token keystore.Secret) map[string]any {
	claims := make(map[string]any)
	secret := token.Reveal()
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if len(claims) == maxClaims {
			break
		}
		key := cut(printable(redact(name, secret)), maxClaimsName)
		switch raw := body[name]; {
		case raw[0] == '"':
			text, _ := body.text(name)
			claims[key] = cut(printable(redact(cut(text, maxSanitized), secret)), maxClaim)
		case raw[0] == 't' || raw[0] == 'f':
			claims[key] = raw[0] == 't'
		case raw[0] == '-' || isDigits(string(raw[:1])):
			claims[key] = json.Number(raw)
		}
	}
	return claims
}
