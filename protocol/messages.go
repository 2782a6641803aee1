package protocol

import "github.com/groat-dev/groat/protocol/frame"

// The parameters and results of the methods; token.go has those of "token" and "reject", login.go those of "login".

// HelloResult answers "hello", which is optional and takes no parameters.
type HelloResult struct {
	Server   string   `json:"server"`   // "groatd"
	Release  string   `json:"release"`  // the build's version
	Protocol int      `json:"protocol"` // [Version]
	Methods  []string `json:"methods"`
	PID      int      `json:"pid"`
}

// StatusParams asks about one profile, or with an empty name about all, which [Client.Status] does page by page.
type StatusParams struct {
	Profile string `json:"profile,omitempty"`
	// After is the Next of the page before; the names of this page sort behind it.
	After string `json:"after,omitempty"`
}

// StatusResult is the daemon's state: a page, because a line has a bound.
type StatusResult struct {
	Release   string `json:"release"`
	PID       int    `json:"pid"`
	StartedAt int64  `json:"started_at"` // Unix seconds
	Socket    string `json:"socket"`
	// Place is what the daemon works with; nil if it was not told.
	Place    *PlaceStatus   `json:"place,omitempty"`
	Keystore KeystoreResult `json:"keystore,omitzero"` // on the first page only: a keychain may take its time
	Network  *NetworkResult `json:"network,omitempty"` // on the first page only
	// Fleet is the fleet that this machine is in, without its machines and profiles, nil where it is in none. On the
	// first page only.
	Fleet *FleetResult `json:"fleet,omitempty"`
	// Configuration says why the files of the configuration cannot be used as they are now, nil where they can: what
	// was read before is in use. On the first page only.
	Configuration *Trouble `json:"configuration,omitempty"`
	// Unsaved says, in sentences about the daemon, what would be lost if it ended now; on the first page only.
	Unsaved []string `json:"unsaved,omitempty"`
	// HandedOver says in the same way what would be lost too if no other daemon took this one's place.
	HandedOver []string        `json:"handed_over,omitempty"`
	Profiles   []ProfileStatus `json:"profiles"`       // sorted by name
	Next       string          `json:"next,omitempty"` // the After of the next page; empty on the last
}

// Trouble is what is wrong, for people, and the next command.
type Trouble struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// PlaceStatus is a place as [StatusResult] has it.
type PlaceStatus struct {
	ID string `json:"id"`
	frame.Place
	// Usual says that no variable of the environment has led to it: see [frame.UsualPlace].
	Usual bool `json:"usual"`
}

