package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/member"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
	"github.com/groat-dev/groat/protocol/visible"
)

// Bounds of what "fleet" does.
const (
	fleetTime = time.Minute // of a change
	// mostListed is how many machines and profiles a line holds.
	mostListed = 250
)

// useFleet answers "fleet".
func useFleet(c *conn, params []byte) (any, error) {
	var p protocol.FleetParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	password, err := secretParam(params, "password")
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	code, err := secretParam(params, "code")
	if err != nil {
		return nil, err
	}
	defer code.Wipe()
	if err := checkFleetParams(p, password, code); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.open, fleetTime)
	defer cancel()
	f := c.d.fleet
	if !p.Forget {
		f.settle(ctx)
	}
	var r protocol.FleetResult
	do := p.Do
	switch p.Do {
	case "":
		r = f.status(ctx)
	case protocol.FleetCreate:
		if r, err = f.create(ctx, p, password); err == nil {
			do = protocol.FleetInvite // there is a fleet from here on
			r, err = f.invite(ctx)
		}
	case protocol.FleetInvite:
		r, err = f.invite(ctx)
	case protocol.FleetJoin:
		r, err = f.join(ctx, p, password, code)
	case protocol.FleetRemove:
		r, err = f.remove(ctx, p.Machine)
	case protocol.FleetLeave:
		r, err = f.leave(ctx, p.Forget)
	}
	if err != nil {
		return nil, f.error(err, do)
	}
	return r, nil
}

// checkFleetParams refuses parameters that what is asked for does not use.
func checkFleetParams(p protocol.FleetParams, password, code keystore.Secret) error {
	enters := p.Do == protocol.FleetCreate || p.Do == protocol.FleetJoin
	known := []string{"", protocol.FleetCreate, protocol.FleetInvite, protocol.FleetJoin, protocol.FleetRemove,
		protocol.FleetLeave}
	switch {
	case !slices.Contains(known, p.Do):
		return protocol.InvalidParams("do must be one of create, invite, join, remove, leave")
	case (len(p.Endpoints) > 0) != (p.Do == protocol.FleetCreate):
		return protocol.InvalidParams("endpoints go with create, which needs them")
	case code.IsZero() == (p.Do == protocol.FleetJoin):
		return protocol.InvalidParams("code goes with join, which needs it")
	case !enters && (p.CAFile+p.User+p.Certificate+p.Key != "" || !password.IsZero()):
		return protocol.InvalidParams("how the engine is reached goes with create and join")
	case p.Machine != "" && !enters && p.Do != protocol.FleetRemove, p.Machine == "" && p.Do == protocol.FleetRemove:
		return protocol.InvalidParams("machine goes with create, join and remove, which needs it")
	case (p.User == "") != password.IsZero():
		return protocol.InvalidParams("user and password belong together")
	case (p.Certificate == "") != (p.Key == ""):
		return protocol.InvalidParams("certificate and key belong together")
	case p.Forget && p.Do != protocol.FleetLeave:
		return protocol.InvalidParams("forget goes with leave")
	}
	for name, path := range map[string]string{"ca_file": p.CAFile, "certificate": p.Certificate, "key": p.Key} {
		if path != "" && !filepath.IsAbs(path) {
			return protocol.InvalidParams("%s must be an absolute path", name)
		}
	}
	return nil
}

// configOf is the configuration of a fleet that a request names.
func configOf(p protocol.FleetParams) config.Fleet {
	name := p.Machine
	if name == "" {
		name, _ = os.Hostname()
	}
	return config.Fleet{Machine: member.Named(name), Endpoints: p.Endpoints, CAFile: p.CAFile, User: p.User,
		Certificate: p.Certificate, Key: p.Key}
}

