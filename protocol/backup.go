package protocol

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
	// Here is what there is of this name: nothing; [HereProfile], the same profile without a credential; [HereSame], the same
	// credential; [HereOther], another credential or another server, which only Replace replaces.
	Here     string `json:"here,omitempty"`
	Restored bool   `json:"restored,omitempty"` // or was there already
	Error    *Error `json:"error,omitempty"`    // why it was not, or cannot be
}
