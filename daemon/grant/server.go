package grant

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// Method is a token_endpoint_auth_method (RFC 7591 §2, OpenID Connect Core §9, RFC 8705 §2).
type Method string

// The methods this version can use.
const (
	ClientSecretBasic Method = "client_secret_basic"
	ClientSecretPost  Method = "client_secret_post"
	ClientSecretJWT   Method = "client_secret_jwt"
	PrivateKeyJWT     Method = "private_key_jwt"
	TLSClientAuth     Method = "tls_client_auth"
	// SelfSignedTLSClientAuth is RFC 8705 §2.2: the server knows the certificate itself.
	SelfSignedTLSClientAuth Method = "self_signed_tls_client_auth"
	// None is a public client: its id alone.
	None Method = "none"
)

// Methods returns the methods this version can use, in the order in which they are offered to people.
func Methods() []Method {
	return []Method{ClientSecretBasic, ClientSecretPost, ClientSecretJWT, PrivateKeyJWT, TLSClientAuth,
		SelfSignedTLSClientAuth, None}
}

// Signs reports whether the client authenticates by an assertion, which is dated.
func (m Method) Signs() bool { return m == ClientSecretJWT || m == PrivateKeyJWT }

// ByCertificate reports whether the client authenticates by a certificate in TLS (RFC 8705).
func (m Method) ByCertificate() bool { return m == TLSClientAuth || m == SelfSignedTLSClientAuth }

// CheckResource returns an error unless a resource indicator is an absolute URI without a fragment (RFC 8707 §2).
func CheckResource(uri string) error {
	if len(uri) > origin.MaxURL || !isVSCHAR([]byte(uri)) || strings.IndexByte(uri, ':') < 1 ||
		strings.ContainsAny(uri, " #") {
		return fmt.Errorf("%q cannot be a resource indicator: that is a URI without a fragment (RFC 8707)", uri)
	}
	return nil
}

// CheckTargetAudience returns an error unless an audience can be asked for in an assertion: printable ASCII without
// blanks.
func CheckTargetAudience(audience string) error {
	if len(audience) > origin.MaxURL || !isVSCHAR([]byte(audience)) || strings.Contains(audience, " ") {
		return fmt.Errorf("%q cannot be the audience of an ID token: that is printable ASCII without blanks", audience)
	}
	return nil
}

// Audience says what an assertion's aud is, which servers disagree about: one of the words below, or any URI. Empty is
// the issuer for a client of a server that is known by its issuer (draft-ietf-oauth-rfc7523bis-11 §4 b), and else the
// token endpoint (RFC 7523 §3; of a grant, also §4 a of that draft).
type Audience string

const (
	// AudienceEndpoint: the token endpoint, whichever endpoint the request is sent to.
	AudienceEndpoint Audience = "endpoint"
	// AudienceCalled: the endpoint that the request is sent to (Planet).
	AudienceCalled Audience = "called"
	// AudienceIssuer: the issuer identifier.
	AudienceIssuer Audience = "issuer"
)

// Audiences returns the words.
func Audiences() []Audience { return []Audience{AudienceIssuer, AudienceEndpoint, AudienceCalled} }

// Check returns an error unless a is empty, a word or a URI.
func (a Audience) Check() error {
	if a == "" || slices.Contains(Audiences(), a) {
		return nil
	}
	if len(a) > origin.MaxURL || !isVSCHAR([]byte(a)) || strings.IndexByte(string(a), ':') < 1 ||
		strings.Contains(string(a), " ") {
		return fmt.Errorf("assertion audience %q is not one of %s, and no URI", a, Audiences())
	}
	return nil
}