// free returns an error if this machine is in a fleet, or cannot be in one.
func (f *fleetPart) free(ctx context.Context) error {
	f.mu.Lock()
	in, why := f.config, f.why
	f.mu.Unlock()
	if in == nil && why != nil {
		return why
	}
	if in != nil {
		return protocol.NewError(protocol.Config, fmt.Sprintf("this machine is in a fleet already, as %q; groat fleet "+
			"leave takes it out", in.Machine), "groat fleet status")
	}
	if err := f.d.Config.Writable(); err != nil {
		return err
	}
	return f.d.stores.Kept.Probe(ctx)
}

// create makes a fleet, and an invitation to it.
func (f *fleetPart) create(ctx context.Context, p protocol.FleetParams, password keystore.Secret) (
	protocol.FleetResult, error,
) {
	f.changing.Lock()
	defer f.changing.Unlock()
	c := configOf(p)
	ca, err := readAuthorities(c.CAFile)
	if err != nil {
		return protocol.FleetResult{}, err
	}
	if err := member.CheckEndpoints(c.Endpoints, ca != nil); err != nil { // else nobody could be invited
		return protocol.FleetResult{}, protocol.InvalidParams("%s", err)
	}
	return f.enter(ctx, c, ca, password, func(o member.Options) (*member.Member, error) {
		return member.Create(ctx, o, c.Machine)
	})
}

// join makes this machine a member of the fleet that a code invites to.
func (f *fleetPart) join(ctx context.Context, p protocol.FleetParams, password, typed keystore.Secret) (
	protocol.FleetResult, error,
) {
	f.changing.Lock()
	defer f.changing.Unlock()
	code, err := member.ParseCode(typed)
	if err != nil {
		return protocol.FleetResult{}, err
	}
	defer code.Secret.Wipe()
	ca, err := readAuthorities(p.CAFile)
	if err == nil {
		err = checkAuthorities(code, p.CAFile, ca)
	}
	if err != nil {
		return protocol.FleetResult{}, err
	}
	c := configOf(p)
	c.Endpoints = code.Endpoints
	return f.enter(ctx, c, ca, password, func(o member.Options) (*member.Member, error) {
		return member.Join(ctx, o, code, c.Machine)
	})
}

// checkAuthorities compares the file of certificate authorities, which holds ca, with the one that the code was made
// with.
func checkAuthorities(code member.Code, path string, ca []byte) error {
	if path == "" && code.CA != nil {
		return protocol.NewError(protocol.Config, "the engine's certificates are of an authority of its own, whose "+
			"file this machine needs too: --ca names it", "groat fleet join --help")
	}
	if path != "" && code.CA != nil && !bytes.Equal(member.CAHash(ca), code.CA) {
		return protocol.NewError(protocol.Config, visible.Name(path)+" is not the file that the fleet was created "+
			"with: its digest is another one", "ls -l "+visible.Word(path))
	}
	return nil
}

// enter makes this machine a member by begin, writes that down, and starts.
func (f *fleetPart) enter(ctx context.Context, c config.Fleet, ca []byte, password keystore.Secret,
	begin func(member.Options) (*member.Member, error)) (protocol.FleetResult, error) {
	if err := f.free(ctx); err != nil {
		return protocol.FleetResult{}, err
	}
	j, err := f.reach(c, ca, password, begin)
	if err != nil {
		f.d.stores.Kept.Delete(context.WithoutCancel(ctx), fleetItem)
		return protocol.FleetResult{}, err
	}
	c.ID, c.Machine = j.member.Keys().Fleet(), j.member.Name()
	if err := f.d.Config.SaveFleet(c); err != nil {
		f.takeBack(ctx, j)
		return protocol.FleetResult{}, err
	}
	j.close() // start opens what was kept
	f.start(&c)
	f.d.Log.Info("this machine is in a fleet", zap.String("fleet", c.ID), zap.String("machine", c.Machine))
	if err := f.await(ctx); err != nil { // it is in the fleet all the same, and the status says what is wrong
		f.d.Log.Warn("the fleet is not read yet", zap.Error(err))
	}
	return f.status(ctx), nil
}

