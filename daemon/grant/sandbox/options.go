package sandbox

import "time"

// The dialects that the authorization server at the root can speak, for Options.Dialect. Those of SpatiaFi, of Keycloak
// (Planet's M2M, Copernicus), of Planet's old login and of EarthScope's profile have paths of their own and are always
// there.
const (
	Generic = ""       // what the RFCs and OpenID Connect say, at Options.IssuerPath
	Auth0   = "auth0"  // EarthScope's and Planet's people
	Google  = "google" // installed applications and service accounts

	Copernicus = "copernicus" // the realm CDSE of a Keycloak: people by password, and machines
	EUMETSAT   = "eumetsat"   // machines
	Globus     = "globus"     // native applications and machines
	GitHub     = "github"     // by device code; with Refresh.Always its tokens expire
	GitLab     = "gitlab"     // public applications
)

// Options say what kind of server [New] makes. The zero Options have SpatiaFi's numbers and no person who may sign in.
type Options struct {
	// URL is the server's origin as clients see it, which tokens and assertions name: "https://auth.example". Empty
	// means the listener's own, once [Server.Start] or [Server.StartPipe] was called.
	URL string
	// API is the second member of SpatiaFi's aud claim: the API host by its formal name, which is not the host that is
	// called. Empty means "https://api.sandbox.invalid".
	API string
	// Dialect is whose authorization server is at the root.
	Dialect string
	// TokenLifetime is exp - iat of access tokens in whole seconds, at least 3 s; 0 means the dialect's own: 900 s for
	// SpatiaFi and the generic server, a day for Auth0, an hour for Keycloak and Google.
	TokenLifetime time.Duration
	// Latency is waited before each answer of a token endpoint; the token in it is older by as much.
	Latency time.Duration
	// Clock is the server's idea of the time, also in its Date header; nil means time.Now.
	Clock func() time.Time
	// ClientAuth are the client authentication methods that the server accepts (RFC 7591 §2 names); empty means all.
	ClientAuth []string
	// AssertionAudience is what an assertion must name as its audience; empty means any of the three.
	AssertionAudience AssertionAudience
	// RawBasic takes id and secret in HTTP Basic as they are (RFC 7617), as many servers do, and not form-encoded.
	RawBasic bool
	// IssuerPath is the path of the generic server's issuer identifier: "" or like "/tenant/one".
	IssuerPath string
	// Scopes are those the generic server knows; empty means any.
	Scopes []string
	// Audiences are further APIs that access tokens can be for, and that the API here answers for. Where there are any,
	// the generic server refuses others.
	Audiences []string

	// Consent is what happens where a person is asked.
	Consent Consent
	// Refresh is how refresh tokens behave, Device how device authorization does.
	Refresh Refresh
	Device  Device
	// RequirePAR refuses authorization requests that were not pushed (RFC 9126 §5).
	RequirePAR bool
	// PasswordGrant lets clients use a person's password (RFC 6749 §4.3) at the servers other than SpatiaFi's.
	PasswordGrant bool
	// RateLimit is how many requests a minute Auth0 answers, 0 for all; Quota how many tokens an hour a machine's
	// client gets there, 0 for any number.
	RateLimit, Quota int

	// OpenEO makes the server an openEO back end too; nil: it is none.
	OpenEO *OpenEO

	// Users may sign in, Clients may ask for tokens, from the start.
	Users   []User
	Clients []Client
	// APIKeys are static keys that the API accepts besides access tokens.
	APIKeys []APIKey
	// Control opens the control paths (/sandbox/…, see control.go) to callers on loopback.
	Control bool
}

// APIKey is a static key of an API.
type APIKey struct {
	// Header is the name of the header field that carries it; empty means Authorization.
	Header string
	// Prefix comes before the key and one space; empty means the key alone.
	Prefix string
	Value  string
}

// The client authentication methods of RFC 7591 §2, OpenID Connect Core §9 and RFC 8705 §2 that the sandbox
// understands.
const (
	None                = "none"
	ClientSecretBasic   = "client_secret_basic"
	ClientSecretPost    = "client_secret_post"
	ClientSecretJWT     = "client_secret_jwt"
	PrivateKeyJWT       = "private_key_jwt"
	TLSClientAuth       = "tls_client_auth"
	SelfSignedTLSClient = "self_signed_tls_client_auth"
)

var allMethods = []string{
	ClientSecretBasic, ClientSecretPost, ClientSecretJWT, PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClient, None,
}

// AssertionAudience is what the aud of an assertion must be (RFC 7523 §3 item 3 leaves it to the server).
type AssertionAudience string

// The audiences that real servers ask for.
const (
	AudienceToken    AssertionAudience = "token_endpoint" // whatever endpoint is called
	AudienceEndpoint AssertionAudience = "endpoint"       // the one that is called
	AudienceIssuer   AssertionAudience = "issuer"
	// AudienceTyped is draft-ietf-oauth-rfc7523bis-11 §4: a client's assertion names the issuer alone; a grant may name
	// the issuer or the token endpoint. An assertion says by its typ what it is for, also a grant, which the draft does
	// not want.
	AudienceTyped AssertionAudience = "typed"
)

// Consent is what happens where a person is asked to sign in and to allow something.
type Consent string

// The ways. Without a form the person is the one whom login_hint names, or the one who was added first.
const (
	ConsentForm  Consent = ""      // a page with a form
	ConsentAllow Consent = "allow" // the answer at once, as if the person had signed in and allowed it
	ConsentDeny  Consent = "deny"  // the answer at once, as if the person had refused
)

// Refresh is how refresh tokens behave.
type Refresh struct {
	// Always gives one for every consent of a person; otherwise the scope offline_access asks for it (OpenID Connect
	// Core §11), or at Google access_type=offline.
	Always bool `json:"always"`
	// Rotate gives a new one with each answer; the old one is used up, and its reuse ends the whole family (RFC 9700
	// §4.14.2). Otherwise answers to a refresh bring none.
	Rotate bool `json:"rotate"`
	// Overlap is how long the immediately previous one still works after rotation; each such use gives another new one.
	Overlap time.Duration `json:"overlap"`
	// UntilUsed keeps the previous one working until the new one was used, for a client that got no answer (FAPI 2.0
	// Security Profile §5.3.2.1).
	UntilUsed bool `json:"until_used"`
	// KeepFamily refuses a used one and does nothing else: its successors go on working.
	KeepFamily bool `json:"keep_family"`
	// EndAccess ends the session's earlier access tokens with each use of a refresh token.
	EndAccess bool `json:"end_access"`
	// Narrow narrows the session for good where a refresh asks for less scope, against RFC 6749 §6.
	Narrow bool `json:"narrow"`
	// Idle and Absolute are how long a session lives without a refresh, and at all; 0 means for ever.
	Idle     time.Duration `json:"idle"`
	Absolute time.Duration `json:"absolute"`
}

// Device is how device authorization behaves (RFC 8628).
type Device struct {
	// Lifetime is that of both codes; 0 means 900 s.
	Lifetime time.Duration `json:"lifetime"`
	// Interval is what a client must wait after an answer before it polls again; 0 means 5 s.
	Interval time.Duration `json:"interval"`
	// OmitInterval leaves interval out of the answer, so that it is 5 s (§3.2); OmitComplete leaves out
	// verification_uri_complete.
	OmitInterval bool `json:"omit_interval"`
	OmitComplete bool `json:"omit_complete"`
}
