// Package daemon answers requests: it accepts a connection, identifies the peer, decodes, decides, and replies.
//
// It owns the profiles (what is configured, resolved against the presets) and the way of a login; tokens are the
// broker's, exchanges with a server are package grant's. The invariants: nothing is parsed from a peer of another user;
// one stuck, slow or hostile client changes nothing for the others; no reply holds a secret but the access token that was
// asked for; every error that leaves has one kind, one sentence and the next command (wire.go).
package daemon

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/refusals"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// Keystore is the store that the person has chosen, or may still choose.
type Keystore interface {
	keystore.Rotator
	// Status returns within 3 s, whatever the keychain does.
	Status(ctx context.Context) keystore.Status
	// Use chooses. The passphrase stays the caller's, who wipes it when Use has returned.
	Use(ctx context.Context, use, key string, passphrase keystore.Secret) error
	// Unlock opens a sealed store. The passphrase stays the caller's, as in Use.
	Unlock(ctx context.Context, passphrase keystore.Secret) error
	// Move carries every credential to another store, and Passphrase to the same one with another passphrase: all of them, or an
	// error and nothing has changed, or is not erased yet. The passphrases stay the caller's.
	Move(ctx context.Context, use, key string, passphrase keystore.Secret) error
	Passphrase(ctx context.Context, old, passphrase keystore.Secret) error
}

// Options is what a Daemon is made of. All members are required but Network, StateDir and Place.
type Options struct {
	Config   config.Dir
	Keystore Keystore
	HTTP     *http.Client // of grant.NewHTTPClient
	// Network is what HTTP was made of; nil where it was made otherwise, which only tests do.
	Network *grant.Network
	Now     clock.Func
	Log     *zap.Logger
	Release string // the build's version
	Socket  string // for people to read
	// StateDir is a directory of the user's own in which the daemon remembers what servers have refused; empty: it does not.
	StateDir string
	// Place is what the daemon works with: a request that names another place is refused. The zero Place refuses none.
	Place protocol.PlaceStatus
	// Activated: a service manager passed the socket and starts a daemon for whoever connects. Then a configuration that
	// cannot be used is what every request is answered with; ending would only mean to be started again.
	Activated bool
}

// Daemon serves one user. Its methods are safe for concurrent use.
type Daemon struct {
	Options
	broker   *broker.Broker
	refusals *refusals.File
	guesses  *guesses
	budget   budget    // of descriptors
	ports    heldPorts // of logins that have ended
	started  time.Time

	loading     sync.Mutex // serialises whoever changes profiles
	profiles    atomic.Pointer[profiles]
	network     atomic.Pointer[protocol.NetworkResult] // what is in use
	looked      looked
	authorities []*x509.Certificate    // what is trusted beside the system's; guarded by loading
	ephemeral   map[string]*profile    // profiles that are in no file; guarded by loading
	listens     atomic.Pointer[string] // see ListensAt
	kept        keystore.Holder        // the credentials of the others, in the keystore
	memory      keystore.Holder        // theirs
	opened      chan struct{}          // holds a token when the keystore can be used again
	doubtful    atomic.Bool            // a keystore that cannot be read may know of sessions in doubt

	mu      sync.Mutex
	logins  map[string]*login // :: profile name → the login under way
	closing bool              // no further login begins
	living  sync.WaitGroup    // logins and what heals
	halt    func()            // ends what heals
}

// ListensAt says where callers find the daemon, for people to read: it stands instead of [Options].Socket.
func (d *Daemon) ListensAt(path string) { d.listens.Store(&path) }

func (d *Daemon) socket() string {
	if path := d.listens.Load(); path != nil {
		return *path
	}
	return d.Socket
}

// serves reports whether a request's place, a JSON string as it stands in the line, is the daemon's.
func (d *Daemon) serves(place []byte) bool {
	id := d.Place.ID
	return id == "" || len(place) == len(id)+2 && string(place[1:len(place)-1]) == id
}

// profile is one configured profile with its server resolved. Immutable.
type profile struct {
	config.Profile
	endpoint *grant.Endpoint
	origins  []string
	// ephemeral: it ends with the daemon.
	ephemeral bool
}

