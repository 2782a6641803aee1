package protocol

import "github.com/groat-dev/groat/protocol/frame"

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
	// Place is what the daemon works with; nil where it was not told.
	Place    *PlaceStatus    `json:"place,omitempty"`
	Keystore KeystoreResult  `json:"keystore,omitzero"` // on the first page only: a keychain may take its time
	Network  *NetworkResult  `json:"network,omitempty"` // on the first page only
	Profiles []ProfileStatus `json:"profiles"`          // sorted by name
	Next     string          `json:"next,omitempty"`    // the After of the next page; empty on the last
}

// PlaceStatus is a place as [StatusResult] has it.
type PlaceStatus struct {
	ID string `json:"id"`
	frame.Place
	// Usual says that it is the one where no environment says anything else.
	Usual bool `json:"usual"`
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
	// Degraded is set where the keystore cannot give or take what the profile needs: a token that is held is served.
	Degraded bool `json:"degraded,omitempty"`
	// ExpiresAt, ExpiresIn and Lifetime describe the default token, 0 where there is none.
	ExpiresAt int64 `json:"expires_at,omitempty"`
	ExpiresIn int64 `json:"expires_in,omitempty"`
	Lifetime  int64 `json:"lifetime,omitempty"`
	// Assumed lists what the server did not say of the default token and groatd took for granted: "lifetime" (five minutes),
	// "token_type" (Bearer).
	Assumed []string `json:"assumed,omitempty"`
	// RenewIn is seconds to the planned renewal; 0 where none is planned.
	RenewIn int64 `json:"renew_in,omitempty"`
	// RetryIn is seconds until the next attempt after a failure; 0 where none is pending.
	RetryIn int64 `json:"retry_in,omitempty"`
	// ClockOffset is by how many seconds the token endpoint's clock is ahead of this machine's (negative: behind), where client
	// assertions are dated by it; 0 where they are dated by this machine's.
	ClockOffset int64 `json:"clock_offset,omitempty"`
	// Requests counts requests to the token endpoint since the daemon started.
	Requests int64 `json:"requests"`
	// Tokens is how many tokens (one a scope and audience) are held.
	Tokens int `json:"tokens"`
}

// ProfilesParams asks for the profiles, which [Client.Profiles] does page by page.
type ProfilesParams struct {
	After string `json:"after,omitempty"` // as in [StatusParams]
}
