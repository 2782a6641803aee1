package setup

// Reason is why nothing could be planned or written.
type Reason int

// The reasons, and the members of [Error] that go with each.
const (
	_            Reason = iota
	NotInstalled        // Tool is not on PATH
	TooOld              // Tool cannot do what it would be told to; Err says what it is
	NoAPI               // Profile lists no API that Tool could ask
	NotRegular          // Path is a directory or a device
	ReadOnly            // Path is read-only
	NotYours            // Path belongs to another user
	OtherNames          // Path has another name too, which would keep what is there now (a hard link)
	TooLarge            // Path is larger than a configuration is
	BadLine             // Tool could not read Path: Line if it is known, and Err
	Unreadable          // Path cannot be read: Err
	BeingSetUp          // another groat is setting something up; Path is the lock
	Busy                // another program is changing Path: Lock is there
	Changed             // Path was changed since the plan was made
	NotWritten          // Path cannot be written: Err
	NoLink              // Path cannot be a link to Program, or is not on PATH; docker looks there for Tool
	NoContext           // Tool has no context whose cluster is at an API of Profile
	NoEntry             // Tool has no registry or remote at an API of Profile, like API
	NoFile              // Tool has no file that could be for API alone
	NoSettings          // Tool reads no file of settings
	NoIDToken           // Tool cannot be given an ID token
	BadRecord           // Path is a record that this groat cannot read: Err
	NotSetUp            // there is no record of Tool for Profile
)

// Error says why something was not set up. Its text is for logs of tests: groat words each reason itself.
type Error struct {
	Reason        Reason
	Tool, Profile string
	Program, API  string
	Path, Lock    string
	Line          int
	Err           error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Path + ": " + e.Err.Error()
	}
	return e.Path + " could not be set up"
}

func (e *Error) Unwrap() error { return e.Err }
