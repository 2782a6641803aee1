package credential

import (
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
)

// Shared is a [Store] that several machines have. Of all of them one sends a refresh token, and its token is all
// machines'. The order of the calls is Turn, Get, MarkSent, the request, Offer, then Rotate or Settle. Where MarkSent
// fails nothing is sent: with [ErrOtherTurn] another machine was faster, and Turn is called again.
//
// Each method bounds its own time.
type Shared interface {
	Store
	// Turn returns another machine's token, with ok, where there is one that this machine has not had yet; never the
	// one that r names as refused. Otherwise it waits until this machine may ask the server. err is why it may not.
	Turn(ctx context.Context, profile string, r grant.Request) (t grant.Token, ok bool, err error)
	// SendBy is the boot time until which what MarkSent has noted last may be sent.
	SendBy(profile string) time.Duration
	// Settle notes how a request has ended whose answer replaces no refresh token: err is nil where it brought a token,
	// and [grant.ErrLate] where nothing was sent.
	Settle(ctx context.Context, profile string, err error) error
	// Offer notes the token that an answer has brought. Rotate or Settle gives it to the other machines, in the same
	// step in which it stores the credential.
	Offer(profile string, r grant.Request, t grant.Token)
}

// ErrOtherTurn means that another machine has begun a renewal, or finished one, before this one could.
var ErrOtherTurn = errors.New("another machine of the fleet renews this profile")

// maxTurns is how often a renewal begins anew because another machine was faster, or because this one was too slow.
const maxTurns = 8

func (s *Source) shared() Shared {
	shared, _ := s.Store.(Shared)
	return shared
}

// obtainShared is [Source.Obtain] for a credential that several machines have.
func (s *Source) obtainShared(
	ctx context.Context, shared Shared, r grant.Request, need broker.Need,
) (t grant.Token, err error) {
	for range maxTurns {
		t, ok, err := shared.Turn(ctx, s.Profile, r)
		if ok || err != nil {
			return t, err
		}
		t, err = s.obtain(ctx, r, need)
		if !errors.Is(err, ErrOtherTurn) && !errors.Is(err, grant.ErrLate) {
			return t, err
		}
	}
	return grant.Token{}, ErrOtherTurn
}

// inTime returns a context for a request that carries the time until which the request may be sent.
func (s *Source) inTime(ctx context.Context) context.Context {
	if shared := s.shared(); shared != nil {
		return grant.SendBy(ctx, shared.SendBy(s.Profile))
	}
	return ctx
}

// settleShared is the other machines' part of settle.
func (s *Source) settleShared(ctx context.Context, shared Shared, err error) {
	ctx, cancel := context.WithTimeout(ctx, sharedLimit)
	defer cancel()
	shared.Settle(ctx, s.Profile, err) // where that fails, the others wait as long as for a machine that is gone
}

// offer gives a token to the other machines, if it is one that the profile takes.
func (s *Source) offer(r grant.Request, t grant.Token, err error) {
	if shared := s.shared(); shared != nil && err == nil && s.Endpoint.Server().CheckToken(t) == nil {
		shared.Offer(s.Profile, r, t)
	}
}
