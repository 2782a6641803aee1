package grant

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/keystore"
)

// A made-up pair; the assertion below was computed with the provider's own library.
const (
	dummyID     = "11111111-2222-4333-8444-555555555555"
	dummySecret = "dummy-secret-not-real-0123456789-abcdefghij"
)

func TestAssertionIsTheProvidersOwn(t *testing.T) {
	const want = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9" +
		".eyJpc3MiOiIxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUiLCJzdWIiOiI" +
		"xMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUiLCJhdWQiOi" +
		"JodHRwczovL2F1dGguc3BhdGlhZmkuY29tL2FwaS92MS9hdXRoL2p3dC90b2tlbiIsImV4cC" +
		"I6MTcwMDAwMzYwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiJBMWIyQzNk" +
		"NEU1ZjZHN2g4STlqMEsxbDJNM240TzVwNlE3cjgifQ" +
		".3U5CHA1Cjfgo8goZ1SIhY3me0CmQDuIEkjWMqA6NAyU"
	got, err := signer{"HS256", "", jwt.SigningMethodHS256, keystore.SecretString(dummySecret)}.sign(claims{
		Issuer: dummyID, Subject: dummyID, Audience: "https://auth.spatiafi.com/api/v1/auth/jwt/token",
		Expires: 1700003600, Issued: 1700000000, ID: "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8", typ: plainTyp,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAuthenticate(t *testing.T) {
	const endpoint = "https://auth.example.com/token"
	for _, c := range []struct {
		name       string
		server     Server
		id, secret string
		header     string // after "Basic ", decoded
		form       string
	}{
		{"basic", Server{ClientAuth: ClientSecretBasic}, dummyID, dummySecret, dummyID + ":" + dummySecret, ""},
		{"basic, encoded", Server{ClientAuth: ClientSecretBasic}, "my client:1", "a+b/c%é",
			"my+client%3A1:a%2Bb%2Fc%25%C3%A9", ""},
		{"basic, plain", Server{ClientAuth: ClientSecretBasic, PlainBasic: true}, "my client", "a+b/c:%é",
			"my client:a+b/c:%é", ""},
		{"post", Server{ClientAuth: ClientSecretPost}, "my client", "a+b&c", "",
			"client_id=my+client&client_secret=a%2Bb%26c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got httpRequest
			c.server.TokenEndpoint = endpoint
			err := c.server.authenticate(c.server.ClientAuth, &got,
				keystore.Item{ClientID: c.id, ClientSecret: keystore.SecretString(c.secret)}, time.Unix(1700000000, 0))
			if err != nil {
				t.Fatal(err)
			}
			header, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(got.authorization, "Basic "))
			if string(header) != c.header || string(got.body) != c.form {
				t.Errorf("header %q, form %q", header, got.body)
			}
		})
	}
}

func TestBasicOfTheDummyPair(t *testing.T) {
	const want = "MTExMTExMTEtMjIyMi00MzMzLTg0NDQtNTU1NTU1NTU1NTU1OmR1bW15LXNlY3Jl" +
		"dC1ub3QtcmVhbC0wMTIzNDU2Nzg5LWFiY2RlZmdoaWo="
	for _, plain := range []bool{true, false} {
		if got, err := (Server{PlainBasic: plain}).basic(dummyID, dummySecret); err != nil || got != want {
			t.Errorf("plain %v: %s, %v", plain, got, err)
		}
	}
}

func TestAuthenticateByAssertion(t *testing.T) {
	s := Server{ClientAuth: ClientSecretJWT, TokenEndpoint: "https://auth.example.com/token"}
	at := time.Unix(1700000000, 0)
	item := keystore.Item{ClientID: dummyID, ClientSecret: keystore.SecretString(dummySecret)}
	var first, second httpRequest
	for _, c := range []*httpRequest{&first, &second} {
		c.body = form{}.add("grant_type", "client_credentials")
		if err := s.authenticate(s.ClientAuth, c, item, at); err != nil {
			t.Fatal(err)
		}
	}
	const start = "grant_type=client_credentials" +
		"&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=ey"
	if !strings.HasPrefix(string(first.body), start) || first.authorization != "" {
		t.Errorf("form %s, authorization %q", first.body, first.authorization)
	}
	if string(first.body) == string(second.body) {
		t.Error("the same assertion twice")
	}
	if v, err := url.ParseQuery(string(first.body)); err != nil || len(v) != 3 {
		t.Errorf("form %v, %v", v, err)
	}
	const called = "https://auth.example.com/revoke"
	c := s.assertion(dummyID, called, at)
	if c.Audience != s.TokenEndpoint || c.Expires != c.Issued+120 ||
		!regexp.MustCompile(`^[A-Za-z0-9]{36}$`).MatchString(c.ID) {
		t.Errorf("claims %+v", c)
	}
	s.Issuer, s.AssertionLife, s.AssertionNotBefore = "https://auth.example.com", 5*time.Minute, true
	for rule, want := range map[Audience]string{"": s.TokenEndpoint, AudienceEndpoint: s.TokenEndpoint,
		AudienceCalled: called, AudienceIssuer: s.Issuer, "urn:them": "urn:them"} {
		s.AssertionAudience = rule
		if c := s.assertion(dummyID, called, at); c.Audience != want || c.NotBefore != at.Unix() ||
			c.Expires != at.Unix()+300 {
			t.Errorf("%q: %+v", rule, c)
		}
	}
}

// The aud and typ of a client's assertion and of one that is a grant, for a server that is known by its issuer and for
// another (draft-ietf-oauth-rfc7523bis; RFC 7523 §3 before it).
func TestTheClientStandsBesideItsAssertionOnce(t *testing.T) {
	item := keystore.Item{ClientID: "c", ClientSecret: keystore.SecretString("0123456789abcdef0123456789abcdef")}
	for _, c := range []struct {
		byIssuer bool
		body     form
		want     int
	}{
		{false, form("grant_type=x"), 0}, // as the providers' own library
		{true, form("grant_type=x"), 1},
		{true, form("client_id=c&grant_type=x"), 1},
		{true, form("grant_type=x&client_id=c"), 1},
		{true, form("other_client_id=c"), 1},
	} {
		s := Server{ByIssuer: c.byIssuer, Issuer: "https://i", TokenEndpoint: "https://i/token"}
		r := httpRequest{url: s.TokenEndpoint, body: c.body}
		if err := s.authenticate(ClientSecretJWT, &r, item, time.Now()); err != nil {
			t.Fatal(err)
		}
		values, err := url.ParseQuery(string(r.body))
		if err != nil || len(values["client_id"]) != c.want {
			t.Errorf("%s became %s: %v", c.body, r.body, err)
		}
	}
}

func TestAssertionAudience(t *testing.T) {
	const own, token, called = "https://as.example", "https://as.example/token", "https://as.example/par"
	for _, c := range []struct {
		byIssuer                     bool
		rule                         Audience
		aud, typ, grantAud, grantTyp string
	}{
		{false, "", token, "JWT", token, "JWT"},
		{false, AudienceIssuer, own, "client-authentication+jwt", own, "JWT"},
		{false, AudienceCalled, called, "JWT", token, "JWT"},
		{true, "", own, "client-authentication+jwt", token, "authorization-grant+jwt"},
		{true, AudienceIssuer, own, "client-authentication+jwt", own, "authorization-grant+jwt"},
		{true, AudienceEndpoint, token, "JWT", token, "authorization-grant+jwt"},
		{true, AudienceCalled, called, "JWT", token, "authorization-grant+jwt"},
		{true, "https://other.example/x", "https://other.example/x", "JWT", "https://other.example/x",
			"authorization-grant+jwt"},
	} {
		s := Server{Issuer: own, TokenEndpoint: token, ByIssuer: c.byIssuer, AssertionAudience: c.rule}
		if got := s.assertion("c", called, time.Now()); got.Audience != c.aud || got.typ != c.typ {
			t.Errorf("%v, %q: aud %s, typ %s", c.byIssuer, c.rule, got.Audience, got.typ)
		}
		if aud, typ := s.grantAudience(); aud != c.grantAud || typ != c.grantTyp {
			t.Errorf("%v, %q: a grant has aud %s, typ %s", c.byIssuer, c.rule, aud, typ)
		}
		// What another host is sent is good there alone.
		const foreign = "https://elsewhere.example/par"
		if got := s.assertion("c", foreign, time.Now()); got.Audience != foreign {
			t.Errorf("%v, %q: elsewhere aud is %s", c.byIssuer, c.rule, got.Audience)
		}
	}
	// An issuer that names another's token endpoint cannot have an assertion made for that endpoint (CVE-2025-27370).
	for _, rule := range append(Audiences(), "", "https://as.example/token") {
		s := Server{Issuer: "https://evil.example", TokenEndpoint: token, ByIssuer: true, AssertionAudience: rule}
		got := s.assertion("c", "https://evil.example/par", time.Now()).Audience
		if !strings.HasPrefix(got, "https://evil.example") {
			t.Errorf("%q: aud is %s", rule, got)
		}
	}
	for word, ok := range map[Audience]bool{"": true, "issuer": true, "endpoint": true, "called": true,
		"https://a.example/t": true, "urn:a:b": true, "isuer": false, "a b:c": false, ":x": false, "x:\x01": false} {
		if err := word.Check(); (err == nil) != ok {
			t.Errorf("%q: %v", word, err)
		}
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	item := keystore.Item{ClientID: "a:b", ClientSecret: keystore.SecretString(dummySecret)}
	for _, s := range []Server{{ClientAuth: "magic"}, {ClientAuth: PrivateKeyJWT}, {ClientAuth: TLSClientAuth}, {},
		{ClientAuth: ClientSecretBasic, PlainBasic: true}} {
		if err := s.authenticate(s.ClientAuth, &httpRequest{}, item, time.Now()); err == nil ||
			strings.Contains(err.Error(), dummySecret) {
			t.Errorf("%s: %v", s.ClientAuth, err)
		}
	}
}

// Every alg is verified with the public key by the library, and by nothing that made it.
func TestKeySigner(t *testing.T) {
	rsa, ec, ed := newKey(t, "RS256"), newKey(t, "ES256"), newKey(t, "EdDSA")
	for _, c := range []struct {
		name   string
		key    keystore.Secret
		wanted string
		listed []string
		alg    string // empty: an error
	}{
		{"RSA", rsa, "", nil, "RS256"}, {"RSA, PS256 wanted", rsa, "PS256", nil, "PS256"},
		{"RSA, PS256 listed", rsa, "", []string{"ES256", "PS256"}, "PS256"},
		{"RSA, both listed", rsa, "", []string{"PS256", "RS256"}, "RS256"},
		{"RSA, neither listed", rsa, "", []string{"ES256"}, "RS256"},
		{"RSA, ES256 wanted", rsa, "ES256", nil, ""}, {"RSA, none wanted", rsa, "none", nil, ""},
		{"RSA, HS256 wanted", rsa, "HS256", nil, ""},
		{"EC", ec, "", nil, "ES256"}, {"Ed25519", ed, "", nil, "EdDSA"},
		{"Ed25519, RS256 wanted", ed, "RS256", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := keySigner(keystore.Item{PrivateKey: c.key, KeyAlg: c.wanted, KeyID: `k"1`}, c.listed)
			if c.alg == "" {
				if !errors.Is(err, privatekey.ErrUnusable) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			compact, err := s.sign(claims{Issuer: "me", Audience: "you", ID: "1", Expires: 1 << 40, typ: plainTyp})
			if err != nil {
				t.Fatal(err)
			}
			public := s.key.(crypto.Signer).Public()
			token, err := jwt.Parse(compact, func(*jwt.Token) (any, error) { return public, nil },
				jwt.WithValidMethods([]string{c.alg}))
			if err != nil || token.Header["kid"] != `k"1` || token.Header["typ"] != "JWT" {
				t.Errorf("%v, %v", token.Header, err)
			}
		})
	}
}

func TestHMACSigner(t *testing.T) {
	item := keystore.Item{ClientID: dummyID, ClientSecret: keystore.SecretString(dummySecret)}
	for alg, ok := range map[string]bool{"": true, "HS256": true, "HS384": true, "HS512": true, "RS256": false,
		"none": false, "HS1": false} {
		item.KeyAlg = alg
		s, err := Server{}.signer(ClientSecretJWT, item)
		if (err == nil) != ok {
			t.Errorf("%q: %v", alg, err)
		}
		if err != nil {
			continue
		}
		compact, err := s.sign(claims{Issuer: "me", Expires: 1 << 40, typ: plainTyp})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.Parse(compact, func(*jwt.Token) (any, error) { return []byte(dummySecret), nil },
			jwt.WithValidMethods([]string{max("HS256", alg)})); err != nil {
			t.Errorf("%q: %v", alg, err)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	key, other := newKey(t, "ES256"), newKey(t, "EdDSA")
	certificate := newCertificate(t, key)
	item := keystore.Item{PrivateKey: key, Certificate: certificate}
	if c, err := clientCertificate(item); err != nil || c.Leaf.Subject.CommonName != "dummy" {
		t.Errorf("%v", err)
	}
	for name, c := range map[string]struct {
		item keystore.Item
		text string
	}{
		"another key":    {keystore.Item{PrivateKey: other, Certificate: certificate}, "another private key"},
		"no certificate": {keystore.Item{PrivateKey: key}, "no certificate"},
		"damaged": {keystore.Item{PrivateKey: key,
			Certificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "damaged"},
		"no key": {keystore.Item{Certificate: certificate}, "private key"},
	} {
		if _, err := clientCertificate(c.item); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// newKey returns a new private key that signs with alg, in PEM (PKCS#8).
func newKey(t *testing.T, alg string) keystore.Secret {
	t.Helper()
	var key any
	var err error
	switch alg {
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return keystore.NewSecret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// newCertificate returns a certificate of a key, signed with the key itself, in PEM.
func newCertificate(t *testing.T, key keystore.Secret) string {
	t.Helper()
	signer, err := privatekey.Parse(key, keystore.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dummy"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
