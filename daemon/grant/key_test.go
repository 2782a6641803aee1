package grant

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

const keyPassword = "dummy-passphrase é"

// openssl makes a key the way people do. It is another program's idea of every format.
func openssl(t *testing.T, args ...string) keystore.Secret {
	t.Helper()
	tier.Needs(t, "openssl")
	out := filepath.Join(t.TempDir(), "key.pem")
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "OUT", out)
	}
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v (Debian's package openssl is needed)\n%s", strings.Join(args, " "), err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return keystore.NewSecret(b)
}

func file(t *testing.T, s keystore.Secret) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "in.pem")
	if err := os.WriteFile(name, []byte(s.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestParseKey(t *testing.T) {
	none, password := keystore.Secret{}, keystore.SecretString(keyPassword)
	rsa := openssl(t, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "OUT")
	ec := openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "OUT")
	ed := openssl(t, "genpkey", "-algorithm", "ed25519", "-out", "OUT")
	encrypt := func(key keystore.Secret, how ...string) keystore.Secret {
		return openssl(t, append([]string{"pkcs8", "-topk8", "-in", file(t, key), "-passout", "pass:" + keyPassword, "-out", "OUT"}, how...)...)
	}
	for _, c := range []struct {
		name          string
		key, password keystore.Secret
		alg           string
		err           error
		text          string
	}{
		{name: "RSA, PKCS#8", key: rsa, alg: "RS256"},
		{name: "RSA, PKCS#1", key: openssl(t, "rsa", "-traditional", "-in", file(t, rsa), "-out", "OUT"), alg: "RS256"},
		{name: "EC, PKCS#8", key: ec, alg: "ES256"},
		{name: "EC, SEC 1", key: openssl(t, "ec", "-in", file(t, ec), "-out", "OUT"), alg: "ES256"},
		{name: "EC, SEC 1 after its curve", key: openssl(t, "ecparam", "-name", "prime256v1", "-genkey", "-out", "OUT"), alg: "ES256"},
		{name: "Ed25519", key: ed, alg: "EdDSA"},
		{name: "a password that is not needed", key: ed, password: password, alg: "EdDSA"},
		{name: "text around it", key: keystore.SecretString("Bag Attributes\n" + ed.Reveal() + "\nbye"), alg: "EdDSA"},

		{name: "PBES2, openssl's default", key: encrypt(rsa), password: password, alg: "RS256"},
		{name: "PBES2, AES-128", key: encrypt(ec, "-v2", "aes-128-cbc"), password: password, alg: "ES256"},
		{name: "PBES2, AES-192 and SHA-512", key: encrypt(ed, "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA512"), password: password, alg: "EdDSA"},
		{name: "PBES2, SHA-1", key: encrypt(ed, "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"), password: password, alg: "EdDSA"},
		{name: "PBES2, triple DES", key: encrypt(ed, "-v2", "des3"), password: password, alg: "EdDSA"},
		{name: "PBES2, scrypt", key: encrypt(ed, "-scrypt"), password: password, alg: "EdDSA"},
		{name: "PBES2, many rounds", key: encrypt(ed, "-iter", "100000"), password: password, alg: "EdDSA"},
		{name: "PKCS#1, AES", key: openssl(t, "rsa", "-traditional", "-aes128", "-passout", "pass:"+keyPassword, "-in", file(t, rsa), "-out", "OUT"), password: password, alg: "RS256"},
		{name: "SEC 1, AES", key: openssl(t, "ec", "-aes256", "-passout", "pass:"+keyPassword, "-in", file(t, ec), "-out", "OUT"), password: password, alg: "ES256"},

		{name: "PBES2, no password", key: encrypt(rsa), err: ErrKeyPassword, text: "needs one"},
		{name: "PBES2, wrong password", key: encrypt(rsa), password: keystore.SecretString("wrong"), err: ErrKeyPassword},
		{name: "PKCS#1, wrong password", key: openssl(t, "rsa", "-traditional", "-aes128", "-passout", "pass:"+keyPassword, "-in", file(t, rsa), "-out", "OUT"), password: keystore.SecretString("wrong"), err: ErrKeyPassword},
		{name: "nothing", key: none, err: ErrKey, text: "empty"},
		{name: "no PEM", key: keystore.SecretString("dummy"), err: ErrKey, text: "PEM"},
		{name: "a JWK", key: keystore.SecretString(`{"kty":"RSA"}`), err: ErrKey, text: "PEM"},
		{name: "a public key", key: openssl(t, "pkey", "-pubout", "-in", file(t, ed), "-out", "OUT"), err: ErrKey, text: "PUBLIC KEY"},
		{name: "RSA with 1024 bits", key: openssl(t, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "OUT"), err: ErrKey, text: ""},
		{name: "P-384", key: openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "OUT"), err: ErrKey, text: "P-384"},
		{name: "X25519", key: openssl(t, "genpkey", "-algorithm", "x25519", "-out", "OUT"), err: ErrKey},
		{name: "damaged", key: keystore.SecretString("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), err: ErrKey, text: "damaged"},
		{name: "damaged and encrypted", key: keystore.SecretString("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), password: password, err: ErrKey},
		{name: "too long", key: keystore.SecretString(strings.Repeat("a", maxKey+1)), err: ErrKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := c.key.Reveal()
			alg, err := CheckKey(c.key, c.password)
			if !errors.Is(err, c.err) || alg != c.alg || c.err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q, %v", alg, err)
			}
			if c.key.Reveal() != was {
				t.Error("the key was changed")
			}
		})
	}
}

// Every alg is verified with the public key by the library, and by nothing that made it.
func TestKeySigner(t *testing.T) {
	rsa := openssl(t, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "OUT")
	ec := openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "OUT")
	ed := openssl(t, "genpkey", "-algorithm", "ed25519", "-out", "OUT")
	for _, c := range []struct {
		name   string
		key    keystore.Secret
		wanted string
		listed []string
		alg    string // empty: an error
	}{
		{"RSA", rsa, "", nil, "RS256"}, {"RSA, PS256 wanted", rsa, "PS256", nil, "PS256"}, {"RSA, PS256 listed", rsa, "", []string{"ES256", "PS256"}, "PS256"},
		{"RSA, both listed", rsa, "", []string{"PS256", "RS256"}, "RS256"}, {"RSA, neither listed", rsa, "", []string{"ES256"}, "RS256"},
		{"RSA, ES256 wanted", rsa, "ES256", nil, ""}, {"RSA, none wanted", rsa, "none", nil, ""}, {"RSA, HS256 wanted", rsa, "HS256", nil, ""},
		{"EC", ec, "", nil, "ES256"}, {"Ed25519", ed, "", nil, "EdDSA"}, {"Ed25519, RS256 wanted", ed, "RS256", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := keySigner(keystore.Item{PrivateKey: c.key, KeyAlg: c.wanted, KeyID: `k"1`}, c.listed)
			if c.alg == "" {
				if !errors.Is(err, ErrKey) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			compact, err := s.sign(claims{Issuer: "me", Audience: "you", ID: "1", Expires: 1 << 40})
			if err != nil {
				t.Fatal(err)
			}
			public := s.key.(crypto.Signer).Public()
			token, err := jwt.Parse(compact, func(*jwt.Token) (any, error) { return public, nil }, jwt.WithValidMethods([]string{c.alg}))
			if err != nil || token.Header["kid"] != `k"1` || token.Header["typ"] != "JWT" {
				t.Errorf("%v, %v", token.Header, err)
			}
		})
	}
}

func TestHMACSigner(t *testing.T) {
	item := keystore.Item{ClientID: dummyID, ClientSecret: keystore.SecretString(dummySecret)}
	for alg, ok := range map[string]bool{"": true, "HS256": true, "HS384": true, "HS512": true, "RS256": false, "none": false, "HS1": false} {
		item.KeyAlg = alg
		s, err := Server{}.signer(ClientSecretJWT, item)
		if (err == nil) != ok {
			t.Errorf("%q: %v", alg, err)
		}
		if err != nil {
			continue
		}
		compact, err := s.sign(claims{Issuer: "me", Expires: 1 << 40})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.Parse(compact, func(*jwt.Token) (any, error) { return []byte(dummySecret), nil }, jwt.WithValidMethods([]string{max("HS256", alg)})); err != nil {
			t.Errorf("%q: %v", alg, err)
		}
	}
}

// Wrong bytes are an error, never a crash: each byte of an encrypted key in turn, and each length.
func TestDamagedEncryptedKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	plain := keystore.NewSecret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	encrypted := openssl(t, "pkcs8", "-topk8", "-iter", "1", "-in", file(t, plain), "-passout", "pass:"+keyPassword, "-out", "OUT")
	block, _ := pem.Decode([]byte(encrypted.Reveal()))
	good, err := decryptPKCS8(block.Bytes, []byte(keyPassword))
	if err != nil || string(good) != string(der) {
		t.Fatal(err)
	}
	opened := 0
	for i := range block.Bytes {
		if _, err := decryptPKCS8(block.Bytes[:i], []byte(keyPassword)); err == nil {
			t.Errorf("%d bytes of it open", i)
		}
		was := block.Bytes[i]
		for _, b := range []byte{0, 1, 0x7f, 0x80, 0xff, was ^ 1} {
			block.Bytes[i] = b
			if got, err := decryptPKCS8(block.Bytes, []byte(keyPassword)); err == nil && string(got) == string(der) {
				opened++ // its own value, or one that says the same
			} else if err != nil && !errors.Is(err, ErrKey) && !errors.Is(err, ErrKeyPassword) {
				t.Errorf("byte %d: %v", i, err)
			}
		}
		block.Bytes[i] = was
	}
	if opened > len(block.Bytes) {
		t.Errorf("%d changes made no difference", opened)
	}
}

