package grant_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// idServer answers a refresh with an ID token, and publishes its keys.
type idServer struct {
	t       *testing.T
	url     string
	rsa     *rsa.PrivateKey
	ec      *ecdsa.PrivateKey
	ed      ed25519.PrivateKey
	jwksURI string // empty: its own
	idToken any
	date    time.Time // of its answers; zero: now
}

func newIDServer(t *testing.T) *idServer {
	s := &idServer{t: t}
	s.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	s.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, s.ed, _ = ed25519.GenerateKey(rand.Reader)
	enc := base64.RawURLEncoding.EncodeToString
	point, _ := s.ec.PublicKey.Bytes()
	keys, _ := json.Marshal(map[string]any{"keys": []any{
		map[string]any{"kty": "RSA", "kid": "r", "n": enc(s.rsa.N.Bytes()),
			"e": enc(big.NewInt(int64(s.rsa.E)).Bytes())},
		map[string]any{"kty": "EC", "kid": "e", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:])},
		map[string]any{"kty": "OKP", "kid": "d", "crv": "Ed25519", "x": enc(s.ed.Public().(ed25519.PublicKey))},
	}})
	s.url, _ = handler(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !s.date.IsZero() {
			w.Header().Set("Date", s.date.UTC().Format(http.TimeFormat))
		}
		if r.URL.Path != "/token" && (r.Header.Get("Authorization") != "" || r.ContentLength > 0) {
			t.Errorf("%s was sent a credential", r.URL.Path)
		}
		switch r.URL.Path {
		case oidc:
			at := s.jwksURI
			if at == "" {
				at = s.url + "/keys"
			}
			fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"x","jwks_uri":%q}`, s.url, at)
		case "/keys":
			w.Write(keys)
		case "/token":
			json.NewEncoder(w).Encode(map[string]any{"access_token": "abc", "token_type": "Bearer", "expires_in": 900,
				"id_token": s.idToken})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	return s
}

func (s *idServer) claims(change jwt.MapClaims) jwt.MapClaims {
	now := s.date
	if now.IsZero() {
		now = time.Now()
	}
	claims := jwt.MapClaims{"iss": s.url, "aud": publicID, "sub": "alice", "iat": now.Unix(),
		"exp": now.Add(time.Hour).Unix()}
	for name, v := range change {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	return claims
}

func (s *idServer) sign(method jwt.SigningMethod, kid string, key crypto.PrivateKey, claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// refresh obtains a token, which must work whatever is wrong with the ID token, and verifies that.
func (s *idServer) refresh(secret string) (*grant.IDToken, error) {
	s.t.Helper()
	server := serverOf(s.url, grant.None)
	if secret != "" {
		server.ClientAuth = grant.ClientSecretPost
	}
	item := server.NewItem(publicID, grant.ByDeviceCode)
	item.RefreshToken, item.IDSubject = keystore.SecretString("dummy-refresh-token"), "alice"
	if secret != "" {
		item.ClientSecret = keystore.SecretString(secret)
	}
	e := endpoint(server)
	token, _, err := e.Refresh(s.t.Context(), item, grant.Request{})
	if err != nil || token.Access.Reveal() != "abc" {
		s.t.Fatalf("the access token is lost: %v", err)
	}
	if token.ID == nil {
		return nil, nil
	}
	err = e.VerifyIDToken(s.t.Context(), token.ID)
	if (err == nil) != token.ID.Verified() {
		s.t.Errorf("%v, and verified is %v", err, token.ID.Verified())
	}
	return token.ID, err
}

// An ID token is good where its claims and its signature are, and only then.
func TestIDTokensAreVerified(t *testing.T) {
	s := newIDServer(t)
	const secret = "dummy-client-secret-of-more-than-64-bytes-which-is-what-hs512-signatures-want"
	type claims = jwt.MapClaims
	es := func(c claims) string { return s.sign(jwt.SigningMethodES256, "e", s.ec, s.claims(c)) }
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	critical := jwt.NewWithClaims(jwt.SigningMethodES256, s.claims(nil))
	critical.Header["crit"] = []string{"b64"}
	extended, _ := critical.SignedString(s.ec)
	none, _ := jwt.NewWithClaims(jwt.SigningMethodNone, s.claims(nil)).SignedString(jwt.UnsafeAllowNoneSignatureType)
	soon := time.Now().Add(30 * time.Second).Unix()
	typed := func(typ any) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, s.claims(nil))
		token.Header["typ"], token.Header["kid"] = typ, "e"
		text, _ := token.SignedString(s.ec)
		return text
	}
	for _, c := range []struct {
		name   string
		token  any
		secret string
		flaw   string // empty: it is good
	}{
		{name: "RS256", token: s.sign(jwt.SigningMethodRS256, "r", s.rsa, s.claims(nil))},
		{name: "RS512", token: s.sign(jwt.SigningMethodRS512, "r", s.rsa, s.claims(nil))},
		{name: "PS256 without a kid", token: s.sign(jwt.SigningMethodPS256, "", s.rsa, s.claims(nil))},
		{name: "ES256", token: es(nil)},
		{name: "EdDSA", token: s.sign(jwt.SigningMethodEdDSA, "d", s.ed, s.claims(nil))},
		{name: "HS256", token: s.sign(jwt.SigningMethodHS256, "", []byte(secret), s.claims(nil)), secret: secret},
		{name: "HS512", token: s.sign(jwt.SigningMethodHS512, "", []byte(secret), s.claims(nil)), secret: secret},
		{name: "several audiences", token: es(claims{"aud": []string{"api", publicID}, "azp": publicID})},
		{name: "an audience that is a list of one", token: es(claims{"aud": []string{publicID}})},
		{name: "a server's clock that is a little ahead", token: es(claims{"iat": soon, "nbf": soon})},
		{name: "claims that are null", token: es(claims{"azp": json.RawMessage("null"), "nonce": json.RawMessage("null")})},
		{name: "good since long ago", token: es(claims{"nbf": 1})},
		{name: "the type of an ID token", token: typed("ID_TOKEN+JWT")},
		{name: "a media type", token: typed("application/jwt")},

		{name: "HS256 by a client without a secret", flaw: "which this client does not have",
			token: s.sign(jwt.SigningMethodHS256, "", []byte(secret), s.claims(nil))},
		{name: "HS256 by another secret", secret: secret, flaw: "the client's secret has not signed",
			token: s.sign(jwt.SigningMethodHS256, "", []byte("another"), s.claims(nil))},
		{name: "a stranger's key", flaw: "not signed by",
			token: s.sign(jwt.SigningMethodES256, "e", stranger, s.claims(nil))},
		{name: "an unknown kid", flaw: "not signed by", token: s.sign(jwt.SigningMethodES256, "x", s.ec, s.claims(nil))},
		{name: "unsigned", flaw: "not signed by", token: none},
		{name: "an extension", flaw: "an extension that is not known", token: extended},
		{name: "another issuer", flaw: "of another issuer: https://evil.example",
			token: es(claims{"iss": "https://evil.example"})},
		{name: "its issuer with a slash more", flaw: "of another issuer", token: es(claims{"iss": s.url + "/"})},
		{name: "no issuer", flaw: "of another issuer", token: es(claims{"iss": nil})},
		{name: "another client", flaw: "for another client", token: es(claims{"aud": "other"})},
		{name: "no audience", flaw: "for another client", token: es(claims{"aud": nil})},
		{name: "another party", flaw: "issued to another client", token: es(claims{"azp": "other"})},
		{name: "several audiences and no party", flaw: "issued to another client",
			token: es(claims{"aud": []string{"api", publicID}})},
		{name: "expired", flaw: "has expired", token: es(claims{"iat": soon - 7200, "exp": soon - 3600})},
		{name: "it expires before it is issued", flaw: "has expired", token: es(claims{"iat": soon, "exp": soon - 1})},
		{name: "no exp", flaw: "does not say when", token: es(claims{"exp": nil})},
		{name: "no iat", flaw: "does not say when", token: es(claims{"iat": nil})},
		{name: "issued tomorrow", flaw: "in the future", token: es(claims{"iat": soon + 86400, "exp": soon + 90000})},
		{name: "somebody else", flaw: "somebody else than who signed in", token: es(claims{"sub": "mallory"})},
		{name: "nobody", flaw: "names nobody", token: es(claims{"sub": nil})},
		{name: "a long sub", flaw: "255 characters", token: es(claims{"sub": strings.Repeat("a", 256)})},
		{name: "a sub that steers a terminal", flaw: "255 characters", token: es(claims{"sub": "alice\x1b[2J\n"})},
		{name: "a sub that is not ASCII", flaw: "255 characters", token: es(claims{"sub": "alic\u0435"})},
		{name: "good from tomorrow on", flaw: "not valid yet", token: es(claims{"nbf": soon + 86400})},
		{name: "an access token", flaw: "of another type", token: typed("at+jwt")},
		{name: "a logout token", flaw: "of another type", token: typed("application/logout+JWT")},
		{name: "a type that is a number", flaw: "of another type", token: typed(5)},
		{name: "an empty type", flaw: "of another type", token: typed("")},
		{name: "encrypted", flaw: "encrypted", token: "a.b.c.d.e"},
		{name: "a newline", flaw: "cannot be read", token: es(nil) + "\n"},
		{name: "a number", flaw: "cannot be read", token: 5},
		{name: "a long one", flaw: "cannot be read", token: es(claims{"x": strings.Repeat("a", 20000)})},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t, s.idToken = t, c.token
			i, err := s.refresh(c.secret)
			if c.flaw == "" {
				if err != nil || i.Lifetime < 55*time.Minute || i.Lifetime > time.Hour {
					t.Errorf("%+v, %v", i, err)
				}
				return
			}
			failed, ok := errors.AsType[*grant.Error](err)
			if !ok || !strings.Contains(failed.Error(), c.flaw) || strings.ContainsAny(failed.Error(), "\n\x1b") {
				t.Errorf("%v", err)
			}
		})
	}
	for _, nothing := range []any{nil, ""} {
		s.t, s.idToken = t, nothing
		if i, err := s.refresh(""); i != nil || err != nil {
			t.Errorf("%v: %+v, %v", nothing, i, err)
		}
	}
}

// A claim that is there and not of its type is a flaw, whichever it is: it never counts as missing.
func TestAClaimOfAnotherTypeIsNotMissing(t *testing.T) {
	s := newIDServer(t)
	values := map[string]any{"text": publicID, "a number": 5, "an object": map[string]any{"a": publicID},
		"true": true, "a list": []any{publicID}, "a list of lists": []any{[]any{publicID}},
		"a list with null": []any{publicID, nil}}
	fits := map[string][]string{"iss": {"text"}, "sub": {"text"}, "azp": {"text"}, "nonce": {"text"},
		"aud": {"text", "a list"}, "exp": {"a number"}, "iat": {"a number"}, "nbf": {"a number"}}
	for claim, good := range fits {
		for kind, value := range values {
			s.idToken = s.sign(jwt.SigningMethodES256, "e", s.ec, s.claims(jwt.MapClaims{claim: value}))
			_, err := s.refresh("")
			typed := err != nil && strings.Contains(err.Error(), "claim "+claim+" is of the wrong type")
			if typed == slices.Contains(good, kind) {
				t.Errorf("%s is %s: %v", claim, kind, err)
			}
		}
	}
}

// The server's clock counts where this machine's is wrong: its Date says how old an ID token is.
func TestAnIDTokenByTheServersClock(t *testing.T) {
	for _, off := range []time.Duration{-10 * 365 * 24 * time.Hour, -time.Hour, 26 * time.Hour} {
		s := newIDServer(t)
		s.date = time.Now().Add(off)
		s.idToken = s.sign(jwt.SigningMethodES256, "e", s.ec, s.claims(nil))
		if i, err := s.refresh(""); err != nil || i.Lifetime < 59*time.Minute || i.Lifetime > time.Hour {
			t.Errorf("%v off: %+v, %v", off, i, err)
		}
		s.idToken = s.sign(jwt.SigningMethodES256, "e", s.ec, s.claims(jwt.MapClaims{
			"iat": s.date.Add(-50 * time.Minute).Unix(), "exp": s.date.Add(10 * time.Minute).Unix()}))
		if i, err := s.refresh(""); err != nil || i.Lifetime > 10*time.Minute || i.Lifetime < 9*time.Minute {
			t.Errorf("%v off, an old one: %+v, %v", off, i, err)
		}
	}
}

// Keys come from an https address beside an https issuer, and from nowhere that is no address.
func TestWhereKeysComeFrom(t *testing.T) {
	s := newIDServer(t)
	s.idToken = s.sign(jwt.SigningMethodES256, "e", s.ec, s.claims(nil))
	for _, at := range []string{"file:///etc/passwd", "http://keys.example/", "nonsense", "https://u:p@keys.example/"} {
		s.jwksURI = at
		if _, err := s.refresh(""); err == nil || !strings.Contains(err.Error(), "keys cannot be read") {
			t.Errorf("%s: %v", at, err)
		}
	}
}
