// Package fleet is the credential that several machines have, on an engine that they share (package engine), under keys
// that the engine does not have (package keyring).
//
// A [Fleet] is the store of package credential for the fleet's profiles: of all machines one sends a refresh token, and
// its token is all machines' within moments. The order of the steps, the rules, and what is lost where stand in
// FLEET.md. The invariant: a refresh token is sent only by the machine whose intent is in the record, and before the
// others may take over; the record is only ever replaced by one who has seen it.
//
// Which machines belong to the fleet, and how they get its keys, is package member's part.
package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// The times of a renewal; FLEET.md says why they are so.
const (
	// SendWindow is how long after the beginning of its intent a machine may send.
	SendWindow = 3 * time.Second
	// TakeOver is how long after they have first seen an intent other machines wait before they take its place.
	TakeOver = SendWindow + grant.RequestLimit + 2*time.Second
	// takeOverSpread bounds the random delay of a take-over that no caller waits for.
	takeOverSpread = 4 * time.Second
	// turnLimit bounds how long a renewal waits for other machines.
	turnLimit = time.Minute
	// pollEvery is how often a record is read while the watch does not run.
	pollEvery = 2 * time.Second
	// flushEvery is how often a record that the engine did not take is tried again.
	flushEvery = time.Second
	// justCame is how long a token that came unasked counts as the answer to who asks: both may have been under way.
	justCame = time.Second
)

// Callbacks are what a [Fleet] tells. Each is called by one goroutine at a time, without a lock of the Fleet. A nil one
// is not called.
type Callbacks struct {
	// Configured is told the configuration of each profile when it is first seen, and whenever it has changed.
	Configured func(profile string, config []byte)
	// Gone is told that a profile was signed out on some machine, or is not there any more.
	Gone func(profile string)
	// Came is given a token that another machine has obtained, for the requests that match. It reports whether the
	// broker took it; [broker.Broker.Share] does.
	Came func(profile string, match func(grant.Request) bool, t grant.Token) bool
	// Renew is told that a profile is to be renewed although no caller waits, since another machine has begun to and
	// did not finish: [broker.Broker.Renew].
	Renew func(profile string)
	// Reached is told when the engine answers again, and that it does not, with why.
	Reached func(err error)
}

// Fleet is the profiles of one fleet on one machine. Its methods are safe for concurrent use. [Fleet.Run] keeps it
// current; without it everything works, but by asking.
type Fleet struct {
	engine  engine.Engine
	keys    *keyring.Keyring
	machine string
	now     clock.Func
	memory  *memory
	tell    Callbacks

	// For tests: what is drawn at random, how a renewal waits, and the rules that it keeps.
	nonce func() string
	draw  func() float64
	wait  func(ctx context.Context, changed <-chan struct{}, until time.Duration)
	rules rules

	mu       sync.Mutex
	profiles map[string]*profile // :: name → profile
	byID     map[string]*profile // :: name in the engine → profile
	offset   time.Duration       // the engine's time since 1970, less boot time here; 0 is not known
	watching bool
	// sealedLater: a configuration was left out since it is sealed with a key that this machine did not have; readAnew
	// ends the watch, so that everything is read again.
	sealedLater bool
	readAnew    context.CancelFunc
	lost        error         // why the engine does not answer, nil where it does
	toldLost    error         // what Callbacks.Reached was told last
	telling     bool          // it is being told
	wake        chan struct{} // has room for one: the minder is to look again
}

// rules are what the counter-examples of FLEET.md leave out.
type rules struct {
	noIntent    bool // sends without an intent in the record
	blindIntent bool // writes the intent whatever the record is by then
	noDeadline  bool // sends however late
	noTakeOver  bool // takes over at once
	blindResult bool // writes the result whatever the record is by then
	noSuccessor bool // drops a successor that came late
	noRefusal   bool // does not heed a refusal that another machine had
	noDoubt     bool // forgets that an intent was taken over
	apart       bool // publishes the token after the record, and not with it
}