// Server is one authorization server as one profile uses it. It holds no secret.
type Server struct {
	// Issuer is the issuer identifier, compared byte by byte (RFC 8414 §3.3), or the server's origin where it has none.
	Issuer string
	// TokenEndpoint is the exact URL of the token endpoint: https, or http on a loopback address. It is empty where
	// there are only static keys.
	TokenEndpoint string
	// ClientAuth is how the client authenticates there.
	ClientAuth Method
	// RefreshAuth is how the client authenticates for refreshing and revoking where that differs (Planet's machine
	// clients), else empty.
	RefreshAuth Method
	// PresetRefreshAuth is the RefreshAuth of groat's own preset, which needs no seal.
	PresetRefreshAuth Method `json:"-"` // it follows from the provider's name
	// PlainBasic leaves id and secret unencoded in HTTP Basic, against RFC 6749 §2.3.1, where a provider's own clients
	// do.
	PlainBasic bool
	// ByIssuer means that the server is known by its issuer, whose metadata names the endpoints.
	ByIssuer bool
	// AssertionAudience, AssertionLife (0: two minutes) and AssertionNotBefore (nbf, as iat) shape an assertion.
	AssertionAudience  Audience
	AssertionLife      time.Duration
	AssertionNotBefore bool
	// AssertionFile is the path of a file with an assertion that another program keeps fresh (workload identity): it
	// takes the place of one that a key would sign, and is read for each request.
	AssertionFile string
	// AssertionAlgs are the algorithms that the server lists; the first that fits the key is used. Empty where it lists
	// none.
	AssertionAlgs []string
	// ScopeInAssertion is Google's form of RFC 7523 §2.1: the scope is a claim, and sub is left out unless the client
	// speaks for another identity.
	ScopeInAssertion bool
	// WiderScope accepts a token with more scope than was asked for, where a server always adds its own defaults.
	WiderScope bool
	// DPoP means that the server can bind tokens to a key (RFC 9449 §5.1), which groat does not have.
	DPoP bool
	// TokenChars is VisibleChars where the profile takes tokens that are [Token.Visible].
	TokenChars string
	// StrictScope refuses a token with more scope than was asked for.
	StrictScope bool

	// Grants are the ways to sign in, the default first; empty where nothing is known.
	Grants []Kind
	// ClientID is the public client of the provider's own programs; empty where a person needs their own.
	ClientID string
	// Scope and Audience are requested where the caller names none.
	Scope    []string
	Audience string
	// ResourceIndicator is the URI of the API that tokens are for (RFC 8707); it is part of every request but a
	// refresh, which is for what the person agreed to.
	ResourceIndicator string
	// TargetAudience is whom a service account's ID token is for; empty: none is asked for. See [Endpoint.JWTBearer].
	TargetAudience string
	// PersonScope is requested at a person's sign-in that would name no scope: some servers take none without "openid".
	PersonScope []string
	// SessionScope is added to the scope where a refresh token is wanted ("offline_access", OpenID Connect Core §11).
	SessionScope []string

	// DeviceEndpoint is RFC 8628's, AuthorizeEndpoint RFC 6749 §3.1's, PAREndpoint RFC 9126's, RevocationEndpoint RFC
	// 7009's; each is empty where the server has none.
	DeviceEndpoint     string
	AuthorizeEndpoint  string
	PAREndpoint        string
	RevocationEndpoint string
	// RequirePAR means that the server accepts authorization requests only through PAREndpoint.
	RequirePAR bool
	// IssInRedirect means that the server's redirects name their issuer, so that one without it is refused (RFC 9207
	// §2.4).
	IssInRedirect bool
	// AuthorizeParams are further parameters of an authorization request (Google's access_type).
	AuthorizeParams map[string]string
	// DevicePKCE means that a device's sign-in proves by PKCE (RFC 7636) that it is the one that began it, as some
	// servers want of public clients; no RFC describes that.
	DevicePKCE bool `json:",omitempty"`
	// Redirect is the loopback redirect URI that the client was registered with; empty means 127.0.0.1, any port,
	// /callback.
	Redirect string
	// SessionIdle is how long a session lives without a use of its refresh token, SessionAbsolute how long whatever is
	// done; 0 where that is not known. KeepSession renews an unused session before its idle end.
	SessionIdle, SessionAbsolute time.Duration `json:",omitempty"`
	KeepSession                  bool          `json:",omitempty"`
	// IntrospectionEndpoint is RFC 7662's; empty where the server has none.
	IntrospectionEndpoint string `json:",omitempty"`
	// RefreshEndsTokens says whether the server ends a session's earlier access tokens when its refresh token is used;
	// nil where that is not known, and where there is no session.
	RefreshEndsTokens *bool `json:",omitempty"`
	// RefreshNarrows says whether the server narrows a session for good when a narrower scope is asked for with its
	// refresh token, against RFC 6749 §6; nil as above.
	RefreshNarrows *bool `json:",omitempty"`
	// RevokeJSON is Auth0's form of revocation: a JSON object, without a hint.
	RevokeJSON bool
	// SecondFactor is the form parameter in which the password grant takes a one-time code; empty where it takes none.
	SecondFactor string `json:",omitempty"`
	// TokensLast means that an access token of a sign-in without a lifetime and without a refresh token does not end.
	TokensLast bool `json:",omitempty"`

	// Userinfo is the endpoint that names the person behind an access token; empty where the server has none.
	Userinfo string
	// Apps says how a person's password becomes client credentials; nil where the server does not offer that.
	Apps *AppCredentials
	// KeyLogin is the endpoint that answers a person's email and password with an API key; empty where there is none.
	KeyLogin string
	// UserTokens is set where KeyLogin is Earthdata Login's: it answers HTTP Basic with a token that ends.
	UserTokens *UserTokens `json:",omitempty"`
	// PresetOrigins are the origins of the endpoints in groat's own preset for the provider, which the person chose by
	// name. PresetAPIs are the preset's API origins, in the long form of package origin. Both are empty where
	// auth_server names another host.
	PresetOrigins, PresetAPIs []string `json:"-"` // they follow from the provider's name
	// Header is how a token or key is sent to the API; nil: "Authorization: Bearer T".
	Header *Header
}

