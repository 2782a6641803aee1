// Package member says which machines a fleet has, and gives each the fleet's keys.
//
// The list of the machines is a log in the engine: it begins with the machine that created the fleet, each entry is
// signed by a machine that is a member by the entries before it, and names the digest of the entry before. So the
// engine, and a machine that was removed, can withhold entries and can add none. A removal begins a new epoch: its
// entry names the digest of the epoch's key, and the key is sealed to each machine that remains (HPKE, RFC 9180).
//
// The invariants: a machine never goes back behind an entry that it has seen; it takes a key only if an entry that it
// has checked names the key's digest; and no key leaves a machine but sealed to a member.
package member

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore"
)

var (
	// ErrRemoved: another machine has removed this one. What was written since cannot be read here.
	ErrRemoved = errors.New("this machine was removed from the fleet")
	// ErrOlder: the engine shows less of the fleet's log than this machine has seen.
	ErrOlder = errors.New("the fleet's engine shows an older copy of the fleet than this machine has seen")
	// ErrWithheld: the fleet has a new key, and the engine does not show this machine its copy.
	ErrWithheld = errors.New("the fleet's engine does not show this machine the fleet's newest key")
	// ErrOtherFleet: the engine shows another history of the fleet than the one that this machine has seen.
	ErrOtherFleet = errors.New("the fleet's engine shows another history of the fleet than this machine has seen")
	// ErrUnknownMachine: no machine of the fleet has this name.
	ErrUnknownMachine = errors.New("the fleet has no such machine")
	// ErrSelf: a machine does not remove itself; it leaves.
	ErrSelf = errors.New("this is the machine itself")
	// ErrExists: the fleet is there already.
	ErrExists = errors.New("the engine has this fleet already")
	// ErrFull: the log has as many entries as it may have.
	ErrFull = errors.New("the fleet has had as many machines as its log can hold")
)

// Options is what a member is made of. Log and Changed may be nil.
type Options struct {
	Engine engine.Engine
	Now    clock.Func
	// Keep stores what [Member.State] returns before the member acts on a new key. The secret stays the caller's.
	Keep func(context.Context, keystore.Secret) error
	// Changed is told after the machines or the epoch have changed, or the member was removed. It must not block.
	Changed func()
	// Warn is told what a person should know: something in the engine that no member has written.
	Warn func(error)
}

// Member is this machine's part in a fleet. It is safe for concurrent use.
type Member struct {
	Options
	keys *keyring.Keyring
	self identity

	turn chan struct{} // holds an element while the engine is read or written for the log

	mu      sync.Mutex
	log     log
	pinned  position                 // what this machine had seen when it was last stopped
	junk    int64                    // the revision of what stands in the place of the next entry and is none, or 0
	fence   engine.Condition         // the epoch's key in the engine
	at      engine.State             // of the last look at the engine
	failure error                    // why that was no use, or nil
	seen    map[string]time.Duration // :: invitation → boot time when it was first seen
}

// Machine is a member for people.
type Machine struct {
	ID, Name string
	Self     bool
}

func newMember(o Options, keys *keyring.Keyring, self identity) *Member {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	m := &Member{
		Options: o, keys: keys, self: self, turn: make(chan struct{}, 1), log: newLog(keys.Fleet()),
		seen: map[string]time.Duration{},
	}
	m.fence.Key = m.key("m/epoch")
	return m
}

// Keys returns the fleet's keys. They get a new epoch when a machine was removed.
func (m *Member) Keys() *keyring.Keyring { return m.keys }

// Self returns this machine's id, by which the fleet's records name it.
func (m *Member) Self() string { return m.self.id() }

// Name returns this machine's name in the fleet.
func (m *Member) Name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x, ok := m.log.machines[m.self.id()]; ok {
		return x.Name
	}
	return m.self.name
}

// NameOf returns a machine's name, also of one that is no member any more; or the id where it is not known.
func (m *Member) NameOf(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name := m.log.names[id]; name != "" {
		return name
	}
	return id
}

// Machines returns the members, sorted by name.
func (m *Member) Machines() []Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Machine
	for id, x := range m.log.machines {
		all = append(all, Machine{ID: id, Name: x.Name, Self: id == m.self.id()})
	}
	slices.SortFunc(all, func(a, b Machine) int { return strings.Compare(a.Name+" "+a.ID, b.Name+" "+b.ID) })
	return all
}

