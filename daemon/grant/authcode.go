package grant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// Authorization is one authorization request (RFC 6749 §4.1.1, RFC 7636) on its way through a person's browser. It is
// for one sign-in and must not be stored.
type Authorization struct {
	// URL is the address to open in the browser. It holds no secret, but a person who signs in there signs in here.
	URL string
	// RedirectURI is the address that the browser returns to.
	RedirectURI string

	issuer   string
	where    string // the host of the authorization endpoint, for errors
	wantIss  bool
	state    string
	nonce    string // empty without openid
	verifier keystore.Secret
	scope    []string
	clientID string
}

const scopeOpenID = "openid"

// StartAuthCode makes an authorization request whose answer comes to redirectURI. It sends nothing, unless the server
// takes pushed authorization requests (RFC 9126). req is completed by the server's defaults. The error is as
// [Endpoint.ClientCredentials]'s, or [ErrNotOffered].
func (e *Endpoint) StartAuthCode(ctx context.Context, item keystore.Item, req Request,
	redirectURI string) (*Authorization, error) {
	s := e.server
	if s.AuthorizeEndpoint == "" || s.RequirePAR && s.PAREndpoint == "" {
		return nil, ErrNotOffered
	}
	// The page issues a code for the token endpoint: both must belong to the server that the credential is for.
	if err := e.checkDestination(e.DestinationsOf(item), s.AuthorizeEndpoint, SignInRequest); err != nil {
		return nil, err
	}
	req = s.Default(req, true)
	a := &Authorization{
		RedirectURI: redirectURI, issuer: s.Issuer, where: host(s.AuthorizeEndpoint), wantIss: s.IssInRedirect,
		state: rand.Text(), verifier: keystore.SecretString(rand.Text() + rand.Text()), scope: req.Scope,
		clientID: item.ClientID,
	}
	if slices.Contains(req.Scope, scopeOpenID) {
		a.nonce = rand.Text()
	}
	params := form{}.add("response_type", "code").add("redirect_uri", redirectURI).add("state", a.state).
		add("code_challenge", challenge(a.verifier)).add("code_challenge_method", "S256").
		append(req.form()).add("nonce", a.nonce)
	for _, name := range slices.Sorted(maps.Keys(s.AuthorizeParams)) {
		params = params.add(name, s.AuthorizeParams[name])
	}
	if s.PAREndpoint != "" { // RFC 9126 §6: a client may have to, without a word about it in the server's metadata
		var err error
		if params, err = e.push(ctx, item, params); err != nil {
			return nil, err
		}
	}
	params = form{}.add("client_id", item.ClientID).append(params)
	a.URL = s.AuthorizeEndpoint + separator(s.AuthorizeEndpoint) + string(params)
	return a, nil
}

// separator returns what stands between an endpoint and its parameters; RFC 6749 §3.1 allows it a query of its own.
func separator(endpoint string) string {
	switch {
	case !strings.Contains(endpoint, "?"):
		return "?"
	case strings.HasSuffix(endpoint, "?") || strings.HasSuffix(endpoint, "&"):
		return ""
	}
	return "&"
}

