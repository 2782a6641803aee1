// Package member says which machines a fleet has, and gives each the fleet's keys.
//
// The list of the machines is a log in the engine: it begins with the machine that created the fleet, each entry is
// signed by a machine that is a member by the entries before it, and names the digest of the entry before. The engine
// and a machine that was removed can withhold entries, and add none to what a member has seen; a machine that joins is
// told with its code where the log stands. Together they can show another history to a machine that has not seen the
// removal: SECURITY.md says what remains. A removal begins a new epoch: its entry names the digest of the epoch's key,
// and the key is sealed to each machine that remains (HPKE, RFC 9180).
//
// The invariants: a machine never goes back behind an entry that it has seen; it takes a key only if an entry that it
// has checked names the key's digest; and no key leaves a machine but sealed to a member.
package member

import (
	"context"
	"errors"
	"fmt"
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
	// ErrOlder: the engine shows less of the fleet's log than this machine has seen, and this machine cannot put the
	// rest back.
	ErrOlder = errors.New("the fleet's engine shows an older copy of the fleet than this machine has seen; " +
		"a machine that has kept the newest one writes it back when it runs")
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

// Options is what a member is made of. Changed, Healed and Warn may be nil.
type Options struct {
	Engine engine.Engine
	Now    clock.Func
	// Keep stores what [Member.State] returns before the member acts on a new key. The secret stays the caller's.
	Keep func(ctx context.Context, fleet string, state keystore.Secret) error
	// Changed is told after the machines or the epoch have changed, or the member was removed. It must not block.
	Changed func()
	// StateDir is where the log is kept, sealed, so that it can be put back; where it is empty, only in memory.
	StateDir string
	// Healed is told after this machine has put back what the engine had not any more. It must not block.
	Healed func()
	// Warn is told what a person should know: something in the engine that no member has written.
	Warn func(error)
}

// Member is this machine's part in a fleet. It is safe for concurrent use.
type Member struct {
	Options
	keys *keyring.Keyring
	self identity

	turn chan struct{} // holds an element while the engine is read or written for the log

	mu     sync.Mutex
	log    log
	pinned position         // what this machine had seen when it was last stopped
	junk   int64            // the revision of what stands in the place of the next entry and is none, or 0
	fence  engine.Condition // the epoch's key in the engine
	began  map[uint32]int64 // :: epoch → the revision with which it began; none is ever raised
	// resealed is the epoch before which nothing in the engine is sealed any more.
	resealed uint32
	at       engine.State             // of the last look at the engine
	failure  error                    // why that was no use, or nil
	seen     map[string]time.Duration // :: invitation → boot time when it was first seen
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
	if o.Healed == nil {
		o.Healed = func() {}
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	m := &Member{
		Options: o, keys: keys, self: self, turn: make(chan struct{}, 1), log: newLog(keys.Fleet()),
		began: map[uint32]int64{}, seen: map[string]time.Duration{},
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
	return m.name()
}

// name is Name for a caller that holds m.mu.
func (m *Member) name() string {
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
	self, err := newIdentity(name)
	if err != nil {
		return nil, err
	}
	m := newMember(o, keyring.New(), self)
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
		[]engine.Change{
			{Key: entryKey(m.keys.Fleet(), 1), Value: value}, {Key: m.fence.Key, Value: keyID(first.Commit)},
		})
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
	m.keepLog()
	return m, m.Sync(ctx)
}
