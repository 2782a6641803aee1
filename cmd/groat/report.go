package main

import (
	"context"
	"errors"

	"github.com/groat-dev/groat/protocol"
)

// Exit codes. Those above 63 are sysexits.h's, 4 is for "a person must sign in".
const (
	exitDone          = 0
	exitInternal      = 1
	exitUsage         = 2
	exitLoginRequired = 4
	exitUnavailable   = 69 // EX_UNAVAILABLE: groatd cannot be reached
	exitTemporary     = 75 // EX_TEMPFAIL
	exitDenied        = 77 // EX_NOPERM
	exitConfig        = 78 // EX_CONFIG
	exitSignal        = 128
)

// kindExit is the exit code of each kind of error that groatd answers with.
var kindExit = map[protocol.Kind]int{
	protocol.LoginRequired:       exitLoginRequired,
	protocol.Temporary:           exitTemporary,
	protocol.KeystoreUnavailable: exitTemporary,
	protocol.Denied:              exitDenied,
	protocol.Locked:              exitDenied,
	protocol.UnknownProfile:      exitConfig,
	protocol.Config:              exitConfig,
	protocol.Internal:            exitInternal,
}

// failure is an error that has its sentence and its exit code. An empty sentence means that there is nothing to say.
type failure struct {
	code      int
	msg, hint string
	cause     error
}

func (f *failure) Error() string { return f.msg }
func (f *failure) Unwrap() error { return f.cause }

// describe is the one table from errors to what a person and a script are told.
func describe(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return answered(e)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return failNoAnswer(err)
	case errors.Is(err, protocol.ErrClosed):
		return failHungUp(err)
	}
	return failUnexpected(err)
}

// answered describes an error of groatd's.
func answered(e *protocol.Error) *failure {
	f := &failure{msg: e.Message, hint: e.Hint(), cause: e}
	switch e.Code {
	case protocol.CodeInvalidParams:
		f.code = exitUsage
	case protocol.CodeMethodNotFound:
		return failOldDaemon(e)
	default:
		var ok bool
		if f.code, ok = kindExit[e.Kind()]; !ok {
			f.code = exitInternal
		}
	}
	if f.hint == "" {
		f.hint = defaultHint(e)
	}
	return f
}

// report prints an error's two lines and returns its exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	f := a.explain(err)
	a.complain(f)
	return f.code
}
