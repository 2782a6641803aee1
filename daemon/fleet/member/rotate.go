package member

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore"
)

// Remove removes a machine, by its name or id, and begins an epoch whose key it does not get. What it has read before
// it keeps.
func (m *Member) Remove(ctx context.Context, machine string) error {
	release, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return m.rotate(ctx, func(now log) (entry, error) {
		id, err := now.find(machine)
		if err != nil {
			return entry{}, err
		}
		if id == m.self.id() {
			return entry{}, ErrSelf
		}
		return entry{Kind: kindRemove, Subject: &subject{ID: id}}, nil
	})
}

// renew begins an epoch without a machine that has left, unless another machine did.
func (m *Member) renew(ctx context.Context) error {
	release, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = m.rotate(ctx, func(now log) (entry, error) {
		if !now.due {
			return entry{}, errNotDue
		}
		return entry{Kind: kindRotate}, nil
	})
	if errors.Is(err, errNotDue) {
		return nil
	}
	return err
}

var errNotDue = errors.New("no machine has left")

// rotate appends an entry that begins an epoch. The caller has the turn.
func (m *Member) rotate(ctx context.Context, make func(log) (entry, error)) error {
	fresh := keyring.NewKey()
	defer fresh.Wipe()
	var old, id string
	sealedFor := map[string]bool{}
	err := m.append(ctx, func(now log) (entry, []engine.Condition, []engine.Change, error) {
		e, err := make(now)
		if err != nil {
			return e, nil, nil, err
		}
		e.Epoch, e.Commit = now.epoch+1, commitOf(m.keys.Fleet(), now.epoch+1, fresh)
		old = string(keyID(now.commits[now.epoch]))
		if next := string(keyID(e.Commit)); next != id {
			id, sealedFor = next, map[string]bool{}
		}
		remaining := maps.Clone(now.machines)
		if e.Subject != nil {
			delete(remaining, e.Subject.ID)
		}
		maps.DeleteFunc(remaining, func(id string, _ *subject) bool { return sealedFor[id] })
		if err := m.giveKeys(ctx, e.Epoch, fresh, id, remaining); err != nil {
			return e, nil, nil, err
		}
		for id := range remaining {
			sealedFor[id] = true
		}
		if e.Subject == nil {
			return e, nil, nil, nil
		}
		word, err := m.farewell(now, e)
		return e, nil, word, err
	})
	if err != nil {
		return err
	}
	m.tidy(ctx, old)
	return nil
}

// farewell tells a machine that it was removed.
func (m *Member) farewell(now log, e entry) ([]engine.Change, error) {
	e.Index, e.Previous, e.By = now.index+1, now.hashes[now.index].bytes(), m.self.id()
	text, err := m.self.signEntry(m.keys.Fleet(), e)
	if err != nil {
		return nil, err
	}
	gone := now.machines[e.Subject.ID]
	value, err := gone.sealTo(m.keys.Fleet(), farewell, keystore.NewSecret(text))
	return []engine.Change{{Key: m.key("g/" + gone.ID), Value: value}}, err
}

// batch is how many values are written at once.
const batch = 50

// giveKeys writes the keys, with that of an epoch to come, sealed to each of some machines.
func (m *Member) giveKeys(ctx context.Context, epoch uint32, fresh keystore.Secret, id string,
	machines map[string]*subject) error {
	text := m.keys.Encode()
	defer text.Wipe()
	ring, err := keyring.Decode(text)
	if err != nil {
		return err
	}
	defer ring.Wipe()
	if err = ring.Add(epoch, fresh); errors.Is(err, keyring.ErrFull) {
		oldest, failed := m.oldestInUse(ctx)
		if failed != nil {
			return failed
		}
		ring.Retire(oldest)
		err = ring.Add(epoch, fresh)
	}
	if err != nil {
		return err
	}
	all := ring.Encode()
	defer all.Wipe()
	var changes []engine.Change
	for machine, s := range machines {
		value, err := s.sealTo(m.keys.Fleet(), id, all)
		if err != nil {
			return err
		}
		changes = append(changes, engine.Change{Key: m.key("k/" + id + "/" + machine), Value: value})
	}
	for part := range slices.Chunk(changes, batch) {
		if _, _, err := m.Engine.Swap(ctx, nil, part); err != nil {
			return err
		}
	}
	return nil
}

// oldestInUse returns the oldest epoch that something in the engine is sealed with the key of.
func (m *Member) oldestInUse(ctx context.Context) (uint32, error) {
	oldest := m.keys.Epoch()
	for _, below := range []string{"m/log/", "p/"} {
		entries, _, err := m.Engine.Read(ctx, m.key(below))
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			if m.isForged(e) {
				continue
			}
			plain, epoch, err := m.keys.Open(e.Key, m.kindOf(e.Key), e.Value)
			if err == nil { // else nobody reads it
				oldest = min(oldest, epoch)
			}
			plain.Wipe()
		}
	}
	return oldest, nil
}

