package sandbox

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"testing"
	"time"
)

// keys are what the tests sign with.
type testKeys struct {
	rsa, small *rsa.PrivateKey
	ec, p224   *ecdsa.PrivateKey
	ed         ed25519.PrivateKey
}

func newTestKeys(t *testing.T) testKeys {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var k testKeys
	var err error
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.small, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.p224, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
}

// signWith makes a JWT; how is the algorithm that is really used.
func signWith(t *testing.T, key crypto.Signer, alg, how string, header, claims map[string]any) string {
	t.Helper()
	header["alg"] = alg
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	signed := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	sum := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch how {
	case "RS256":
		sig, err = rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	case "PS256":
		sig, err = rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, sum[:],
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case "PS256 short salt":
		sig, err = rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, sum[:],
			&rsa.PSSOptions{SaltLength: 8})
	case "ES256":
		r, s, e := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
		err, sig = e, make([]byte, 64)
		if err == nil {
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
		}
	case "ES256 on P-224":
		r, s, e := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
		err, sig = e, make([]byte, 64) // as long as a right one
		if err == nil {
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
		}
	case "ES256 and a byte more":
		r, s, e := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
		err, sig = e, make([]byte, 65)
		if err == nil {
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:]) // the same number with a zero before it
		}
	case "ES256 in ASN.1":
		sig, err = ecdsa.SignASN1(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
	case "EdDSA":
		sig = ed25519.Sign(key.(ed25519.PrivateKey), []byte(signed))
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func assertionClaims(id, aud string) map[string]any {
	return map[string]any{"iss": id, "sub": id, "aud": aud, "iat": t0.Unix(), "exp": t0.Unix() + 300,
		"jti": rand.Text()}
}

// Every algorithm, and what must not pass for it.
func TestPrivateKeyJWT(t *testing.T) {
	k := newTestKeys(t)
	s := newServer(t, Options{Clock: func() time.Time { return t0 }, Clients: []Client{
		{ID: "rsa", Key: &k.rsa.PublicKey}, {ID: "small", Key: &k.small.PublicKey}, {ID: "ec", Key: &k.ec.PublicKey},
		{ID: "p224", Key: &k.p224.PublicKey}, {ID: "ed", Key: k.ed.Public()},
		{ID: "only PS256", Key: &k.rsa.PublicKey, Alg: "PS256"}, {ID: "kid", Key: &k.ec.PublicKey, KeyID: "k1"},
		{ID: "both", Secret: secret, Key: &k.rsa.PublicKey, Method: PrivateKeyJWT},
		{ID: "no key method", Key: &k.rsa.PublicKey, Method: ClientSecretJWT},
	}})
	aud := s.URL() + "/token"
	for _, tt := range []struct {
		id       string
		key      crypto.Signer
		alg, how string
		header   map[string]any
		ok       bool
	}{
		{"rsa", k.rsa, "RS256", "RS256", nil, true},
		{"rsa", k.rsa, "PS256", "PS256", nil, true},
		{"ec", k.ec, "ES256", "ES256", nil, true},
		{"ed", k.ed, "EdDSA", "EdDSA", nil, true},
		{"only PS256", k.rsa, "PS256", "PS256", nil, true},
		{"only PS256", k.rsa, "RS256", "RS256", nil, false},
		{"kid", k.ec, "ES256", "ES256", map[string]any{"kid": "k1"}, true},
		{"kid", k.ec, "ES256", "ES256", map[string]any{"kid": "k2"}, false},
		{"kid", k.ec, "ES256", "ES256", nil, false},
		{"both", k.rsa, "RS256", "RS256", nil, true},
		{"no key method", k.rsa, "RS256", "RS256", nil, false},
		{"rsa", k.rsa, "PS256", "RS256", nil, false},
		{"rsa", k.rsa, "RS256", "PS256", nil, false},
		{"rsa", k.rsa, "PS256", "PS256 short salt", nil, false},
		{"rsa", k.rsa, "RS512", "RS256", nil, false},
		{"rsa", k.rsa, "none", "RS256", nil, false},
		{"small", k.small, "RS256", "RS256", nil, false},
		{"ec", k.ec, "ES256", "ES256 in ASN.1", nil, false},
		{"ec", k.ec, "ES256", "ES256 and a byte more", nil, false},
		{"ec", k.ec, "ES384", "ES256", nil, false},
		{"p224", k.p224, "ES256", "ES256 on P-224", nil, false},
		{"ec", k.ed, "ES256", "EdDSA", nil, false},
		{"ed", k.ec, "EdDSA", "ES256", nil, false},
		{"ed", k.rsa, "EdDSA", "RS256", nil, false},
		{"rsa", k.ec, "RS256", "ES256", nil, false},
	} {
		if tt.header == nil {
			tt.header = map[string]any{"typ": "JWT"}
		}
		r := postForm(t, aud, assertionForm(signWith(t, tt.key, tt.alg, tt.how, tt.header,
			assertionClaims(tt.id, aud))))
		if ok := r.StatusCode == 200; ok != tt.ok || !ok && r.member(t, "error") != "invalid_client" {
			t.Errorf("%s: %s signed as %s: %s %s", tt.id, tt.alg, tt.how, r.Status, r.body)
		}
		if log := s.Log(); tt.ok && log[len(log)-1].Auth != PrivateKeyJWT {
			t.Errorf("log: %+v", log[len(log)-1])
		}
	}
	// The public key, which is not secret, as an HMAC secret (RFC 8725 §2.1).
	hmac := assertion{id: "rsa", secret: string(k.rsa.PublicKey.N.Bytes()), aud: aud, iat: t0}.sign()
	postForm(t, aud, assertionForm(hmac)).refused(t, "HMAC with the public key", 401, "invalid_client")
}

// A typ of its own says what an assertion is for; a server may want it (draft-ietf-oauth-rfc7523bis).
func TestAssertionTyp(t *testing.T) {
	for _, c := range []struct {
		rule     AssertionAudience
		typ, aud string
		ok       bool
	}{
		{"", "", "issuer", true}, {"", "JWT", "token", true}, {"", "dpop+jwt", "token", false},
		{"", "client-authentication+jwt", "issuer", true}, {"", "client-authentication+jwt", "token", false},
		{AudienceTyped, "application/client-authentication+JWT", "issuer", true},
		{AudienceTyped, "JWT", "issuer", false}, {AudienceTyped, "", "issuer", false},
		{AudienceTyped, "client-authentication+jwt", "token", false},
		{AudienceTyped, "authorization-grant+jwt", "issuer", false},
	} {
		s := newServer(t, Options{Clock: func() time.Time { return t0 }, AssertionAudience: c.rule, IssuerPath: "/t"})
		aud := map[string]string{"issuer": s.Issuer(), "token": s.URL() + s.TokenPath()}[c.aud]
		form := assertionForm(assertion{id: clientID, secret: secret, aud: aud, iat: t0,
			header: map[string]any{"typ": c.typ}}.sign())
		if r := postForm(t, s.URL()+s.TokenPath(), form); (r.StatusCode == 200) != c.ok {
			t.Errorf("%q, typ %q, aud %s: %s %s", c.rule, c.typ, c.aud, r.Status, r.body)
		}
	}
}

// Which audience a server wants is its own; all three are in use.
func TestAssertionAudience(t *testing.T) {
	for rule, want := range map[AssertionAudience][3]bool{ // token endpoint, endpoint that is called, issuer
		"": {true, true, true}, AudienceToken: {true, false, false}, AudienceEndpoint: {false, true,
			false}, AudienceIssuer: {false, false, true},
	} {
		s := newServer(t, Options{Clock: func() time.Time { return t0 }, AssertionAudience: rule, IssuerPath: "/t"})
		for i, aud := range []string{s.URL() + s.TokenPath(), s.URL() + s.RevokePath(), s.Issuer()} {
			form := with(assertionForm(assertion{id: clientID, secret: secret, aud: aud, iat: t0}.sign()),
				url.Values{"grant_type": {""}, "token": {"x"}})
			if r := postForm(t, s.URL()+s.RevokePath(), form); (r.StatusCode == 200) != want[i] {
				t.Errorf("%q, aud %s: %s %s", rule, aud, r.Status, r.body)
			}
		}
	}
}
