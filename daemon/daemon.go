// Package daemon answers requests: it accepts a connection, identifies the peer, decodes a request, calls the package
// that knows the answer, and replies.
//
// It holds no rules of its own about profiles (package profile), logins (login), tokens (broker) or servers (grant).
// The invariants: nothing is parsed from a peer of another user; one stuck, slow or hostile client does not affect the
// others; no reply holds a secret but the access token that was asked for; every error in a reply has one kind, one
// sentence and the next command (package wire).
package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/descriptors"
	"github.com/groat-dev/groat/daemon/export"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/daemon/login"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/refusals"
	"github.com/groat-dev/groat/daemon/throttle"
	"github.com/groat-dev/groat/daemon/watch"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
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
	// StateDir is a directory of the user's own in which the daemon records what servers have refused. If it is empty,
	// nothing is recorded.
	StateDir string
	// NewEngine makes the engine of a fleet; nil is etcd. Only tests set it.
	NewEngine func(engine.Options) (engine.Engine, error)
	// Place is the directories that the daemon works with. A request that names another place is refused; the zero
	// Place refuses none.
	Place protocol.PlaceStatus
	// Activated is set if a service manager passed the socket and starts a daemon when a client connects. Then a
	// configuration that cannot be used does not end the daemon, which would only be started again: it is the answer to
	// every request for a profile.
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
	changes  *watch.Hub
	events   *eventLog
	exports  *export.Exports
	fleet    *fleetPart
	opened   chan struct{} // holds an element when the keystore can be used again
	doubtful atomic.Bool   // set while the keystore cannot be read and may know of sessions in doubt

	replaced    atomic.Bool    // see IsReplaced
	healing     sync.WaitGroup // one while [Daemon.heal] runs
	stopHealing func()
}

// ListensAt sets the path of the socket that "status" shows, in place of [Options].Socket.
func (d *Daemon) ListensAt(path string) { d.listens.Store(&path) }

func (d *Daemon) socket() string {
	if path := d.listens.Load(); path != nil {
		return *path
	}
	return d.Socket
}

// serves reports whether a request's place, a JSON string as it stands in the line, is the daemon's place.
func (d *Daemon) serves(place []byte) bool {
	id := d.Place.ID
	return id == "" || len(place) == len(id)+2 && string(place[1:len(place)-1]) == id
}

// New returns a daemon that has loaded its configuration; the caller calls Serve or Close. The error is a
// [*config.Error] or about the system.
func New(o Options) (*Daemon, error) {
	d := &Daemon{
		Options: o, broker: broker.New(o.Now), refusals: refusals.Open(o.StateDir, o.Log),
		unlocks: throttle.NewUnlock(), started: time.Now(),
		stores: login.Stores{
			Kept:   keystore.PendingStore{Store: newAccounts(o.Store)},
			Memory: keystore.PendingStore{Store: newAccounts(&keystore.Memory{})},
		},
		opened: make(chan struct{}, 1), stopHealing: func() {},
	}
	d.fleet = &fleetPart{d: d, staged: map[string]staged{}}
	d.stores.Fleet = d.fleet
	d.stores.Shared = keystore.PendingStore{Store: newAccounts(sharedStore{d.fleet})}
	d.budget.Share(descriptors.Limit(), nil)
	d.profiles = profile.New(profile.Options{
		Config: o.Config, HTTP: o.HTTP, Network: o.Network, Now: o.Now, Log: o.Log, Activated: o.Activated,
		Changed: d.profilesChanged, NetworkChanged: d.broker.NetworkChanged,
	})
	d.broker.Recorder = func(name string, all broker.Remembered) {
		d.refusals.Record(name, d.profiles.Named(name).Fingerprint, all)
	}
	d.broker.SessionEnding = func(name string, ends time.Time) {
		o.Log.Warn("a sign-in ends soon: sign in again before", zap.String("profile", name),
			zap.Time("ends", ends), zap.String("next", "groat login "+name))
	}
	d.broker.Narrowed = func(name, lost string) {
		o.Log.Warn("the server has narrowed a session for good, since a program asked for a narrower scope: its "+
			"tokens have less scope until somebody signs in anew", zap.String("profile", name),
			zap.String("lost", lost), zap.String("next", "groat login "+name+" --replace"))
	}
	d.changes = watch.New(d.lookAt)
	d.events = newEventLog(d)
	d.broker.Changed = d.changed
	d.exports = export.New(export.Options{
		StateDir: o.StateDir, Hooks: o.Config.Hooks(), Hold: d.broker.Hold, Wire: d.wire, Watches: d.changes,
		Now: o.Now, Log: o.Log,
		Token: func(ctx context.Context, of export.Variant, minTTL time.Duration) (grant.Token, error) {
			if set := d.profiles.Snapshot(); set.Named(of.Profile) == nil && set.Broken(of.Profile) != nil {
				return grant.Token{}, set.Broken(of.Profile)
			}
			q := broker.Query{Profile: of.Profile, Scope: of.Scope, Audience: of.Audience, MinTTL: minTTL}
			if minTTL == 0 {
				q.MinTTL = broker.Unset
			}
			return d.broker.Token(ctx, q)
		},
	})
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
		ctx, d.stopHealing = context.WithCancel(context.Background())
		d.healing.Go(func() { d.heal(ctx) })
		d.startFleet()
	}
	return d, err
}

