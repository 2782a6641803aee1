package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/fleet"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/member"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// fleetItem is the item of the keystore that holds what this machine is in its fleet, and the engine's password. No
// profile can have this name.
const fleetItem = "_fleet"

// fleetPart is this machine's part in a fleet. A daemon in none has one that does nothing.
type fleetPart struct {
	d *Daemon

	changing sync.Mutex // held while a fleet is created, joined or left

	mu      sync.Mutex
	config  *config.Fleet // nil: in none, or fleet.toml cannot be used, as why says
	running *fleetRun     // nil while it is not, and why says why not
	why     error
	left    bool              // the others know that this machine has left, and not all is deleted here
	lost    error             // why the engine does not answer, nil where it does
	staged  map[string]staged // :: profile → what a login stores with the credential
	stop    func()
	stopped chan struct{}
}

// fleetRun is a fleet that runs.
type fleetRun struct {
	engine engine.Engine
	member *member.Member
	fleet  *fleet.Fleet
	epoch  uint32 // for membersChanged; fleetPart.mu guards it
	ctx    context.Context
}

var (
	errNoFleet = protocol.NewError(protocol.Config, "this machine is in no fleet; groat fleet join takes it into one",
		"groat fleet --help")
	errLeft = protocol.NewError(protocol.Config, "this machine has left its fleet, and not all that it had of it is "+
		"deleted yet", "groat fleet leave")
	errFleetStarts = protocol.NewError(protocol.Temporary, "the fleet's credentials are not read yet",
		"groat fleet status")
)