// challenge returns the code challenge of a verifier by the method S256 (RFC 7636 §4.2).
func challenge(verifier keystore.Secret) string {
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// push sends an authorization request to the server (RFC 9126 §2) and returns the parameters that stand for it in the
// browser.
func (e *Endpoint) push(ctx context.Context, item keystore.Item, params form) (form, error) {
	c := httpRequest{method: http.MethodPost, url: e.server.PAREndpoint, body: params}
	if m := e.server.ClientAuth; m != None && m != ClientSecretPost && !m.ByCertificate() {
		// §2.1: it is a parameter of the request itself
		c.body = append(form{}, params...).add("client_id", item.ClientID)
	}
	a, err := e.requestBeside(ctx, c, item, e.server.ClientAuth)
	defer clear(a.Body)
	if err != nil {
		return nil, err
	}
	body, flaw := a.object()
	if flaw != "" {
		return nil, malformed(a, flaw).withServer(c.url)
	}
	uri, _ := body.text("request_uri")
	if uri == "" || len(uri) > origin.MaxURL || !printableASCII([]byte(uri)) {
		return nil, malformed(a, "holds no request_uri").withServer(c.url)
	}
	return form{}.add("request_uri", uri), nil
}

// ErrNotThisLogin means that a redirect is not the answer to this sign-in: it has another state or another address, or
// holds no answer. The sign-in goes on waiting.
var ErrNotThisLogin = errors.New("this is not the answer to this sign-in")

const maxCode = 8 << 10

// ParseRedirect returns the code in what a person pasted: the whole address that the browser returned to, its query, or
// the code alone. The state in an address must be right. A bare code has no state; PKCE binds it to this sign-in. The
// error wraps [ErrNotThisLogin], or is an [*Error] that ends the sign-in. It quotes nothing of what was pasted. The
// caller owns the code.
func (a *Authorization) ParseRedirect(pasted string) (code keystore.Secret, err error) {
	pasted = strings.TrimSpace(pasted)
	switch {
	case len(pasted) > 2*maxCode:
		return keystore.Secret{}, notThisRedirect("it is too long")
	case strings.Contains(pasted, "://"):
		address, query, _ := strings.Cut(pasted, "?")
		bare := strings.Count(a.RedirectURI, "/") == 2 // without a path, for which a browser shows a slash
		if address != a.RedirectURI && (!bare || address != a.RedirectURI+"/") {
			return keystore.Secret{}, notThisRedirect("the address does not begin with " + a.RedirectURI)
		}
		return a.codeFromQuery(query)
	case strings.ContainsAny(pasted, "?&="):
		return a.codeFromQuery(pasted[strings.IndexByte(pasted, '?')+1:])
	case !isCode(pasted):
		return keystore.Secret{}, notThisRedirect("it is neither an address nor a code")
	}
	return keystore.SecretString(pasted), nil
}

func (a *Authorization) codeFromQuery(query string) (keystore.Secret, error) {
	query, _, _ = strings.Cut(query, "#") // some servers add an empty fragment
	values, err := url.ParseQuery(query)
	if err != nil {
		return keystore.Secret{}, notThisRedirect("it cannot be read")
	}
	return a.codeFrom(values)
}

func isCode(s string) bool {
	return s != "" && len(s) <= maxCode && printableASCII([]byte(s)) && !strings.Contains(s, " ")
}

func notThisRedirect(why string) error { return &notThisLogin{why} }

type notThisLogin struct{ why string }

func (e *notThisLogin) Error() string        { return ErrNotThisLogin.Error() + ": " + e.why }
func (e *notThisLogin) Is(target error) bool { return target == ErrNotThisLogin }

// codeFrom returns the code in a redirect's parameters. Only the state decides whether the redirect is the answer to
// this sign-in: a sender that does not know it can neither end the sign-in nor bring a code of its own into it (RFC
// 9700 §4.7).
func (a *Authorization) codeFrom(q url.Values) (keystore.Secret, error) {
	for _, values := range q {
		if len(values) > 1 { // RFC 6749 §3.1
			return keystore.Secret{}, notThisRedirect("a parameter is there twice")
		}
	}
	switch state := q.Get("state"); {
	case state == "" && !q.Has("code") && !q.Has("error"):
		return keystore.Secret{}, notThisRedirect("it holds no answer")
	case !equal(state, a.state):
		return keystore.Secret{}, notThisRedirect("its state is another one")
	}
	if iss := q.Get("iss"); iss != a.issuer && (q.Has("iss") || a.wantIss) { // RFC 9207 §2.4
		return keystore.Secret{}, &Error{Class: Refused, Where: a.where,
			Reason: "is not who answered: the redirect names as its issuer " + quoted(iss)}
	}
	if q.Has("error") {
		return keystore.Secret{}, a.declined(q.Get("error"), q.Get("error_description"))
	}
	if !isCode(q.Get("code")) {
		return keystore.Secret{}, &Error{Class: Malformed, Where: a.where,
			Reason: "sent the browser back without a code that can be used"}
	}
	return keystore.SecretString(q.Get("code")), nil
}

// declined returns the error that a redirect brought (RFC 6749 §4.1.2.1).
func (a *Authorization) declined(code, description string) *Error {
	class, known := codes[code]
	if !known || class == InvalidClient || class == Pending {
		class = Refused
	}
	e := &Error{Class: class, Where: a.where, Code: sanitize(code, nil, maxErrorCode),
		Description: sanitize(description, nil, maxDescription)}
	if e.Reason = refusal(code, Code); class != Refused {
		e.Reason = reason(*e, Code, "")
	}
	if class == Refused && code != "access_denied" && e.Reason == refusal("", Code) {
		e.Reason = "did not let the person sign in"
	}
	return e
}

// Exchange exchanges the code for a session (RFC 6749 §4.1.3). It sends one request, since a code can be used once. The
// error is as [Endpoint.ClientCredentials]'s.
func (e *Endpoint) Exchange(ctx context.Context, item keystore.Item, a *Authorization,
	code keystore.Secret) (Session, error) {
	var c httpRequest
	first := form{}.add("grant_type", "authorization_code").add("redirect_uri", a.RedirectURI).
		add("code", c.reveal(code)).add("code_verifier", c.reveal(a.verifier))
	s, err := e.requestToken(ctx, tokenRequest{
		item: item, by: e.server.ClientAuth, proof: Code, first: first, carried: c.carried, scope: a.scope,
		rule:       e.server.scopeRule(Request{}),
		maybeClock: aboutTheClient, unrepeatable: true,
	})
	if err != nil {
		return s, err
	}
	if flaw := a.checkIDToken(s.Token.ID); flaw != "" {
		refused := &Error{Class: Refused, Reason: "gave an answer that " + flaw}
		return Session{}, refused.withServer(e.server.TokenEndpoint)
	}
	return s, nil
}

// checkIDToken says why an ID token is not for this sign-in: its nonce, issuer or audience differs (OpenID Connect Core
// §3.1.3.7). TLS to the token endpoint takes the place of its signature here (number 6 there): that is checked before
// the token is handed out. Where there is no ID token, PKCE binds the answer to the request.
func (a *Authorization) checkIDToken(i *IDToken) (flaw string) {
	if i == nil || a.nonce == "" {
		return ""
	}
	body, ok := jwtClaims(i.Text.Reveal())
	if !ok {
		return "holds an ID token that cannot be read"
	}
	nonce, _ := body.text("nonce")
	issuer, _ := body.text("iss")
	switch {
	case !equal(nonce, a.nonce):
		return "holds an ID token for another sign-in"
	case issuer != a.issuer:
		return "holds an ID token of another issuer: " + shown(issuer)
	case !slices.Contains(body.list("aud"), a.clientID):
		return "holds an ID token for another client"
	}
	return ""
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
