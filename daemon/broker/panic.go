package broker

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
)

// Panic is a panic of groatd's own as an error: where it happened and what kind of value it was. It never holds the value, which may be
// anything that was at hand, a secret too.
type Panic struct {
	Kind  string // the value's Go type, such as runtime.boundsError
	Where string // the innermost functions, the first one panicked
}

func (p *Panic) Error() string { return "groatd has a bug: " + p.Kind + " in " + p.Where }

// Recovered is the Panic of what recover has just returned. It is called by the deferred function itself.
//
// What runs on foreign input and stands alone (a request, a connection, a login, a request to a provider) turns its panic
// into an error, so that a bug costs one answer and not everybody's tokens. What owns a state that others rely on is left to
// crash: its state could not be trusted any more, and all of it is in the keystore.
func Recovered(v any) *Panic {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var where []string
	for panicking := false; len(where) < 3; {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(frame.Function, "runtime."):
			where = append(where, fmt.Sprintf("%s (%s:%d)", path.Base(frame.Function), path.Base(frame.File), frame.Line))
		}
		if !more {
			break
		}
	}
	return &Panic{Kind: fmt.Sprintf("%T", v), Where: strings.Join(where, ", from ")}
}

// obtain is the source's answer, also where it panics. It is detached from every caller.
func obtain(source Source, r grant.Request, need Need) (token grant.Token, err error) {
	defer func() {
		if v := recover(); v != nil {
			token, err = grant.Token{}, Recovered(v)
		}
	}()
	return source.Obtain(context.Background(), r, need)
}
