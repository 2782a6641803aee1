package grant

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// checkIDToken holds an ID token against the sign-in that it is for: nonce, issuer and audience (OpenID Connect Core
// §3.1.3.7). It came from the token endpoint over TLS, which stands for its signature (number 6 there), and nothing is ever taken
// from it. Without one, PKCE is what binds the answer to the request.
func (a *Authorization) checkIDToken(token string) (flaw string) {
	if token == "" || a.nonce == "" {
		return ""
	}
	body, ok := jwtClaims(token)
	if !ok {
		return "holds an ID token that cannot be read"
	}
	nonce, _ := body.text("nonce")
	issuer, _ := body.text("iss")
	switch {
	case !equal(nonce, a.nonce):
		return "holds an ID token for another sign-in"
	case issuer != a.issuer:
		return "holds an ID token of another issuer: " + shown(issuer)
	case !slices.Contains(body.list("aud"), a.clientID):
		return "holds an ID token for another client"
	}
	return ""
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// jwtClaims returns the claims of what looks like a signed JWT, unverified.
func jwtClaims(token string) (object, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || strictjson.Check(payload) != nil {
		return nil, false
	}
	var claims object
	return claims, json.Unmarshal(payload, &claims) == nil && claims != nil
}

// list returns a member that is a string or a list of strings.
func (o object) list(name string) []string {
	if text, ok := o.text(name); ok {
		return []string{text}
	}
	var all []string
	if json.Unmarshal(o[name], &all) != nil {
		return nil
	}
	return all
}
