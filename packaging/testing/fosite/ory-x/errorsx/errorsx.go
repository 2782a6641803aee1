// Package errorsx has what fosite uses of ory/x's package of that name: the stack of an error, which errors of
// github.com/pkg/errors carry, and what an error can say of itself.
package errorsx

import "github.com/pkg/errors"

type (
	StatusCodeCarrier interface{ StatusCode() int }
	StatusCarrier     interface{ Status() string }
	RequestIDCarrier  interface{ RequestID() string }
	ReasonCarrier     interface{ Reason() string }
	DebugCarrier      interface{ Debug() string }
)

// WithStack adds a stack to an error. It makes no difference to what a client is told.
func WithStack(err error) error { return errors.WithStack(err) }

// Cause returns the innermost error.
func Cause(err error) error { return errors.Cause(err) }
