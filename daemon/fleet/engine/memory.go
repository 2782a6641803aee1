package engine

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is an engine in this process, for tests and simulations. It makes no choice of its own: the same calls in the
// same order have the same results. Each machine has a [Client] of it, through which faults are injected. It is safe
// for concurrent use, and inside a synctest bubble its waits are durably blocking.
type Memory struct {
	mu      sync.Mutex
	data    memoryData
	changed chan struct{} // closed at the next change of anything
	now     func() time.Time

	restored int // how often; a watch from before has to read anew
}

// memoryData is what a backup holds. Its entries and its history are never changed in place.
type memoryData struct {
	revision  int64
	cluster   uint64
	compacted int64 // history up to here is gone
	entries   map[string]Entry
	history   [][]Entry // each element has the changes of one revision
}

// Copy is a backup of a [Memory].
type Copy struct{ data memoryData }

// NewMemory returns an empty engine, whose wall clock is now; nil is [time.Now].
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	// A real store has revision 1 before the first change.
	data := memoryData{revision: 1, cluster: 1, compacted: 1, entries: map[string]Entry{}}
	return &Memory{data: data, changed: make(chan struct{}), now: now}
}

// Client returns an engine for one machine. Each has faults of its own.
func (m *Memory) Client() *Client { return &Client{store: m} }

// Compact drops the changes up to the present revision: a watch from before it fails with [ErrCompacted].
func (m *Memory) Compact() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data.compacted, m.data.history = m.data.revision, nil
	m.wake()
}

// Backup returns a copy of the store.
func (m *Memory) Backup() Copy {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Copy{m.data.clone()}
}

// Restore puts an older copy in place with its revision, as an administrator does who restores a backup. The cluster
// remains the same, as it does with etcd for the same names and addresses. A watch that has seen more fails with
// [ErrCompacted].
func (m *Memory) Restore(c Copy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = c.data.clone()
	m.restored++
	m.wake()
}

// Put makes changes unconditionally, as an engine that is hostile may.
func (m *Memory) Put(changes ...Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apply(changes)
}

// Entries returns what is stored, ordered by key.
func (m *Memory) Entries() []Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.below("")
}

func (d memoryData) clone() memoryData {
	d.entries, d.history = maps.Clone(d.entries), slices.Clip(d.history)
	return d
}

// below returns copies of the entries whose keys begin with prefix.
func (d memoryData) below(prefix string) (entries []Entry) {
	for _, key := range slices.Sorted(maps.Keys(d.entries)) {
		if strings.HasPrefix(key, prefix) {
			e := d.entries[key]
			e.Value = copied(e.Value)
			entries = append(entries, e)
		}
	}
	return entries
}

// copied returns a copy that is nil only where value is.
func copied(value []byte) []byte {
	if value == nil {
		return nil
	}
	return append([]byte{}, value...)
}

// wake wakes every watch. The caller holds mu.
func (m *Memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// state returns the present state. The caller holds mu.
func (m *Memory) state() State {
	return State{Revision: m.data.revision, Cluster: m.data.cluster, Now: m.now().Truncate(time.Second)}
}

// apply makes changes as one revision. To delete what is not there is no change. The caller holds mu.
func (m *Memory) apply(changes []Change) {
	var made []Entry
	revision := m.data.revision + 1
	for _, c := range changes {
		e := Entry{Key: c.Key, Value: copied(c.Value), Revision: revision}
		if _, there := m.data.entries[c.Key]; c.Value == nil && !there {
			continue
		} else if c.Value == nil {
			delete(m.data.entries, c.Key)
		} else {
			m.data.entries[c.Key] = e
		}
		made = append(made, e)
	}
	if made == nil {
		return
	}
	m.data.revision = revision
	m.data.history = append(m.data.history, made)
	m.wake()
}

func (m *Memory) read(prefix string) ([]Entry, State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.below(prefix), m.state()
}

func (m *Memory) swap(conditions []Condition, changes []Change) (bool, State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range conditions {
		if m.data.entries[c.Key].Revision != c.Revision {
			return false, m.state()
		}
	}
	m.apply(changes)
	return true, m.state()
}

func (m *Memory) restores() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.restored
}

// since returns the changes of each revision after a state, or a channel that is closed when there may be some.
func (m *Memory) since(prefix string, after State, restored int) ([][]Entry, State, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	foreign := after.Cluster != 0 && after.Cluster != m.data.cluster
	if foreign || restored != m.restored || after.Revision < m.data.compacted || after.Revision > m.data.revision {
		return nil, m.state(), nil, ErrCompacted
	}
	var found [][]Entry
	for _, made := range m.data.history[after.Revision-m.data.compacted:] {
		var below []Entry
		for _, e := range made {
			if strings.HasPrefix(e.Key, prefix) {
				e.Value = copied(e.Value)
				below = append(below, e)
			}
		}
		if below != nil {
			found = append(found, below)
		}
	}
	return found, m.state(), m.changed, nil
}