// Err returns why this machine does not know the fleet as it is now, or nil: [ErrRemoved], [ErrOlder], [ErrWithheld],
// [ErrOtherFleet] or an error of the engine.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.index > 0 && m.log.machines[m.self.id()] == nil {
		return ErrRemoved
	}
	return m.failure
}

// Fence is the condition of every write of a value that was sealed with the newest key: it holds until another epoch
// begins, so that nothing is written that a machine which was removed meanwhile could read.
func (m *Member) Fence() engine.Condition {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fence
}

// key is a key of the engine.
func (m *Member) key(name string) string { return Prefix(m.keys.Fleet()) + name }

// Prefix is what all keys of a fleet begin with.
func Prefix(fleet string) string { return "/groat/" + fleet + "/" }

func entryKey(fleet string, index int64) string {
	return fmt.Sprintf("%sm/log/%010d", Prefix(fleet), index)
}

// take waits for the turn.
func (m *Member) take(ctx context.Context) (release func(), err error) {
	select {
	case m.turn <- struct{}{}:
		return func() { <-m.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Create makes a fleet in the engine with this machine as its only member.
func Create(ctx context.Context, o Options, name string) (*Member, error) {
	m := newMember(o, keyring.New(), newIdentity(name))
	key, err := m.keys.Key(1)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	first := entry{Index: 1, Kind: kindCreate, Subject: m.self.public(), Epoch: 1,
		Commit: commitOf(m.keys.Fleet(), 1, key)}
	if err := m.persist(ctx); err != nil {
		return nil, err
	}
	value, text, err := m.sealed(first)
	if err != nil {
		return nil, err
	}
	swapped, _, err := o.Engine.Swap(ctx,
		[]engine.Condition{{Key: entryKey(m.keys.Fleet(), 1)}, {Key: m.fence.Key}},
		[]engine.Change{{Key: entryKey(m.keys.Fleet(), 1), Value: value}, {Key: m.fence.Key, Value: keyID(first.Commit)}})
	switch {
	case errors.Is(err, engine.ErrUnknown): // the id is random: what is there is ours
		err = nil
	case err == nil && !swapped:
		err = ErrExists
	}
	if err != nil {
		return nil, err
	}
	if err := m.log.add(text); err != nil {
		return nil, err
	}
	return m, m.Sync(ctx)
}

// Sync reads the fleet's log from the engine. The error is [Member.Err]'s.
func (m *Member) Sync(ctx context.Context) error {
	release, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return m.sync(ctx)
}

// sync is Sync for a caller that has the turn.
func (m *Member) sync(ctx context.Context) error {
	entries, state, err := m.Engine.Read(ctx, m.key("m/"))
	if err == nil {
		err = m.learn(ctx, entries)
	}
	if err == nil {
		err = m.mendFence(ctx, entries)
	}
	m.mu.Lock()
	m.failure = err
	if err == nil {
		m.at = state
	}
	m.mu.Unlock()
	if err == nil {
		err = m.Err()
	}
	return err
}

// learn takes over what the engine shows of the log. The caller has the turn.
func (m *Member) learn(ctx context.Context, entries []engine.Entry) error {
	m.mu.Lock()
	now := m.log.clone()
	junk := m.junk
	m.mu.Unlock()
	fence := engine.Condition{Key: m.fence.Key}
	newest := ""
	ring := m.keys
	defer func() {
		if ring != m.keys {
			ring.Wipe()
		}
	}()
	for _, e := range entries {
		if e.Key == m.fence.Key && e.Value != nil {
			fence.Revision, newest = e.Revision, string(e.Value)
		}
	}
	for _, e := range entries {
		if e.Key != entryKey(m.keys.Fleet(), now.index+1) || e.Value == nil {
			continue
		}
		text, epoch, err := ring.Open(e.Key, kindLog, e.Value)
		if errors.Is(err, keyring.ErrEpoch) && ring == m.keys && newest != "" {
			fetched, failed := m.fetchKeys(ctx, newest)
			if failed != nil {
				return m.orRemoved(ctx, now, failed)
			}
			ring = fetched
			if text, epoch, err = ring.Open(e.Key, kindLog, e.Value); err != nil && epoch > m.keys.Epoch() {
				return fmt.Errorf("%w: what it shows is another key", ErrWithheld)
			}
		}
		if err == nil {
			err = now.add(text.AppendTo(nil))
		}
		if err != nil { // in the place of an entry stands what is none
			if junk != e.Revision {
				m.Warn(fmt.Errorf("the fleet's engine shows an entry that no member has written: %w", err))
			}
			junk = e.Revision
			break
		}
		junk = 0
	}
	if err := m.checkHistory(now, entries); err != nil {
		return err
	}
	if now.machines[m.self.id()] != nil && now.epoch > m.keys.Epoch() {
		if ring == m.keys {
			fetched, err := m.fetchKeys(ctx, string(keyID(now.commits[now.epoch])))
			if err != nil {
				return m.orRemoved(ctx, now, err)
			}
			ring = fetched
		}
		if err := m.takeKeys(now, ring); err != nil {
			return err
		}
	}
	return m.adopt(ctx, now, junk, fence, newest)
}

// checkHistory refuses a log that is shorter than, or other than, what this machine has seen.
func (m *Member) checkHistory(now log, entries []engine.Entry) error {
	if hash, known := now.hashes[m.pinned.Index]; known && hash != m.pinned.Hash {
		return ErrOtherFleet
	}
	shown := slices.ContainsFunc(entries, func(e engine.Entry) bool {
		return e.Key == entryKey(m.keys.Fleet(), now.index)
	})
	if now.index < m.pinned.Index || !shown {
		return ErrOlder
	}
	return nil
}

// adopt makes a log that was checked the member's. Its keys are there already.
func (m *Member) adopt(ctx context.Context, now log, junk int64, fence engine.Condition, newest string) error {
	m.mu.Lock()
	changed, rotated := now.index != m.log.index, now.epoch != m.log.epoch
	m.log, m.junk = now, junk
	if fence.Revision > 0 && newest == string(keyID(now.commits[now.epoch])) {
		m.fence = fence
	}
	m.mu.Unlock()
	if !changed {
		return nil
	}
	defer m.Changed()
	if err := m.persist(ctx); err != nil && rotated {
		return err
	}
	return nil
}

// mendFence writes the epoch's key id again where something else stands in its place.
func (m *Member) mendFence(ctx context.Context, entries []engine.Entry) error {
	m.mu.Lock()
	want, member := string(keyID(m.log.commits[m.log.epoch])), m.log.machines[m.self.id()] != nil
	m.mu.Unlock()
	is := engine.Entry{Key: m.fence.Key}
	for _, e := range entries {
		if e.Key == is.Key {
			is = e
		}
	}
	if string(is.Value) == want || !member {
		return nil
	}
	swapped, state, err := m.Engine.Swap(ctx, []engine.Condition{{Key: is.Key, Revision: is.Revision}},
		[]engine.Change{{Key: is.Key, Value: []byte(want)}})
	if err == nil && swapped {
		m.mu.Lock()
		m.fence = engine.Condition{Key: is.Key, Revision: state.Revision}
		m.mu.Unlock()
	}
	return err
}

// takeKeys adds the keys of the epochs that have begun, each only if the log names its digest.
func (m *Member) takeKeys(now log, ring *keyring.Keyring) error {
	for epoch := m.keys.Epoch() + 1; epoch <= now.epoch; epoch++ {
		key, err := ring.Key(epoch)
		if past, ok := errors.AsType[*keyring.EpochError](err); ok && past.Past {
			continue // nothing is sealed with it any more
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWithheld, err)
		}
		if string(commitOf(m.keys.Fleet(), epoch, key)) == string(now.commits[epoch]) {
			err = m.keys.Add(epoch, key)
		} else {
			err = fmt.Errorf("%w: what it shows is another key", ErrWithheld)
		}
		key.Wipe()
		if err != nil {
			return err
		}
	}
	if m.keys.Epoch() != now.epoch {
		return ErrWithheld
	}
	return nil
}

// fetchKeys returns the keys that are sealed to this machine under an epoch's key id. They are not checked yet.
func (m *Member) fetchKeys(ctx context.Context, id string) (*keyring.Keyring, error) {
	name := m.key("k/" + id + "/" + m.self.id())
	entries, _, err := m.Engine.Read(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Key != name {
			continue
		}
		text, err := m.self.open(m.keys.Fleet(), id, e.Value)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrWithheld, err)
		}
		defer text.Wipe()
		ring, err := keyring.Decode(text)
		if err == nil && ring.Fleet() != m.keys.Fleet() {
			err = keyring.ErrEncoding
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrWithheld, err)
		}
		return ring, nil
	}
	return nil, ErrWithheld
}