// VisibleChars is a value of [Server.TokenChars].
const VisibleChars = "visible"

// Header is the header that an API reads its credential from: Name: Prefix, a space, the credential. Without a Prefix
// the credential stands alone.
type Header struct {
	Name, Prefix string
	// TokenPrefix stands right before the credential (openEO's "oidc/PROVIDER/").
	TokenPrefix string `json:",omitempty"`
}

// HeaderFor returns the name and value of the header that carries a token to an API. The value is a secret.
func (s Server) HeaderFor(t Token) (name, value string) { return s.Header.format(t) }

// Header returns the name and value of the header that carries the token to an API, as [Destinations.Header] says. The
// value is a secret.
func (t Token) Header() (name, value string) {
	if t.Destinations == nil {
		return (*Header)(nil).format(t)
	}
	return t.Destinations.Header.format(t)
}

func (h *Header) format(t Token) (name, value string) {
	switch {
	case h == nil:
		return "Authorization", "Bearer " + t.Access.Reveal()
	case h.Prefix == "":
		return h.Name, h.TokenPrefix + t.Access.Reveal()
	}
	return h.Name, h.Prefix + " " + h.TokenPrefix + t.Access.Reveal()
}

// NewItem returns the part that every credential for this server starts with: the client, and where it may be sent.
func (s Server) NewItem(clientID string, kind Kind) keystore.Item {
	i := keystore.Item{
		Issuer: s.Issuer, TokenEndpoint: s.TokenEndpoint, ClientAuth: string(s.ClientAuth), ClientID: clientID,
		RevocationEndpoint: s.RevocationEndpoint, AssertionFile: s.AssertionFile,
		AssertionAudience: string(s.foreignAudience()),
	}
	if s.RefreshAuth != s.PresetRefreshAuth {
		i.RefreshAuth = string(s.RefreshAuth)
	}
	if kind = kind.Stored(); kind != ByClientCredentials { // as items were stored before there were others
		i.Grant = string(kind)
	}
	return i
}

// Default completes a request with the server's default scope and audience. session adds SessionScope even where the
// caller names a scope: without it a sign-in would end with its first token.
func (s Server) Default(req Request, session bool) Request {
	scope := req.Scope
	if len(scope) == 0 {
		scope = s.Scope
	}
	if len(scope) == 0 && session {
		scope = s.PersonScope
	}
	if session {
		scope = slices.Concat(scope, s.SessionScope)
	}
	scope = slices.Clone(scope)
	slices.Sort(scope)
	req.Scope = slices.Compact(scope)
	if req.Audience == "" {
		req.Audience = s.Audience
	}
	req.resource = s.ResourceIndicator
	return req
}