// Kind is what a call does.
type Kind int

// The kinds of calls.
const (
	Reading Kind = iota
	Swapping
	Watching
)

// Call is a call that is about to be made.
type Call struct {
	Kind       Kind
	Prefix     string      // of a Read and a Watch
	Conditions []Condition // of a Swap
	Changes    []Change    // of a Swap
}

// Fault is what becomes of a call.
type Fault int

const (
	// None: the call is made.
	None Fault = iota
	// Refuse: the call is not made, and fails with [ErrUnavailable].
	Refuse
	// LoseRequest: the call is not made; a Swap fails with [ErrUnknown].
	LoseRequest
	// LoseAnswer: the call is made, and a Swap fails with [ErrUnknown].
	LoseAnswer
)

// Client is one machine's way to a [Memory].
type Client struct {
	store *Memory

	mu     sync.Mutex
	cut    bool
	inject func(Call) Fault
	broken chan struct{} // closed by Cut
}

// Inject sets the function that is asked before each call; nil is none. It may block, and make other calls first.
func (c *Client) Inject(fault func(Call) Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inject = fault
}

// Cut separates the machine from the engine: calls and watches fail with [ErrUnavailable] until Mend.
func (c *Client) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut && c.broken != nil {
		close(c.broken)
		c.broken = nil
	}
	c.cut = true
}

// Mend ends what Cut began.
func (c *Client) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
}

// fault asks what becomes of a call.
func (c *Client) fault(call Call) Fault {
	c.mu.Lock()
	inject, cut := c.inject, c.cut
	c.mu.Unlock()
	if cut {
		return Refuse
	}
	if inject == nil {
		return None
	}
	return inject(call)
}

// Read is [Engine.Read].
func (c *Client) Read(ctx context.Context, prefix string) ([]Entry, State, error) {
	if err := checkKey(prefix); err != nil {
		return nil, State{}, err
	}
	fault := c.fault(Call{Kind: Reading, Prefix: prefix})
	if err := ctx.Err(); err != nil {
		return nil, State{}, err
	}
	if fault != None {
		return nil, State{}, ErrUnavailable
	}
	entries, state := c.store.read(prefix)
	return entries, state, nil
}

// Swap is [Engine.Swap].
func (c *Client) Swap(ctx context.Context, conditions []Condition, changes []Change) (bool, State, error) {
	if err := check(conditions, changes); err != nil {
		return false, State{}, err
	}
	fault := c.fault(Call{Kind: Swapping, Conditions: conditions, Changes: changes})
	if err := ctx.Err(); err != nil {
		return false, State{}, err
	}
	switch fault {
	case Refuse:
		return false, State{}, ErrUnavailable
	case LoseRequest:
		return false, State{}, ErrUnknown
	}
	swapped, state := c.store.swap(conditions, changes)
	if fault == LoseAnswer {
		return false, State{}, ErrUnknown
	}
	return swapped, state, nil
}

// Watch is [Engine.Watch]. It calls each without entries only when it begins.
func (c *Client) Watch(ctx context.Context, prefix string, after State, each func([]Entry, State)) error {
	if err := checkKey(prefix); err != nil {
		return err
	}
	if c.fault(Call{Kind: Watching, Prefix: prefix}) != None {
		return ErrUnavailable
	}
	restored := c.store.restores()
	for begun := false; ; begun = true {
		if err := ctx.Err(); err != nil {
			return err
		}
		broken := c.whenBroken()
		if broken == nil {
			return ErrUnavailable
		}
		found, state, changed, err := c.store.since(prefix, after, restored)
		if err != nil {
			return err
		}
		if !begun {
			each(nil, State{Revision: after.Revision, Cluster: state.Cluster, Now: state.Now})
		}
		for _, entries := range found {
			each(entries, State{Revision: entries[0].Revision, Cluster: state.Cluster, Now: state.Now})
		}
		after = state
		select {
		case <-changed:
		case <-broken:
		case <-ctx.Done():
		}
	}
}

// whenBroken returns a channel that Cut closes, or nil where the machine is cut off.
func (c *Client) whenBroken() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil
	}
	if c.broken == nil {
		c.broken = make(chan struct{})
	}
	return c.broken
}
