package protocol

import (
	"errors"
	"fmt"

	"github.com/groat-dev/groat/protocol/frame"
)

// Kind is the word for what went wrong: programs test it, people read Message and Hint. A client treats a kind that it
// does not know as [Internal].
type Kind = frame.Kind

// The kinds. PROTOCOL.md, "Errors", has the code of each.
const (
	// LoginRequired: there is no credential, or the authorization server refuses it. A person must sign in.
	LoginRequired Kind = frame.LoginRequired
	// Temporary: try again after RetryAfter.
	Temporary Kind = frame.Temporary
	// Denied: the person's rules forbid it. The specification has it, and a client must treat it as final; no groatd of
	// this version has such rules.
	Denied Kind = frame.Denied
	// Locked: a person must unlock the keystore.
	Locked Kind = frame.Locked
	// UnknownProfile: there is no such profile, none for the target, or more than one to choose from.
	UnknownProfile Kind = frame.UnknownProfile
	// Config: the configuration cannot be used, or the authorization server does not take what it says.
	Config Kind = frame.Config
	// KeystoreUnavailable: the keystore does not answer, or none is chosen.
	KeystoreUnavailable Kind = frame.KeystoreUnavailable
	// Internal: a bug, or an outcome that cannot be known.
	Internal Kind = frame.Internal
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

// Error is a refusal of groatd's: the error object of a reply (JSON-RPC 2.0 §5.1), and a Go error.
type Error struct {
	// Code is one for each kind, or one of JSON-RPC's own.
	Code int `json:"code"`
	// Message is one sentence for people, without any secret.
	Message string `json:"message"`
	// Data may be nil; [Error.Kind] and [Error.Hint] may be called all the same.
	Data *ErrorData `json:"data,omitempty"`
}

// ErrorData is what programs test and people do next. Each member may be missing.
type ErrorData struct {
	Kind Kind `json:"kind,omitempty"`
	// Hint is the command to type next.
	Hint string `json:"hint,omitempty"`
	// RetryAfter is after how many seconds it is worth asking again; 0 if that is not known.
	RetryAfter int64 `json:"retry_after,omitempty"`
	// MaxMinTTL is the greatest min_ttl, in seconds, that a fresh token keeps, if a greater one was asked for.
	MaxMinTTL int64 `json:"max_min_ttl,omitempty"`
	// Choices are the profiles that are meant, if more than one is, each with the resource that it lists: the one that
	// covers the target, or one that would with a path, if the target has none. At most 16 are there.
	Choices map[string]string `json:"choices,omitempty"` // :: profile → resource
	// Missing are parameters of "login" of which one is missing, "keystore" where one is to be chosen: a client that
	// can ask a person asks for one and tries again. Nothing was sent.
	Missing []string `json:"missing,omitempty"`
	// Network is how groatd makes connections, if it did not reach a server, or not safely.
	Network *NetworkResult `json:"network,omitempty"`
	// Place is groatd's, if the caller's is another. Nothing was done then.
	Place *frame.Place `json:"place,omitempty"`
}

// NewError returns the error of a kind, with its code. It is for groatd, and for what stands in for it in tests.
func NewError(kind Kind, message, hint string) *Error {
	return &Error{Code: codes[kind], Message: message, Data: &ErrorData{Kind: kind, Hint: hint}}
}

// InvalidParams returns an error with [CodeInvalidParams]; the sentence is formatted as by [fmt.Sprintf].
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

// refusal returns err, and a refusal that package frame has read as an [*Error]. It was the answer to "hello", which is
// never about a token or a server.
func refusal(err error) error {
	e, ok := errors.AsType[*frame.Error](err)
	if !ok {
		return err
	}
	return &Error{Code: e.Code, Message: e.Message,
		Data: &ErrorData{Kind: e.Kind, Hint: e.Hint, RetryAfter: e.RetryAfter, Place: e.Place}}
}
