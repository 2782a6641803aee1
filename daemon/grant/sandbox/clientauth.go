package sandbox

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2

// The explicit types of assertions: of a client's, draft-ietf-oauth-rfc7523bis-11 §4; of a grant, its first versions.
const (
	clientTyp = "client-authentication+jwt"
	grantTyp  = "authorization-grant+jwt"
)

const (
	leeway       = 60 * time.Second // for clocks that differ, RFC 7523 §3
	maxAssertion = time.Hour        // exp - iat
)

// authRules are how one dialect authenticates clients.
type authRules struct {
	// audiences a client assertion may name, and grants an assertion that is a grant.
	audiences, grants []string
	// issuer is what a client assertion with a typ of its own must name; typed: it must have that typ.
	issuer string
	typed  bool
	// formEncoded: id and secret are form-encoded inside Basic, as RFC 6749 §2.3.1 says and authlib does not.
	formEncoded bool
}

func invalidClient(description string) *oauthError {
	return &oauthError{code: "invalid_client", description: description}
}

// authenticate returns the client that sent the form, nil where none tried to authenticate, or an error.
func (s *Server) authenticate(r *request, form url.Values, rules authRules) (*client, *oauthError) {
	header := len(r.header.Values("Authorization")) > 0
	assertion := form.Has("client_assertion") || form.Has("client_assertion_type")
	secret := form.Has("client_secret")
	switch {
	// RFC 6749 §2.3: MUST NOT use more than one method in each request.
	case header && assertion, header && secret, assertion && secret:
		return nil, invalidRequest("more than one way of client authentication")
	case header:
		return s.authenticateBasic(r, form, rules)
	case assertion:
		return s.authenticateJWT(r, form, rules)
	case secret:
		c := s.clientByID(form.Get("client_id"))
		if c == nil || c.Secret == "" || !sameSecret(c.Secret, form.Get("client_secret")) ||
			!s.mayUse(c, ClientSecretPost) {
			e := invalidClient("client authentication failed")
			e.known = c != nil
			return nil, e
		}
		return c, nil
	}
	return nil, nil
}

// mayUse reports whether the server and the client's registration allow the method.
func (s *Server) mayUse(c *client, method string) bool {
	return slices.Contains(s.opts.ClientAuth, method) && (c.Method == "" || c.Method == method)
}

// authenticateBasic is RFC 6749 §2.3.1.
func (s *Server) authenticateBasic(r *request, form url.Values, rules authRules) (*client, *oauthError) {
	refused := &oauthError{code: "invalid_client", description: "client authentication failed", challenge: true}
	id, secret, err := basicCredentials(r.header)
	if err != nil {
		return nil, refused
	}
	if rules.formEncoded {
		var err1, err2 error
		id, err1 = url.QueryUnescape(id)
		secret, err2 = url.QueryUnescape(secret)
		if err1 != nil || err2 != nil {
			return nil, refused
		}
	}
	if form.Has("client_id") && form.Get("client_id") != id {
		return nil, invalidRequest("two client ids")
	}
	c := s.clientByID(id)
	if c == nil || c.Secret == "" || !sameSecret(c.Secret, secret) || !s.mayUse(c, ClientSecretBasic) {
		refused.known = c != nil
		return nil, refused
	}
	return c, nil
}

// clientOf returns the client that asks: the one that authenticates, or the public one that the form names (RFC 6749
// §3.2.1).
func (s *Server) clientOf(m *realm, r *request, form url.Values) (*client, *oauthError) {
	c, e := s.authenticate(r, form, s.rules(m, r.path))
	if c != nil || e != nil {
		return c, e
	}
	c = s.clientByID(form.Get("client_id")) // RFC 8705 §2: required for TLS too
	switch {
	case c == nil:
		return nil, invalidClient("client authentication is required")
	case c.Method == TLSClientAuth, c.Method == SelfSignedTLSClient:
		return c, s.authenticateTLS(r, c)
	case !c.public():
		return nil, invalidClient("client authentication is required")
	case !s.mayUse(c, None):
		return nil, invalidClient("public clients are not accepted")
	}
	return c, nil
}