// profile is what this machine knows of one. The Fleet's mu guards it.
type profile struct {
	name, id string
	source   *credential.Source // nil before [Fleet.Source]

	config         []byte
	configRevision int64
	configAt       time.Duration // boot time at which the newest configuration is written back; 0 is never
	bad            error         // why the record cannot be read

	there    bool   // there is a record
	rec      record // the newest that was seen in the engine, without its item
	sealed   []byte // the same with its item
	revision int64
	state    engine.State // of the read or the event that it came with
	changed  chan struct{}

	intentSeen time.Duration // boot time at which the intent was first seen
	blockSeen  time.Duration
	due        time.Duration // boot time at which this machine renews unasked; 0 is never
	flushAt    time.Duration // boot time at which the newest record is written back; 0 is never

	rolledBack bool                    // the engine has gone back to a record before one that was seen
	late       error                   // why the newest record is on this machine only
	lateToken  *engine.Change          // to be published with it
	signIn     error                   // why the newest sign-in is on this machine only
	signInAt   time.Duration           // boot time at which it is tried again; 0 is never
	offer      *offer                  // for the next record
	had        map[string]had          // :: variant → the newest token that the broker has
	tokens     map[string]engine.Entry // :: variant → the newest that the watch has brought
	turn       *turn                   // nil where none is under way
	nonce      string                  // of this process's last intent
}

// offer is a token that is to be published with the next record.
type offer struct {
	variant string
	token   grant.Token
}

type had struct {
	generation int64
	at         time.Duration // boot time
}

// turn is a renewal by this machine: the record that it began with, and what became of it.
type turn struct {
	rec      record // without its item
	sealed   []byte
	revision int64
	sendBy   time.Duration
	had      map[string]had // as it was when the renewal began
	again    bool           // another machine was faster
}

// Open returns the fleet of a keyring on one machine, of which machine is the id. What it must remember across a
// restart is in a file of stateDir, which holds no plain text; with an empty one it is in memory. It asks the engine
// for nothing.
func Open(
	e engine.Engine, keys *keyring.Keyring, machine, stateDir string, now clock.Func, tell Callbacks,
) (*Fleet, error) {
	m, err := openMemory(stateDir, keys)
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		engine: e, keys: keys, machine: machine, now: now, memory: m, tell: tell,
		nonce: rand.Text, draw: mathrand.Float64,
		profiles: map[string]*profile{}, byID: map[string]*profile{}, wake: make(chan struct{}, 1),
	}
	f.wait = f.sleep
	f.resumeSignIns()
	return f, nil
}

// root is the prefix of all profiles.
func (f *Fleet) root() string { return "/groat/" + f.keys.Fleet() + "/p/" }

func (f *Fleet) below(p *profile) string              { return f.root() + p.id + "/" }
func (f *Fleet) recordKey(p *profile) string          { return f.below(p) + kindRecord }
func (f *Fleet) configKey(p *profile) string          { return f.below(p) + kindConfig }
func (f *Fleet) tokenKey(p *profile, v string) string { return f.below(p) + kindToken + "/" + v }

// part takes a key of a profile apart.
func (f *Fleet) part(key string) (id, kind, variant string) {
	id, rest, _ := strings.Cut(strings.TrimPrefix(key, f.root()), "/")
	kind, variant, _ = strings.Cut(rest, "/")
	return id, kind, variant
}

// profile returns what is known of a profile, new if need be. f.mu is held.
func (f *Fleet) profile(name string) *profile {
	p := f.profiles[name]
	if p == nil {
		p = &profile{name: name, id: f.keys.Name("profile", name), changed: make(chan struct{}),
			had: map[string]had{}, tokens: map[string]engine.Entry{}}
		f.profiles[name], f.byID[p.id] = p, p
	}
	return p
}

// Source returns the [broker.Source] of one of the fleet's profiles. Where scope and audience are empty the server's
// own apply.
func (f *Fleet) Source(name string, endpoint *grant.Endpoint, scope, audience string) broker.Source {
	s := &credential.Source{Profile: name, Store: f, Endpoint: endpoint, Scope: scope, Audience: audience}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.profile(name).source = s
	return s
}

