package protocol

// ImportParams asks what other programs keep on this machine, or takes some of it over. Two members hold secrets and are
// written by hand: "environment", a JSON object (as text) of the variables that [ImportResult] names, as they are where the person types;
// and "content", what is to be read instead of looking around.
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
	// Destination is the origin of the server that the credential is sent to. Unusual: it is not the provider's own, but one that
	// the other program's settings name, and must be among [ImportParams.Trust].
	Destination string `json:"destination,omitempty"`
	Unusual     bool   `json:"unusual,omitempty"`
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
