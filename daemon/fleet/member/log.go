package member

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/groat-dev/groat/keystore"
)

// kind is what an entry of the log says.
type kind string

const (
	kindCreate kind = "create" // the first entry: the machine that made the fleet
	kindJoin   kind = "join"   // a machine is a member from here on
	kindRemove kind = "remove" // it is none any more, and an epoch begins
	kindLeave  kind = "leave"  // a machine has taken itself out; the epoch is to be ended by another one
	kindRotate kind = "rotate" // an epoch begins

	kindLog = "log" // of what is sealed
)

// rotates reports whether an epoch begins with the entry.
func (k kind) rotates() bool { return k == kindRemove || k == kindRotate }

// maxLog bounds the entries of a log; each has some 400 bytes.
const maxLog = 10_000

// entry is one entry of the log. Its text is the signature, which has 64 bytes, and then the entry as JSON.
type entry struct {
	Index    int64    `json:"index"`
	Previous []byte   `json:"previous,omitempty"` // the SHA-256 digest of the text before
	Kind     kind     `json:"kind"`
	Subject  *subject `json:"machine,omitempty"`
	// Invitation is the one by which a machine joins. It is good once.
	Invitation string `json:"invitation,omitempty"`
	// Epoch and Commit are the epoch that begins and the digest of its key.
	Epoch  uint32 `json:"epoch,omitempty"`
	Commit []byte `json:"commit,omitempty"`
	By     string `json:"by,omitempty"` // the machine that signs
}

// subject is the machine that an entry is about. Where it is no member yet, its keys are there.
type subject struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Sign []byte `json:"sign,omitempty"` // Ed25519 (RFC 8032)
	Seal []byte `json:"seal,omitempty"` // X25519 (RFC 7748), for HPKE
}

// whole reports whether the machine's keys are there, and are those that its id stands for.
func (s *subject) whole() bool {
	_, ok := verifyKey(s.Sign)
	return ok && len(s.Seal) == sealKeySize && s.ID == machineID(s.Sign, s.Seal) && validName(s.Name)
}

// digest is a SHA-256 digest.
type digest [sha256.Size]byte

func (d digest) bytes() []byte { return d[:] }

func hashOf(text []byte) digest { return sha256.Sum256(text) }

// position is an entry that a machine has seen.
type position struct {
	Index int64  `json:"index"`
	Hash  digest `json:"hash"`
}

// log is the part of the fleet's log that was checked, and what it comes to.
type log struct {
	fleet    string
	index    int64
	hashes   map[int64]digest
	machines map[string]*subject // :: id → member
	names    map[string]string   // :: id → name, of everyone that ever was one
	used     map[string]bool     // the invitations by which one has joined
	epoch    uint32
	commits  map[uint32][]byte // :: epoch → the digest of its key
	due      bool              // a machine has left, and the epoch is still the one that it knows the key of
	texts    [][]byte          // of the entries, from the first
}

func newLog(fleet string) log {
	return log{fleet: fleet, hashes: map[int64]digest{}, machines: map[string]*subject{}, names: map[string]string{},
		used: map[string]bool{}, commits: map[uint32][]byte{}}
}

func (l log) clone() log {
	l.hashes, l.machines, l.names = maps.Clone(l.hashes), maps.Clone(l.machines), maps.Clone(l.names)
	l.used, l.commits = maps.Clone(l.used), maps.Clone(l.commits)
	l.texts = slices.Clip(l.texts)
	return l
}

var errEntry = errors.New("the entry does not follow from those before it")

// add checks the text of the next entry, which it keeps, and applies it. With an error nothing has changed.
func (l *log) add(text []byte) error {
	if len(text) <= signatureSize {
		return errEntry
	}
	var e entry
	d := json.NewDecoder(bytes.NewReader(text[signatureSize:]))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return errEntry
	}
	if e.Index != l.index+1 || e.Index > 1 && !bytes.Equal(e.Previous, l.hashes[l.index].bytes()) {
		return errEntry
	}
	signer := l.machines[e.By]
	if e.Kind == kindCreate && e.Index == 1 && e.By == "" {
		signer = e.Subject
	}
	if signer == nil || len(signer.Sign) == 0 {
		return fmt.Errorf("%w: its signer is no member", errEntry)
	}
	if !verified(signer, l.fleet, text) {
		return fmt.Errorf("%w: its signature is wrong", errEntry)
	}
	if err := l.allowed(e); err != nil {
		return err
	}
	l.apply(e, hashOf(text))
	l.texts = append(l.texts, text)
	return nil
}

