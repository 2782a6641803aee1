// Package protocol is what groat and groatd say to each other: JSON-RPC 2.0, one JSON object a line, over a Unix socket.
//
// PROTOCOL.md beside this file is the specification; this package is its Go form: messages, bounds, error kinds, framing
// and a client over any [net.Conn]. The invariant: no message of any method carries a client secret, a refresh token, a
// private key or a passphrase towards the client. What is not here: what the daemon does with a request.
package protocol

import "time"

// Version is the protocol's version; a member may be added within it, never changed or removed.
const Version = 1

// The bounds of a conversation (PROTOCOL.md, "Bounds").
const (
	// MaxLine is the longest line in bytes, its newline included.
	MaxLine = 64 << 10
	// MaxID is the longest id that is a string, in bytes between its quotes as it stands in the line.
	MaxID = 128
	// MaxInFlight is how many requests of one connection are worked on at once; then the daemon stops reading.
	MaxInFlight = 32
	// LineTimeout is how long a line may take from its first byte to its newline.
	LineTimeout = 5 * time.Second
	// WriteTimeout is how long a reply may take to be accepted by the reader.
	WriteTimeout = 5 * time.Second
	// DefaultWait is how long a token request waits for a token to be obtained where it does not say.
	DefaultWait = 20 * time.Second
	// MaxWait bounds what it may say.
	MaxWait = 120 * time.Second
	// MaxMinTTL bounds min_ttl: a year, longer than any access token.
	MaxMinTTL = 366 * 24 * time.Hour
)

// Method names.
const (
	MethodHello      = "hello"
	MethodToken      = "token"
	MethodReject     = "reject"
	MethodLogin      = "login"
	MethodLoginInput = "login_input"
	MethodLogout     = "logout"
	MethodStatus     = "status"
	MethodProfiles   = "profiles"
	MethodWhoami     = "whoami"
	MethodKeystore   = "keystore"
	MethodUnlock     = "unlock"
	MethodReload     = "reload"
	MethodProviders  = "providers"
	MethodImport     = "import"
)

// NotePrompt is the one notification the daemon sends inside a login.
const NotePrompt = "prompt"

// HelloResult answers "hello", which is optional and takes no parameters.
type HelloResult struct {
	Server   string   `json:"server"`   // "groatd"
	Release  string   `json:"release"`  // the build's version
	Protocol int      `json:"protocol"` // [Version]
	Methods  []string `json:"methods"`
	PID      int      `json:"pid"`
}

// TokenParams asks for an access token. Exactly one of Profile and Target names whose; with neither, the only profile
// there is.
type TokenParams struct {
	Profile string `json:"profile,omitempty"`
	// Target is a URL; the profile that lists its origin as a resource answers.
	Target string `json:"target,omitempty"`
	// MinTTL is a promise asked for: seconds the token is still good for. Nil asks for none.
	MinTTL *int64 `json:"min_ttl,omitempty"`
	// Scope is a list separated by spaces (RFC 6749 §3.3); empty means the profile's default.
	Scope string `json:"scope,omitempty"`
	// Audience is one audience; empty means the profile's default.
	Audience string `json:"audience,omitempty"`
	// Wait is how many seconds to wait for a token; nil means [DefaultWait], 0 means not at all.
	Wait *int64 `json:"wait,omitempty"`
}

// RejectParams names an access token that an API refused.
type RejectParams struct {
	TokenParams
	AccessToken string `json:"access_token"`
}

// TokenResult answers "token" and "reject".
type TokenResult struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresAt is Unix seconds by this machine's clock, computed anew for each reply.
	ExpiresAt int64 `json:"expires_at"`
	// ExpiresIn is the whole seconds left.
	ExpiresIn int64  `json:"expires_in"`
	Scope     string `json:"scope,omitempty"`
	Profile   string `json:"profile"`
	// Header is the ready-made request header field, e.g. "Authorization: Bearer …".
	Header string `json:"header"`
	// Static is set for an API key, which is no access token: it does not expire, and it leaves only as Header.
	Static bool `json:"static,omitempty"`
}

