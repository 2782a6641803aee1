package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/fleet"
	"github.com/groat-dev/groat/daemon/fleet/member"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

const (
	// leaveTime bounds the wait for another machine to begin a new key.
	leaveTime = 15 * time.Second
	// pauseTime bounds the wait for a renewal that is under way: one that waits for other machines takes longest.
	pauseTime = 30 * time.Second
)

// leave takes this machine out of the fleet and forgets what it has of it. With forget it does so without the engine.
func (f *fleetPart) leave(ctx context.Context, forget bool) (protocol.FleetResult, error) {
	f.changing.Lock()
	defer f.changing.Unlock()
	result := protocol.FleetResult{State: "none"}
	f.mu.Lock()
	in, why, left := f.config, f.why, f.left
	f.mu.Unlock()
	if in == nil && why == nil {
		return result, errNoFleet
	}
	resume, err := f.pause(ctx)
	defer resume()
	if !forget && !left {
		if err == nil {
			result.Waits, err = f.takeLeave(ctx)
		}
		if err != nil {
			return result, err
		}
	}
	f.end(errLeft)
	f.mu.Lock()
	f.left = true
	f.mu.Unlock()
	if err := f.forget(ctx, in); err != nil {
		return result, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.config, f.why, f.left = nil, nil, false
	return result, nil
}

// takeLeave tells the other machines that this one leaves. waits says that none of them has begun a new key yet.
func (f *fleetPart) takeLeave(ctx context.Context) (waits bool, err error) {
	r, err := f.use()
	if err != nil {
		return false, err
	}
	names := r.names()
	for p := range f.d.profiles.Snapshot().All() {
		if p.Fleet { // the engine may not have it yet
			names = append(names, p.Name)
		}
	}
	for _, name := range names {
		if err := cmp.Or(f.d.stores.Shared.PendingError(name), r.fleet.PendingError(name)); err != nil {
			return false, protocol.NewError(protocol.Temporary, fmt.Sprintf("the newest credential of the fleet's "+
				"profile %q is on this machine only, so it stays in the fleet: %s", name, err), "groat fleet status")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	rotated, err := r.member.Leave(ctx)
	if errors.Is(err, member.ErrRemoved) {
		return false, nil
	}
	return err == nil && !rotated, err
}

// pause keeps the broker from using the fleet's credentials, until resume is called: what a server answers meanwhile
// could be stored nowhere. The error says that a renewal is under way.
func (f *fleetPart) pause(ctx context.Context) (resume func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, pauseTime)
	defer cancel()
	var all []func()
	resume = func() {
		for _, one := range all {
			one()
		}
	}
	for p := range f.d.profiles.Snapshot().All() {
		if !p.Fleet {
			continue
		}
		one, busy := f.d.broker.Pause(ctx, p.Name)
		all = append(all, one)
		if busy != nil && err == nil {
			err = protocol.NewError(protocol.Temporary, fmt.Sprintf("the fleet's profile %q is being renewed just now",
				p.Name), "groat fleet leave")
		}
	}
	return resume, err
}

// forget deletes what this machine has of a fleet, fleet.toml last: until that is gone it can be done again. in is nil
// where fleet.toml cannot be read.
func (f *fleetPart) forget(ctx context.Context, in *config.Fleet) error {
	id := ""
	if in != nil {
		id = in.ID
	} else if item, err := f.item(ctx); err == nil {
		id = item.Issuer
		item.Wipe()
	}
	if err := f.d.stores.Kept.Delete(ctx, fleetItem); err != nil && !errors.Is(err, keystore.ErrUndecided) {
		return err
	}
	if id != "" {
		if err := errors.Join(fleet.Forget(f.d.StateDir, id), member.Forget(f.d.StateDir, id)); err != nil {
			return err
		}
	}
	for p := range f.d.profiles.Snapshot().All() {
		if p.Fleet {
			if err := f.d.profiles.Remove(p.Name, func(*profile.Profile) {}); err != nil {
				return err
			}
		}
	}
	if err := f.d.Config.RemoveFleet(); err != nil {
		return err
	}
	f.d.Log.Info("this machine has left its fleet", zap.String("fleet", id))
	return nil
}
