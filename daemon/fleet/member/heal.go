package member

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore"
)

const (
	// healTries bounds how often one look at the engine puts entries back: other machines do so at the same time.
	healTries = 3
	// healBatch is how many entries are put back at once, each of which may come with a farewell.
	healBatch = 40
)

// heal puts back the entries that this machine has seen and the engine, which was put back to an older copy, does not
// have: the epoch's keys for each member first, and with the first entries the key id, so that from then on nothing is
// written with an older key. Where the engine has another history the error is [ErrOtherFleet], and where this machine
// does not have all that it has seen [ErrOlder]. The caller has the turn.
func (m *Member) heal(ctx context.Context, entries []engine.Entry) error {
	m.mu.Lock()
	now := m.log.clone()
	m.mu.Unlock()
	if now.index == 0 || now.index < m.pinned.Index || now.machines[m.self.id()] == nil || now.epoch != m.keys.Epoch() {
		return ErrOlder
	}
	shown := map[string]engine.Entry{}
	for _, e := range entries {
		if e.Value != nil {
			shown[e.Key] = e
		}
	}
	missing, err := m.missing(now, shown)
	if err != nil {
		return err
	}
	key := keyID(now.commits[now.epoch])
	if err := m.giveAgain(ctx, now, string(key)); err != nil {
		return err
	}
	fence := engine.Condition{Key: m.fence.Key, Revision: shown[m.fence.Key].Revision}
	var change []engine.Change
	if fenceID(shown[m.fence.Key].Value) != string(key) {
		change = []engine.Change{{Key: fence.Key, Value: key}}
	}
	for part := range slices.Chunk(missing, healBatch) {
		conditions, changes := []engine.Condition{fence}, change
		for _, index := range part {
			more, err := m.again(now, index)
			if err != nil {
				return err
			}
			place := entryKey(now.fleet, index)
			conditions = append(conditions, engine.Condition{Key: place, Revision: shown[place].Revision})
			changes = append(changes, more...)
		}
		swapped, state, err := m.Engine.Swap(ctx, conditions, changes)
		if err != nil && !errors.Is(err, engine.ErrUnknown) {
			return err
		}
		if err != nil || !swapped {
			return nil // another machine is at it, or it is not known: look again
		}
		if change != nil {
			fence.Revision, change = state.Revision, nil
		}
	}
	m.mu.Lock()
	m.resealed = 0 // what was restored may be sealed with older keys
	m.mu.Unlock()
	m.Healed()
	return nil
}

// missing returns the entries that the engine does not have, or has sealed with an older key. What stands in their
// place and is signed by no member of today is nothing; what is signed by one is another history.
func (m *Member) missing(now log, shown map[string]engine.Entry) ([]int64, error) {
	var missing []int64
	for index := int64(1); index <= now.index+1; index++ {
		e, there := shown[entryKey(now.fleet, index)]
		same, current := false, false
		if there {
			text, epoch, err := m.keys.Open(e.Key, kindLog, e.Value)
			newer, ok := errors.AsType[*keyring.EpochError](err)
			if ok && !newer.Past {
				return nil, ErrOtherFleet
			}
			plain := text.AppendTo(nil)
			same, current = err == nil && hashOf(plain) == now.hashes[index], epoch == now.epoch
			if err == nil && !same && now.forks(plain, index) {
				return nil, ErrOtherFleet
			}
		}
		if index <= now.index && !(same && current) {
			missing = append(missing, index)
		}
	}
	return missing, nil
}

// forks reports whether the text, which stands in the place of an entry and is another one, was signed by a member, and
// does not follow from the log's last entry.
func (l *log) forks(text []byte, index int64) bool {
	var e entry
	if len(text) <= signatureSize || json.Unmarshal(text[signatureSize:], &e) != nil {
		return false
	}
	signer := l.machines[e.By]
	if signer == nil || !verified(signer, l.fleet, text) {
		return false
	}
	return index <= l.index || string(e.Previous) != string(l.hashes[l.index].bytes())
}

// again returns what is written to put an entry back.
func (m *Member) again(now log, index int64) ([]engine.Change, error) {
	text := now.texts[index-1]
	place := entryKey(now.fleet, index)
	value, err := m.keys.Seal(place, kindLog, text)
	if err != nil {
		return nil, err
	}
	changes := []engine.Change{{Key: place, Value: value}}
	var e entry
	if err := json.Unmarshal(text[signatureSize:], &e); err != nil {
		return nil, err
	}
	if e.Kind != kindRemove {
		return changes, nil
	}
	gone := now.everyone()[e.Subject.ID]
	if value, err = gone.sealTo(now.fleet, farewell, keystore.NewSecret(slices.Clone(text))); err != nil {
		return nil, err
	}
	return append(changes, engine.Change{Key: m.key("g/" + gone.ID), Value: value}), nil
}

// everyone returns all machines that ever were members, by id.
func (l *log) everyone() map[string]*subject {
	all := map[string]*subject{}
	for _, text := range l.texts {
		var e entry
		json.Unmarshal(text[signatureSize:], &e) // add has read it
		if e.Kind == kindCreate || e.Kind == kindJoin {
			all[e.Subject.ID] = e.Subject
		}
	}
	return all
}

// giveAgain seals the keys to each member for which the engine has no copy of the epoch.
func (m *Member) giveAgain(ctx context.Context, now log, id string) error {
	have, _, err := m.Engine.Read(ctx, m.key("k/"+id+"/"))
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, e := range have {
		there[e.Key] = true
	}
	ring := m.keys.Encode()
	defer ring.Wipe()
	var changes []engine.Change
	for machine, s := range now.machines {
		key := m.key("k/" + id + "/" + machine)
		if there[key] || machine == m.self.id() {
			continue
		}
		value, err := s.sealTo(now.fleet, id, ring)
		if err != nil {
			return err
		}
		changes = append(changes, engine.Change{Key: key, Value: value})
	}
	for part := range slices.Chunk(changes, batch) {
		if _, _, err := m.Engine.Swap(ctx, nil, part); err != nil {
			return err
		}
	}
	return nil
}
