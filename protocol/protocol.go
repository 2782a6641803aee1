// Package protocol is what groat and groatd say to each other: JSON-RPC 2.0, one JSON object a line, over a Unix socket.
//
// PROTOCOL.md beside this file is the specification; this package is its Go form: messages, bounds, error kinds, framing
// and a client over any [net.Conn]. The invariant: no message of any method carries a client secret, a refresh token, a
// private key or a passphrase towards the client. What is not here: what the daemon does with a request.
package protocol

import (
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

// Version is the protocol's version; a member may be added within it, never changed or removed.
const Version = 1

// The bounds of a conversation (PROTOCOL.md, "Bounds").
const (
	// MaxLine is the longest line in bytes, its newline included.
	MaxLine = frame.MaxLine
	// MaxID is the longest id that is a string, in bytes between its quotes as it stands in the line.
	MaxID = 128
	// MaxInFlight is how many requests of one connection are worked on at once; then the daemon stops reading.
	MaxInFlight = 32
	// LineTimeout is how long a line may take from its first byte to its newline.
	LineTimeout = frame.LineTimeout
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
	MethodNetwork    = "network"
	MethodBackup     = "backup"
	MethodRestore    = "restore"
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
	// NotEnded says why the provider was not asked to end the session, where its address is not one that the credential is
	// sealed for.
	NotEnded string `json:"not_ended,omitempty"`
	// ClientID is the client that still exists at the provider; empty where nothing remains or nothing was stored.
	ClientID string `json:"client_id,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	// Permanent is set where the provider has no way to delete that client.
	Permanent bool `json:"permanent,omitempty"`
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

// KeystoreParams asks about the keystore, or changes it: with Use it is chosen, with Move every credential is carried to
// another one, with Change a secret of its own is replaced. At most one of the three may be given.
type KeystoreParams struct {
	Use    string `json:"use,omitempty"`    // "keychain", "sealed" or "memory"
	Move   string `json:"move,omitempty"`   // "keychain" or "sealed"
	Key    string `json:"key,omitempty"`    // for sealed: "passphrase", "file", "keychain" or "credential"
	Change string `json:"change,omitempty"` // "passphrase"
}

// KeystoreResult is the keystore's state.
type KeystoreResult struct {
	Use   string `json:"use"`           // "keychain", "sealed", "memory", or "auto" while nothing is decided
	Key   string `json:"key,omitempty"` // for sealed
	State string `json:"state"`         // "ok", "locked", "unavailable" or "undecided"
	// Message explains a State that is not ok, or says what is left to do.
	Message string `json:"message,omitempty"`
	// Warning says why the passphrase that was just set is easy to guess.
	Warning string `json:"warning,omitempty"`
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

// ReloadResult answers "reload".
type ReloadResult struct {
	Profiles int `json:"profiles"`
}
