package get

import (
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

// Helper makes the requests of a credential helper: it implements package helper's Daemon. Each has a connection of its
// own, and all of them end by End.
type Helper struct {
	Caller Caller
	End    time.Time
}

// Token asks for a token.
func (h Helper) Token(params frame.TokenParams) (frame.Token, error) {
	return h.Caller.Do(Request{Params: params, Limit: time.Until(h.End), End: h.End})
}

// Reject says that a token was refused, and asks for a better one.
func (h Helper) Reject(params frame.TokenParams, accessToken string) error {
	_, err := h.Caller.Do(Request{Params: params, Refused: accessToken, Limit: time.Until(h.End), End: h.End})
	return err
}