// ProfileStatus is one profile's state, without any token.
type ProfileStatus struct {
	Profile    string `json:"profile"`
	Provider   string `json:"provider,omitempty"`
	Issuer     string `json:"issuer"`
	ClientAuth string `json:"client_auth"`
	// Account is whose credential it is, as far as that is known: the person's or the client's name at the server.
	Account string `json:"account,omitempty"`
	// State is "idle" (no token yet), "fresh", "expired", or the [Kind] of what stands in the way: "config" for a
	// profile that is Broken and not in use.
	State string `json:"state"`
	// Broken is set where what the configuration says of the profile cannot be used; Message says why. One that was in
	// use is, as it was before.
	Broken bool `json:"broken,omitempty"`
	// Blocked is the [Kind] of what keeps a renewal from leaving, also while a token is held; empty where nothing does.
	Blocked Kind `json:"blocked,omitempty"`
	// Message explains Broken, Blocked or Degraded; Hint is the next command.
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
	// Degraded is set if the keystore cannot give or take what the profile needs: a token that is held is served.
	Degraded bool `json:"degraded,omitempty"`
	// ExpiresAt, ExpiresIn and Lifetime describe the default token, 0 if there is none.
	ExpiresAt int64 `json:"expires_at,omitempty"`
	ExpiresIn int64 `json:"expires_in,omitempty"`
	Lifetime  int64 `json:"lifetime,omitempty"`
	// Static is set where the default token is an API key, which does not expire: the members around this one are 0.
	Static bool `json:"static,omitempty"`
	// Assumed lists what the server did not say of the default token and groatd took for granted: "lifetime" (five
	// minutes), "token_type" (Bearer).
	Assumed []string `json:"assumed,omitempty"`
	// Last is set where the session ends with the default token, since its server gave no refresh token.
	Last bool `json:"last,omitempty"`
	// RenewIn is seconds to the planned renewal; 0 if none is planned.
	RenewIn int64 `json:"renew_in,omitempty"`
	// RetryIn is seconds until the next attempt after a failure; 0 if none is pending.
	RetryIn int64 `json:"retry_in,omitempty"`
	// ClockOffset is by how many seconds the token endpoint's clock is ahead of this machine's (negative: behind),
	// if client assertions are dated by it; 0 if they are dated by this machine's.
	ClockOffset int64 `json:"clock_offset,omitempty"`
	// EndsEarlier is how it is known that the server ends a session's earlier access tokens at each renewal, so
	// that the profile has one token: "configured", "introspected" where the server said so of such a token, or
	// "refused" where an API refused one; empty where it is not known to.
	EndsEarlier string `json:"refresh_ends_tokens,omitempty"`
	// Narrows is how it is known that the server narrows a session for good when a narrower scope is asked for, so that
	// the profile has one scope: "configured", or "noticed" where a default token came with less scope after that;
	// empty where it is not known to. ScopeLost is the scope that the session has lost so, empty where none is missing.
	Narrows   string `json:"refresh_narrows,omitempty"`
	ScopeLost string `json:"scope_lost,omitempty"`
	// SessionIdleEndsAt is until when the session lives if it is not renewed before, SessionEndsAt when it ends
	// whatever is renewed: 0 where that is not known.
	SessionIdleEndsAt int64 `json:"session_idle_ends_at,omitempty"`
	SessionEndsAt     int64 `json:"session_ends_at,omitempty"`
	// SessionEndsSoon is set once SessionEndsAt, or the end of the last token, is so near that a person is told of it.
	SessionEndsSoon bool `json:"session_ends_soon,omitempty"`
	// Fleet is set for a profile of the fleet: which machine obtained its token last, and when.
	Fleet *FleetProfile `json:"fleet,omitempty"`
	// Requests counts requests to the token endpoint since the daemon started.
	Requests int64 `json:"requests"`
	// Tokens is how many tokens (one a scope and audience) are held.
	Tokens int `json:"tokens"`
}

// ProfilesParams asks for the profiles, which [Client.Profiles] does page by page.
type ProfilesParams struct {
	After string `json:"after,omitempty"` // as in [StatusParams]
}

// LoginCancelParams ends the login of a profile that is under way.
type LoginCancelParams struct {
	Profile string `json:"profile"`
}

