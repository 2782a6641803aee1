// Package throttle makes it slow to find a passphrase by trying.
package throttle

import (
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// The delay after a wrong passphrase doubles with each wrong one in a row, from FirstDelay to LastDelay.
const (
	FirstDelay = 100 * time.Millisecond
	LastDelay  = 10 * time.Second
)

// Unlock lets one passphrase be tried at a time, and delays the next attempt after each wrong one. More connections, or
// connections that are closed and opened again, do not make guessing faster. Its method is safe for concurrent use.
type Unlock struct {
	turn  chan struct{} // holds an element during an attempt and the delay after it
	wrong int           // wrong passphrases in a row; guarded by turn
}

// NewUnlock returns an Unlock that has seen no attempt.
func NewUnlock() *Unlock { return &Unlock{turn: make(chan struct{}, 1)} }

// Try waits for its turn and calls attempt, which reports a wrong passphrase by a [keystore.ErrLocked]. It returns
// attempt's error, and how long the caller should withhold that from the client; the next attempt waits as long in any
// case.
//
// The wait for the turn ends with ctx, or after [protocol.DefaultWait] with a [*protocol.Error] of the kind temporary.
// An attempt that has begun may take [protocol.DefaultWait] of its own, and does not end with ctx.
func (u *Unlock) Try(ctx context.Context, attempt func(context.Context) error) (delay time.Duration, err error) {
	select {
	case u.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(protocol.DefaultWait):
		e := protocol.NewError(protocol.Temporary, "other passphrases are being tried", "groat unlock")
		e.Data.RetryAfter = int64(LastDelay / time.Second)
		return 0, e
	}
	defer func() { time.AfterFunc(delay, func() { <-u.turn }) }() // also where attempt panics
	own, cancel := context.WithTimeout(context.Background(), protocol.DefaultWait)
	defer cancel()
	err = attempt(own)
	switch {
	case errors.Is(err, keystore.ErrLocked):
		u.wrong++
		delay = min(FirstDelay<<min(u.wrong-1, 10), LastDelay)
	case err == nil:
		u.wrong = 0
	}
	return delay, err
}