// orRemoved returns ErrRemoved, in the place of failed, where a member has left word for this machine that it was
// removed: the entry that says so is sealed with a key that this machine does not get.
func (m *Member) orRemoved(ctx context.Context, now log, failed error) error {
	name := m.key("g/" + m.self.id())
	entries, _, err := m.Engine.Read(ctx, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := m.self.open(m.keys.Fleet(), farewell, e.Value)
		if err != nil || !now.saysRemoved(text.AppendTo(nil), m.self.id()) {
			continue
		}
		return ErrRemoved
	}
	return failed
}

// farewell stands for a key id where a removed machine is told of it.
const farewell = "farewell"

// sealed returns an entry as it stands in the engine, and its text.
func (m *Member) sealed(e entry) (value, text []byte, err error) {
	if text, err = m.self.signEntry(m.keys.Fleet(), e); err != nil {
		return nil, nil, err
	}
	value, err = m.keys.Seal(entryKey(m.keys.Fleet(), e.Index), kindLog, text)
	return value, text, err
}

// append adds the entry that make returns of the log as it is now, and makes the changes that come with it. It tries
// again where another machine was faster. The caller has the turn.
func (m *Member) append(ctx context.Context, make func(log) (entry, []engine.Condition, []engine.Change, error)) error {
	for {
		if err := m.sync(ctx); err != nil {
			return err
		}
		m.mu.Lock()
		now, junk, fence := m.log.clone(), m.junk, m.fence
		m.mu.Unlock()
		if now.index >= maxLog {
			return ErrFull
		}
		e, conditions, changes, err := make(now)
		if err != nil {
			return err
		}
		e.Index, e.Previous, e.By = now.index+1, now.hashes[now.index].bytes(), m.self.id()
		value, text, err := m.sealed(e)
		if err != nil {
			return err
		}
		place := entryKey(m.keys.Fleet(), e.Index)
		conditions = append(conditions, engine.Condition{Key: place, Revision: junk}, fence)
		changes = append(changes, engine.Change{Key: place, Value: value})
		if e.Kind.rotates() {
			changes = append(changes, engine.Change{Key: m.fence.Key, Value: keyID(e.Commit)})
		}
		swapped, _, err := m.Engine.Swap(ctx, conditions, changes)
		if err != nil && !errors.Is(err, engine.ErrUnknown) {
			return err
		}
		failed := m.sync(ctx)
		m.mu.Lock()
		done := m.log.hashes[e.Index] == hashOf(text)
		m.mu.Unlock()
		switch {
		case done || swapped && failed == nil:
			return nil
		case failed != nil:
			return failed
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// Remove removes a machine, by its name or id, and begins an epoch whose key it does not get. What it has read before it
// keeps.
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
	if err := ring.Add(epoch, fresh); err != nil {
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
	entries, _, err := m.Engine.Read(ctx, m.key("m/log/"))
	if err != nil {
		return
	}
	for part := range slices.Chunk(entries, batch) {
		if !m.resealLog(ctx, part) {
			return
		}
	}
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

// Leave takes this machine out of the fleet. A machine that remains begins a new epoch; rotated says that one did before
// ctx ended. The last machine deletes the fleet.
func (m *Member) Leave(ctx context.Context) (rotated bool, err error) {
	release, err := m.take(ctx)
	if err != nil {
		return false, err
	}
	defer release()
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
	case errors.Is(err, ErrRemoved): // by its own entry
	case err != nil:
		return false, err
	}
	m.mu.Lock()
	at := m.at
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.Engine.Watch(ctx, m.fence.Key, at, func(entries []engine.Entry, _ engine.State) {
		if len(entries) > 0 {
			rotated = true
			cancel()
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

// verifyKey is the public part of a signing key.
func verifyKey(b []byte) (ed25519.PublicKey, bool) {
	return ed25519.PublicKey(b), len(b) == ed25519.PublicKeySize
}