// A file cannot make us compute for ever, or fill the memory.
func TestKeyDerivationIsBounded(t *testing.T) {
	kdf := func(oid asn1.ObjectIdentifier, params any) pkix.AlgorithmIdentifier {
		der, err := asn1.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: der}}
	}
	type pbkdf2 struct {
		Salt       []byte
		Iterations int
	}
	salt := []byte("dummy salt")
	for _, c := range []struct {
		name string
		kdf  pkix.AlgorithmIdentifier
		ok   bool
	}{
		{"one round", kdf(oidPBKDF2, pbkdf2{salt, 1}), true},
		{"too many rounds", kdf(oidPBKDF2, pbkdf2{salt, maxIterations + 1}), false},
		{"no rounds", kdf(oidPBKDF2, pbkdf2{salt, 0}), false},
		{"less than none", kdf(oidPBKDF2, pbkdf2{salt, -1}), false},
		{"scrypt", kdf(oidScrypt, scryptParams{Salt: salt, N: 1024, R: 8, P: 1}), true},
		{"scrypt, no power of two", kdf(oidScrypt, scryptParams{Salt: salt, N: 1000, R: 8, P: 1}), false},
		{"scrypt, too much memory", kdf(oidScrypt, scryptParams{Salt: salt, N: 1 << 20, R: 8, P: 1}), false},
		{"scrypt, too wide", kdf(oidScrypt, scryptParams{Salt: salt, N: 2, R: 1 << 40, P: 1}), false},
		{"scrypt, too parallel", kdf(oidScrypt, scryptParams{Salt: salt, N: 2, R: 1, P: 1 << 20}), false},
		{"scrypt, nothing", kdf(oidScrypt, scryptParams{Salt: salt}), false},
		{"unheard of", kdf(oidPBES2, scryptParams{}), false},
	} {
		if _, ok := deriveKey(c.kdf, []byte("dummy"), 32); ok != c.ok {
			t.Errorf("%s: %v", c.name, ok)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	key := openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "OUT")
	other := openssl(t, "genpkey", "-algorithm", "ed25519", "-out", "OUT")
	certificate := openssl(t, "req", "-x509", "-key", file(t, key), "-subj", "/CN=dummy", "-days", "1", "-out", "OUT")
	item := keystore.Item{PrivateKey: key, Certificate: certificate.Reveal()}
	if c, err := clientCertificate(item); err != nil || c.Leaf.Subject.CommonName != "dummy" {
		t.Errorf("%v", err)
	}
	for name, c := range map[string]struct {
		item keystore.Item
		text string
	}{
		"another key":    {keystore.Item{PrivateKey: other, Certificate: certificate.Reveal()}, "another private key"},
		"no certificate": {keystore.Item{PrivateKey: key}, "no certificate"},
		"damaged":        {keystore.Item{PrivateKey: key, Certificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "damaged"},
		"no key":         {keystore.Item{Certificate: certificate.Reveal()}, "private key"},
	} {
		if _, err := clientCertificate(c.item); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
