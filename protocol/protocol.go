// Package protocol asks groatd for access tokens: it is the Go client, and the messages, of the protocol that groat and
// groatd speak over a Unix socket. PROTOCOL.md beside this file is the specification.
//
// A program connects once, and asks before each request that it makes:
//
//	client, err := protocol.Connect(ctx)
//	…
//	token, err := client.Token(ctx, protocol.TokenParams{Profile: "work"})
//	…
//	name, value, err := token.Field() // "Authorization", "Bearer …"
//	…
//	request.Header.Set(name, value)
//
// There is no need to keep a token: groatd renews it and answers from memory. Package transport does all of this for an
// http.Client. A refusal is an [*Error]: a program tests its Kind, and a person types its Hint.
//
// The invariant: no message carries a client secret, a refresh token, a private key or a passphrase towards the client.
// What a server of the protocol needs to read and write its lines is package jsonrpc; a client without packages net and
// encoding/json, for processes that live for one request, is package frame.
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
	// MaxInFlight is how many requests of one connection are worked on at once; then groatd stops reading.
	MaxInFlight = 32
	// LineTimeout is how long a line may take from its first byte to its newline.
	LineTimeout = frame.LineTimeout
	// WriteTimeout is how long a client may take to accept a reply; then groatd closes the connection.
	WriteTimeout = 5 * time.Second
	// DefaultWait is how long groatd may take to obtain a token, if [TokenParams.Wait] does not say.
	DefaultWait = frame.DefaultWait
	// MaxWait bounds what that may say.
	MaxWait = frame.MaxWait
	// MaxMinTTL bounds min_ttl: a year, longer than any access token.
	MaxMinTTL = frame.MaxMinTTL
)

// Method names.
const (
	MethodHello       = "hello"
	MethodToken       = "token"
	MethodReject      = "reject"
	MethodLogin       = "login"
	MethodLoginInput  = "login_input"
	MethodLoginCancel = "login_cancel"
	MethodLogout      = "logout"
	MethodStatus      = "status"
	MethodProfiles    = "profiles"
	MethodWhoami      = "whoami"
	MethodKeystore    = "keystore"
	MethodUnlock      = "unlock"
	MethodReload      = "reload"
	MethodProviders   = "providers"
	MethodImport      = "import"
	MethodNetwork     = "network"
	MethodProfile     = "profile"
	MethodBackup      = "backup"
	MethodRestore     = "restore"
	MethodWarnings    = "warnings"
	MethodWatch       = "watch"
	MethodExport      = "export"
	MethodFleet       = "fleet"
)

// The notifications that groatd sends: NotePrompt during a login, NoteChange after "watch".
const (
	NotePrompt = "prompt"
	NoteChange = "change"
)
