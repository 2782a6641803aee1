package main

import (
	"context"
	"errors"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// describe is [report.Describe] for the errors of package protocol's and of a start of groatd's, too.
func describe(err error) *report.Failure {
	if f, ok := errors.AsType[*report.Failure](err); ok {
		return f
	}
	if e := refusal(err); e != nil {
		return report.Refused(e)
	}
	if e, ok := errors.AsType[*autostart.Error](err); ok {
		return failStart(e)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return report.NoAnswer(err)
	}
	return report.Describe(err)
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

// explain is describe. Beside a refused parameter it names the command's help, and beside a connection's error it says
// if groatd's way to servers is not this shell's.
func (a *app) explain(err error) *report.Failure {
	f := describe(err)
	if e := refusal(err); e != nil {
		if e.Code == frame.CodeInvalidParams && e.Hint == "" && e.MaxMinTTL == 0 && a.path != "" {
			f.Hint = a.path + " --help"
		}
		f.AddNetwork(e, a.getenv)
	}
	f.NameDaemon(a.getenv("PATH"))
	return f
}

// report prints an error, as JSON where that was asked for, and returns its exit code.
func (a *app) report(err error) int {
	if err == nil {
		return report.ExitDone
	}
	f := a.explain(err)
	if a.json {
		f.PrintJSON(a.stderr)
	} else {
		f.Print(a.stderr)
	}
	return f.Code
}