// Reload reads the configuration again. Where it cannot be used the old one stays. Profiles that have not changed keep
// their tokens. A profile that cannot be used is no error: [Daemon.Broken] says which are. A fleet whose fleet.toml
// could not be used is started.
func (d *Daemon) Reload() error {
	if d.fleet.broken() {
		d.startFleet()
	}
	return d.profiles.Reload()
}

// Broken returns how many profiles are described in a way that cannot be used, and why the first of them cannot be.
func (d *Daemon) Broken() (int, *config.Error) {
	set := d.profiles.Snapshot()
	names := set.AllBroken()
	if len(names) == 0 {
		return 0, nil
	}
	return len(names), set.Broken(names[0])
}

// profilesChanged gives the broker the credentials of profiles that are new or configured in another way, and takes
// from it those of profiles that are removed. What belongs to a profile that cannot be used is kept.
//
// The table is locked meanwhile, for up to 20 s while a removed profile's request is under way. It must be: once the
// table is unlocked, a login may store a new credential of the same name, which the answer to that request would
// replace.
func (d *Daemon) profilesChanged(old, now *profile.Set) {
	changed := map[string]broker.Source{}
	for p := range now.All() {
		if old.Named(p.Name) != p {
			changed[p.Name] = d.stores.Source(p)
		}
	}
	var removed []string
	for p := range old.All() {
		if !now.Knows(p.Name) {
			removed = append(removed, p.Name)
		}
	}
	d.broker.Put(changed)
	for name := range changed {
		if old.Named(name) == nil {
			d.broker.Restore(name, d.refusals.Remembered(name, now.Named(name).Fingerprint))
			d.changed(name)
		}
	}
	d.refusals.Retain(now.Knows)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	d.broker.Remove(ctx, removed...)
	d.stores.Kept.Store.(*accounts).forget(removed...)
	d.stores.Memory.Store.(*accounts).forget(removed...)
	d.stores.Shared.Store.(*accounts).forget(removed...)
	for _, name := range removed {
		d.changed(name)
	}
	d.fleet.uncovered(removed)
	d.events.poke()
}

// Profiles returns how many profiles there are that can be used.
func (d *Daemon) Profiles() int { return d.profiles.Snapshot().Len() }

// Counts is how many profiles there are, and how many of them cannot be used, if any, for the log.
func (d *Daemon) Counts() []zap.Field {
	fields := []zap.Field{zap.Int("profiles", d.Profiles())}
	if n, _ := d.Broken(); n > 0 {
		fields = append(fields, zap.Int("unusable", n))
	}
	return fields
}

// Close cancels logins, and waits, as long as ctx allows, for requests to providers that are under way: for tokens, and
// those of logins that must not be cut off.
func (d *Daemon) Close(ctx context.Context) error {
	d.stopHealing()
	d.exports.Close()
	d.logins.Close(ctx)
	healed := make(chan struct{})
	go func() { d.healing.Wait(); close(healed) }()
	select {
	case <-healed:
	case <-ctx.Done():
	}
	defer d.refusals.Close(ctx)
	err := d.broker.Close(ctx)
	d.lastTry(ctx, &d.stores.Shared)
	d.fleet.end(nil) // not before: the answer to a request that is under way is stored there
	d.lastTry(ctx, &d.stores.Kept)
	return err
}

// lastTryTime is how long Close may take to store the credentials that one store has in memory only.
const lastTryTime = 3 * time.Second

// lastTry stores what would be lost since a store has it in memory only, after ctx has ended too.
func (d *Daemon) lastTry(ctx context.Context, store *keystore.PendingStore) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTryTime)
	defer cancel()
	store.RetryAll(ctx, false)
}

// Responds reports, for a watchdog, whether the daemon can take its own locks within a time.
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
// tokens and nothing else, or nil. It first tries again to store credentials that are in memory only.
//
// A sealed store that a person has unlocked is locked again after the hand-over, as after each start. That does not
// count as a loss: cached tokens are served meanwhile.
func (d *Daemon) KeepsFromHandover(ctx context.Context) *handover.Refusal {
	use := ""
	if d.profiles.Snapshot().Known() > 0 {
		use = d.Keystore.Status(ctx).Use
	}
	unsaved := d.unsaved(use)
	for _, store := range []*keystore.PendingStore{&d.stores.Kept, &d.stores.Shared} {
		if store.HasPending() {
			store.RetryAll(ctx, false)
			unsaved = d.unsaved(use)
		}
	}
	if len(unsaved) == 0 {
		unsaved = d.onlyInUse()
	}
	if len(unsaved) == 0 {
		return nil
	}
	return &handover.Refusal{Message: unsaved[0], Hint: fmt.Sprintf("kill %d", os.Getpid())}
}