// takeBack makes a machine that could not write down that it is in a fleet no member of it again.
func (f *fleetPart) takeBack(ctx context.Context, j *joined) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if _, err := j.member.Leave(ctx); err != nil {
		f.d.Log.Warn("this machine is in the fleet's list still", zap.String("machine", j.member.Name()),
			zap.Error(err), zap.String("next", "groat fleet remove "+j.member.Name()))
	}
	j.close()
	f.d.stores.Kept.Delete(ctx, fleetItem)
}

// await waits until the fleet runs, and has been read once.
func (f *fleetPart) await(ctx context.Context) error {
	for ctx.Err() == nil {
		r, err := f.use()
		switch {
		case err == nil:
			return r.member.Sync(ctx)
		case err != errFleetStarts:
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// settleTime bounds settle: the engine may be away.
const settleTime = 3 * time.Second

// settle waits, in a groatd that has just started, until it knows the fleet's machines.
func (f *fleetPart) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if _, err := f.use(); err == errFleetStarts {
		f.await(ctx)
	} else if r := f.now(); r != nil && len(r.member.Machines()) == 0 {
		r.member.Sync(ctx)
	}
}

// invite makes a code for one machine.
func (f *fleetPart) invite(ctx context.Context) (protocol.FleetResult, error) {
	r, err := f.use()
	if err != nil {
		return protocol.FleetResult{}, err
	}
	f.mu.Lock()
	c := *f.config
	f.mu.Unlock()
	code, err := r.member.Invite(ctx)
	if err != nil {
		return protocol.FleetResult{}, err
	}
	defer code.Secret.Wipe()
	code.Endpoints = c.Endpoints
	ca, err := readAuthorities(c.CAFile)
	if err != nil {
		return protocol.FleetResult{}, err
	}
	code.CA = member.CAHash(ca)
	text, err := code.Text()
	if err != nil {
		return protocol.FleetResult{}, err
	}
	defer text.Wipe()
	result := f.status(ctx)
	result.Invitation, result.InvitationEndsIn = text.Reveal(), int64(member.CodeLife/time.Second)
	return result, nil
}

// remove removes another machine.
func (f *fleetPart) remove(ctx context.Context, machine string) (protocol.FleetResult, error) {
	r, err := f.use()
	if err != nil {
		return protocol.FleetResult{}, err
	}
	if err := r.member.Remove(ctx, machine); err != nil {
		return protocol.FleetResult{}, err
	}
	f.d.Log.Info("a machine was removed from the fleet", zap.String("machine", machine))
	result := f.status(ctx)
	if err := r.fleet.Reseal(ctx); err != nil { // keepSealed goes on
		f.d.Log.Warn("not everything of the fleet is sealed with its newest key yet", zap.Error(err))
		result.Waits = true
	}
	return result, nil
}

// status is the fleet as this machine knows it.
func (f *fleetPart) status(ctx context.Context) protocol.FleetResult {
	s := f.summary()
	r := f.now()
	if r == nil {
		return s
	}
	all := r.member.Machines()
	for _, m := range all[:min(len(all), mostListed)] {
		s.Machines = append(s.Machines, protocol.FleetMachine{Machine: m.Name, ID: m.ID, This: m.Self})
	}
	s.More = len(all) - len(s.Machines)
	names := r.names()
	for _, name := range names[:min(len(names), mostListed)] {
		p := *f.ofProfile(r, name)
		p.Hidden = f.hidden(name)
		s.Profiles = append(s.Profiles, p)
	}
	return s
}

// ofProfile is what is said of a profile of the fleet.
func (f *fleetPart) ofProfile(r *fleetRun, name string) *protocol.FleetProfile {
	st := r.fleet.Status(name)
	p := &protocol.FleetProfile{
		Profile: name, RenewedBy: r.member.NameOf(st.By), Renewing: r.member.NameOf(st.Renewing),
	}
	if !st.At.IsZero() && st.At.Unix() > 0 {
		p.RenewedAt = st.At.Unix()
	}
	switch {
	case st.Err != nil:
		p.Message = f.error(st.Err, "").Message
	case st.RolledBack:
		p.Message = "the fleet's engine was put back to an older copy"
	}
	return p
}

// fleetInStatus is the fleet as "status" shows it: nil where this machine is in none.
func (d *Daemon) fleetInStatus() *protocol.FleetResult {
	s := d.fleet.summary()
	if s.State == "none" {
		return nil
	}
	return &s
}

// summary is status without machines and profiles.
func (f *fleetPart) summary() protocol.FleetResult {
	f.mu.Lock()
	c, r, why := f.config, f.running, f.why
	f.mu.Unlock()
	if c == nil && why == nil {
		return protocol.FleetResult{State: "none"}
	}
	s := protocol.FleetResult{State: "ok"}
	if c != nil {
		s.Fleet, s.Machine, s.Endpoints = c.ID, c.Machine, c.Endpoints
	}
	if r != nil {
		why = r.member.Err()
		if why == nil {
			why = r.fleet.Unreachable()
		}
	}
	if why == nil {
		return s
	}
	e := f.error(why, "")
	s.State, s.Message, s.Hint = stateOf(why, e), e.Message, e.Hint()
	if s.State == "unreachable" {
		s.Message += "; the tokens that are held go on being handed out"
	}
	return s
}

// stateOf is the word for why a fleet is not well.
func stateOf(err error, e *protocol.Error) string {
	switch {
	case errors.Is(err, errFleetStarts):
		return "starting"
	case errors.Is(err, engine.ErrUnavailable):
		return "unreachable"
	case errors.Is(err, member.ErrRemoved):
		return "removed"
	case errors.Is(err, member.ErrOlder), errors.Is(err, member.ErrWithheld), errors.Is(err, member.ErrOtherFleet):
		return "behind"
	case e.Kind() == protocol.Locked:
		return "locked"
	}
	return "config"
}

// error is what a client is told of an error of the fleet.
func (f *fleetPart) error(err error, do string) *protocol.Error {
	again := strings.TrimSpace("groat fleet " + do)
	say := func(kind protocol.Kind, hint string) *protocol.Error {
		return protocol.NewError(kind, err.Error(), hint)
	}
	entering := do == protocol.FleetCreate || do == protocol.FleetJoin
	typo, mistyped := errors.AsType[*member.TypoError](err)
	switch {
	case mistyped:
		e := protocol.InvalidParams("%s", typo.What)
		e.Data = &protocol.ErrorData{Hint: "groat fleet join"}
		return e
	case errors.Is(err, member.ErrUsed), errors.Is(err, member.ErrExpired):
		e := say(protocol.Config, "groat fleet join")
		e.Message += "; groat fleet invite makes another one, on a machine of the fleet"
		return e
	case errors.Is(err, member.ErrNobody):
		e := say(protocol.Temporary, "groat fleet join")
		e.Message += ": see whether the machine that made the code is running; the code is used up, so make another " +
			"one there with groat fleet invite"
		return e
	case errors.Is(err, member.ErrUnknownMachine):
		return say(protocol.Config, "groat fleet status")
	case errors.Is(err, member.ErrSelf):
		return say(protocol.Config, "groat fleet leave")
	case entering && (errors.Is(err, engine.ErrRefused) || errors.Is(err, engine.ErrUntrusted)):
		return say(protocol.Config, again+" --help")
	case entering && errors.Is(err, engine.ErrUnavailable): // there is no status of a fleet yet
		return say(protocol.Temporary, again+" --help")
	case errors.Is(err, context.DeadlineExceeded):
		return protocol.NewError(protocol.Temporary, "the fleet's engine takes too long", "groat fleet status")
	}
	return f.d.wire(err, "")
}