// LoginParams starts a login; the reply comes when it is over, prompts in between are [Prompt] notifications.
type LoginParams struct {
	Profile    string `json:"profile"`
	Provider   string `json:"provider,omitempty"`    // a preset's name
	Issuer     string `json:"issuer,omitempty"`      // RFC 8414 / OpenID Connect discovery
	TokenURL   string `json:"token_url,omitempty"`   // no discovery
	AuthServer string `json:"auth_server,omitempty"` // another host with the preset's paths
	// Grant is a way to sign in ("device_code", "authorization_code", …); empty means the provider's first that fits.
	Grant      string `json:"grant,omitempty"`
	ClientAuth string `json:"client_auth,omitempty"`
	ClientID   string `json:"client_id,omitempty"`
	Username   string `json:"username,omitempty"`
	// Key and Certificate are paths of PEM files (or a service account's JSON), which the daemon reads.
	Key         string `json:"key,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	// Subject is whom an assertion speaks for (RFC 7523 §3).
	Subject string `json:"subject,omitempty"`
	// NoBrowser: there is none on this machine.
	NoBrowser bool `json:"no_browser,omitempty"`
	// Header and Prefix are how an API key is sent, where not as the provider's preset says.
	Header string  `json:"header,omitempty"`
	Prefix *string `json:"prefix,omitempty"`
	// Ephemeral keeps the profile in the daemon's memory only.
	Ephemeral bool     `json:"ephemeral,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	Audience  string   `json:"audience,omitempty"`
	Resources []string `json:"resources,omitempty"` // origins that may be sent a token
	NewClient bool     `json:"new_client,omitempty"`
}

// PromptKind says what a prompt wants.
type PromptKind string

const (
	// PromptNotice is a sentence to show; it wants no answer.
	PromptNotice PromptKind = "notice"
	// PromptSecret wants a login_input with something that must not be echoed.
	PromptSecret PromptKind = "secret"
	// PromptBrowser shows a URL to open. What the browser comes back with may be sent as login_input by a person whose browser
	// is on another machine: the address that it ended at, or the code.
	PromptBrowser PromptKind = "browser"
	// PromptDevice shows a URL and a code to type there, on any device; it wants no answer.
	PromptDevice PromptKind = "device"
)

// Prompt is the parameters of a "prompt" notification.
type Prompt struct {
	LoginID string     `json:"login_id"`
	Kind    PromptKind `json:"kind"`
	Text    string     `json:"text"`
	// URL is for PromptBrowser and PromptDevice; Code is what to type there, QR the URL with the code in it, drawn in
	// characters, and ExpiresIn how many seconds there are.
	URL       string `json:"url,omitempty"`
	Code      string `json:"code,omitempty"`
	QR        string `json:"qr,omitempty"`
	ExpiresIn int64  `json:"expires_in,omitempty"`
}

// LoginResult says what a login came to.
type LoginResult struct {
	Profile string `json:"profile"`
	// Outcome is "signed_in" (a credential was stored) or "already_signed_in" (the stored one was proven, nothing changed).
	Outcome   string `json:"outcome"`
	Grant     string `json:"grant"`
	ClientID  string `json:"client_id"`
	Created   bool   `json:"created"` // a new client exists at the provider now
	Provider  string `json:"provider,omitempty"`
	Issuer    string `json:"issuer"`
	Keystore  string `json:"keystore"`
	ExpiresAt int64  `json:"expires_at"` // of the first token, Unix seconds
	ExpiresIn int64  `json:"expires_in"`
}

// Outcomes of a login.
const (
	SignedIn        = "signed_in"
	AlreadySignedIn = "already_signed_in"
)

