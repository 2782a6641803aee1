// Package privatekey reads the private keys that clients sign assertions and prove TLS connections with: RSA, P-256 and
// Ed25519 keys in PEM, as PKCS#8, PKCS#1 or SEC 1, encrypted or not.
//
// Its errors are safe to show: they quote nothing of a key or a password. It keeps nothing: a key stays in the form
// that it was given in, and is decrypted anew for each use.
package privatekey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

var (
	// ErrUnusable means that the text is not a private key that can be used here.
	ErrUnusable = errors.New("the private key cannot be used")
	// ErrPassword means that the private key is encrypted, and that the password is missing or wrong.
	ErrPassword = errors.New("the private key does not open with this password")
)

// MaxSize is the length in bytes that a key's text may have; [ReadFile] reads no larger file.
const MaxSize = 64 << 10

// DefaultAlg returns the algorithm (RFC 7518 §3.1) that a private key signs with by default. It is also the check that
// a key can be used. The arguments and the error are as [Parse]'s.
func DefaultAlg(key, password keystore.Secret) (alg string, err error) {
	signer, err := Parse(key, password)
	if err != nil {
		return "", err
	}
	return Algs(signer)[0], nil
}

// Algs returns the algorithms (RFC 7518 §3.1, RFC 8037 §3.1) that a key can sign with, the most common first.
func Algs(key crypto.Signer) []string {
	switch key.(type) {
	case *rsa.PrivateKey:
		return []string{"RS256", "PS256"}
	case *ecdsa.PrivateKey:
		return []string{"ES256"}
	}
	return []string{"EdDSA"}
}

// ChooseAlg returns the algorithm that a key signs with at a server: wanted where it is not empty, else the first of
// [Algs] that the server lists, else the first of [Algs]. A wanted algorithm that the key cannot sign with is an error
// that wraps [ErrUnusable].
func ChooseAlg(key crypto.Signer, wanted string, listed []string) (string, error) {
	can := Algs(key)
	if wanted != "" {
		if !slices.Contains(can, wanted) {
			return "", fmt.Errorf("%w: it cannot sign with %s, only with %s", ErrUnusable, shown(wanted), can)
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

// Parse returns the first private key of a PEM text. The password is used only for an encrypted key; zero means that
// there is none. Both stay the caller's. The error wraps [ErrUnusable] or [ErrPassword].
func Parse(key, password keystore.Secret) (crypto.Signer, error) {
	if key.IsZero() || key.Len() > MaxSize {
		return nil, fmt.Errorf("%w: it is empty or longer than %d bytes", ErrUnusable, MaxSize)
	}
	text := key.AppendTo(nil)
	defer clear(text)
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%w: it is not in PEM (-----BEGIN PRIVATE KEY-----)", ErrUnusable)
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
			return nil, fmt.Errorf("%w: it is encrypted and needs one", ErrPassword)
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
		return nil, fmt.Errorf("%w: its PEM is of type %s", ErrUnusable, shown(block.Type))
	}
	if err != nil {
		if encrypted { // about one wrong password in 256 leaves a padding that looks right
			return nil, ErrPassword
		}
		return nil, fmt.Errorf("%w: it is damaged", ErrUnusable)
	}
	return usableKey(parsed)
}

// usableKey refuses a key that none of the supported algorithms (RFC 7518, RFC 8037) can sign with.
func usableKey(parsed any) (crypto.Signer, error) {
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, fmt.Errorf("%w: an RSA key needs 2048 bits (RFC 7518 §3.3), this has %d", ErrUnusable,
				k.N.BitLen())
		}
		return k, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: its curve is %s, only P-256 is supported", ErrUnusable, k.Curve.Params().Name)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("%w: it is neither RSA nor EC nor Ed25519", ErrUnusable)
}

// decrypt returns the DER in an encrypted block. The caller overwrites it.
func decrypt(block *pem.Block, password keystore.Secret) ([]byte, error) {
	secret := password.AppendTo(nil)
	defer clear(secret)
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return decryptPKCS8(block.Bytes, secret)
	}
	// RFC 1423 encryption is deprecated because an attacker who may try often can probe its padding. Here a person's
	// own file is opened, and ssh-keygen -m PEM and older versions of openssl still write this format.
	//lint:ignore SA1019 see above
	der, err := x509.DecryptPEMBlock(block, secret)
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, ErrPassword
	case err != nil:
		return nil, fmt.Errorf("%w: it is encrypted in a way that is not supported", ErrUnusable)
	}
	return der, nil
}

// maxShown bounds the part of an error that a caller or a file named, in characters.
const maxShown = 200

func shown(s string) string { return visible.Name(visible.Line(s, maxShown)) }
