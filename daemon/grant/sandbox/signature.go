package sandbox

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"hash"
	"math/big"
)

// hashes are the HMAC algorithms of RFC 7518 §3.2. There is no "none" here, and no way to get at one.
var hashes = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

// verifyHMAC checks the signature with the secret's text as the key, as it is. RFC 7518 §3.2 wants a key as long as the
// hash; SpatiaFi's 43 characters are not enough for HS384, so it is not asked for.
func (j *jwt) verifyHMAC(secret string) bool {
	newHash := hashes[j.alg()]
	if newHash == nil || secret == "" {
		return false
	}
	m := hmac.New(newHash, []byte(secret))
	m.Write([]byte(j.signed))
	return hmac.Equal(m.Sum(nil), j.signature)
}

// verifyRSA checks an RS256 signature (RFC 7518 §3.3).
func (j *jwt) verifyRSA(key *rsa.PublicKey) bool {
	sum := sha256.Sum256([]byte(j.signed))
	return j.alg() == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], j.signature) == nil
}

// verifies checks a signature with the client's registered key. The key decides which algorithms there are, not the
// token: an RSA key as an HMAC secret is the classic way around a signature (RFC 8725 §3.1).
func (c *client) verifies(j *jwt) bool {
	var kid string
	json.Unmarshal(j.header["kid"], &kid)
	if c.KeyID != "" && kid != c.KeyID {
		return false
	}
	switch key := c.Key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 { // RFC 7518 §3.3: 2048 bits or larger MUST be used
			return false
		}
		return j.verifyRSA(key) || j.verifyPSS(key)
	case *ecdsa.PublicKey:
		return j.verifyECDSA(key)
	case ed25519.PublicKey:
		// RFC 8037 §3.1, RFC 8032 §5.1.7.
		return j.alg() == "EdDSA" && len(key) == ed25519.PublicKeySize &&
			ed25519.Verify(key, []byte(j.signed), j.signature)
	}
	return false
}

// verifyPSS checks a PS256 signature (RFC 7518 §3.5): MGF1 with the same hash, and a salt as long as the hash.
func (j *jwt) verifyPSS(key *rsa.PublicKey) bool {
	sum := sha256.Sum256([]byte(j.signed))
	return j.alg() == "PS256" && rsa.VerifyPSS(key, crypto.SHA256, sum[:], j.signature,
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// verifyECDSA checks an ES256 signature (RFC 7518 §3.4): R and S, 32 octets each, not ASN.1.
func (j *jwt) verifyECDSA(key *ecdsa.PublicKey) bool {
	if j.alg() != "ES256" || key.Curve != elliptic.P256() || len(j.signature) != 64 {
		return false
	}
	sum := sha256.Sum256([]byte(j.signed))
	r, s := new(big.Int).SetBytes(j.signature[:32]), new(big.Int).SetBytes(j.signature[32:])
	return ecdsa.Verify(key, sum[:], r, s)
}