// LogoutParams forgets a profile. Without Yes a profile whose client stays behind at the provider is only described.
type LogoutParams struct {
	Profile string `json:"profile"`
	Yes     bool   `json:"yes,omitempty"`
	// KeepRemote leaves the session at the provider as it is.
	KeepRemote bool `json:"keep_remote,omitempty"`
}

// LogoutResult says what was forgotten and what remains.
type LogoutResult struct {
	Profile   string `json:"profile"`
	Forgotten bool   `json:"forgotten"`
	// Revoked is set where the provider has ended the session.
	Revoked bool `json:"revoked,omitempty"`
	// ClientID is the client that still exists at the provider; empty where nothing remains or nothing was stored.
	ClientID string `json:"client_id,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	// Permanent is set where the provider has no way to delete that client.
	Permanent bool `json:"permanent,omitempty"`
}

// StatusParams asks about one profile, or with an empty name about all, which [Client.Status] does page by page.
type StatusParams struct {
	Profile string `json:"profile,omitempty"`
	// After is the Next of the page before; the names of this page sort behind it.
	After string `json:"after,omitempty"`
}

// StatusResult is the daemon's state: a page, because a line has a bound.
type StatusResult struct {
	Release   string          `json:"release"`
	PID       int             `json:"pid"`
	StartedAt int64           `json:"started_at"` // Unix seconds
	Socket    string          `json:"socket"`
	Keystore  KeystoreResult  `json:"keystore,omitzero"` // on the first page only: a keychain may take its time
	Profiles  []ProfileStatus `json:"profiles"`          // sorted by name
	Next      string          `json:"next,omitempty"`    // the After of the next page; empty on the last
}

// ProfileStatus is one profile's state, without any token.
type ProfileStatus struct {
	Profile    string `json:"profile"`
	Provider   string `json:"provider,omitempty"`
	Issuer     string `json:"issuer"`
	ClientAuth string `json:"client_auth"`
	// State is "idle" (no token yet), "fresh", "expired", or the [Kind] of what stands in the way.
	State string `json:"state"`
	// Message explains State where something stands in the way; Hint is the next command.
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
	// ExpiresAt, ExpiresIn and Lifetime describe the default token, 0 where there is none.
	ExpiresAt int64 `json:"expires_at,omitempty"`
	ExpiresIn int64 `json:"expires_in,omitempty"`
	Lifetime  int64 `json:"lifetime,omitempty"`
	// RenewIn is seconds to the planned renewal; 0 where none is planned.
	RenewIn int64 `json:"renew_in,omitempty"`
	// RetryIn is seconds until the next attempt after a failure; 0 where none is pending.
	RetryIn int64 `json:"retry_in,omitempty"`
	// Requests counts requests to the token endpoint since the daemon started.
	Requests int64 `json:"requests"`
	// Tokens is how many tokens (one a scope and audience) are held.
	Tokens int `json:"tokens"`
}

// ProfilesParams asks for the profiles, which [Client.Profiles] does page by page.
type ProfilesParams struct {
	After string `json:"after,omitempty"` // as in [StatusParams]
}

// ProfilesResult answers "profiles": a page, as [StatusResult] is.
type ProfilesResult struct {
	Profiles []ProfileInfo `json:"profiles"` // sorted by name
	Next     string        `json:"next,omitempty"`
}

// ProfileInfo is one profile as configured.
type ProfileInfo struct {
	Profile   string   `json:"profile"`
	Provider  string   `json:"provider,omitempty"`
	Issuer    string   `json:"issuer"`
	Resources []string `json:"resources"`
}

// WhoamiParams names a profile.
type WhoamiParams struct {
	Profile string `json:"profile,omitempty"`
}

// WhoamiResult is what the provider says of the person behind a profile: its answer's plain members (strings, numbers,
// booleans), cleaned for a terminal.
type WhoamiResult struct {
	Profile string         `json:"profile"`
	Claims  map[string]any `json:"claims"`
}

// KeystoreParams asks about the keystore, or with Use chooses it.
type KeystoreParams struct {
	Use string `json:"use,omitempty"` // "keychain", "sealed" or "memory"
	Key string `json:"key,omitempty"` // for sealed: "passphrase", "file", "keychain" or "credential"
}

// KeystoreResult is the keystore's state.
type KeystoreResult struct {
	Use   string `json:"use"`           // "keychain", "sealed", "memory", or "auto" while nothing is decided
	Key   string `json:"key,omitempty"` // for sealed
	State string `json:"state"`         // "ok", "locked", "unavailable" or "undecided"
	// Message explains a State that is not ok.
	Message string `json:"message,omitempty"`
}

// ProvidersResult answers "providers": what "login" knows by name.
type ProvidersResult struct {
	Providers []ProviderInfo `json:"providers"`
}

// ProviderInfo is one preset.
type ProviderInfo struct {
	Provider string `json:"provider"`
	Title    string `json:"title"`
	// Grants are the ways to sign in, the default first.
	Grants []string `json:"grants"`
	// Needs is what a person must bring for the default ("username", "client_id", "key"), or empty.
	Needs string `json:"needs,omitempty"`
	// Deprecated says, in a sentence, why something else is better.
	Deprecated string `json:"deprecated,omitempty"`
}

// ImportParams asks what other programs keep on this machine, or takes some of it over. Two members hold secrets and are
// written by hand: "environment", a JSON object (as text) of the variables that [ImportResult] names, as they are where the person types;
// and "content", what is to be read instead of looking around.
type ImportParams struct {
	// From is the absolute path of a file to read instead of looking around.
	From string `json:"from,omitempty"`
	// Take are the IDs of what to import; none only looks.
	Take []string `json:"take,omitempty"`
}

// ImportResult answers "import".
type ImportResult struct {
	Found []ImportFound `json:"found"`
	// Variables are the names that the daemon would like in "environment"; it cannot see the person's own.
	Variables []string `json:"variables"`
}

// ImportFound is one credential that another program keeps. No secret is in it.
type ImportFound struct {
	ID      string `json:"id"`
	System  string `json:"system"`  // "Planet", "EarthScope", …
	What    string `json:"what"`    // "App Credentials", "session", …
	Profile string `json:"profile"` // the name it would have here
	// Provider is the preset, or empty for a server of its own; Either are those between which a person must choose, by
	// taking "ID=PROVIDER".
	Provider string   `json:"provider,omitempty"`
	Either   []string `json:"either,omitempty"`
	Grant    string   `json:"grant,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
	// Copies are where it stays after an import, the one it was read from first.
	Copies []ImportCopy `json:"copies"`
	// Reason is why it cannot be imported, empty where it can; Hint is the command to type next.
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// Confirm is a question that must be asked about this one, whatever a person said about all.
	Confirm string `json:"confirm,omitempty"`
	// Fresh is the command for a sign-in of groat's own, where that is better than sharing a session.
	Fresh      string   `json:"fresh,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
	NotCarried []string `json:"not_carried,omitempty"`
	// Imported is set once it is a profile; Error is why an import failed.
	Imported bool   `json:"imported,omitempty"`
	Error    *Error `json:"error,omitempty"`
}

// ImportCopy is one place where a credential is kept.
type ImportCopy struct {
	Source    string   `json:"source"` // a path, or "environment"
	Variables []string `json:"variables,omitempty"`
	Mode      string   `json:"mode,omitempty"` // "0644"
	Plaintext bool     `json:"plaintext"`
	Holds     []string `json:"holds,omitempty"`
	ReadBy    []string `json:"read_by,omitempty"`
	// Remove is a line for sh that removes it; groat never runs it. Note says what to know before.
	Remove string `json:"remove,omitempty"`
	Note   string `json:"note,omitempty"`
}

// ReloadResult answers "reload".
type ReloadResult struct {
	Profiles int `json:"profiles"`
}
