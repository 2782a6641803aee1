package member

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
)

const (
	// callTime bounds what is done for one change of the engine.
	callTime = 30 * time.Second
	// retryTime is how long is waited after a failure of the engine.
	retryTime = 2 * time.Second
	// spread is how long machines wait at random before they answer a machine that did not invite, or begin an epoch:
	// one is enough.
	spread = 3 * time.Second
	// sweepTime is how often invitations whose time is over are looked for.
	sweepTime = time.Minute
)

// Run follows the fleet's log, answers machines that join, and begins a new epoch after a machine has left, until ctx
// ends or this machine is no member any more.
func (m *Member) Run(ctx context.Context) error {
	for {
		err := m.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrRemoved):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryTime):
		}
	}
}

// follow reads the log, and acts on each change of it.
func (m *Member) follow(ctx context.Context) error {
	if err := m.Sync(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	at := m.at
	m.mu.Unlock()
	if err := m.act(ctx, nil); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	changes := make(chan []string, 1)
	go func() {
		stop(m.Engine.Watch(ctx, m.key("m/"), at, func(entries []engine.Entry, _ engine.State) {
			var names []string
			for _, e := range entries {
				if e.Value != nil {
					names = append(names, strings.TrimPrefix(e.Key, m.key("m/")))
				}
			}
			switch {
			case names == nil && m.failing():
				names = []string{"log"} // it answers: look again
			case names == nil:
				return
			}
			select {
			case changes <- names:
			case <-ctx.Done():
			}
		}))
	}()
	sweep := time.NewTicker(sweepTime)
	defer sweep.Stop()
	for {
		select {
		case names := <-changes:
			if err := m.act(ctx, names); err != nil {
				return err
			}
		case <-sweep.C:
			if err := m.sweep(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sweep looks again where the last look was no use, and at the invitations.
func (m *Member) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if m.failing() {
		if err := m.Sync(ctx); err != nil {
			return err
		}
	}
	return m.attend(ctx)
}

// failing reports whether the last look at the engine was no use.
func (m *Member) failing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure != nil
}

// act does what is due after changes of the log; without names it looks at everything.
func (m *Member) act(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	asked := false
	logged := names == nil
	for _, name := range names {
		asked = asked || strings.HasPrefix(name, "invite/")
		logged = logged || !strings.HasPrefix(name, "invite/")
	}
	if logged {
		if err := m.Sync(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	due := m.log.due
	m.mu.Unlock()
	if due {
		pause(ctx, rand.N(spread))
		if err := m.renew(ctx); err != nil {
			return err
		}
	}
	if asked || names == nil {
		return m.attend(ctx)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// attend answers the requests of machines that join, and deletes invitations whose time is over.
func (m *Member) attend(ctx context.Context) error {
	entries, at, err := m.Engine.Read(ctx, m.key("m/invite/"))
	if err != nil {
		return err
	}
	there, invited := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		id, part, _ := strings.Cut(strings.TrimPrefix(e.Key, m.key("m/invite/")), "/")
		there[id] = true
		switch part {
		case "":
			m.firstSeen(id)
			invited[id] = true
			if m.isOver(id, e, at) {
				m.forget(ctx, e)
			}
		case useRequest:
			if !invited[id] { // it is read after its invitation
				m.forget(ctx, e)
			} else if err := m.answer(ctx, id); err != nil {
				return err
			}
		case useAnswer:
			m.firstSeen(id + "/" + part)
			if m.over(id+"/"+part, m.wall(at), at) {
				m.forget(ctx, e)
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.seen {
		if base, _, _ := strings.Cut(id, "/"); !there[base] {
			delete(m.seen, id)
		}
	}
	return nil
}

// answer admits the machine that has made a request: at once where this machine has invited it, else after a while, in
// case the one that did is not running.
func (m *Member) answer(ctx context.Context, id string) error {
	c, _, _, _, err := m.invited(ctx, id)
	c.Secret.Wipe()
	if errors.Is(err, errNothing) {
		return nil // nobody was invited: attend deletes it
	}
	if err != nil || c.by != m.self.id() {
		pause(ctx, time.Second+rand.N(spread))
	}
	return m.admit(ctx, id)
}

// isOver reports whether an invitation is good no more. One that is sealed with a key that this machine does not have
// yet is another member's to open, for as long as a code lasts.
func (m *Member) isOver(id string, e engine.Entry, at engine.State) bool {
	c, err := m.openInvitation(e)
	c.Secret.Wipe()
	if missing, ok := errors.AsType[*keyring.EpochError](err); ok && !missing.Past {
		return m.over(id, m.wall(at), at)
	}
	return err != nil || m.over(id, c.ends, at)
}

func (m *Member) firstSeen(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.seen[id]; !known {
		m.seen[id] = m.Now().Boot
	}
}

// forget deletes an invitation and the request that was made with it; or a request or an answer alone.
func (m *Member) forget(ctx context.Context, e engine.Entry) {
	changes := []engine.Change{{Key: e.Key}}
	if !strings.Contains(strings.TrimPrefix(e.Key, m.key("m/invite/")), "/") {
		changes = append(changes, engine.Change{Key: e.Key + "/" + useRequest})
	}
	m.Engine.Swap(ctx, []engine.Condition{{Key: e.Key, Revision: e.Revision}}, changes)
}
