package engine

import (
	"errors"
	"testing"
)

func TestMemory(t *testing.T) {
	m := NewMemory(nil)
	testEngine(t, func() Engine { return m.Client() })
}

// What the injected faults do is what they are for: the caller cannot tell, and the store can.
func TestMemoryFaults(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		err   error
		made  bool
	}{
		{None, nil, true}, {Refuse, ErrUnavailable, false}, {LoseRequest, ErrUnknown, false}, {LoseAnswer, ErrUnknown, true},
	} {
		m := NewMemory(nil)
		client := m.Client()
		client.Inject(func(call Call) Fault {
			if call.Kind != Swapping || call.Changes[0].Key != "/a" {
				t.Errorf("asked for %+v", call)
			}
			return c.fault
		})
		swapped, _, err := client.Swap(t.Context(), nil, []Change{{"/a", []byte("1")}})
		if !errors.Is(err, c.err) || swapped != (c.err == nil) {
			t.Errorf("%d: swapped = %v, %v", c.fault, swapped, err)
		}
		if made := len(m.Entries()) == 1; made != c.made {
			t.Errorf("%d: made = %v", c.fault, made)
		}
	}
}

// A machine that is cut off neither reads nor hears, and goes on where it was.
func TestMemoryCut(t *testing.T) {
	m := NewMemory(nil)
	far, near := m.Client(), m.Client()
	_, state, err := far.Read(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, far, "/", state)
	receive(t, w.begun)
	far.Cut()
	if err := receive(t, w.ended); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the watch: %v", err)
	}
	if _, _, err := far.Read(t.Context(), "/"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a read: %v", err)
	}
	if _, _, err := far.Swap(t.Context(), nil, []Change{{"/a", []byte("1")}}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a swap: %v", err)
	}
	swap(t, near, nil, Change{"/a", []byte("2")})
	far.Mend()
	if got := text(receive(t, watch(t, far, "/", state).told)); got != "/a=2" {
		t.Errorf("told %q", got)
	}
}

func TestMemoryCompact(t *testing.T) {
	m := NewMemory(nil)
	client := m.Client()
	_, before, err := client.Read(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	now := swap(t, client, nil, Change{"/a", []byte("1")})
	m.Compact()
	if err := receive(t, watch(t, client, "/", before).ended); !errors.Is(err, ErrCompacted) {
		t.Errorf("a watch from before: %v", err)
	}
	w := watch(t, client, "/", now)
	swap(t, client, nil, Change{"/a", []byte("2")})
	if got := text(receive(t, w.told)); got != "/a=2" {
		t.Errorf("told %q", got)
	}
}

// An older copy has the older values and revision; who has seen more is told.
func TestMemoryRestore(t *testing.T) {
	m := NewMemory(nil)
	client := m.Client()
	old := swap(t, client, nil, Change{"/a", []byte("1")})
	backup := m.Backup()
	now := swap(t, client, nil, Change{"/a", []byte("2")})
	w := watch(t, client, "/", now)
	receive(t, w.begun)
	m.Restore(backup)
	if err := receive(t, w.ended); !errors.Is(err, ErrCompacted) {
		t.Errorf("the watch: %v", err)
	}
	entries, state, err := client.Read(t.Context(), "/")
	if err != nil || text(entries) != "/a=1" || state.Revision != old.Revision || state.Cluster != now.Cluster {
		t.Errorf("%q, %+v, %v", text(entries), state, err)
	}
	// The next changes do not reach into the copy.
	swap(t, client, []Condition{{"/a", old.Revision}}, Change{"/a", []byte("3")})
	m.Restore(backup)
	if got := text(m.Entries()); got != "/a=1" {
		t.Errorf("restored again: %q", got)
	}
}