// refreshAuth returns how the client authenticates for refreshing and revoking.
func (s Server) refreshAuth() Method {
	if s.RefreshAuth != "" {
		return s.RefreshAuth
	}
	return s.ClientAuth
}

// foreignAudience returns the AssertionAudience where it makes assertions good at another server than this one, else
// "".
func (s Server) foreignAudience() Audience {
	a := s.AssertionAudience
	if slices.Contains(Audiences(), a) || a == Audience(s.Issuer) || a == Audience(s.TokenEndpoint) {
		return ""
	}
	return a
}

func (s Server) offers(k Kind) bool { return slices.Contains(s.Grants, k) }

// onlyKeys reports whether every grant is a static key, so that no request goes to a token endpoint.
func (s Server) onlyKeys() bool {
	return len(s.Grants) > 0 && !slices.ContainsFunc(s.Grants, func(k Kind) bool { return !k.StaticKey() })
}

// Check returns an error if the server cannot be used: [origin.CheckURL] refuses an address, or a value is not
// supported.
func (s Server) Check() error {
	for _, u := range s.addresses() {
		if err := origin.CheckURL(u.url, u.what); err != nil {
			return err
		}
	}
	keys := s.onlyKeys()
	switch {
	case !slices.Contains(Methods(), s.ClientAuth) && (!keys || s.ClientAuth != ""):
		return fmt.Errorf("client authentication %q is not one of %s", s.ClientAuth, Methods())
	case s.RefreshAuth != "" && !slices.Contains(Methods(), s.RefreshAuth):
		return fmt.Errorf("client authentication %q is not one of %s", s.RefreshAuth, Methods())
	case s.Apps != nil && s.Apps.FirstToken != BasicGET && s.Apps.FirstToken != PasswordGrant:
		return fmt.Errorf("first token %q is not one of %s, %s", s.Apps.FirstToken, BasicGET, PasswordGrant)
	}
	if err := s.AssertionAudience.Check(); err != nil {
		return err
	}
	if s.TokenChars != "" && s.TokenChars != VisibleChars {
		return fmt.Errorf("token_chars %q is not %s", s.TokenChars, VisibleChars)
	}
	for _, k := range s.Grants {
		if !slices.Contains(Kinds(), k) {
			return fmt.Errorf("grant %q is not one of %s", k, Kinds())
		}
	}
	_, err := s.Header.Check()
	return err
}

// ownFields are the header fields that no token or key can be in, in small letters: those that say where a request goes
// and where it ends, those that a proxy consumes (RFC 9110 §7.6.1), and those that an HTTP client or a browser decides.
var ownFields = []string{
	"host", "content-length", "content-type", "content-encoding", "content-range", "transfer-encoding", "te", "trailer",
	"connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
	"proxy-authentication-info", "upgrade", "http2-settings", "expect", "max-forwards", "via", "forwarded", "cookie",
	"cookie2", "set-cookie", "origin", "referer",
}

// maxHeaderName is the longest name of a header field in bytes, and maxHeaderWord the longest prefix.
const (
	maxHeaderName = 64
	maxHeaderWord = 256
)

// Check returns an error unless the header has a name of letters, digits and '-' (RFC 9110 §5.1) that is not one of
// HTTP's own, and prefixes that are one word of printable ASCII each. key is the profile's key that is wrong.
func (h *Header) Check() (key string, err error) {
	if h == nil {
		return "", nil
	}
	for _, c := range []byte(h.Name) {
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return "header", fmt.Errorf("header %q is not made of letters, digits and '-'", h.Name)
		}
	}
	switch {
	case h.Name == "" || len(h.Name) > maxHeaderName:
		return "header", fmt.Errorf("a header has a name of 1 to %d characters", maxHeaderName)
	case slices.Contains(ownFields, strings.ToLower(h.Name)):
		return "header", fmt.Errorf("header %q is HTTP's own, and carries no key", h.Name)
	}
	for _, p := range []struct{ key, value string }{{"prefix", h.Prefix}, {"token_prefix", h.TokenPrefix}} {
		other := func(r rune) bool { return r <= ' ' || r > '~' }
		if strings.ContainsFunc(p.value, other) || len(p.value) > maxHeaderWord {
			return p.key, fmt.Errorf("%s is not one word of printable ASCII of at most %d characters", p.key,
				maxHeaderWord)
		}
	}
	return "", nil
}