// fingerprint is the digest of all that decides what a profile asks, where, and how. It is empty where nothing is remembered of
// the profile beyond the daemon: where there is none, or it ends with the daemon.
func (p *profile) fingerprint() string {
	if p == nil || p.ephemeral {
		return ""
	}
	plain := p.Profile
	plain.File, plain.Line = "", 0
	text, err := json.Marshal([]any{plain, p.endpoint.Server()})
	if err != nil {
		return "" // no entry has that
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// profiles is all of them. Immutable.
type profiles struct {
	byName map[string]*profile
	names  []string // sorted
	// byOrigin :: origin → the profiles that list it as a resource; nearly always one
	byOrigin map[string][]*profile
	// broken is why there are none; see [Options.Activated].
	broken *config.Error
}

// New loads the configuration. The error is a [*config.Error] or about the system.
func New(o Options) (*Daemon, error) {
	d := &Daemon{
		Options: o, broker: broker.New(o.Now), refusals: refusals.Open(o.StateDir, o.Log),
		guesses: newGuesses(), budget: budget{most: descriptors()}, started: time.Now(),
		logins: map[string]*login{}, ephemeral: map[string]*profile{},
		kept: keystore.Holder{Store: o.Keystore}, memory: keystore.Holder{Store: &keystore.Memory{}},
		opened: make(chan struct{}, 1), halt: func() {},
	}
	d.profiles.Store(&profiles{})
	d.broker.Recorder = func(name string, all []broker.Standing) {
		d.refusals.Note(name, d.profiles.Load().byName[name].fingerprint, all)
	}
	err := d.Reload()
	if broken, ok := errors.AsType[*config.Error](err); ok && o.Activated {
		o.Log.Error("the configuration cannot be used", zap.Error(broken))
		d.profiles.Store(&profiles{broken: broken})
		err = d.useNetwork(config.Network{})
	}
	if err == nil {
		var ctx context.Context
		ctx, d.halt = context.WithCancel(context.Background())
		d.living.Go(func() { d.heal(ctx) })
	}
	return d, err
}

// Reload reads the configuration again. Where it cannot be used the old one stays. Profiles that have not changed keep
// their tokens.
func (d *Daemon) Reload() error {
	d.loading.Lock()
	defer d.loading.Unlock()
	return d.reload()
}

// reload is Reload for whoever holds loading. A profile that a login has just proven is taken as it is, with what its
// endpoint has learned, if that is what the configuration says now.
func (d *Daemon) reload(proven ...*profile) error {
	stamp := d.Config.Stamp() // before it is read: what changes meanwhile is seen
	c, err := d.Config.Load()
	if err != nil {
		return err
	}
	old := d.profiles.Load()
	next := &profiles{byName: map[string]*profile{}, byOrigin: map[string][]*profile{}}
	for name, p := range d.ephemeral {
		if _, hidden := c.Profiles[name]; !hidden {
			next.add(p)
		}
	}
	for name, p := range c.Profiles {
		if was := old.byName[name]; was != nil && !was.ephemeral && same(was.Profile, p) {
			next.add(was)
			continue
		}
		if i := slices.IndexFunc(proven, func(q *profile) bool { return q.Name == name && same(q.Profile, p) }); i >= 0 {
			proven[i].File, proven[i].Line = p.File, p.Line // nobody else has it yet
			next.add(proven[i])
			continue
		}
		resolved, err := d.resolve(p)
		if err != nil {
			return &config.Error{File: p.File, Line: p.Line, Message: err.Error(), Hint: "groatd --check"}
		}
		next.add(resolved)
	}
	if err := d.useNetwork(c.Network); err != nil {
		return err
	}
	next.names = slices.Sorted(maps.Keys(next.byName))
	d.profiles.Store(next)
	d.looked.stamp, d.looked.err = stamp, nil
	changed := map[string]broker.Source{}
	for name, p := range next.byName {
		if old.byName[name] != p {
			changed[name] = d.source(p)
		}
	}
	var gone []string
	for name := range old.byName {
		if next.byName[name] == nil {
			gone = append(gone, name)
		}
	}
	d.broker.Put(changed)
	for name := range changed {
		if old.byName[name] == nil {
			d.broker.Restore(name, d.refusals.Of(name, next.byName[name].fingerprint))
		}
	}
	d.refusals.Keep(func(name string) bool { return next.byName[name] != nil })
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	d.broker.Remove(ctx, gone...)
	return nil
}

// same reports whether two configurations of a profile differ only in where they stand.
func same(a, b config.Profile) bool {
	a.File, a.Line, b.File, b.Line = "", 0, "", 0
	return reflect.DeepEqual(a, b)
}

func (ps *profiles) add(p *profile) {
	ps.byName[p.Name] = p
	for _, o := range p.origins {
		ps.byOrigin[o] = append(ps.byOrigin[o], p)
	}
}

// resolve turns a configured profile into one that can be used.
func (d *Daemon) resolve(p config.Profile) (*profile, error) {
	server, resources, err := p.Server()
	if err != nil {
		return nil, err
	}
	r := &profile{Profile: p, endpoint: grant.NewEndpoint(server, d.HTTP, d.Now)}
	for _, raw := range resources {
		api, err := origin.WithPort(raw)
		if err != nil {
			return nil, err
		}
		r.origins = append(r.origins, api)
	}
	return r, nil
}

func (d *Daemon) source(p *profile) broker.Source {
	c := &credential.Source{Profile: p.Name, Store: d.store(p), Endpoint: p.endpoint}
	if !p.Kind().Session() { // a session's tokens are what was signed in for; servers refuse to hear it again
		c.Scope, c.Audience = p.Scope, p.Audience
	}
	return c
}

// store is where a profile's credential is kept.
func (d *Daemon) store(p *profile) *keystore.Holder {
	if p.ephemeral {
		return &d.memory
	}
	return &d.kept
}

// Profiles returns how many profiles there are.
func (d *Daemon) Profiles() int { return len(d.profiles.Load().names) }

// Close lets what is under way with providers come to its end, as long as ctx allows: requests for tokens, and of logins
// what must not be cut off.
func (d *Daemon) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closing = true
	for _, l := range d.logins {
		l.cancel()
	}
	d.mu.Unlock()
	d.halt()
	over := make(chan struct{})
	go func() { d.living.Wait(); close(over) }()
	select {
	case <-over:
	case <-ctx.Done():
	}
	d.ports.close()
	defer d.refusals.Close(ctx)
	err := d.broker.Close(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTry)
	defer cancel()
	d.kept.RetryAll(last, false) // what is in memory only ends now
	return err
}

// lastTry is what is left to store what is in memory only, however long the rest has taken.
const lastTry = 3 * time.Second

// Responds reports whether the daemon can take its own locks within a time: a watchdog's question.
func (d *Daemon) Responds(within time.Duration) bool {
	done := make(chan struct{})
	go func() {
		d.mu.Lock()
		//lint:ignore SA2001 taking it is the question
		d.mu.Unlock()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(within):
		return false
	}
}
