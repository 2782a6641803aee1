package keychain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/zalando/go-keyring"

	"github.com/groat-dev/groat/keystore"
)

// Limit is the longest that any call here takes.
const Limit = 3 * time.Second

// errHung is what everybody gets while a call that passed its limit is still out.
var errHung = fmt.Errorf("%w: an earlier call to the keychain is still unanswered", keystore.ErrUnavailable)

// gate lets one call at a time into the library, which cannot be cancelled: a call that hangs keeps the gate until it
// returns, so that a dead keychain costs one goroutine and not one a request.
type gate struct {
	slot chan struct{} // holds a token while a call is out

	mu   sync.Mutex
	hung chan struct{} // closed while the call that is out has passed Limit
}

// library is the one gate: go-keyring has one connection and no way to make a second.
var library = &gate{slot: make(chan struct{}, 1), hung: make(chan struct{})}

func (g *gate) isHung() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hung
}

func (g *gate) enter(ctx context.Context) error {
	hung := g.isHung()
	select {
	case <-hung:
		return errHung
	default:
	}
	select {
	case g.slot <- struct{}{}:
		return nil
	case <-hung:
		return errHung
	case <-ctx.Done():
		return tooLate(ctx)
	}
}

// watch marks the call that has just entered as hung once it is Limit old; leave ends the watch and the call.
func (g *gate) watch() (leave func()) {
	over := false
	timer := time.AfterFunc(Limit, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !over {
			close(g.hung)
		}
	})
	return func() {
		timer.Stop()
		g.mu.Lock()
		over = true
		select {
		case <-g.hung:
			g.hung = make(chan struct{})
		default:
		}
		g.mu.Unlock()
		<-g.slot
	}
}

// step is a call's permission to go on: once nobody waits for the outcome, nothing more is changed.
type step struct{ ctx context.Context }

func (s step) next() error {
	if s.ctx.Err() != nil {
		return tooLate(s.ctx)
	}
	return nil
}

// call runs f, which may use the library, unless the keychain is locked or absent. What f alone uses is wiped after it.
func call[T any](ctx context.Context, f func(step) (T, error), used ...keystore.Secret) (T, error) {
	return guarded(ctx, func(s step) (T, error) {
		// The library asks a locked collection to unlock, which opens a prompt: nothing in the background may do that.
		if err := ready(); err != nil {
			var zero T
			return zero, err
		}
		return f(s)
	}, used...)
}

func guarded[T any](ctx context.Context, f func(step) (T, error), used ...keystore.Secret) (result T, err error) {
	wipe := func() {
		for _, s := range used {
			s.Wipe()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	if err = reachable(); err == nil {
		err = library.enter(ctx)
	}
	if err != nil {
		wipe()
		return result, err
	}
	type answer struct {
		result T
		err    error
	}
	done := make(chan answer, 1)
	leave := library.watch()
	go func() {
		defer leave()
		defer wipe()
		defer func() {
			// The library trusts what comes over the bus: a bus that dies under a prompt makes it dereference nil.
			if p := recover(); p != nil {
				done <- answer{err: fmt.Errorf("%w: the keychain library failed on an answer", keystore.ErrUnavailable)}
			}
		}()
		r, err := f(step{ctx})
		done <- answer{r, err}
	}()
	select {
	case a := <-done:
		return a.result, a.err
	case <-ctx.Done():
		return result, tooLate(ctx)
	}
}

func tooLate(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%w: %w", keystore.ErrUnavailable, context.Canceled)
	}
	return fmt.Errorf("%w: no answer in time", keystore.ErrUnavailable)
}

// classify maps the library's errors to the sentinels.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return keystore.ErrNotFound
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return keystore.ErrTooBig
	case isLocked(err):
		return keystore.ErrLocked
	}
	return unavailable(err)
}

// unavailable wraps a foreign error as one printable line of bounded length.
func unavailable(err error) error {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return fmt.Errorf("%w: %s", keystore.ErrUnavailable, text)
}