// LoginCancelResult says whether one was under way.
type LoginCancelResult struct {
	Profile   string `json:"profile"`
	Cancelled bool   `json:"cancelled"`
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
	// Revoked is set if the provider has ended the session.
	Revoked bool `json:"revoked,omitempty"`
	// NotEnded says why the provider was not asked to end the session: it names no address for that, or one that the
	// credential is not sealed for. Empty where it was asked, or there was no session.
	NotEnded string `json:"not_ended,omitempty"`
	// ClientID is the client that still exists at the provider; empty if nothing remains or nothing was stored.
	ClientID string `json:"client_id,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	// Permanent is set if the provider has no way to delete that client.
	Permanent bool `json:"permanent,omitempty"`
	// Fleet is set if the profile is a fleet's: it is forgotten on all machines.
	Fleet bool `json:"fleet,omitempty"`
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
	Account   string   `json:"account,omitempty"` // as in [ProfileStatus]
	Resources []string `json:"resources"`
	// Broken, Message and Hint are as in [ProfileStatus], Message and Hint only where Broken is set.
	Broken  bool   `json:"broken,omitempty"`
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
	// SessionIdleEndsAt and SessionEndsAt are as in [ProfileStatus].
	SessionIdleEndsAt int64 `json:"session_idle_ends_at,omitempty"`
	SessionEndsAt     int64 `json:"session_ends_at,omitempty"`
}

// ProfileParams asks for the keys of a profile; with a Key it changes one. Without a Profile it asks which keys there
// are.
type ProfileParams struct {
	Profile string `json:"profile,omitempty"`
	Key     string `json:"key,omitempty"`
	// Value is what the key is set to; nil removes it.
	Value *string `json:"value,omitempty"`
}

// ProfileResult is the keys of a profile that are set, or all that there are.
type ProfileResult struct {
	Profile string `json:"profile,omitempty"`
	// From is where the profile is described, "FILE:LINE"; empty for one in memory only.
	From string       `json:"from,omitempty"`
	Keys []ProfileKey `json:"keys"`
}

// ProfileKey is one key of a profile.
type ProfileKey struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	// About says in a sentence what the key is for; Login is the flag of "groat login" that alone changes it.
	About string `json:"about"`
	Login string `json:"login,omitempty"`
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

// KeystoreParams asks about the keystore, or changes it: with Use it is chosen, with Move every credential is carried
// to another one, with Change a secret of its own is replaced. At most one of the three may be given.
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
	// Needs is what a person must bring for the default ("username", "client_id", "key", "backend"), or empty.
	Needs string `json:"needs,omitempty"`
	// NeedsBy is what a person must bring for each of Grants, in their order.
	NeedsBy []string `json:"needs_by,omitempty"`
	// Unconfirmed are the preset's values that no source confirms for everybody who signs in there.
	Unconfirmed []string `json:"unconfirmed,omitempty"`
	// Deprecated says, in a sentence, why something else is better.
	Deprecated string `json:"deprecated,omitempty"`
}

// WarningsResult answers "warnings", which takes no parameters: the sign-ins that end soon, whatever is renewed, and of
// which no person was told yet. They count as told from then on, so only a client that shows them to a person asks.
type WarningsResult struct {
	Sessions []SessionWarning `json:"sessions"` // sorted by profile
}

// SessionWarning is one of them.
type SessionWarning struct {
	Profile string `json:"profile"`
	EndsAt  int64  `json:"ends_at"` // Unix seconds
}

// ReloadResult answers "reload".
type ReloadResult struct {
	Profiles int `json:"profiles"`
}

// NetworkParams asks how servers are reached; with a Setting it changes that. A Setting without a Value is removed.
type NetworkParams struct {
	// Setting is "proxy", "no_proxy" or "ca_file".
	Setting string `json:"setting,omitempty"`
	Value   string `json:"value,omitempty"`
}

// NetworkResult is how servers are reached. What is not set is not there.
type NetworkResult struct {
	// Proxy is the URL of the proxy, without user name and password.
	Proxy *NetworkSetting `json:"proxy,omitempty"`
	// NoProxy is what is reached without it: a list as in NO_PROXY.
	NoProxy *NetworkSetting `json:"no_proxy,omitempty"`
	// CAFile is a file of certificate authorities: trusted beside the system's if it is configured, instead of them
	// if it is the environment's.
	CAFile *NetworkSetting `json:"ca_file,omitempty"`
	// PID and StartedAt, in Unix seconds, are groatd's: the age of the environment that it has. Zero in "status", which
	// has both.
	PID       int   `json:"pid,omitempty"`
	StartedAt int64 `json:"started_at,omitempty"`
}

// NetworkSetting is a value, and where it comes from: "FILE:LINE", or "environment: VARIABLE" for groatd's own
// environment.
type NetworkSetting struct {
	Value string `json:"value"`
	From  string `json:"from"`
}

// ImportParams asks what other programs keep on this machine, or takes some of it over. Two members hold secrets and
// are written by hand: "environment", a JSON object (as text) of the variables that [ImportResult] names, as they are
// where the person types; and "content", what is to be read instead of looking around.
type ImportParams struct {
	// From is the absolute path of a file to read instead of looking around.
	From string `json:"from,omitempty"`
	// Take are the IDs of what to import; none only looks.
	Take []string `json:"take,omitempty"`
	// Trust are origins that a person has agreed to send a credential to, of those that are [ImportFound.Unusual].
	Trust []string `json:"trust,omitempty"`
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
	// Destination is the origin of the server that the credential is sent to. Unusual: it is not the provider's own,
	// but one that the other program's settings name, and must be among [ImportParams.Trust].
	Destination string `json:"destination,omitempty"`
	Unusual     bool   `json:"unusual,omitempty"`
	// Copies are where it stays after an import, the one it was read from first.
	Copies []ImportCopy `json:"copies"`
	// Reason is why it cannot be imported, empty if it can; Hint is the command to type next.
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// Confirm is a question that must be asked about this one, whatever a person said about all.
	Confirm string `json:"confirm,omitempty"`
	// Fresh is the command for a sign-in of groat's own, if that is better than sharing a session.
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

// BackupParams asks for a file with the permanent credentials. Its member "passphrase" is a secret.
type BackupParams struct {
	Path string `json:"path"` // absolute
	// Force replaces a regular file that is there.
	Force bool `json:"force,omitempty"`
}

// BackupResult says what is in the file.
type BackupResult struct {
	Path     string       `json:"path"`
	Profiles []BackupItem `json:"profiles"`
	// LeftOut are the profiles that are not in it, and why.
	LeftOut []BackupLeftOut `json:"left_out,omitempty"`
	// Incomplete says why a permanent credential is not in the file, which is written nevertheless.
	Incomplete *Error `json:"incomplete,omitempty"`
	// More is how many profiles a line did not have room for; in the file they are.
	More int `json:"more,omitempty"`
	// Warning says why the passphrase is easy to guess.
	Warning string `json:"warning,omitempty"`
}

// BackupItem is one permanent credential. Nothing of it is secret.
type BackupItem struct {
	Profile  string `json:"profile"`
	Provider string `json:"provider,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	// Server is where the credential is sent: every host of it, with a blank between two.
	Server   string `json:"server"`
	Grant    string `json:"grant"`
	ClientID string `json:"client_id,omitempty"`
	// APIs are the origins whose requests get the tokens that are had with the credential.
	APIs []string `json:"apis,omitempty"`
}

