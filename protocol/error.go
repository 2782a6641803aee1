package protocol

import (
	"fmt"

	"github.com/groat-dev/groat/protocol/frame"
)

// Kind is the stable word for what went wrong: programs test it, people read Message and Hint.
type Kind = frame.Kind

// The kinds; each has one JSON-RPC code of its own, from -32001 on.
const (
	LoginRequired       = frame.LoginRequired       // no credential, or the server refuses it
	Temporary           = frame.Temporary           // try again after RetryAfter
	Denied              = frame.Denied              // policy says no
	Locked              = frame.Locked              // a person must unlock first
	UnknownProfile      = frame.UnknownProfile      // no such profile, or none for this target
	Config              = frame.Config              // the configuration, or what the server thinks of it
	KeystoreUnavailable = frame.KeystoreUnavailable // the keychain does not answer, or none is chosen
	Internal            = frame.Internal            // a bug
)

// JSON-RPC 2.0's own codes, §5.1.
const (
	CodeParse          = frame.CodeParse
	CodeInvalidRequest = frame.CodeInvalidRequest
	CodeMethodNotFound = frame.CodeMethodNotFound
	CodeInvalidParams  = frame.CodeInvalidParams
)

var codes = map[Kind]int{
	LoginRequired: -32001, Temporary: -32002, Denied: -32003, Locked: -32004,
	UnknownProfile: -32005, Config: -32006, KeystoreUnavailable: -32007, Internal: -32008,
}

// Error is the error object of a reply (JSON-RPC 2.0 §5.1), and a Go error.
type Error struct {
	Code    int        `json:"code"`
	Message string     `json:"message"`
	Data    *ErrorData `json:"data,omitempty"`
}

// ErrorData is what programs branch on.
type ErrorData struct {
	Kind Kind `json:"kind,omitempty"`
	// Hint is the command to type next.
	Hint string `json:"hint,omitempty"`
	// RetryAfter is seconds; 0 means that it does not say.
	RetryAfter int64 `json:"retry_after,omitempty"`
	// MaxMinTTL is the greatest min_ttl a fresh token can meet, where a greater one was asked.
	MaxMinTTL int64 `json:"max_min_ttl,omitempty"`
	// Network is set where a server was not reached, or not safely: how connections are made.
	Network *NetworkResult `json:"network,omitempty"`
	// Place is the daemon's, where the caller's is another. Nothing was done then.
	Place *frame.Place `json:"place,omitempty"`
}

// NewError returns the error of a kind.
func NewError(kind Kind, message, hint string) *Error {
	return &Error{Code: codes[kind], Message: message, Data: &ErrorData{Kind: kind, Hint: hint}}
}

// InvalidParams returns a -32602.
func InvalidParams(format string, args ...any) *Error {
	return &Error{Code: CodeInvalidParams, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// Kind returns the kind, or "" for JSON-RPC's own errors.
func (e *Error) Kind() Kind {
	if e.Data == nil {
		return ""
	}
	return e.Data.Kind
}

// Hint returns the next command, or "".
func (e *Error) Hint() string {
	if e.Data == nil {
		return ""
	}
	return e.Data.Hint
}
