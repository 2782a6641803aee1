package keychain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

const (
	// Limit is the longest that any call here takes.
	Limit = 3 * time.Second
	// HungLimit is how long a call may go on after its caller has left: long enough for a person to answer the dialog
	// that a keychain may show. A dialog whose keychain has crashed is never answered.
	HungLimit = 30 * time.Second
)

// hungLimit is HungLimit but in tests.
var hungLimit = HungLimit

var (
	// errHung is the error of every call while one that passed its limit is still unanswered.
	errHung = fmt.Errorf("%w: an earlier call to the keychain is still unanswered; if it shows a dialog, answer it",
		keystore.ErrUnavailable)
	errLate = fmt.Errorf("%w: no answer in time", keystore.ErrUnavailable)
	// errLateChange is ErrDeclined, since what is slow with a keychain that has just answered is a person.
	errLateChange = fmt.Errorf("%w: no answer in time to a change; if the keychain shows a dialog, answer it",
		keystore.ErrDeclined)
)

// gate lets one call at a time into the library, which cannot be cancelled: a call that hangs keeps the gate until it
// returns, or is cut off at HungLimit, so that a dead keychain costs one goroutine and not one a request. Until it
// returns it serves as the probe: its answer shows that the keychain works again.
type gate struct {
	semaphore chan struct{} // holds a token while a call is out

	mu   sync.Mutex
	hung chan struct{} // closed while the call that is out has passed Limit
}

// library is the one gate, of the one connection to the keychain.
var library = &gate{semaphore: make(chan struct{}, 1), hung: make(chan struct{})}

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
	case g.semaphore <- struct{}{}:
		return nil
	case <-hung:
		return errHung
	case <-ctx.Done():
		return tooLate(ctx, nil)
	}
}

// watch marks the call that has just entered as hung once it is Limit old, and cuts it off once it is HungLimit old;
// leave ends the watch and the call.
func (g *gate) watch(cut func()) (leave func()) {
	over := false
	hung := time.AfterFunc(Limit, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !over {
			close(g.hung)
		}
	})
	abandoned := time.AfterFunc(hungLimit, cut)
	return func() {
		hung.Stop()
		abandoned.Stop()
		g.mu.Lock()
		over = true
		select {
		case <-g.hung:
			g.hung = make(chan struct{})
		default:
		}
		g.mu.Unlock()
		<-g.semaphore
	}
}

// operation is one call to the keychain. Once its caller has left, it changes nothing more.
type operation struct {
	ctx context.Context
	*progress
}

// progress is what is known of a call from outside.
type progress struct {
	// interrupt makes the call return.
	interrupt atomic.Pointer[func()]
	// changing: the keychain was asked to change something and has not answered.
	changing atomic.Bool
}

func (s operation) checkContext() error {
	if s.ctx.Err() != nil {
		return tooLate(s.ctx, s.progress)
	}
	return nil
}

// withoutCancel returns an operation that goes on after the caller has left.
func (s operation) withoutCancel() operation {
	return operation{context.WithoutCancel(s.ctx), s.progress}
}

// runChange runs one library call that changes something.
func (s operation) runChange(f func() error) error {
	countChange()
	s.changing.Store(true)
	err := f()
	s.changing.Store(false)
	return classify(err)
}

// abort ends a call that has gone on for too long, where there is a connection to close.
func (p *progress) abort() {
	if line := p.interrupt.Load(); line != nil {
		(*line)()
	}
}

// call runs f, which may use the library, unless the keychain is locked or absent. What f alone uses is wiped after it.
func call[T any](ctx context.Context, f func(operation) (T, error), used ...keystore.Secret) (T, error) {
	return guarded(ctx, func(s operation) (T, error) {
		// The library asks a locked collection to unlock, which opens a prompt: nothing in the background may do that.
		if err := checkUnlocked(s); err != nil {
			var zero T
			return zero, err
		}
		return f(s)
	}, used...)
}

func guarded[T any](ctx context.Context, f func(operation) (T, error), used ...keystore.Secret) (result T, err error) {
	wipe := func() {
		for _, s := range used {
			s.Wipe()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	if err = ensureBusAddress(); err == nil {
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
	s := operation{ctx, new(progress)}
	leave := library.watch(s.abort)
	go func() {
		defer leave()
		defer wipe()
		defer func() {
			// The library trusts what comes over the bus: a bus that dies under a prompt makes it dereference nil.
			if p := recover(); p != nil {
				done <- answer{err: fmt.Errorf("%w: the keychain library failed on an answer", keystore.ErrUnavailable)}
			}
		}()
		r, err := f(s)
		done <- answer{r, err}
	}()
	select {
	case a := <-done:
		return a.result, a.err
	case <-ctx.Done():
		return result, tooLate(ctx, s.progress)
	}
}

// tooLate returns the error of a call whose caller has left or waited too long. p is nil for a call that has not begun.
func tooLate(ctx context.Context, p *progress) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%w: %w", keystore.ErrUnavailable, context.Canceled)
	case p != nil && p.changing.Load():
		return errLateChange
	}
	return errLate
}

// classify maps the library's errors to the sentinels.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keystore.ErrUnavailable), errors.Is(err, keystore.ErrLocked),
		errors.Is(err, keystore.ErrNotFound):
		return err
	case errors.Is(err, keyring.ErrNotFound):
		return keystore.ErrNotFound
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return keystore.ErrTooBig
	case isLocked(err):
		return keystore.ErrLocked
	}
	return unavailable(err)
}

// unavailable wraps a foreign error, whose words are quoted.
func unavailable(err error) error {
	return fmt.Errorf("%w: %s", keystore.ErrUnavailable, visible.Quote(visible.Line(err.Error(), 200)))
}
