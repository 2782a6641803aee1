package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/fleet"
	"github.com/groat-dev/groat/daemon/fleet/member"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
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
	staged  map[string]staged // :: profile → what a login stores with the credential
	stop    func()
	stopped chan struct{}
}

// fleetRun is a fleet that runs.
type fleetRun struct {
	*joined
	fleet   *fleet.Fleet
	epoch   uint32        // for membersChanged; fleetPart.mu guards it
	rekeyed chan struct{} // has room for one: what is sealed with an older key is to be sealed anew
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
	r := f.running
	f.running, f.why = nil, why
	f.stop, f.stopped = nil, nil
	f.mu.Unlock()
	if r != nil {
		r.close()
	}
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

// assemble makes what runs of a member.
func (f *fleetPart) assemble(j *joined) (*fleetRun, error) {
	m := j.member
	shared, err := fleet.Open(m.Fenced(), m.Keys(), m.Self(), f.d.StateDir, f.d.Now, fleet.Callbacks{
		Configured: f.configured, Gone: f.gone, Came: f.d.broker.Share,
		Renew: func(name string) { f.d.broker.Renew(name) },
		Reached: func(err error) {
			if err != nil {
				f.d.Log.Warn("the fleet's engine does not answer: the tokens that are held are served",
					zap.Error(err))
			} else {
				f.d.Log.Info("the fleet's engine answers")
			}
			f.d.events.poke()
		},
	})
	return &fleetRun{j, shared, m.Keys().Epoch(), make(chan struct{}, 1)}, err
}

// run runs this machine's part until ctx ends or the machine was removed.
func (f *fleetPart) run(ctx context.Context, r *fleetRun) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.mu.Lock()
	f.running, f.why = r, nil
	f.mu.Unlock()
	for p := range f.d.profiles.Snapshot().All() {
		f.register(p)
	}
	var both sync.WaitGroup
	both.Go(func() { r.fleet.Run(ctx) })
	both.Go(func() { f.keepSealed(ctx, r) })
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
		r.reseal()
	}
}

// healed is told that this machine has put back what the engine had lost: what was restored with it may be sealed with
// an older key.
func (f *fleetPart) healed() {
	f.d.Log.Warn("the fleet's engine was put back to an older copy: the fleet's machines and keys are written back")
	if r := f.now(); r != nil {
		r.reseal()
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
