package broker

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
)

// Panic is a panic as an error: where it happened and of which type its value was. It never holds the value, which may
// be a secret.
type Panic struct {
	Kind  string // the value's Go type, such as runtime.boundsError
	Where string // the innermost functions, the first one panicked
}

func (p *Panic) Error() string { return "groatd has a bug: " + p.Kind + " in " + p.Where }

// Recovered returns the Panic of a value that recover has just returned. The deferred function itself calls it.
//
// A goroutine that works on foreign input for one caller (a request, a connection, a login, a request to a provider)
// turns its panic into an error, so that a bug costs one answer and not all tokens. A goroutine that owns state which
// others rely on crashes groatd: its state could not be trusted any more, and what must survive is in the keystore.
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
			function, file := path.Base(frame.Function), path.Base(frame.File)
			where = append(where, fmt.Sprintf("%s (%s:%d)", function, file, frame.Line))
		}
		if !more {
			break
		}
	}
	return &Panic{Kind: fmt.Sprintf("%T", v), Where: strings.Join(where, ", from ")}
}

// obtain calls the source, and turns its panic into an error. It is detached from every caller.
func obtain(source Source, r grant.Request, need Need) (token grant.Token, err error) {
	defer func() {
		if v := recover(); v != nil {
			token, err = grant.Token{}, Recovered(v)
		}
	}()
	return source.Obtain(context.Background(), r, need)
}
