package privatekey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// This file decrypts PKCS#8's EncryptedPrivateKeyInfo (RFC 5958 §3) under PBES2 (RFC 8018 §6.2), which openssl writes.
// The standard library does not decode it, and the libraries that do also accept ciphers that are broken.

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11} // RFC 7914 §7
)

// prfs are the pseudorandom functions of RFC 8018 B.1 :: object identifier → hash.
var prfs = map[string]func() hash.Hash{
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

// blockCipher is an encryption scheme in CBC mode.
type blockCipher struct {
	key int // length in bytes
	new func([]byte) (cipher.Block, error)
}

// ciphers are the encryption schemes of RFC 8018 B.2 that are still in use :: object identifier → cipher.
var ciphers = map[string]blockCipher{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct {
	KDF    pkix.AlgorithmIdentifier
	Scheme pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParams struct {
	Salt      []byte
	N, R, P   int
	KeyLength int `asn1:"optional"`
}

// These bound the work that a file can ask for: about a second, and 64 MiB of memory.
const (
	maxIterations = 5_000_000
	maxScrypt     = 64 << 20
)

// decryptPKCS8 returns the PrivateKeyInfo in an EncryptedPrivateKeyInfo. The caller overwrites it.
func decryptPKCS8(der, password []byte) ([]byte, error) {
	unsupported := fmt.Errorf("%w: it is encrypted in a way that is not supported (PBES2 with AES is)", ErrUnusable)
	var outer encryptedKey
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("%w: it is damaged", ErrUnusable)
	}
	var params pbes2Params
	if _, err := asn1.Unmarshal(outer.Algorithm.Parameters.FullBytes, &params); err != nil ||
		!outer.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, unsupported
	}
	scheme, ok := ciphers[params.Scheme.Algorithm.String()]
	if !ok {
		return nil, unsupported
	}
	key, ok := deriveKey(params.KDF, password, scheme.key)
	if !ok {
		return nil, unsupported
	}
	defer clear(key)
	block, err := scheme.new(key)
	if err != nil {
		return nil, unsupported
	}
	var iv []byte
	if _, err := asn1.Unmarshal(params.Scheme.Parameters.FullBytes, &iv); err != nil || len(iv) != block.BlockSize() {
		return nil, fmt.Errorf("%w: it is damaged", ErrUnusable)
	}
	if n := len(outer.Data); n == 0 || n%block.BlockSize() != 0 {
		return nil, fmt.Errorf("%w: it is damaged", ErrUnusable)
	}
	plain := make([]byte, len(outer.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, outer.Data)
	return unpad(plain, block.BlockSize())
}

// deriveKey derives the cipher's key of length bytes from a password. It reports false for a function or a parameter
// that is not supported.
func deriveKey(kdf pkix.AlgorithmIdentifier, password []byte, length int) (key []byte, ok bool) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		var p pbkdf2Params
		if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &p); err != nil || p.Iterations < 1 ||
			p.Iterations > maxIterations {
			return nil, false
		}
		prf := sha1.New // RFC 8018 A.2: the default
		if len(p.PRF.Algorithm) > 0 {
			prf = prfs[p.PRF.Algorithm.String()]
		}
		if prf == nil || p.KeyLength != 0 && p.KeyLength != length {
			return nil, false
		}
		key, err := pbkdf2.Key(prf, string(password), p.Salt, p.Iterations, length)
		return key, err == nil
	case kdf.Algorithm.Equal(oidScrypt):
		var p scryptParams
		if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &p); err != nil ||
			p.KeyLength != 0 && p.KeyLength != length {
			return nil, false
		}
		if p.N < 2 || p.R < 1 || p.P < 1 || p.P > 16 || p.R > maxScrypt/128 || p.N > maxScrypt/128/p.R {
			return nil, false
		}
		key, err := scrypt.Key(password, p.Salt, p.N, p.R, p.P, length)
		return key, err == nil
	}
	return nil, false
}

// unpad removes the padding of RFC 8018 §6.1.1. Padding that is not valid means a wrong password: then plain is
// overwritten.
func unpad(plain []byte, size int) ([]byte, error) {
	n := int(plain[len(plain)-1])
	if n < 1 || n > size {
		clear(plain)
		return nil, ErrPassword
	}
	for _, c := range plain[len(plain)-n:] {
		if int(c) != n {
			clear(plain)
			return nil, ErrPassword
		}
	}
	return plain[:len(plain)-n], nil
}