// maxNamed bounds how many profiles one sentence names.
const maxNamed = 10

// unsaved returns what would be lost if the daemon ended now, in sentences about it. use is the keystore's.
func (d *Daemon) unsaved(use string) (all []string) {
	if under := d.logins.Running(); len(under) > 0 {
		all = append(all, "a sign-in is under way there: "+named(under))
	}
	if ephemeral := d.profiles.Ephemeral(); len(ephemeral) > 0 {
		all = append(all, "it keeps profiles in memory only: "+named(ephemeral))
	}
	set := d.profiles.Snapshot()
	all = append(all, usedAsBefore(set, set.AllBroken())...)
	if set.Known() > 0 && use == "memory" {
		all = append(all, "it keeps credentials in memory only")
	}
	if d.stores.Kept.HasPending() {
		all = append(all, "it holds a credential that the keystore could not take yet")
	}
	if d.stores.Shared.HasPending() {
		all = append(all, "it holds a credential that the fleet's engine could not take yet")
	}
	return all
}

// handedOver returns what would be lost beside what [Daemon.unsaved] says if the daemon ended now and no other one got
// its access tokens.
func (d *Daemon) handedOver(set *profile.Set) []string {
	lost := slices.DeleteFunc(d.broker.EndWithTokens(), func(name string) bool {
		p := set.Named(name)
		return p == nil || p.Ephemeral // unsaved names those
	})
	if len(lost) == 0 {
		return nil
	}
	return []string{"it keeps sign-ins without a refresh token in memory only: " + named(lost)}
}

// onlyInUse is the part of unsaved that is about files which were changed since they were read.
func (d *Daemon) onlyInUse() []string {
	set := d.profiles.Snapshot()
	c, err := d.Config.Load()
	switch {
	case err == nil:
		return usedAsBefore(set, slices.Sorted(maps.Keys(c.Broken)))
	case set.Len() > 0:
		return []string{"it uses the configuration as it was before: " + err.Error()}
	}
	return nil
}

// usedAsBefore says which of the profiles with these names, whose files are wrong, are in use all the same.
func usedAsBefore(set *profile.Set, broken []string) []string {
	used := slices.DeleteFunc(broken, func(name string) bool {
		p := set.Named(name)
		return p == nil || p.Ephemeral
	})
	if len(used) == 0 {
		return nil
	}
	return []string{"it uses profiles as they were before their files became wrong: " + named(used)}
}

// named lists profiles for a sentence.
func named(profiles []string) string {
	text := strings.Join(profiles[:min(len(profiles), maxNamed)], ", ")
	if more := len(profiles) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// IsReplaced says, before the daemon is told to end, that another one gets the tokens and answers at the same socket.
// Requests for tokens that wait when the daemon ends are then left to that one.
func (d *Daemon) IsReplaced() { d.replaced.Store(true) }

// Tokens returns the access tokens that the daemon held, for its successor. It returns none before [Daemon.Serve] has
// returned.
func (d *Daemon) Tokens() []handover.Token { return handover.Tokens(d.broker, d.profiles.Snapshot()) }

// Adopt is [handover.Adopt] for the daemon's profiles. It is called before [Daemon.Serve].
func (d *Daemon) Adopt(tokens []handover.Token) int {
	return handover.Adopt(d.broker, d.profiles.Snapshot(), tokens)
}

// signIn returns the flags of "groat login" that name a profile's server.
func signIn(p *profile.Profile) string {
	switch {
	case p.Provider != "" && p.AuthServer != "":
		return "--provider " + visible.Word(p.Provider) + " --auth-server " + visible.Word(p.AuthServer)
	case p.Provider != "":
		return "--provider " + visible.Word(p.Provider)
	}
	return "--issuer " + visible.Word(p.Issuer)
}

// wire is [wire.Error] for an error about the named profile, or about none if the name is empty. It logs an error that
// the table does not know.
func (d *Daemon) wire(err error, profile string) *protocol.Error {
	e, expected := wire.Error(err, d.context(profile))
	if !expected {
		d.Log.Error("an unexpected error: " + err.Error())
	}
	return e
}

// context is what is known of a profile, or where the name is empty, of none.
func (d *Daemon) context(profile string) wire.Context {
	p := d.profiles.Named(profile)
	c := wire.Context{Profile: profile, Configured: p != nil, Network: d.networkResult(), PID: os.Getpid()}
	if p != nil {
		c.SignIn = signIn(p)
		kind := p.Kind()
		c.Static = kind.StaticKey()
		c.Client, c.Key = !kind.Session() && !c.Static, kind == grant.ByJWTBearer && p.AssertionFile == ""
		if user := d.stores.Of(p).Store.(*accounts).user(profile); kind == grant.ByAppCredentials && user != "" {
			c.NewClient = "--username " + visible.Word(user) + " --new-client"
		}
		c.Scope = p.Endpoint.Server().Default(grant.Request{Scope: strings.Fields(p.Scope)}, true).Scope
	}
	return c
}
