package protocol

// ExportParams keeps a file with a profile's token current, ends that, or with no member lists the files that are kept.
type ExportParams struct {
	// Profile is whose token it is; without it the only profile's. It goes with HeaderFile, TokenFile or File.
	Profile string `json:"profile,omitempty"`
	// HeaderFile is the absolute path of a file with the whole header field in one line, TokenFile of one with the
	// token in one line.
	HeaderFile string `json:"header_file,omitempty"`
	TokenFile  string `json:"token_file,omitempty"`
	// File is the absolute path of a file in the form As, which is none of those two's.
	File string `json:"file,omitempty"`
	As   string `json:"as,omitempty"`
	// Scope and Audience ask for a token of its own, as in [TokenParams].
	Scope    string `json:"scope,omitempty"`
	Audience string `json:"audience,omitempty"`
	// OnChange is the name of a hook, which is run after each replacement of the file.
	OnChange string `json:"on_change,omitempty"`
	// WhilePID keeps it as long as a process of this user runs, and those for which it is kept already; For for so many
	// seconds; both 0 is until it is stopped.
	WhilePID int   `json:"while_pid,omitempty"`
	For      int64 `json:"for,omitempty"`
	// Stop is the path of a file that is not kept any longer; All stops all of them.
	Stop string `json:"stop,omitempty"`
	All  bool   `json:"all,omitempty"`
}

// ExportResult is the files that were asked about, sorted by path: the one that is kept from now on, those that are not
// kept any longer, or all.
type ExportResult struct {
	Exports []Export `json:"exports"`
}

// Export is a file that is kept current.
type Export struct {
	Path    string `json:"path"`
	Profile string `json:"profile"`
	Form    string `json:"form"` // "header", "token" or an [ExportParams.As]
	// Scope and Audience are empty for the profile's default token.
	Scope    string `json:"scope,omitempty"`
	Audience string `json:"audience,omitempty"`
	OnChange string `json:"on_change,omitempty"`
	// State is "current", or "missing" while there is no file, since there is no token that is good; or "stale" where
	// the file holds an older token than there is, since it cannot be written.
	State string `json:"state"`
	// Message says why it is not current, why it will not do although it is, or how its hook has failed; Hint is the
	// next command.
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
	// ExpiresAt is when the token in the file ends, Unix seconds; 0 where it does not, or there is no file.
	ExpiresAt int64 `json:"expires_at,omitempty"`
	// WhilePID and EndsAt, in Unix seconds, say until when the file is kept; both 0: until it is stopped. WhileOthers
	// says for how many other processes.
	WhilePID    int   `json:"while_pid,omitempty"`
	WhileOthers int   `json:"while_others,omitempty"`
	EndsAt      int64 `json:"ends_at,omitempty"`
}

// Forms and states of an [Export].
const (
	FormHeader       = "header"
	FormToken        = "token"
	FormPlanet       = "planet"         // token.json of planet-auth and the Planet SDK
	FormEarthScope   = "earthscope"     // tokens.json of the EarthScope SDK 1
	FormEarthScope02 = "earthscope-0.2" // sso_tokens.json of the EarthScope SDK 0.2
	FormNetrc        = "netrc"          // an entry for each API that is a whole host
	FormNpmrc        = "npmrc"          // an entry for each API
	ExportCurrent    = "current"
	ExportStale      = "stale"
	ExportMissing    = "missing"
)

// Bounds of exports.
const (
	// MaxExports is how many files are kept at most, MaxExportPath how long a path may be in bytes.
	MaxExports    = 32
	MaxExportPath = 512
	// MaxExportProcesses is for how many processes files are kept at most, all together.
	MaxExportProcesses = 256
	// MaxExportFor is the greatest [ExportParams.For], in seconds: a year.
	MaxExportFor = 366 * 24 * 3600
)
