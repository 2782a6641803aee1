// Package protocol is what groat and groatd say to each other: JSON-RPC 2.0, one JSON object a line, over a Unix
// socket.
//
// PROTOCOL.md beside this file is the specification; this package is its Go form: messages, bounds, error kinds,
// framing and a client over any [net.Conn]. The invariant: no message of any method carries a client secret, a refresh
// token, a private key or a passphrase towards the client. What is not here: what the daemon does with a request.
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