// BackupLeftOut is a profile that no backup carries.
type BackupLeftOut struct {
	Profile string `json:"profile"`
	Reason  string `json:"reason"`
	Hint    string `json:"hint,omitempty"`
}

// RestoreParams asks what is in a backup, or with Take to restore some of it. Its member "passphrase" is a secret.
type RestoreParams struct {
	Path string   `json:"path"`           // absolute
	Take []string `json:"take,omitempty"` // names of profiles
	// Replace are those of Take whose credential here may be replaced.
	Replace []string `json:"replace,omitempty"`
}

// RestoreResult says what is in a backup and what became of it.
type RestoreResult struct {
	Created  int64           `json:"created"` // Unix seconds
	Profiles []RestoreItem   `json:"profiles"`
	LeftOut  []BackupLeftOut `json:"left_out,omitempty"` // when the backup was made
	More     int             `json:"more,omitempty"`     // see [BackupResult]
}

// What there may be in the place of a [RestoreItem].
const (
	HereProfile = "profile"
	HereSame    = "same"
	HereOther   = "other"
)

// RestoreItem is one credential of a backup.
type RestoreItem struct {
	BackupItem
	// Here is what there is of this name: nothing; [HereProfile], the same profile without a credential; [HereSame],
	// the same credential; [HereOther], another credential or another server, which only Replace replaces.
	Here     string `json:"here,omitempty"`
	Restored bool   `json:"restored,omitempty"` // or was there already
	Error    *Error `json:"error,omitempty"`    // why it was not, or cannot be
}
