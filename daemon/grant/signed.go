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
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// signedMethods are the algorithms that a server may sign with (RFC 7518 §3.1, RFC 8037 §3.1): those with a public key.
var signedMethods = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// What a check of one signature may cost: it grows with the square of an RSA key's size and with the length of its
// exponent, and both are the server's choice. With these bounds 64 keys take less than 100 milliseconds.
const (
	minRSA = 2048 // bits, RFC 7518 §3.3
	// maxRSA, in bits, is the largest key that Keycloak makes
	// (https://github.com/keycloak/keycloak/blob/main/services/src/main/java/org/keycloak/keys/Attributes.java); no
	// source was found for an issuer with a larger one.
	maxRSA = 4096
	// maxExponent leaves room for 65537, which issuers use, and the smaller ones of RFC 8017 §3.1. All are odd.
	maxExponent = 1 << 17
)

// signedSlow is how far a server's clock may be off.
const signedSlow = time.Minute

// signed reports whether the body is a JWT, as userinfo may be (OpenID Connect Core §5.3.2).
func (a Answer) signed() bool {
	media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return err == nil && media == "application/jwt" && a.Status == http.StatusOK && a.Flaw == "" && a.Err == nil
}

// verified returns the claims of a JWT that the server's own key has signed, or says why there are none.
func (e *Endpoint) verified(ctx context.Context, token string) (claims object, flaw string) {
	if strings.Count(token, ".") != 2 {
		return nil, "is not a signed JWT (an encrypted one cannot be read)"
	}
	now := func() time.Time { return e.now().Wall }
	if flaw := e.signedByServer(ctx, token, nil, jwt.WithTimeFunc(now), jwt.WithLeeway(signedSlow)); flaw != "" {
		return nil, flaw
	}
	claims, ok := jwtClaims(token)
	if !ok {
		return nil, "is a signed JWT without claims"
	}
	if name := claims.illTyped(); name != "" {
		return nil, "is signed, and its claim " + name + " is of the wrong type"
	}
	if issuer, said := claims.text("iss"); said && issuer != e.server.Issuer {
		return nil, "is signed for another issuer: " + quoted(issuer)
	}
	return claims, ""
}

// signedByServer says why a JWT is not signed by a key of the server's; empty where it is. A key that is not known may
// be new: the keys are read once more then, if that was not done just now. unfit, where not nil, holds the number of the
// reading whose keys did not fit this token: they are not tried twice. options say how its times are judged.
func (e *Endpoint) signedByServer(ctx context.Context, token string, unfit *atomic.Int64,
	options ...jwt.ParserOption) (flaw string) {
	if unknownExtension(token) {
		return "has an extension that is not known"
	}
	if unfit == nil {
		unfit = new(atomic.Int64)
	}
	parser := jwt.NewParser(append(options, jwt.WithValidMethods(signedMethods))...)
	for _, again := range []bool{false, true} {
		known, flaw := e.keys.of(ctx, e, again)
		if flaw != "" {
			return flaw
		}
		if unfit.Load() == known.number {
			continue
		}
		parsed, err := parser.Parse(token, func(t *jwt.Token) (any, error) {
			kid, named := t.Header["kid"].(string)
			var fit jwt.VerificationKeySet
			for _, k := range known.keys {
				if !named || k.id == kid {
					fit.Keys = append(fit.Keys, k.key)
				}
			}
			return fit, nil
		})
		if err == nil && parsed.Valid {
			return ""
		}
		unfit.Store(known.number)
	}
	return "is not signed by a key of the server's, or has expired"
}

// unknownExtension reports whether a JWT wants an extension to be understood (RFC 7515 §4.1.11). None is.
func unknownExtension(token string) bool {
	_, wants := joseHeader(token)["crit"]
	return wants
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
		n, e := new(big.Int).SetBytes(member("n")), new(big.Int).SetBytes(member("e"))
		if n.BitLen() < minRSA || n.BitLen() > maxRSA || !e.IsInt64() || e.Int64() < 3 || e.Int64() > maxExponent ||
			e.Bit(0) == 0 {
			return nil
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
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
