package grant

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// signedMethods are the algorithms that a server may sign with (RFC 7518 §3.1, RFC 8037 §3.1): those with a public key.
var signedMethods = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

const (
	minRSA     = 2048 // bits, RFC 7518 §3.3
	signedSlow = time.Minute
)

// signed reports whether the body is a JWT, as userinfo may be (OpenID Connect Core §5.3.2).
func (a Answer) signed() bool {
	media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return err == nil && media == "application/jwt" && a.Status == http.StatusOK && a.Flaw == "" && a.Err == nil
}

// verified returns the claims of a JWT that the server's own key has signed, or says why there are none. The keys are
// those of the server's metadata, which are read for this.
func (e *Endpoint) verified(ctx context.Context, token string) (claims object, flaw string) {
	if strings.Count(token, ".") != 2 {
		return nil, "is not a signed JWT (an encrypted one cannot be read)"
	}
	keys, flaw := e.serverKeys(ctx)
	if flaw != "" {
		return nil, flaw
	}
	now := func() time.Time { return e.now().Wall }
	parser := jwt.NewParser(jwt.WithValidMethods(signedMethods), jwt.WithTimeFunc(now), jwt.WithLeeway(signedSlow))
	parsed, err := parser.Parse(token, func(t *jwt.Token) (any, error) {
		kid, named := t.Header["kid"].(string)
		var fit jwt.VerificationKeySet
		for _, k := range keys {
			if !named || k.id == kid {
				fit.Keys = append(fit.Keys, k.key)
			}
		}
		return fit, nil
	})
	if err != nil || !parsed.Valid {
		return nil, "is not signed by a key of the server's, or has expired"
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || strictjson.Check(payload) != nil || json.Unmarshal(payload, &claims) != nil || claims == nil {
		return nil, "is a signed JWT without claims"
	}
	if issuer, said := claims.text("iss"); said && issuer != e.server.Issuer {
		return nil, "is signed for another issuer: " + quoted(issuer)
	}
	return claims, ""
}

// serverKey is a public key of a server and its name, which may be empty.
type serverKey struct {
	id  string
	key crypto.PublicKey
}

// serverKeys reads the keys that the server signs with (RFC 7517), from where its metadata says.
func (e *Endpoint) serverKeys(ctx context.Context) (keys []serverKey, flaw string) {
	_, documents := wellKnown(e.server.Issuer)
	for _, document := range documents {
		a, _ := getDocument(ctx, e.client, document)
		body, _ := a.object()
		issuer, _ := body.text("issuer")
		at, _ := body.text("jwks_uri")
		if a.Status != http.StatusOK || issuer != e.server.Issuer || checkBeside(issuer, at, "") != "" {
			continue
		}
		a, _ = getDocument(ctx, e.client, at)
		set, _ := a.object()
		if keys = readKeys(set["keys"]); a.Status == http.StatusOK && len(keys) > 0 {
			return keys, ""
		}
	}
	return nil, "is signed, and the server's keys cannot be read"
}

// maxKeys bounds how many keys of a server are tried.
const maxKeys = 64

// readKeys returns the keys of a JWK Set that can be used; RFC 7517 §5 says to ignore the others.
func readKeys(raw json.RawMessage) (keys []serverKey) {
	var all []object
	if len(raw) == 0 || json.Unmarshal(raw, &all) != nil || len(all) > maxKeys {
		return nil
	}
	for _, jwk := range all {
		if use, said := jwk.text("use"); said && use != "sig" {
			continue
		}
		id, _ := jwk.text("kid")
		if key := jwk.publicKey(); key != nil {
			keys = append(keys, serverKey{id, key})
		}
	}
	return keys
}

// publicKey returns the public key of a JWK (RFC 7518 §6, RFC 8037 §2), or nil.
func (o object) publicKey() crypto.PublicKey {
	member := func(name string) []byte {
		text, _ := o.text(name)
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil
		}
		return b
	}
	kind, _ := o.text("kty")
	curve, _ := o.text("crv")
	switch kind {
	case "RSA":
		n, exponent := new(big.Int).SetBytes(member("n")), new(big.Int).SetBytes(member("e"))
		if n.BitLen() < minRSA || n.BitLen() > 4*minRSA || !exponent.IsInt64() || exponent.Int64() < 3 ||
			exponent.Int64() > 1<<31-1 {
			return nil
		}
		return &rsa.PublicKey{N: n, E: int(exponent.Int64())}
	case "EC":
		c := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[curve]
		if c == nil {
			return nil
		}
		key, err := ecdsa.ParseUncompressedPublicKey(c, append(append([]byte{4}, member("x")...), member("y")...))
		if err != nil {
			return nil
		}
		return key
	case "OKP":
		if x := member("x"); curve == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x)
		}
	}
	return nil
}
