package grant

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// assertionLife is the lifetime of a client assertion, which is used once and at once. It covers the 15 s of an
// exchange, the 30 s by which a clock may be wrong before it is corrected, and as much again. The providers' own
// library uses an hour; for that long, a stolen assertion works at a server that does not remember each jti.
const assertionLife = 2 * time.Minute

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2

// authenticate adds the client's credentials to a request by a method of client authentication. at is the server's
// time, which dates an assertion.
func (s Server) authenticate(by Method, c *httpRequest, item keystore.Item, at time.Time) error {
	switch by {
	case None:
		c.body = c.body.add("client_id", item.ClientID)
	case ClientSecretBasic:
		credentials, err := s.basic(item.ClientID, c.reveal(item.ClientSecret))
		if err != nil {
			return err
		}
		c.authorization = "Basic " + credentials
		c.carried = append(c.carried, keystore.SecretString(credentials))
	case ClientSecretPost:
		c.body = c.body.add("client_id", item.ClientID).add("client_secret", c.reveal(item.ClientSecret))
	case PrivateKeyJWT, ClientSecretJWT:
		if by == PrivateKeyJWT && s.AssertionFile != "" {
			assertion, err := s.fileAssertion(item)
			if err != nil {
				return err
			}
			// The assertion's sub is the workload's, not the client's (RFC 7521 §4.2).
			c.body = c.body.add("client_id", item.ClientID).add("client_assertion_type", assertionType).
				add("client_assertion", c.reveal(assertion))
			return nil
		}
		c.carried = append(c.carried, item.ClientSecret)
		sign, err := s.signer(by, item)
		if err != nil {
			return err
		}
		assertion, err := sign.sign(s.assertion(item.ClientID, c.url, at))
		if err != nil {
			return err
		}
		// No Authorization beside it, and no client_id where a provider's own library sends none: the assertion's sub
		// says who it is (RFC 7523 §3). Some servers look for it in the request all the same (RFC 7521 §4.2).
		if s.ByIssuer && !c.body.has("client_id") {
			c.body = c.body.add("client_id", item.ClientID)
		}
		c.body = c.body.add("client_assertion_type", assertionType).add("client_assertion", assertion)
		c.carried = append(c.carried, keystore.SecretString(assertion))
	case TLSClientAuth, SelfSignedTLSClientAuth:
		certificate, err := clientCertificate(item)
		if err != nil {
			return err
		}
		c.certificate = certificate
		c.body = c.body.add("client_id", item.ClientID) // RFC 8705 §2
	default:
		return fmt.Errorf("client authentication %q is not supported", by)
	}
	return nil
}

// basic returns id and secret as HTTP Basic credentials: form-encoded as RFC 6749 §2.3.1 requires, unless PlainBasic is
// set, then encoded by RFC 7617.
func (s Server) basic(id, secret string) (string, error) {
	if s.PlainBasic {
		if strings.Contains(id, ":") {
			return "", fmt.Errorf("a client id with a colon cannot be sent to this server by %s", ClientSecretBasic)
		}
		return basicCredentials(id, secret), nil
	}
	return basicCredentials(url.QueryEscape(id), url.QueryEscape(secret)), nil
}

func basicCredentials(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// claims are the claims of an assertion (RFC 7523 §3), in the order of the providers' own library.
type claims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud"` // one string, never a list
	Expires   int64  `json:"exp"`
	Issued    int64  `json:"iat"`
	ID        string `json:"jti"`
	NotBefore int64  `json:"nbf,omitempty"`
	Scope     string `json:"scope,omitempty"`
	Target    string `json:"target_audience,omitempty"` // Google's, see [Endpoint.targetToken]

	typ string // the header's (RFC 7519 §5.1)
}

// The explicit types of assertions (RFC 8725 §3.11 says what for), and the one of before. A client's is
// draft-ietf-oauth-rfc7523bis-11 §4, which is to become an RFC. It gives a grant none; the name stood in its first
// versions, and draft-ietf-wimse-workload-identity-practices recommends it.
const (
	clientTyp = "client-authentication+jwt"
	grantTyp  = "authorization-grant+jwt"
	plainTyp  = "JWT"
)

// assertion returns the claims of a client's assertion for the endpoint that is called.
func (s Server) assertion(clientID, called string, at time.Time) claims {
	c := claims{Issuer: clientID, Subject: clientID, Issued: at.Unix(), ID: newID()}
	c.Audience, c.typ = s.audience(called)
	life := s.AssertionLife
	if life == 0 {
		life = assertionLife
	}
	c.Expires = at.Add(life).Unix()
	if s.AssertionNotBefore {
		c.NotBefore = c.Issued
	}
	return c
}

