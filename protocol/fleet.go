package protocol

// The parameters and results of "fleet".

// What "fleet" is asked to do; empty is to show the fleet.
const (
	FleetCreate = "create"
	FleetInvite = "invite"
	FleetJoin   = "join"
	FleetRemove = "remove"
	FleetLeave  = "leave"
)

// FleetParams shows the fleet that this machine belongs to, or changes it. A request that needs the engine's password
// carries it as "password", and one that joins carries the code as "code": both are secrets, sent with
// [Client.CallSecrets].
type FleetParams struct {
	Do string `json:"do,omitempty"`
	// Endpoints are the engine's, of a fleet that is created. A code has them.
	Endpoints []string `json:"endpoints,omitempty"`
	// CAFile is the absolute path of a PEM file with the authorities of the engine's certificates.
	CAFile string `json:"ca_file,omitempty"`
	// User is the engine's user.
	User string `json:"user,omitempty"`
	// Certificate and Key are the absolute paths of the PEM files that this machine shows to the engine.
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	// Machine is the name of this machine in the fleet that it creates or joins, or of the one to be removed.
	Machine string `json:"machine,omitempty"`
	// Forget lets this machine leave without telling the others: what it has of the fleet is erased, whether or not the
	// engine answers.
	Forget bool `json:"forget,omitempty"`
}

// FleetResult is the fleet as this machine knows it.
type FleetResult struct {
	// Fleet is its id; empty where this machine is in none, or has left it.
	Fleet string `json:"fleet,omitempty"`
	// Machine is this machine's name in it.
	Machine   string   `json:"machine,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
	// State is "none", "ok", "starting", "unreachable" (the engine does not answer), "locked" (the keystore),
	// "removed", "behind" (the engine shows an older copy, or withholds something) or "config".
	State string `json:"state"`
	// Message explains a State that is neither "none" nor "ok"; Hint is the next command.
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
	// Machines are the members, sorted by name, as many as a line holds; More counts the others.
	Machines []FleetMachine `json:"machines,omitempty"`
	More     int            `json:"more,omitempty"`
	// Profiles are the fleet's, sorted by name, as many as a line holds.
	Profiles []FleetProfile `json:"profiles,omitempty"`
	// Invitation is the code that "invite" and "create" have made, for a person to carry to one other machine, and
	// InvitationEndsIn how many seconds it is good for.
	Invitation       string `json:"invitation,omitempty"`
	InvitationEndsIn int64  `json:"invitation_ends_in,omitempty"`
	// Waits is set by "leave" where no other machine has begun a new key yet: one does when it runs; and by "remove"
	// where not everything is sealed with the new key yet: the machines that run go on with it.
	Waits bool `json:"waits,omitempty"`
}

// FleetMachine is a member.
type FleetMachine struct {
	Machine string `json:"machine"`
	ID      string `json:"id"`
	This    bool   `json:"this,omitempty"`
}

// FleetProfile is a profile that all machines of a fleet have.
type FleetProfile struct {
	Profile string `json:"profile"`
	// Hidden is set where this machine has a profile of its own of this name, which is used instead.
	Hidden bool `json:"hidden,omitempty"`
	// RenewedBy is the machine that signed in or renewed last, and RenewedAt when, in Unix seconds by the engine's
	// clock. Renewing is the machine whose renewal is under way.
	RenewedBy string `json:"renewed_by,omitempty"`
	RenewedAt int64  `json:"renewed_at,omitempty"`
	Renewing  string `json:"renewing,omitempty"`
	Message   string `json:"message,omitempty"`
}
