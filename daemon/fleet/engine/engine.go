// Package engine is the store that the machines of a fleet share: etcd, or one in memory for tests.
//
// An [Engine] reads, makes several changes at once or none ([Engine.Swap]), and tells of changes ([Engine.Watch]). That
// is all that a fleet asks of one, so that another store with these three can stand in. It gives no order between
// machines but that of revisions, has no locks and no leases, and is not trusted: what is written is sealed before
// (package keyring), and what is read may be an older copy.
package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Engine is safe for concurrent use. Every call ends within a time of its own, also where ctx has no deadline; a call
// of Watch ends when its engine has been silent for too long.
type Engine interface {
	// Read returns the entries whose keys begin with prefix, ordered by key. It is linearizable: it sees every change
	// that was made before it began. All entries are of the revision that the state gives.
	Read(ctx context.Context, prefix string) ([]Entry, State, error)

	// Swap makes all changes if all conditions hold, else none, in one step; swapped says which. After an error that is
	// [ErrUnknown] the changes may have been made, or may be made later, as long as the conditions hold; after any
	// other they were not. It is sent once.
	Swap(ctx context.Context, conditions []Condition, changes []Change) (swapped bool, state State, err error)

	// Watch calls each for every change below prefix that is later than the state after: in order, once, all changes of
	// one revision in one call. A deleted entry has a nil Value. It also calls each without entries, when the watch has
	// begun and from time to time where nothing changes: that is the sign of an engine that answers. Each call's state
	// is where another Watch may go on. It calls each from one goroutine and waits for it.
	//
	// It returns an error only: that of ctx, [ErrCompacted] where the changes after that state cannot be had, or
	// [ErrUnavailable] after it has tried every node in turn. It goes on at another node by itself.
	Watch(ctx context.Context, prefix string, after State, each func([]Entry, State)) error
}

// Entry is a key with its value.
type Entry struct {
	Key      string
	Value    []byte
	Revision int64 // of the last change of this key
}

// State is what an engine says of itself with each answer.
type State struct {
	Revision int64     // of the whole store; every change makes it greater
	Cluster  uint64    // tells one engine from another; 0 is unknown
	Now      time.Time // by the engine's wall clock, in seconds; zero if it did not say

	term uint64 // counts the elections of the cluster; of an older copy it may be less
}

// Condition holds where the last change of the key has this revision; 0 stands for a key that is not there.
type Condition struct {
	Key      string
	Revision int64
}

// Change writes a value, or deletes the key where Value is nil. An empty Value that is not nil is written.
type Change struct {
	Key   string
	Value []byte
}

var (
	// ErrUnavailable means that no node answered, or none that has a majority of the nodes. Nothing was changed.
	ErrUnavailable = errors.New("the fleet's engine does not answer")

	// ErrUnknown means that a change was sent and not answered: it may have been made.
	ErrUnknown = errors.New("the fleet's engine did not say whether it made the change")

	// ErrCompacted means that the changes after the given state cannot be had: the engine has dropped them, or it is
	// another one or an older copy, which does not know them. Everything is to be read anew.
	ErrCompacted = errors.New("the fleet's engine does not have the changes any more")

	// ErrRefused means that the engine refused the user, the password, the certificate, or the user's access to a key.
	ErrRefused = errors.New("the fleet's engine refused the user")

	// ErrUntrusted means that no node has a certificate for its address from the authority that is trusted. Nothing was
	// sent.
	ErrUntrusted = errors.New("the certificate of the fleet's engine is not from the authority that is trusted for it")
)

// The bounds of one call.
const (
	MaxKey     = 512       // bytes of a key or a prefix
	MaxValue   = 64 << 10  // bytes of a value
	MaxChanges = 100       // of a Swap, and as many conditions
	MaxSwap    = 768 << 10 // bytes of all values of a Swap; etcd's own limit of a request is 1.5 MiB by default
)

// check refuses a Swap that no engine would take.
func check(conditions []Condition, changes []Change) error {
	if len(conditions) > MaxChanges || len(changes) > MaxChanges {
		return fmt.Errorf("more than %d changes at once", MaxChanges)
	}
	for _, c := range conditions {
		if err := checkKey(c.Key); err != nil {
			return err
		}
	}
	total, seen := 0, make(map[string]bool, len(changes))
	for _, c := range changes {
		if err := checkKey(c.Key); err != nil {
			return err
		}
		if seen[c.Key] {
			return errors.New("two changes of one key at once")
		}
		seen[c.Key] = true
		if len(c.Value) > MaxValue {
			return fmt.Errorf("a value of %d bytes; the limit is %d", len(c.Value), MaxValue)
		}
		total += len(c.Value)
	}
	if total > MaxSwap {
		return fmt.Errorf("changes of %d bytes at once; the limit is %d", total, MaxSwap)
	}
	return nil
}

// checkKey refuses what is no key or prefix: an empty one would stand for the whole store.
func checkKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("a key of %d bytes; it has 1 to %d", len(key), MaxKey)
	}
	return nil
}