// kindOf returns what a value at a place of the engine is sealed as: below a profile's name that is the next word.
func (m *Member) kindOf(key string) string {
	below, ok := strings.CutPrefix(key, m.key("p/"))
	if !ok {
		return kindLog
	}
	_, rest, _ := strings.Cut(below, "/")
	kind, _, _ := strings.Cut(rest, "/")
	return kind
}

// tidy deletes the sealed copies of an epoch that is over and seals the log's entries with the newest key, so that the
// keys of old epochs need not be kept. What fails is left for the next time.
func (m *Member) tidy(ctx context.Context, old string) {
	stale, _, err := m.Engine.Read(ctx, m.key("k/"+old+"/"))
	if err != nil {
		return
	}
	for part := range slices.Chunk(stale, batch) {
		var changes []engine.Change
		for _, e := range part {
			changes = append(changes, engine.Change{Key: e.Key})
		}
		if _, _, err := m.Engine.Swap(ctx, nil, changes); err != nil {
			return
		}
	}
	m.reseal(ctx)
}

// Retire forgets the keys of older epochs, once nothing in the engine is sealed with them any more: the caller has
// sealed all else anew, and the log is sealed anew here, if it is not yet. Where something is, it is an error: another
// epoch has begun meanwhile.
func (m *Member) Retire(ctx context.Context) error {
	release, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := m.sync(ctx); err != nil {
		return err
	}
	epoch := m.keys.Epoch()
	if err := m.reseal(ctx); err != nil {
		return err
	}
	switch oldest, err := m.oldestInUse(ctx); {
	case err != nil:
		return err
	case oldest < epoch:
		return errMoved
	}
	m.keepLog() // sealed with the newest key
	m.keys.Retire(epoch)
	m.Resealed(epoch)
	m.mu.Lock()
	maps.DeleteFunc(m.began, func(of uint32, _ int64) bool { return of < epoch })
	m.mu.Unlock()
	return m.persist(ctx)
}

// errMoved: something was changed while all was sealed anew.
var errMoved = errors.New("the fleet has changed meanwhile")

// reseal seals the log with the newest key.
func (m *Member) reseal(ctx context.Context) error {
	entries, _, err := m.Engine.Read(ctx, m.key("m/log/"))
	if err != nil {
		return err
	}
	for part := range slices.Chunk(entries, batch) {
		if !m.resealLog(ctx, part) {
			return errMoved
		}
	}
	return nil
}

// resealLog seals entries that are sealed with an older key again. It reports whether they could be.
func (m *Member) resealLog(ctx context.Context, entries []engine.Entry) bool {
	conditions, changes := []engine.Condition{m.Fence()}, []engine.Change(nil)
	for _, e := range entries {
		text, epoch, err := m.keys.Open(e.Key, kindLog, e.Value)
		if err != nil || epoch == m.keys.Epoch() {
			continue
		}
		value, err := m.keys.Seal(e.Key, kindLog, text.AppendTo(nil))
		if err != nil {
			return false
		}
		conditions = append(conditions, engine.Condition{Key: e.Key, Revision: e.Revision})
		changes = append(changes, engine.Change{Key: e.Key, Value: value})
	}
	if len(changes) == 0 {
		return true
	}
	swapped, _, err := m.Engine.Swap(ctx, conditions, changes)
	return err == nil && swapped
}

// Leave takes this machine out of the fleet. A machine that remains begins a new epoch; rotated says that one did
// before ctx ended. The last machine deletes the fleet. The error is [ErrRemoved] where another machine was faster.
func (m *Member) Leave(ctx context.Context) (rotated bool, err error) {
	release, err := m.take(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if err := m.sync(ctx); err != nil {
		return false, err
	}
	last := false
	err = m.append(ctx, func(now log) (entry, []engine.Condition, []engine.Change, error) {
		last = len(now.machines) == 1
		if last {
			return entry{}, nil, nil, errLast
		}
		return entry{Kind: kindLeave, Subject: &subject{ID: m.self.id()}}, nil, nil, nil
	})
	switch {
	case last:
		return true, m.dissolve(ctx)
	case err != nil:
		return false, err
	}
	m.mu.Lock()
	at, id := m.at, m.log.keyID()
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.Engine.Watch(ctx, m.fence.Key, at, func(entries []engine.Entry, _ engine.State) {
		for _, e := range entries {
			if e.Value != nil && fenceID(e.Value) != id {
				rotated = true
				cancel()
			}
		}
	})
	return rotated, nil
}

var errLast = errors.New("this is the fleet's last machine")

// dissolve deletes all of the fleet from the engine.
func (m *Member) dissolve(ctx context.Context) error {
	for {
		entries, _, err := m.Engine.Read(ctx, Prefix(m.keys.Fleet()))
		if err != nil || len(entries) == 0 {
			return err
		}
		for part := range slices.Chunk(entries, batch) {
			var changes []engine.Change
			for _, e := range part {
				changes = append(changes, engine.Change{Key: e.Key})
			}
			if _, _, err := m.Engine.Swap(ctx, nil, changes); err != nil {
				return err
			}
		}
	}
}