// Status is what is known of one of the fleet's profiles.
type Status struct {
	// Generation counts its credentials. It is 0 where the profile is not known.
	Generation int64
	// Since is the generation of the login that this is the credential of.
	Since int64
	// SignedOut: the credential is gone, by a logout on some machine.
	SignedOut bool
	// By is the id of the machine that renewed or signed in last, and At when, by the engine's clock.
	By string
	At time.Time
	// Renewing is the id of the machine whose renewal is under way, or empty.
	Renewing string
	// Err is why the fleet's engine does not answer, what is wrong with the profile's record, or why this machine could
	// not note on its disk what it has seen; nil where all is well.
	Err error
	// RolledBack: the engine was put back to an older copy than this machine has seen.
	RolledBack bool
}

// Status returns the state of a profile at this moment, without asking the engine.
func (f *Fleet) Status(name string) Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.profiles[name]
	if p == nil {
		return Status{Err: f.lost}
	}
	s := Status{Err: f.lost, RolledBack: p.rolledBack}
	if s.Err == nil {
		s.Err = p.bad
	}
	if s.Err == nil {
		s.Err = f.memory.unsaved()
	}
	if err := p.pendingSignIn(); err != nil {
		s.Err = err
	}
	if !p.there {
		return s
	}
	s.Since = p.rec.Since
	s.Generation, s.SignedOut, s.By, s.At = p.rec.Generation, p.signedOut(), p.rec.By, time.Unix(p.rec.At, 0)
	if p.rec.Intent != nil {
		s.Renewing = p.rec.Intent.Machine
	}
	return s
}

// Unreachable returns why the engine does not answer, or nil where it does.
func (f *Fleet) Unreachable() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// Names returns the profiles that have a configuration in the fleet, in no order.
func (f *Fleet) Names() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, p := range f.profiles {
		if p.config != nil {
			names = append(names, name)
		}
	}
	return names
}

// Config returns the configuration of a profile, or nil where the fleet has none of the name.
func (f *Fleet) Config(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.profiles[name]; p != nil && !p.signedOut() {
		return p.config
	}
	return nil
}

func (p *profile) signedOut() bool { return p.rec.SignedOut }

// engineTime returns the engine's time in Unix seconds, 0 where it is not known. f.mu is held.
func (f *Fleet) engineTime() int64 {
	if f.offset == 0 {
		return 0
	}
	return int64((f.now().Boot + f.offset) / time.Second)
}

// heard takes in what the engine says of itself.
func (f *Fleet) heard(state engine.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !state.Now.IsZero() {
		f.offset = time.Duration(state.Now.UnixNano()) - f.now().Boot
	}
}

// reached takes in whether the engine has answered, and says so where that is new: in order, and what is so in the end.
func (f *Fleet) reached(err error) {
	ofEngine := func(kind error) bool { return errors.Is(err, kind) }
	kinds := []error{engine.ErrUnavailable, engine.ErrRefused, engine.ErrUntrusted}
	if err != nil && !slices.ContainsFunc(kinds, ofEngine) {
		return // it was not the engine
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = err
	if f.telling || f.tell.Reached == nil {
		return // who is telling looks again
	}
	f.telling = true
	for (f.toldLost == nil) != (f.lost == nil) {
		now := f.lost
		f.toldLost = now
		f.mu.Unlock()
		f.tell.Reached(now)
		f.mu.Lock()
	}
	f.telling = false
}

// sleep waits for a change, or until a boot time.
func (f *Fleet) sleep(ctx context.Context, changed <-chan struct{}, until time.Duration) {
	d := until - f.now().Boot
	f.mu.Lock()
	if !f.watching {
		d = min(d, pollEvery)
	}
	f.mu.Unlock()
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// open opens a sealed value.
func (f *Fleet) open(key, kind string, sealed []byte) (keystore.Secret, error) {
	plain, _, err := f.keys.Open(key, kind, sealed)
	return plain, err
}

// seal seals a record for its place.
func (f *Fleet) seal(p *profile, r *record) ([]byte, error) {
	text, err := r.encode()
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return f.keys.Seal(f.recordKey(p), kindRecord, text)
}

// unseal opens a record, which the caller wipes.
func (f *Fleet) unseal(p *profile, sealed []byte) (record, error) {
	plain, err := f.open(f.recordKey(p), kindRecord, sealed)
	if err != nil {
		return record{}, err
	}
	defer plain.Wipe()
	r, err := decodeRecord(plain)
	if err == nil && r.Profile != p.name {
		r.wipe()
		return record{}, errRecord
	}
	return r, err
}