// startFleet starts the fleet that the configuration names, if it names one and none runs. A fleet.toml that cannot be
// used stops nothing else.
func (d *Daemon) startFleet() {
	f := d.fleet
	f.changing.Lock()
	defer f.changing.Unlock()
	f.mu.Lock()
	running := f.stop != nil
	f.mu.Unlock()
	if running {
		return
	}
	c, err := d.Config.LoadFleet()
	if c != nil {
		f.start(c)
		return
	}
	if err != nil {
		d.Log.Error("the fleet is not used", zap.Error(err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.why = err
}

// start runs the fleet until stopFleet.
func (f *fleetPart) start(c *config.Fleet) {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	f.mu.Lock()
	f.config, f.why, f.stop, f.stopped = c, errFleetStarts, cancel, stopped
	f.mu.Unlock()
	go func() {
		defer close(stopped)
		f.keepRunning(ctx, c)
	}()
}

// end stops what runs and waits for it. why is what is said from then on.
func (f *fleetPart) end(why error) {
	f.mu.Lock()
	stop, stopped := f.stop, f.stopped
	f.mu.Unlock()
	if stop != nil {
		stop()
		<-stopped
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running, f.why, f.lost = nil, why, nil
	f.stop, f.stopped = nil, nil
}

// broken reports whether fleet.toml cannot be used.
func (f *fleetPart) broken() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.config == nil && f.why != nil
}

// fleetRetry is how long is waited before the keystore is read again.
const fleetRetry = 2 * time.Second

// keepRunning reads what this machine is in the fleet, as soon as the keystore gives it, and runs its part.
func (f *fleetPart) keepRunning(ctx context.Context, c *config.Fleet) {
	for ctx.Err() == nil {
		r, err := f.open(ctx, c)
		if err == nil {
			f.run(ctx, r)
			return
		}
		f.mu.Lock()
		news := f.why == nil || f.why.Error() != err.Error()
		f.why = err
		f.mu.Unlock()
		if news {
			f.d.Log.Warn("the fleet is not used", zap.Error(err))
		}
		if !errors.Is(err, keystore.ErrLocked) && !errors.Is(err, keystore.ErrUnavailable) {
			return
		}
		select {
		case <-time.After(fleetRetry):
		case <-ctx.Done():
		}
	}
}

// open makes this machine's part of what the keystore and the configuration say.
func (f *fleetPart) open(ctx context.Context, c *config.Fleet) (*fleetRun, error) {
	item, err := f.item(ctx)
	if errors.Is(err, keystore.ErrNotFound) {
		err = protocol.NewError(protocol.Config, "the keystore has not what fleet.toml belongs to: this machine's keys",
			"groat fleet leave --forget")
	}
	if err != nil {
		return nil, err
	}
	defer item.Wipe()
	if item.TokenEndpoint != strings.Join(c.Endpoints, " ") || item.Issuer != c.ID || item.Username != c.User {
		return nil, protocol.NewError(protocol.Config, "fleet.toml was changed: its endpoints, fleet or user are not "+
			"those that the engine's password was stored for; nothing was sent", "groat fleet leave --forget")
	}
	e, err := f.engineOf(*c, item.ClientSecret.Clone())
	if err != nil {
		return nil, err
	}
	m, err := member.Open(f.memberOptions(e, *c, item.ClientSecret.Clone()), item.PrivateKey)
	if err != nil {
		return nil, err
	}
	return f.assemble(e, m)
}

// item reads what the keystore has of the fleet.
func (f *fleetPart) item(ctx context.Context) (keystore.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return f.d.stores.Kept.Get(ctx, fleetItem)
}

// itemOf is the item that holds a membership, bound to the fleet, its endpoints and its user.
func itemOf(c config.Fleet, password, state keystore.Secret) keystore.Item {
	return keystore.Item{
		Issuer: c.ID, TokenEndpoint: strings.Join(c.Endpoints, " "), Username: c.User, ClientSecret: password,
		ClientID: "fleet", PrivateKey: state, // an item has a client's name
	}
}

// memberOptions are a member's options, with the keystore for what it keeps.
func (f *fleetPart) memberOptions(e engine.Engine, c config.Fleet, password keystore.Secret) member.Options {
	return member.Options{
		Engine: e, Now: f.d.Now, StateDir: f.d.StateDir, Changed: f.membersChanged, Healed: f.healed,
		Warn: func(err error) { f.d.Log.Warn("the fleet's engine shows what no member has written", zap.Error(err)) },
		Keep: func(ctx context.Context, id string, state keystore.Secret) error {
			c.ID = id
			return f.d.stores.Kept.Set(ctx, fleetItem, itemOf(c, password, state))
		},
	}
}

// assemble makes what runs of a member.
func (f *fleetPart) assemble(e engine.Engine, m *member.Member) (*fleetRun, error) {
	shared, err := fleet.Open(m.Fenced(), m.Keys(), m.Self(), f.d.StateDir, f.d.Now, fleet.Callbacks{
		Configured: f.configured, Gone: f.gone, Came: f.d.broker.Share,
		Renew: func(name string) { f.d.broker.Renew(name) },
		Reached: func(err error) {
			f.mu.Lock()
			f.lost = err
			f.mu.Unlock()
			if err != nil {
				f.d.Log.Warn("the fleet's engine does not answer: the tokens that are held are served",
					zap.Error(err))
			} else {
				f.d.Log.Info("the fleet's engine answers")
			}
			f.d.events.poke()
		},
	})
	return &fleetRun{e, m, shared, m.Keys().Epoch(), nil}, err
}

// run runs this machine's part until ctx ends or the machine was removed.
func (f *fleetPart) run(ctx context.Context, r *fleetRun) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.ctx = ctx
	f.mu.Lock()
	f.running, f.why = r, nil
	f.mu.Unlock()
	for p := range f.d.profiles.Snapshot().All() {
		f.register(p)
	}
	var both sync.WaitGroup
	both.Go(func() { r.fleet.Run(ctx) })
	both.Go(func() { f.reseal(r) })
	both.Go(func() {
		defer cancel()
		if err := r.member.Run(ctx); errors.Is(err, member.ErrRemoved) {
			f.d.Log.Error("this machine was removed from the fleet")
		}
	})
	both.Wait()
}

// register tells the fleet how a profile of its asks its server.
func (f *fleetPart) register(p *profile.Profile) {
	if r := f.now(); r != nil && p.Fleet {
		r.fleet.Source(p.Name, p.Endpoint, scopeOf(p), audienceOf(p))
	}
}

// now returns what runs, or nil.
func (f *fleetPart) now() *fleetRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// use returns what runs, or why nothing does.
func (f *fleetPart) use() (*fleetRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.running != nil:
		return f.running, nil
	case f.why != nil:
		return nil, f.why
	}
	return nil, errNoFleet
}

// membersChanged is told that the fleet has other machines or another key: what is sealed with the old one is sealed
// anew.
func (f *fleetPart) membersChanged() {
	r := f.now()
	if r == nil {
		return
	}
	f.d.events.poke()
	f.mu.Lock()
	rotated := r.epoch != r.member.Keys().Epoch()
	r.epoch = r.member.Keys().Epoch()
	f.mu.Unlock()
	if rotated {
		r.fleet.Rekeyed()
		go f.reseal(r)
	}
}

// healed is told that this machine has put back what the engine had lost: what was restored with it may be sealed with
// an older key.
func (f *fleetPart) healed() {
	f.d.Log.Warn("the fleet's engine was put back to an older copy: the fleet's machines and keys are written back")
	if r := f.now(); r != nil {
		r.fleet.Rekeyed()
		go f.reseal(r)
	}
}

const (
	// resealTime bounds what is done after a new key.
	resealTime = 30 * time.Second
	// resealSpread is how long a machine waits at random before.
	resealSpread = 5 * time.Second
	// retireAfter is how long older keys are kept after everything was sealed with the newest: a renewal that began
	// before is over by then.
	retireAfter = 2 * time.Minute
)

// reseal seals the fleet's credentials with the newest key, and later forgets those before it.
func (f *fleetPart) reseal(r *fleetRun) {
	call := func(do func(context.Context) error) bool {
		ctx, cancel := context.WithTimeout(r.ctx, resealTime)
		defer cancel()
		err := do(ctx)
		if err != nil && r.ctx.Err() == nil {
			f.d.Log.Warn("not everything of the fleet is sealed with its newest key yet", zap.Error(err))
		}
		return err == nil
	}
	select { // of a thousand machines that hear of a new key one is enough
	case <-time.After(rand.N(resealSpread)):
	case <-r.ctx.Done():
		return
	}
	if !call(r.fleet.Reseal) {
		return
	}
	select {
	case <-time.After(retireAfter):
	case <-r.ctx.Done():
		return
	}
	if call(r.fleet.Reseal) {
		call(r.member.Retire)
	}
}

// configured takes over the configuration of a profile of the fleet, unless this machine has one of its own of the
// name.
func (f *fleetPart) configured(name string, text []byte) {
	p, err := config.ParseProfile("the fleet's profile "+name, name, string(text))
	if err != nil {
		f.d.Log.Warn("a profile of the fleet cannot be used here", zap.String("profile", name), zap.Error(err))
		return
	}
	p.Fleet = true
	if f.hidden(name) {
		f.d.Log.Warn("this machine's own profile hides one of the fleet", zap.String("profile", name))
		return
	}
	resolved, err := f.d.profiles.Resolve(p)
	if was := f.d.profiles.Named(name); err == nil && (was == nil || !profile.Same(was.Profile, p)) {
		_, _, err = f.d.profiles.Save(resolved)
	}
	if err != nil {
		f.d.Log.Warn("a profile of the fleet cannot be used here", zap.String("profile", name), zap.Error(err))
		return
	}
	f.register(f.d.profiles.Named(name))
}

// hidden reports whether this machine has a profile of its own of a name.
func (f *fleetPart) hidden(name string) bool {
	was := f.d.profiles.Named(name)
	return was != nil && !was.Fleet || was == nil && f.d.profiles.Broken(name) != nil
}

// uncovered takes over the fleet's profiles of the names that this machine's own have given up.
func (f *fleetPart) uncovered(names []string) {
	r := f.now()
	if r == nil {
		return
	}
	for _, name := range names {
		if text := r.fleet.Config(name); text != nil {
			go f.configured(name, text) // the table of the profiles is locked until its change is over
		}
	}
}

// gone removes a profile that was signed out on some machine.
func (f *fleetPart) gone(name string) {
	if was := f.d.profiles.Named(name); was == nil || !was.Fleet {
		return
	}
	if err := f.d.profiles.Remove(name, func(*profile.Profile) {}); err != nil {
		f.d.Log.Warn("a profile that the fleet has not any more cannot be removed", zap.String("profile", name),
			zap.Error(err))
	}
}

// engineOf returns the engine that a configuration names. It owns the password.
func (f *fleetPart) engineOf(c config.Fleet, password keystore.Secret) (engine.Engine, error) {
	o := engine.Options{Endpoints: c.Endpoints, User: c.User, Password: password, Network: f.d.Network}
	if c.CAFile != "" {
		roots, _, err := readAuthorities(c.CAFile)
		if err != nil {
			return nil, err
		}
		o.Roots = roots
	}
	if c.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return nil, protocol.NewError(protocol.Config, "the certificate or its key cannot be used: "+err.Error(),
				"ls -l "+visible.Word(c.Certificate))
		}
		o.Certificate = &pair
	}
	if f.d.NewEngine != nil {
		return f.d.NewEngine(o)
	}
	e, err := engine.NewEtcd(o)
	if err != nil {
		return nil, protocol.InvalidParams("%s", err)
	}
	return e, nil
}

// maxAuthorities bounds a file of certificate authorities.
const maxAuthorities = 1 << 20

// readAuthorities reads a PEM file.
func readAuthorities(path string) (*x509.CertPool, []byte, error) {
	info, err := os.Stat(path)
	if err == nil && (info.Size() > maxAuthorities || !info.Mode().IsRegular()) {
		err = errors.New("it is no file of certificates")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(text) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, nil, protocol.NewError(protocol.Config,
			fmt.Sprintf("the engine's certificate authorities cannot be read: %s: %s", visible.Name(path), cause(err)),
			"ls -l "+visible.Word(path))
	}
	return roots, text, nil
}

// cause is an error of a file without its path.
func cause(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// scopeOf and audienceOf are what a profile asks for where a caller says nothing; a session has those of its sign-in.
func scopeOf(p *profile.Profile) string {
	if p.Kind().Session() {
		return ""
	}
	return p.Scope
}

func audienceOf(p *profile.Profile) string {
	if p.Kind().Session() {
		return ""
	}
	return p.Audience
}

// names returns the names of the fleet's profiles, sorted.
func (r *fleetRun) names() []string { return slices.Sorted(slices.Values(r.fleet.Names())) }
