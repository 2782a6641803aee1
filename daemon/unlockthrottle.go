package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// guesses makes it ever slower to find a passphrase by trying. One is tried at a time; after a wrong one its answer and the
// next one wait, so that neither more connections nor hanging up and coming back gain anything. Nothing else waits.
type guesses struct {
	turn  chan struct{} // holds an element while one is tried, and until the next may be
	wrong int           // in a row; whoever has the turn may touch it
}

func newGuesses() *guesses { return &guesses{turn: make(chan struct{}, 1)} }

// What a wrong passphrase costs doubles from one to the other.
const (
	firstPenalty = 100 * time.Millisecond
	lastPenalty  = 10 * time.Second
)

// penalty is what the last of so many wrong ones in a row costs.
func penalty(wrong int) time.Duration {
	return min(firstPenalty<<min(wrong-1, 10), lastPenalty)
}

// unlocking calls open, which may need a passphrase, when it is that one's turn. Where there is none nobody guesses.
func (c *conn) unlocking(passphrase keystore.Secret, open func(context.Context) error) error {
	g := c.d.guesses
	if !passphrase.IsZero() {
		select {
		case g.turn <- struct{}{}:
		case <-c.open.Done():
			return c.open.Err() // nobody hears it
		case <-time.After(protocol.DefaultWait):
			e := protocol.NewError(protocol.Temporary, "other passphrases are being tried", "groat unlock")
			e.Data.RetryAfter = int64(lastPenalty / time.Second)
			return e
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), protocol.DefaultWait)
	defer cancel()
	if passphrase.IsZero() {
		return open(ctx)
	}
	cost := time.Duration(0)
	err := func() error {
		defer func() { time.AfterFunc(cost, func() { <-g.turn }) }() // also where open has a bug
		err := open(ctx)
		switch {
		case errors.Is(err, keystore.ErrLocked):
			g.wrong++
			cost = penalty(g.wrong)
		case err == nil:
			g.wrong = 0
		}
		return err
	}()
	select {
	case <-time.After(cost):
	case <-c.ctx.Done(): // this one need not; the next waits all the same
	}
	return err
}
