package grant

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/groat-dev/groat/keystore"
)

var (
	// ErrKey: what was given as a private key is none that can be used.
	ErrKey = errors.New("the private key cannot be used")
	// ErrKeyPassword: the private key is encrypted, and not with this password.
	ErrKeyPassword = errors.New("the private key does not open with this password")
)

const maxKey = 64 << 10

// CheckKey reads a private key in PEM (PKCS#8, PKCS#1 or SEC 1, encrypted or not) and returns the alg that it signs with
// by default (RFC 7518 §3.1). The error wraps [ErrKey] or [ErrKeyPassword] and quotes nothing of the key.
func CheckKey(key, password keystore.Secret) (alg string, err error) {
	signer, err := parseKey(key, password)
	if err != nil {
		return "", err
	}
	return algsOf(signer)[0], nil
}

// algsOf returns what a key can sign with, the most common first.
func algsOf(key crypto.Signer) []string {
	switch key.(type) {
	case *rsa.PrivateKey:
		return []string{"RS256", "PS256"}
	case *ecdsa.PrivateKey:
		return []string{"ES256"}
	}
	return []string{"EdDSA"}
}

// chooseAlg returns wanted if the key can do it, else the first that the key can do and the server lists.
func chooseAlg(can []string, wanted string, listed []string) (string, error) {
	if wanted != "" {
		if !slices.Contains(can, wanted) {
			return "", fmt.Errorf("%w: it cannot sign with %s, only with %s", ErrKey, shown(wanted), can)
		}
		return wanted, nil
	}
	for _, alg := range can {
		if slices.Contains(listed, alg) {
			return alg, nil
		}
	}
	return can[0], nil
}

// parseKey reads the first private key of a PEM text.
func parseKey(key, password keystore.Secret) (crypto.Signer, error) {
	if key.IsZero() || key.Len() > maxKey {
		return nil, fmt.Errorf("%w: it is empty or longer than %d bytes", ErrKey, maxKey)
	}
	text := key.AppendTo(nil)
	defer clear(text)
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%w: it is not in PEM (-----BEGIN PRIVATE KEY-----)", ErrKey)
		}
		if block.Type == "EC PARAMETERS" || block.Type == "CERTIFICATE" {
			continue // openssl writes the curve before the key, and people keep both in one file
		}
		defer clear(block.Bytes)
		return parseBlock(block, password)
	}
}

func parseBlock(block *pem.Block, password keystore.Secret) (crypto.Signer, error) {
	der := block.Bytes
	encrypted := block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != ""
	if encrypted {
		if password.IsZero() {
			return nil, fmt.Errorf("%w: it is encrypted and needs one", ErrKeyPassword)
		}
		var err error
		if der, err = decrypt(block, password); err != nil {
			return nil, err
		}
		defer clear(der)
	}
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(der)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(der)
	default:
		return nil, fmt.Errorf("%w: its PEM is of type %q", ErrKey, shown(block.Type))
	}
	if err != nil {
		if encrypted { // about one wrong password in 256 leaves a padding that looks right
			return nil, ErrKeyPassword
		}
		return nil, fmt.Errorf("%w: it is damaged", ErrKey)
	}
	return usableKey(parsed)
}

// usableKey accepts what the algorithms of RFC 7518 and RFC 8037 that are used here need.
func usableKey(parsed any) (crypto.Signer, error) {
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, fmt.Errorf("%w: an RSA key needs 2048 bits (RFC 7518 §3.3), this has %d", ErrKey, k.N.BitLen())
		}
		return k, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: its curve is %s, only P-256 is supported", ErrKey, k.Curve.Params().Name)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("%w: it is neither RSA nor EC nor Ed25519", ErrKey)
}

// decrypt returns the DER in an encrypted block. The key keeps the form that it was given in, so this happens on each use.
func decrypt(block *pem.Block, password keystore.Secret) ([]byte, error) {
	secret := password.AppendTo(nil)
	defer clear(secret)
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return decryptPKCS8(block.Bytes, secret)
	}
	// RFC 1423 encryption is deprecated because its padding can be probed by whoever may try often. Here a person's own file
	// is opened, which is still what ssh-keygen -m PEM and older openssl write.
	//lint:ignore SA1019 see above
	der, err := x509.DecryptPEMBlock(block, secret)
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, ErrKeyPassword
	case err != nil:
		return nil, fmt.Errorf("%w: it is encrypted in a way that is not supported", ErrKey)
	}
	return der, nil
}

// clientCertificate is what a client proves itself with in TLS (RFC 8705 §2.1).
func clientCertificate(item keystore.Item) (*tls.Certificate, error) {
	key, err := parseKey(item.PrivateKey, item.PrivateKeyPassword)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{PrivateKey: key}
	for rest := []byte(item.Certificate); len(rest) <= maxKey; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			c.Certificate = append(c.Certificate, block.Bytes)
		}
	}
	if len(c.Certificate) == 0 {
		return nil, errors.New("the TLS client has no certificate")
	}
	if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
		return nil, errors.New("the TLS client's certificate is damaged")
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil || !bytes.Equal(public, c.Leaf.RawSubjectPublicKeyInfo) {
		return nil, errors.New("the TLS client's certificate is for another private key")
	}
	return c, nil
}
