package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// Store is what a renewal needs of the place where a profile's credential is kept, in the order of the calls.
// [keystore.PendingStore] is one. A store that several machines share is a [Shared]. The implementation is safe for
// concurrent use.
type Store interface {
	// PendingError returns why the newest item is in memory only, or nil where it is stored.
	PendingError(profile string) error
	// Get returns the newest item, whose secrets the caller owns.
	Get(ctx context.Context, profile string) (keystore.Item, error)
	// MarkSent notes that the item's refresh token will be sent. doubt is why it may have been used up before, or nil.
	// err says that the note was not written, so that the answer could most likely not be stored either.
	MarkSent(ctx context.Context, profile string) (doubt, err error)
	// Rotate stores item in the place of the one that has the refresh token sent. If it cannot, it holds item in memory
	// and returns why.
	Rotate(ctx context.Context, profile string, sent keystore.Secret, item keystore.Item) error
	// MarkAnswered notes that the server has answered and that its answer does not replace the refresh token.
	MarkAnswered(ctx context.Context, profile string) error
}

// storeLimit bounds each call of the store, for callers wait meanwhile; sharedLimit that of one on other machines.
const (
	storeLimit  = 3 * time.Second
	sharedLimit = 10 * time.Second
)

func (s *Source) storeLimit() time.Duration {
	if s.shared() != nil {
		return sharedLimit
	}
	return storeLimit
}

// Obtain implements [broker.Source]: it obtains a token with the stored credential, which it reads for this one request
// and wipes after it. Where several machines share the credential it may be another machine's token.
func (s *Source) Obtain(ctx context.Context, r grant.Request, need broker.Need) (grant.Token, error) {
	if shared := s.shared(); shared != nil {
		return s.obtainShared(ctx, shared, r, need)
	}
	return s.obtain(ctx, r, need)
}

func (s *Source) obtain(ctx context.Context, r grant.Request, need broker.Need) (grant.Token, error) {
	item, err := s.read(ctx)
	if err != nil {
		return grant.Token{}, err
	}
	defer item.Wipe()
	switch session := grant.Kind(item.Grant).Session(); {
	case !session && (s.shared() == nil || !item.APIKey.IsZero()):
		t, _, err := s.Endpoint.Renew(ctx, item, r)
		if _, ended := errors.AsType[*grant.KeyEndedError](err); ended {
			err = fmt.Errorf("%w: %w", broker.ErrEnded, err)
		}
		return s.checked(t, err)
	case !session, !item.RefreshToken.IsZero():
	case !item.APIKey.IsZero(): // a token that does not end
		t, err := s.Endpoint.KeptToken(item, r)
		return s.checked(t, err)
	default:
		return grant.Token{}, broker.ErrEnded
	}
	return s.renew(ctx, item, r, need)
}

// renew obtains a token with a session's refresh token, in the order of ROTATION.md; or, where several machines share
// it, with any other credential. The token that it returns may be published: what replaces the refresh token is durable
// by then, or, where the store could not take it, held in memory ([Source.Degraded]), since the access token is good
// all the same.
func (s *Source) renew(
	ctx context.Context, item keystore.Item, r grant.Request, need broker.Need,
) (grant.Token, error) {
	ctx = context.WithoutCancel(ctx)

	// Note that the refresh token will be sent, or put the renewal off if it can wait until the store takes such notes
	// again.
	doubt, err := s.markSent(ctx, need)
	if err != nil {
		return grant.Token{}, err
	}

	// Send it, once.
	sent := item.RefreshToken // wiped with the item by obtain
	t, successor, err := s.Endpoint.Renew(s.inTime(ctx), item, r)
	t.Refreshed, t.Rotated = !sent.IsZero(), !successor.IsZero()
	s.offer(r, t, err)
	if successor.IsZero() {
		return s.checked(t, s.settle(ctx, doubt, err))
	}
	defer successor.Wipe()

	// Store the one that replaces it.
	item.RefreshToken = successor
	s.rotate(ctx, sent, item)
	return s.checked(t, err)
}

// checked is a token that the profile takes.
func (s *Source) checked(t grant.Token, err error) (grant.Token, error) {
	if err == nil {
		err = s.Endpoint.Server().CheckToken(t)
	}
	if err != nil {
		failed, ok := errors.AsType[*grant.Error](err)
		return grant.Token{Refreshed: ok && (failed.Spent() || errors.Is(err, grant.ErrTokenChars))}, err
	}
	return t, nil
}

// Active implements [broker.Introspector].
func (s *Source) Active(ctx context.Context, t grant.Token) (bool, error) {
	item, err := s.read(ctx)
	if err != nil {
		return false, err
	}
	defer item.Wipe()
	return s.Endpoint.Active(ctx, item, t)
}

func (s *Source) read(ctx context.Context) (keystore.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, s.storeLimit())
	defer cancel()
	return s.Store.Get(ctx, s.Profile)
}

// markSent writes the note. err is a [*broker.PutOff], of a renewal that can wait only: any other is sent without the
// note too, unless other machines share the store.
func (s *Source) markSent(ctx context.Context, need broker.Need) (doubt, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.storeLimit())
	defer cancel()
	if err := s.Store.PendingError(s.Profile); err != nil && need == broker.Ahead {
		return nil, &broker.PutOff{Err: err}
	}
	doubt, err = s.Store.MarkSent(ctx, s.Profile)
	switch {
	case err != nil && s.shared() != nil: // another machine may send it too
		return nil, err
	case err != nil && need == broker.Ahead:
		return nil, &broker.PutOff{Err: err}
	}
	return doubt, nil
}

func (s *Source) rotate(ctx context.Context, sent keystore.Secret, item keystore.Item) {
	ctx, cancel := context.WithTimeout(ctx, s.storeLimit())
	defer cancel()
	s.Store.Rotate(ctx, s.Profile, sent, item) // an item that cannot be stored is held, and Degraded says so
}

// settle ends a request whose answer replaced no refresh token, and returns its error with what explains it. The note
// is struck out where the answer says what became of the token that was sent; an older doubt, only where the server
// still accepts it.
func (s *Source) settle(ctx context.Context, doubt, err error) error {
	refusal, refused := errors.AsType[*grant.Error](err)
	if shared := s.shared(); shared != nil {
		s.settleShared(ctx, shared, err)
	} else if err == nil || doubt == nil && !(refused && refusal.RotationLost) {
		ctx, cancel := context.WithTimeout(ctx, storeLimit)
		defer cancel()
		s.Store.MarkAnswered(ctx, s.Profile) // where that fails, the next process sends one request more
	}
	if doubt != nil && refused && refusal.Code == "invalid_grant" {
		return fmt.Errorf("%w: %w: %w", broker.ErrRotationLost, doubt, err)
	}
	return err
}
