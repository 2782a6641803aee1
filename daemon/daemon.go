// Package daemon answers requests: it accepts a connection, identifies the peer, decodes, decides, and replies.
//
// It owns the profiles (what is configured, resolved against the presets) and the way of a login; tokens are the
// broker's, exchanges with a server are package grant's. The invariants: nothing is parsed from a peer of another user;
// one stuck, slow or hostile client changes nothing for the others; no reply holds a secret but the access token that was
// asked for; every error that leaves has one kind, one sentence and the next command (wire.go).
package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/descriptors"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/daemon/login"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/refusals"
	"github.com/groat-dev/groat/daemon/throttle"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// Options is what a Daemon is made of. All members are required but Network, StateDir, Place and Activated.
type Options struct {
	Config   config.Dir
	Store    keystore.Store // the credentials
	Keystore Keystore       // what Store is
	HTTP     *http.Client   // of grant.NewHTTPClient
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
	unlocks  *throttle.Unlock
	budget   descriptors.Budget
	started  time.Time

	profiles *profile.Table
	listens  atomic.Pointer[string] // see ListensAt
	stores   login.Stores
	logins   *login.Logins
	opened   chan struct{} // holds a token when the keystore can be used again
	doubtful atomic.Bool   // a keystore that cannot be read may know of sessions in doubt

	living sync.WaitGroup // what heals
	halt   func()         // ends what heals
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

// New loads the configuration. The error is a [*config.Error] or about the system.
func New(o Options) (*Daemon, error) {
	d := &Daemon{
		Options: o, broker: broker.New(o.Now), refusals: refusals.Open(o.StateDir, o.Log),
		unlocks: throttle.NewUnlock(), started: time.Now(),
		stores: login.Stores{Kept: keystore.PendingStore{Store: o.Store}, Memory: keystore.PendingStore{Store: &keystore.Memory{}}},
		opened: make(chan struct{}, 1), halt: func() {},
	}
	d.budget.Share(descriptors.Limit(), nil)
	d.profiles = profile.New(profile.Options{
		Config: o.Config, HTTP: o.HTTP, Network: o.Network, Now: o.Now, Log: o.Log, Activated: o.Activated,
		Changed: d.profilesChanged, NetworkChanged: d.broker.NetworkChanged,
	})
	d.broker.Recorder = func(name string, all []broker.Block) {
		d.refusals.Record(name, d.profiles.Named(name).Fingerprint, all)
	}
	d.logins = login.New(login.Options{
		Profiles: d.profiles, Broker: d.broker, Stores: &d.stores, Refusals: d.refusals,
		Keystore: func() string { return d.keystoreStatus().Use },
		Wire:     d.wire, HTTP: o.HTTP, Budget: &d.budget, Now: o.Now, Log: o.Log,
	})
	err := d.Reload()
	if broken, ok := errors.AsType[*config.Error](err); ok && o.Activated {
		o.Log.Error("the configuration cannot be used", zap.Error(broken))
		err = d.profiles.Refuse(broken)
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
func (d *Daemon) Reload() error { return d.profiles.Reload() }

// profilesChanged gives the broker the credentials of profiles that are new or configured in another way, and takes from it those
// of profiles that are removed.
func (d *Daemon) profilesChanged(old, now *profile.Set) {
	changed := map[string]broker.Source{}
	for p := range now.All() {
		if old.Named(p.Name) != p {
			changed[p.Name] = d.stores.Source(p)
		}
	}
	var removed []string
	for p := range old.All() {
		if now.Named(p.Name) == nil {
			removed = append(removed, p.Name)
		}
	}
	d.broker.Put(changed)
	for name := range changed {
		if old.Named(name) == nil {
			d.broker.Restore(name, d.refusals.Blocks(name, now.Named(name).Fingerprint))
		}
	}
	d.refusals.Retain(func(name string) bool { return now.Named(name) != nil })
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	d.broker.Remove(ctx, removed...)
}

// Profiles returns how many profiles there are.
func (d *Daemon) Profiles() int { return d.profiles.Snapshot().Len() }

// Close lets what is under way with providers come to its end, as long as ctx allows: requests for tokens, and of logins
// what must not be cut off.
func (d *Daemon) Close(ctx context.Context) error {
	d.halt()
	d.logins.Close(ctx)
	healed := make(chan struct{})
	go func() { d.living.Wait(); close(healed) }()
	select {
	case <-healed:
	case <-ctx.Done():
	}
	defer d.refusals.Close(ctx)
	err := d.broker.Close(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTry)
	defer cancel()
	d.stores.Kept.RetryAll(last, false) // what is in memory only ends now
	return err
}

// lastTry is what is left to store what is in memory only, however long the rest has taken.
const lastTry = 3 * time.Second

// Responds reports whether the daemon can take its own locks within a time: a watchdog's question.
func (d *Daemon) Responds(within time.Duration) bool {
	done := make(chan struct{})
	go func() {
		d.logins.Running()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(within):
		return false
	}
}

// KeepsFromHandover returns why something would be lost if the daemon ended now and another process got its access
// tokens and nothing else, or nil. What the keystore could not take before is tried to be stored first.
//
// What is not a loss: a sealed store that a person has unlocked is locked again, as after each start, and the tokens
// that are held are served meanwhile.
func (d *Daemon) KeepsFromHandover(ctx context.Context) *handover.Refusal {
	end := fmt.Sprintf("kill %d", os.Getpid())
	if d.logins.Running() > 0 {
		return &handover.Refusal{Message: "a sign-in is under way there", Hint: end}
	}
	if ephemeral := d.profiles.Ephemeral(); len(ephemeral) > 0 {
		return &handover.Refusal{Message: "it keeps profiles in memory only: " + strings.Join(ephemeral, ", "), Hint: end}
	}
	if d.Profiles() > 0 && d.Keystore.Status(ctx).Use == "memory" {
		return &handover.Refusal{Message: "it keeps credentials in memory only", Hint: end}
	}
	if d.stores.Kept.HasPending() {
		d.stores.Kept.RetryAll(ctx, false)
	}
	if d.stores.Kept.HasPending() {
		return &handover.Refusal{Message: "it holds a credential that the keystore could not take yet", Hint: end}
	}
	return nil
}

// Tokens returns the access tokens that the daemon held, for its successor. It returns none before [Daemon.Serve] has
// returned.
func (d *Daemon) Tokens() []handover.Token { return handover.Tokens(d.broker, d.profiles.Snapshot()) }

// Adopt is [handover.Adopt] for the daemon's profiles. It is called before [Daemon.Serve].
func (d *Daemon) Adopt(tokens []handover.Token) int {
	return handover.Adopt(d.broker, d.profiles.Snapshot(), tokens)
}

// wire is [wire.Error] for an error about a profile, or about none where the name is empty. An error that nobody expects is logged.
func (d *Daemon) wire(err error, profile string) *protocol.Error {
	e, expected := wire.Error(err, wire.Context{
		Profile: profile, Configured: d.profiles.Named(profile) != nil, Network: d.networkResult(), PID: os.Getpid(),
	})
	if !expected {
		d.Log.Error("an unexpected error: " + err.Error())
	}
	return e
}
