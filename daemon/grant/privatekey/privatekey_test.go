package privatekey

import (
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

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol/visible"
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

func TestParse(t *testing.T) {
	none, password := keystore.Secret{}, keystore.SecretString(keyPassword)
	rsa := openssl(t, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "OUT")
	ec := openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "OUT")
	ed := openssl(t, "genpkey", "-algorithm", "ed25519", "-out", "OUT")
	encrypt := func(key keystore.Secret, how ...string) keystore.Secret {
		return openssl(t, append([]string{"pkcs8", "-topk8", "-in", file(t, key), "-passout", "pass:" + keyPassword,
			"-out", "OUT"}, how...)...)
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
		{name: "EC, SEC 1 after its curve", key: openssl(t, "ecparam", "-name", "prime256v1", "-genkey", "-out", "OUT"),
			alg: "ES256"},
		{name: "Ed25519", key: ed, alg: "EdDSA"},
		{name: "a password that is not needed", key: ed, password: password, alg: "EdDSA"},
		{name: "text around it", key: keystore.SecretString("Bag Attributes\n" + ed.Reveal() + "\nbye"), alg: "EdDSA"},

		{name: "PBES2, openssl's default", key: encrypt(rsa), password: password, alg: "RS256"},
		{name: "PBES2, AES-128", key: encrypt(ec, "-v2", "aes-128-cbc"), password: password, alg: "ES256"},
		{name: "PBES2, AES-192 and SHA-512", key: encrypt(ed, "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA512"),
			password: password, alg: "EdDSA"},
		{name: "PBES2, SHA-1", key: encrypt(ed, "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"), password: password,
			alg: "EdDSA"},
		{name: "PBES2, triple DES", key: encrypt(ed, "-v2", "des3"), password: password, alg: "EdDSA"},
		{name: "PBES2, scrypt", key: encrypt(ed, "-scrypt"), password: password, alg: "EdDSA"},
		{name: "PBES2, many rounds", key: encrypt(ed, "-iter", "100000"), password: password, alg: "EdDSA"},
		{name: "PKCS#1, AES", key: openssl(t, "rsa", "-traditional", "-aes128", "-passout", "pass:"+keyPassword, "-in",
			file(t, rsa), "-out", "OUT"), password: password, alg: "RS256"},
		{name: "SEC 1, AES", key: openssl(t, "ec", "-aes256", "-passout", "pass:"+keyPassword, "-in", file(t, ec),
			"-out", "OUT"), password: password, alg: "ES256"},

		{name: "PBES2, no password", key: encrypt(rsa), err: ErrPassword, text: "needs one"},
		{name: "PBES2, wrong password", key: encrypt(rsa), password: keystore.SecretString("wrong"), err: ErrPassword},
		{name: "PKCS#1, wrong password", key: openssl(t, "rsa", "-traditional", "-aes128", "-passout",
			"pass:"+keyPassword, "-in", file(t, rsa), "-out", "OUT"), password: keystore.SecretString("wrong"),
			err: ErrPassword},
		{name: "nothing", key: none, err: ErrUnusable, text: "empty"},
		{name: "no PEM", key: keystore.SecretString("dummy"), err: ErrUnusable, text: "PEM"},
		{name: "a JWK", key: keystore.SecretString(`{"kty":"RSA"}`), err: ErrUnusable, text: "PEM"},
		{name: "a public key", key: openssl(t, "pkey", "-pubout", "-in", file(t, ed), "-out", "OUT"), err: ErrUnusable,
			text: "PUBLIC KEY"},
		{name: "RSA with 1024 bits", key: openssl(t, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024",
			"-out", "OUT"), err: ErrUnusable, text: ""},
		{name: "P-384", key: openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out",
			"OUT"), err: ErrUnusable, text: "P-384"},
		{name: "X25519", key: openssl(t, "genpkey", "-algorithm", "x25519", "-out", "OUT"), err: ErrUnusable},
		{name: "damaged", key: keystore.SecretString("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
			err: ErrUnusable, text: "damaged"},
		{name: "damaged and encrypted",
			key: keystore.SecretString("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE " +
				"KEY-----\n"), password: password, err: ErrUnusable},
		{name: "too long", key: keystore.SecretString(strings.Repeat("a", MaxSize+1)), err: ErrUnusable},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := c.key.Reveal()
			alg, err := DefaultAlg(c.key, c.password)
			if !errors.Is(err, c.err) || alg != c.alg || c.err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q, %v", alg, err)
			}
			if c.key.Reveal() != was {
				t.Error("the key was changed")
			}
		})
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
	encrypted := openssl(t, "pkcs8", "-topk8", "-iter", "1", "-in", file(t, plain), "-passout", "pass:"+keyPassword,
		"-out", "OUT")
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
			} else if err != nil && !errors.Is(err, ErrUnusable) && !errors.Is(err, ErrPassword) {
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

// FuzzParse: any text is a key that can sign, or an error of one line that quotes nothing of it.
func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE " +
		"KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: " +
		"AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		alg, err := DefaultAlg(keystore.SecretString(string(text)), keystore.SecretString("password"))
		switch {
		case err == nil && alg == "":
			t.Error("a key that cannot sign")
		case err != nil && !errors.Is(err, ErrUnusable) && !errors.Is(err, ErrPassword):
			t.Error(err)
		case err != nil && (strings.ContainsFunc(err.Error(), func(r rune) bool { return !visible.Rune(r) }) ||
			len(err.Error()) > 512):
			t.Errorf("it would say %q", err)
		}
	})
}
