package main

import (
	"context"
	"errors"
	"os"

	"github.com/groat-dev/groat/cmd/groat/autostart"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
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
var kindExit = map[frame.Kind]int{
	frame.LoginRequired:       exitLoginRequired,
	frame.Temporary:           exitTemporary,
	frame.KeystoreUnavailable: exitTemporary,
	frame.Denied:              exitDenied,
	frame.Locked:              exitDenied,
	frame.UnknownProfile:      exitConfig,
	frame.Config:              exitConfig,
	frame.Internal:            exitInternal,
}

// failure is an error that has its sentence and its exit code. An empty sentence means that there is nothing to say.
type failure struct {
	code      int
	msg, hint string
	cause     error
}

func (f *failure) Error() string { return f.msg }
func (f *failure) Unwrap() error { return f.cause }

// describe is the one table from errors to what a person (the sentence) and a script (the exit code) get.
func describe(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e := refusal(err); e != nil {
		return describeRefusal(e)
	}
	if e, ok := errors.AsType[*autostart.Error](err); ok {
		return failStart(e)
	}
	if e, ok := errors.AsType[*frame.DialError](err); ok {
		return failDial(e)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return failNoAnswer(err)
	case errors.Is(err, frame.ErrClosed):
		return failHungUp(err)
	}
	return failUnexpected(err)
}

// refusal returns the error that groatd answered with, or nil.
func refusal(err error) *frame.Error {
	if e, ok := errors.AsType[*frame.Error](err); ok {
		return e
	}
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		return nil
	}
	return flatten(e)
}

// flatten returns an error of package protocol's as one of package frame's.
func flatten(e *protocol.Error) *frame.Error {
	f := &frame.Error{Code: e.Code, Message: e.Message, Kind: e.Kind(), Hint: e.Hint()}
	if e.Data == nil {
		return f
	}
	f.RetryAfter, f.MaxMinTTL, f.Place = e.Data.RetryAfter, e.Data.MaxMinTTL, e.Data.Place
	if n := e.Data.Network; n != nil {
		f.Network = &frame.Network{PID: int64(n.PID), StartedAt: n.StartedAt}
		if n.Proxy != nil {
			f.Network.Proxy = n.Proxy.Value
		}
		if n.CAFile != nil {
			f.Network.CAFile = n.CAFile.Value
		}
	}
	return f
}

// describeRefusal describes an error that groatd answered with.
func describeRefusal(e *frame.Error) *failure {
	f := &failure{msg: e.Message, hint: e.Hint, cause: e}
	switch e.Code {
	case frame.CodeInvalidParams:
		f.code = exitUsage
	case frame.CodeMethodNotFound:
		return failOldDaemon(e)
	default:
		var ok bool
		if f.code, ok = kindExit[e.Kind]; !ok {
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
	a.printFailure(f)
	return f.code
}