// audience returns the aud of a client's assertion for the endpoint that a request is sent to, and the typ. Where that
// endpoint is on another origin than the token endpoint's, aud is the endpoint itself, or the issuer on the issuer's
// origin: the server there could use any other assertion at the token endpoint, whatever the profile says (the attack
// of CVE-2025-27370). The explicit typ goes with the issuer: a server that knows it takes no other aud beside it, and
// one that does not may refuse it.
func (s Server) audience(called string) (aud, typ string) {
	a, o := s.AssertionAudience, origin.Of(called)
	issuer := a == AudienceIssuer || a == "" && s.ByIssuer
	if o != origin.Of(s.TokenEndpoint) && !(issuer && s.ByIssuer && o == origin.Of(s.Issuer)) {
		return called, plainTyp
	}
	switch {
	case issuer:
		return s.Issuer, clientTyp
	case a == AudienceCalled:
		return called, plainTyp
	case a != "" && a != AudienceEndpoint:
		return string(a), plainTyp
	}
	return s.TokenEndpoint, plainTyp
}

// grantAudience is audience for an assertion that is a grant (RFC 7523 §2.1), which goes to the token endpoint. aud
// is one string, the token endpoint or the issuer (draft-ietf-oauth-rfc7523bis-11 §4 a).
func (s Server) grantAudience() (aud, typ string) {
	typ = plainTyp
	if s.ByIssuer {
		typ = grantTyp
	}
	switch a := s.AssertionAudience; a {
	case AudienceIssuer:
		return s.Issuer, typ
	case "", AudienceEndpoint, AudienceCalled:
		return s.TokenEndpoint, typ
	default:
		return string(a), typ
	}
}

// signer makes the compact form of claims (RFC 7515 §7.1).
type signer struct {
	alg, kid string
	method   jwt.SigningMethod
	key      any // what the method wants
}

// ChooseAlg returns the algorithm that an item's client signs its assertions with at this server: item.KeyAlg where it
// is given and possible, else the first that fits the key and that the server lists. It is empty for a client secret
// without a KeyAlg, which signs by HS256.
func (s Server) ChooseAlg(item keystore.Item) (string, error) {
	if s.ClientAuth == ClientSecretJWT && item.KeyAlg == "" {
		return "", nil
	}
	sign, err := s.signer(s.ClientAuth, item)
	return sign.alg, err
}

// signer returns the signer of a client's assertions.
func (s Server) signer(by Method, item keystore.Item) (signer, error) {
	if by == PrivateKeyJWT {
		return keySigner(item, s.AssertionAlgs)
	}
	alg := item.KeyAlg
	if alg == "" {
		alg = "HS256"
	}
	method, ok := jwt.GetSigningMethod(alg).(*jwt.SigningMethodHMAC)
	if !ok {
		return signer{}, fmt.Errorf("%s cannot sign with %s", by, shown(alg))
	}
	return signer{alg, item.KeyID, method, item.ClientSecret}, nil
}

// keySigner returns a signer with an item's private key, by an algorithm of listed where possible.
func keySigner(item keystore.Item, listed []string) (signer, error) {
	key, err := privatekey.Parse(item.PrivateKey, item.PrivateKeyPassword)
	if err != nil {
		return signer{}, err
	}
	alg, err := privatekey.ChooseAlg(key, item.KeyAlg, listed)
	if err != nil {
		return signer{}, err
	}
	return signer{alg, item.KeyID, jwt.GetSigningMethod(alg), key}, nil
}

// sign returns the compact form of claims (RFC 7515 §7.1). It writes the header itself: [jwt.Token] keeps the header in
// a map and would put alg first.
func (s signer) sign(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	header := `{"typ":"` + c.typ + `","alg":"` + s.alg + `"}`
	if s.kid != "" {
		kid, err := json.Marshal(s.kid)
		if err != nil {
			return "", err
		}
		header = header[:len(header)-1] + `,"kid":` + string(kid) + `}`
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString(payload)
	key := s.key
	if secret, ok := key.(keystore.Secret); ok {
		// The secret's text is the key as it stands. It looks like base64 and is not decoded.
		text := secret.AppendTo(make([]byte, 0, secret.Len()))
		defer clear(text)
		key = text
	}
	signature, err := s.method.Sign(input, key)
	if err != nil {
		return "", err
	}
	return input + "." + enc.EncodeToString(signature), nil
}

// newID returns a new jti: 36 letters and digits, 214 random bits.
func newID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	id := make([]byte, 0, 36)
	var random [64]byte
	for {
		rand.Read(random[:]) // never fails
		for _, b := range random {
			if b &= 63; int(b) < len(alphabet) { // 62 and 63 are drawn again, so that all letters are equally likely
				if id = append(id, alphabet[b]); len(id) == cap(id) {
					return string(id)
				}
			}
		}
	}
}

// clientCertificate returns the certificate, with its private key, that a client authenticates with in TLS (RFC 8705
// §2.1).
func clientCertificate(item keystore.Item) (*tls.Certificate, error) {
	key, err := privatekey.Parse(item.PrivateKey, item.PrivateKeyPassword)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{PrivateKey: key}
	for rest := []byte(item.Certificate); len(rest) <= privatekey.MaxSize; {
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