// saysRemoved reports whether the text of an entry, which need not be the next one, removes a machine and is signed by
// a member, as far as those are known. One that was not would do no harm: the engine can keep the fleet from the
// machine as well.
func (l *log) saysRemoved(text []byte, id string) bool {
	var e entry
	if len(text) <= signatureSize || json.Unmarshal(text[signatureSize:], &e) != nil {
		return false
	}
	signer := l.machines[e.By]
	return (l.index == 0 || signer != nil && verified(signer, l.fleet, text)) && e.Kind == kindRemove &&
		e.Subject != nil && e.Subject.ID == id
}

// allowed refuses an entry that says what cannot be.
func (l *log) allowed(e entry) error {
	ok := false
	switch e.Kind {
	case kindCreate:
		ok = e.Index == 1 && e.Subject != nil && e.Subject.whole() && e.Epoch == 1 && len(e.Commit) == sha256.Size
	case kindJoin:
		ok = e.Index > 1 && e.Subject != nil && e.Subject.whole() && l.names[e.Subject.ID] == "" &&
			e.Invitation != "" && !l.used[e.Invitation] && e.Epoch == 0 && !l.named(e.Subject.Name)
	case kindRemove:
		ok = e.Subject != nil && l.machines[e.Subject.ID] != nil && e.Subject.ID != e.By
	case kindLeave:
		ok = e.Subject != nil && e.Subject.ID == e.By && e.Epoch == 0
	case kindRotate:
		ok = e.Subject == nil
	}
	if e.Kind.rotates() {
		ok = ok && e.Epoch == l.epoch+1 && len(e.Commit) == sha256.Size
	}
	if !ok {
		return errEntry
	}
	return nil
}

func (l *log) apply(e entry, hash digest) {
	l.index = e.Index
	l.hashes[e.Index] = hash
	switch e.Kind {
	case kindCreate, kindJoin:
		l.machines[e.Subject.ID], l.names[e.Subject.ID] = e.Subject, e.Subject.Name
	case kindRemove, kindLeave:
		delete(l.machines, e.Subject.ID)
	}
	if e.Invitation != "" {
		l.used[e.Invitation] = true
	}
	if e.Epoch > 0 {
		l.epoch, l.commits[e.Epoch], l.due = e.Epoch, e.Commit, false
	}
	if e.Kind == kindLeave {
		l.due = true
	}
}

// named reports whether a member has a name.
func (l *log) named(name string) bool {
	for _, s := range l.machines {
		if s.Name == name {
			return true
		}
	}
	return false
}

// free returns name, or one made of it that no member has.
func (l *log) free(name string) string {
	free := name
	for i := 2; l.named(free); i++ {
		end := fmt.Sprintf("-%d", i)
		free = name[:min(len(name), maxName-len(end))] + end
	}
	return free
}

// find returns the id of the member with a name or an id.
func (l *log) find(machine string) (string, error) {
	if l.machines[machine] != nil {
		return machine, nil
	}
	for id, s := range l.machines {
		if s.Name == machine {
			return id, nil
		}
	}
	return "", ErrUnknownMachine
}

// commitOf is the digest by which the log names an epoch's key. The key is random, so its digest says nothing of it.
func commitOf(fleet string, epoch uint32, key keystore.Secret) []byte {
	b := append([]byte("groat fleet key "), fleet...)
	b = key.AppendTo(binary.BigEndian.AppendUint32(b, epoch))
	defer clear(b)
	sum := sha256.Sum256(b)
	return slices.Clone(sum[:])
}

// keyID is the name of the newest epoch's key in the engine.
func (l *log) keyID() string { return string(keyID(l.commits[l.epoch])) }

// keyID is the name of an epoch's key in the engine.
func keyID(commit []byte) []byte { return hex.AppendEncode(nil, commit[:min(len(commit), 16)]) }