// authenticateJWT is RFC 7523 §2.2 and §3, with an HMAC of the client's secret or a signature by its key (OpenID
// Connect Core §9).
func (s *Server) authenticateJWT(r *request, form url.Values, rules authRules) (*client, *oauthError) {
	if form.Get("client_assertion_type") != assertionType { // §2.2
		return nil, invalidClient("client_assertion_type")
	}
	j, err := parseJWT(form.Get("client_assertion")) // §3 item 10: a valid JWT
	if err != nil {
		return nil, invalidClient("the assertion is not a JWT")
	}
	id := j.text("sub")
	if id == "" || j.text("iss") != id { // §3 items 1 and 2: iss and sub are the client_id
		return nil, invalidClient("iss and sub must be the client id")
	}
	if form.Has("client_id") && form.Get("client_id") != id { // RFC 7521 §4.2
		return nil, invalidClient("client_id is not that of the assertion")
	}
	c := s.clientByID(id)
	if c == nil || !s.signedBy(c, j) { // §3 item 9: signed or MACed by the issuer
		return nil, invalidClient("client authentication failed")
	}
	// §3 item 3: aud identifies this server. One only: an assertion for two servers could be replayed at the other.
	if aud := j.audience(); len(aud) != 1 || !slices.Contains(rules.audiences, aud[0]) {
		return nil, invalidClient("the assertion is for another audience")
	}
	switch typ := j.typ(); {
	case typ == clientTyp && j.audience()[0] == rules.issuer: // rfc7523bis §4
	case typ != "" && typ != "jwt", rules.typed:
		return nil, invalidClient("the assertion's typ does not fit")
	}
	exp, e := checkDates(j, r.now)
	if e != nil {
		return nil, e
	}
	if !s.firstUse(id, j.text("jti"), exp, r.now) { // §3 item 7: no replay
		return nil, invalidClient("the assertion has no jti or was used before")
	}
	return c, nil
}

// signedBy reports whether the client signed the assertion, in a way that it may use.
func (s *Server) signedBy(c *client, j *jwt) bool {
	if c.Alg != "" && c.Alg != j.alg() {
		return false
	}
	if hashes[j.alg()] != nil {
		return s.mayUse(c, ClientSecretJWT) && j.verifyHMAC(c.Secret)
	}
	return s.mayUse(c, PrivateKeyJWT) && c.verifies(j)
}

// checkDates is RFC 7523 §3 items 4 to 6; it returns exp.
func checkDates(j *jwt, now time.Time) (time.Time, *oauthError) {
	exp, ok, err := j.date("exp")
	if err != nil || !ok || !now.Before(exp.Add(leeway)) { // item 4: MUST contain exp, and it has not passed
		return exp, invalidClient("the assertion has expired or has no exp")
	}
	nbf, ok, err := j.date("nbf")
	if err != nil || ok && nbf.After(now.Add(leeway)) { // item 5
		return exp, invalidClient("the assertion is not valid yet")
	}
	iat, ok, err := j.date("iat")
	if err != nil || ok && iat.After(now.Add(leeway)) { // item 6
		return exp, invalidClient("the assertion was issued in the future")
	}
	if !ok {
		iat = now.Add(leeway)
	}
	if exp.Sub(iat) > maxAssertion { // item 4: MAY reject an exp unreasonably far in the future
		return exp, invalidClient("the assertion lives too long")
	}
	return exp, nil
}

// firstUse remembers a jti until its assertion can no longer be accepted.
func (s *Server) firstUse(iss, jti string, exp, now time.Time) bool {
	if jti == "" || len(jti) > 256 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := iss + "\x00" + jti
	if _, used := s.seen[key]; used {
		return false
	}
	if len(s.seen)%1024 == 1023 {
		for k, until := range s.seen {
			if now.After(until) {
				delete(s.seen, k)
			}
		}
	}
	s.seen[key] = exp.Add(leeway)
	return true
}

var errNoCredentials = errors.New("no such credentials in the Authorization header")

// schemeCredentials returns what follows the scheme; the scheme's case does not matter (RFC 9110 §11.1).
func schemeCredentials(h http.Header, scheme string) (string, error) {
	values := h.Values("Authorization")
	if len(values) != 1 { // a list of them has no meaning (RFC 9110 §11.6.2)
		return "", errNoCredentials
	}
	name, rest, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(name, scheme) {
		return "", errNoCredentials
	}
	return strings.TrimLeft(rest, " "), nil
}

// basicCredentials is RFC 7617 §2: the first colon parts name and password, neither holds control characters.
func basicCredentials(h http.Header) (name, password string, err error) {
	encoded, err := schemeCredentials(h, "Basic")
	if err != nil {
		return "", "", err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || slices.ContainsFunc(b, func(c byte) bool { return c < 0x20 || c == 0x7f }) {
		return "", "", errNoCredentials
	}
	name, password, ok := strings.Cut(string(b), ":")
	if !ok {
		return "", "", errNoCredentials
	}
	return name, password, nil
}