type address struct{ url, what string }

func (s Server) addresses() []address {
	all := []address{{s.Issuer, "the issuer"}}
	if s.TokenEndpoint != "" || !s.onlyKeys() {
		all = append(all, address{s.TokenEndpoint, "the token endpoint"})
	}
	for _, a := range []address{
		{s.DeviceEndpoint, "the device authorization endpoint"},
		{s.AuthorizeEndpoint, "the authorization endpoint"},
		{s.PAREndpoint, "the endpoint for pushed authorization requests"},
		{s.RevocationEndpoint, "the revocation endpoint"},
		{s.IntrospectionEndpoint, "the introspection endpoint"},
		{s.Userinfo, "the userinfo endpoint"},
		{s.KeyLogin, "the endpoint for an API key"},
	} {
		if a.url != "" {
			all = append(all, a)
		}
	}
	if s.Apps != nil {
		all = append(all, address{s.Apps.FirstTokenEndpoint, "the endpoint for the first token"},
			address{s.Apps.ClientsEndpoint, "the endpoint for App Credentials"})
	}
	if s.UserTokens != nil {
		all = append(all, address{s.UserTokens.Create, "the endpoint that makes a token"},
			address{s.UserTokens.List, "the endpoint that lists tokens"})
	}
	return all
}

// Kind is a way to sign in. Its value is its name in a configuration and in a stored item.
type Kind string

// The kinds, in the order in which they are offered where a provider has no order of its own.
const (
	// ByAuthorizationCode is RFC 6749 §4.1 with PKCE: a browser on this machine.
	ByAuthorizationCode Kind = "authorization_code"
	// ByDeviceCode is RFC 8628: a browser anywhere.
	ByDeviceCode Kind = "device_code"
	// ByClientCredentials is RFC 6749 §4.4: no person.
	ByClientCredentials Kind = "client_credentials"
	// ByJWTBearer is RFC 7523 §2.1: a key that speaks for an identity, such as a service account's.
	ByJWTBearer Kind = "jwt_bearer"
	// ByTokenExchange is RFC 8693: another server's token.
	ByTokenExchange Kind = "token_exchange"
	// ByPassword is RFC 6749 §4.3, which is chosen by name alone, or by a preset.
	ByPassword Kind = "password"
	// ByAppCredentials is a person's password that creates a client, which then signs in by [ByClientCredentials].
	ByAppCredentials Kind = "app_credentials"
	// ByAPIKey is a key that is sent as it is.
	ByAPIKey Kind = "api_key"
	// ByKeyLogin is a person's email and password, which the server answers with an API key.
	ByKeyLogin Kind = "key_login"
)

// Kinds returns every kind, in the order above.
func Kinds() []Kind {
	return []Kind{
		ByAuthorizationCode, ByDeviceCode, ByClientCredentials, ByJWTBearer, ByTokenExchange, ByPassword,
		ByAppCredentials,
		ByAPIKey, ByKeyLogin,
	}
}

// KindNames is a list of all kinds for people.
func KindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// Stored returns the kind under which a credential obtained by k is stored.
func (k Kind) Stored() Kind {
	switch k {
	case ByAppCredentials:
		return ByClientCredentials
	case ByKeyLogin:
		return ByAPIKey
	}
	return k
}

// Session reports whether the stored credential is a session: a refresh token that obtains the next access tokens.
func (k Kind) Session() bool {
	return k.Interactive() || k == ByPassword || k == ByTokenExchange
}

// Interactive reports whether a person must do something in a browser.
func (k Kind) Interactive() bool { return k == ByAuthorizationCode || k == ByDeviceCode }

// StaticKey reports whether no request ever goes to a token endpoint.
func (k Kind) StaticKey() bool { return k == ByAPIKey || k == ByKeyLogin }
