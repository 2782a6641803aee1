package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
)

// WatchParams names the profile to watch; without a name it is the only one there is.
type WatchParams struct {
	Profile string `json:"profile,omitempty"`
}

// Change says what a profile is like now, and what has just changed. It answers "watch", without an Event, and is the
// parameters of each "change" notification that follows. It holds no token.
type Change struct {
	Profile string `json:"profile"`
	Event   string `json:"event,omitempty"`
	At      int64  `json:"at"` // when groatd noticed, Unix seconds
	// State, Message and Hint are as in [ProfileStatus]; State is empty where there is no such profile.
	State   string `json:"state,omitempty"`
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
	// ExpiresAt and ExpiresIn are the default token's, 0 where there is none or it does not expire.
	ExpiresAt int64 `json:"expires_at,omitempty"`
	ExpiresIn int64 `json:"expires_in,omitempty"`
	// RetryIn is seconds until the next attempt after a failure; 0 if none is pending.
	RetryIn int64 `json:"retry_in,omitempty"`
}

// Events of a [Change].
const (
	EventRenewed   = "renewed"   // another token is there
	EventBlocked   = "blocked"   // something keeps renewals from leaving, or something else than before
	EventHealed    = "healed"    // nothing keeps them any more
	EventExpired   = "expired"   // the token has ended
	EventForgotten = "forgotten" // the token is gone: a logout, a new sign-in or configuration, or an API refused it
	EventRemoved   = "removed"   // the profile does not exist any more
	EventAdded     = "added"     // the profile exists again
	EventDropped   = "dropped"   // the watch has ended: its client was too slow
)

// ErrDropped means that groatd has ended a watch because its client did not take the changes. Watching again is safe.
var ErrDropped = errors.New("groatd has ended the watch: too many changes were not read")

// ErrWatching means that a client that cannot connect again watches already.
var ErrWatching = errors.New("this connection watches a profile already")

// watchQueue is how many changes may wait for the one that is told.
const watchQueue = 64

// Watch calls told with what a profile is like, and then with each [Change] of it, one after the other. It returns when
// ctx ends, when told returns an error, which it returns, when the connection ends ([ErrClosed]), or with [ErrDropped].
// It does not connect again: what has changed meanwhile would be lost in silence.
//
// A watch has a connection of its own if this client can connect, and then any number of watches may run. Watching uses
// no token: one that nothing else uses is not renewed after an hour.
func (c *Client) Watch(ctx context.Context, params WatchParams, told func(Change) error) error {
	l, err := c.linkForWatch(ctx)
	if err != nil {
		return err
	}
	if c.dial != nil {
		defer c.endWatch(l)
	}
	return l.watch(ctx, params, told)
}

// linkForWatch returns the connection for a watch.
func (c *Client) linkForWatch(ctx context.Context) (*link, error) {
	if c.dial == nil {
		l, _, err := c.current(ctx)
		return l, err
	}
	var own *link
	l, err := c.dialInto(ctx, &own)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		l.fail(net.ErrClosed)
		return nil, net.ErrClosed
	}
	if c.watches == nil {
		c.watches = map[*link]struct{}{}
	}
	c.watches[l] = struct{}{}
	return l, nil
}

// endWatch ends the connection of a watch.
func (c *Client) endWatch(l *link) {
	l.fail(net.ErrClosed)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watches, l)
}

// watch is the conversation of one watch.
func (l *link) watch(ctx context.Context, params WatchParams, told func(Change) error) error {
	var now Change
	x := &exchange{method: MethodWatch, params: params, result: &now, messages: make(chan message, watchQueue)}
	l.mu.Lock()
	taken := l.watching != nil
	if !taken {
		l.watching = x
	}
	l.mu.Unlock()
	if taken {
		return ErrWatching
	}
	defer func() {
		l.mu.Lock()
		l.watching = nil
		l.mu.Unlock()
		x.give()
	}()
	if err := l.send(ctx, x); err != nil {
		return err
	}
	for {
		m, err := l.next(ctx, x)
		if err != nil {
			return err
		}
		c := &now
		if m.method == "" {
			err = x.answer(m)
		} else if c = new(Change); json.Unmarshal(m.params, c) != nil {
			err = fmt.Errorf("%w: a change", ErrAnswer)
		}
		if errors.Is(err, ErrAnswer) {
			l.fail(err)
		}
		if err == nil && c.Profile == now.Profile { // not of an earlier watch on the connection
			err = told(*c)
		}
		if err == nil && c.Event == EventDropped {
			err = ErrDropped
		}
		if err != nil {
			return err
		}
	}
}

// give makes room for a message that is on its way to a caller who waits no longer, so that it does not hold up the
// others on the connection.
func (x *exchange) give() {
	for {
		select {
		case <-x.messages:
		default:
			return
		}
	}
}
