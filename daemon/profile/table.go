package profile

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
)

// Options is what a Table is made of. All members are required but Network and Activated.
type Options struct {
	Config config.Dir
	HTTP   *http.Client // by which servers are reached
	// Network is what HTTP was made of; nil where it was made otherwise, which only tests do.
	Network *grant.Network
	Now     clock.Func
	Log     *zap.Logger
	// Activated: a service manager starts the daemon, and gives it its environment.
	Activated bool
	// Changed is told of each new set. It is called with the table locked, so it must not call Reload, Find, Save,
	// Remove or SetNetwork; the new set is in use already.
	Changed func(old, now *Set)
	// NetworkChanged is told when servers are reached in another way, also with the table locked.
	NetworkChanged func()
}

// Table is the profiles that are configured, and those that are in no file. Its methods are safe for concurrent use.
type Table struct {
	Options
	current atomic.Pointer[Set]
	network atomic.Pointer[Network] // nil before the first load

	loading     sync.Mutex          // held while the set is replaced; it guards what follows
	ephemeral   map[string]*Profile // those that are in no file
	authorities []*x509.Certificate // trusted besides the system's
	stamp       string              // of the files that the set was made of; empty: not known
	failure     error               // why the files could not be used when that was last tried, or nil
	tried       time.Time           // when the files were last read for a request
	// spoiled :: file that cannot be used → what it was like when that was found
	spoiled map[string]string
}

// New returns a table without profiles; [Table.Reload] loads them.
func New(o Options) *Table {
	t := &Table{Options: o, ephemeral: map[string]*Profile{}}
	t.current.Store(&Set{})
	return t
}

// Usable is Snapshot, and reads the configuration again where the whole of it could not be used and the files have
// changed since.
func (t *Table) Usable() *Set {
	if refused := t.Snapshot().refused; refused != nil {
		t.reloadChanged(refused) // else the set says why not
	}
	return t.Snapshot()
}

// Looked is Usable for a person who looks at the profiles: it reads the configuration again where files were added or
// removed, or one that could not be used has changed. whole is why the files cannot be used as they are now, so that
// what was read before is in use; nil where they can.
func (t *Table) Looked() (all *Set, whole *config.Error) {
	t.loading.Lock()
	defer t.loading.Unlock()
	if _, err := t.readChanged(nil); err != nil && t.failure == nil {
		t.Log.Error("the configuration could not be read again", zap.Error(err))
	}
	whole, _ = errors.AsType[*config.Error](t.failure)
	return t.Snapshot(), whole
}

// Snapshot returns all profiles as they are now.
func (t *Table) Snapshot() *Set { return t.current.Load() }

// Named returns the profile of a name as it is now, or nil.
func (t *Table) Named(name string) *Profile { return t.Snapshot().Named(name) }

// Ephemeral returns the names of the profiles that are in no file, sorted; a file may hide one by another of its name.
func (t *Table) Ephemeral() []string {
	t.loading.Lock()
	defer t.loading.Unlock()
	return slices.Sorted(maps.Keys(t.ephemeral))
}

// Broken is [Set.Broken] as it is now.
func (t *Table) Broken(name string) *config.Error { return t.Snapshot().Broken(name) }

// Reload reads the configuration again. Where it cannot be used the old one stays. Where one profile cannot be, that
// one stays as it was, and is no error: see [Set.Broken]. Profiles that have not changed stay the same. The error is a
// [*config.Error] or about the system.
func (t *Table) Reload() error {
	t.loading.Lock()
	defer t.loading.Unlock()
	err := t.reload(nil)
	if whole, ok := errors.AsType[*config.Error](err); ok {
		t.fail(whole)
	}
	return err
}

// Refuse makes a configuration that cannot be used the answer to every [Set.Pick] until a Reload succeeds, and lets
// servers be reached by what the environment says.
func (t *Table) Refuse(broken *config.Error) error {
	t.loading.Lock()
	defer t.loading.Unlock()
	t.current.Store(&Set{refused: broken})
	t.fail(broken)
	return t.useNetwork(config.Network{})
}

// reload is Reload for a caller that holds loading. proven, if not nil, is a profile that a login has just proven: it
// is taken as it is, with what its endpoint has learned, if that is what the configuration says now.
func (t *Table) reload(proven *Profile) error {
	stamp := t.Config.Stamp() // before the files are read: a change meanwhile is seen
	c, err := t.Config.Load()
	if err != nil {
		return err
	}
	old := t.Snapshot()
	var all []*Profile
	fromFile := func(name string) *Profile { // what the last configuration that could be used says
		if was := old.Named(name); was != nil && !was.Ephemeral {
			return was
		}
		return nil
	}
	for name, p := range t.ephemeral {
		if _, hidden := c.Profiles[name]; !hidden && (c.Broken[name] == nil || fromFile(name) == nil) {
			all = append(all, p)
		}
	}
	firsts := map[string]*Profile{} // one of each server
	for name, p := range c.Profiles {
		if was := fromFile(name); was != nil && Same(was.Profile, p) {
			all = append(all, was)
			continue
		}
		if proven != nil && proven.Name == name && Same(proven.Profile, p) {
			proven.File, proven.Line = p.File, p.Line // it is in no set yet
			all = append(all, proven)
			continue
		}
		resolved, err := t.Resolve(p)
		if err != nil {
			c.Broken[name] = &config.Error{File: p.File, Line: p.Line, Message: err.Error(), Hint: "groatd --check"}
			continue
		}
		if server := p.Provider + p.TokenEndpoint; firsts[server] == nil {
			firsts[server] = resolved
		} else {
			resolved.share(firsts[server])
		}
		all = append(all, resolved)
	}
	for name := range c.Broken {
		if was := fromFile(name); was != nil {
			all = append(all, was)
		}
	}
	if err := t.useNetwork(c.Network); err != nil {
		return err
	}
	now := newSet(all, c.Broken, c.MayList)
	t.current.Store(now)
	t.stamp, t.failure, t.spoiled = stamp, nil, map[string]string{}
	for _, e := range c.Broken {
		t.spoiled[e.File] = config.FileStamp(e.File)
	}
	t.logBroken(old, now)
	t.Changed(old, now)
	return nil
}

// Resolve turns a configured profile into one that can be used. It is in no set; until it is, it is the caller's to
// change.
func (t *Table) Resolve(p config.Profile) (*Profile, error) {
	server, resources, err := p.Server()
	if err != nil {
		return nil, err
	}
	r := &Profile{Profile: p, Endpoint: grant.NewEndpoint(server, t.HTTP, t.Now)}
	for _, raw := range resources {
		api, err := origin.Resource(raw)
		if err != nil {
			return nil, err
		}
		r.APIs = append(r.APIs, api)
	}
	return r, nil
}

// share makes p, which nothing uses yet, share what it has in common with another profile of its server: ten thousand
// are to have one.
func (p *Profile) share(other *Profile) {
	p.Endpoint.Share(other.Endpoint)
	for _, same := range []struct{ mine, others *string }{
		{&p.Provider, &other.Provider}, {&p.Issuer, &other.Issuer}, {&p.TokenEndpoint, &other.TokenEndpoint},
		{&p.ClientAuth, &other.ClientAuth}, {&p.Grant, &other.Grant}, {&p.Scope, &other.Scope},
	} {
		if *same.mine == *same.others {
			*same.mine = *same.others
		}
	}
}

// fail remembers why the files cannot be used. loading is held.
func (t *Table) fail(whole *config.Error) {
	t.failure = whole
	if t.spoiled == nil {
		t.spoiled = map[string]string{}
	}
	t.spoiled[whole.File] = config.FileStamp(whole.File)
}

// Find is [Set.Pick], and reads the configuration again where a profile is unknown and the files have changed, or where
// it cannot be used: a person who writes a profile by hand, or mends one, and asks for it means the file as it is now.
// Nothing else reads the files by itself but a login. Find may wait for another caller that replaces the set. Where
// nothing has changed, [Wanted.Knows] is not asked a second time.
func (t *Table) Find(w Wanted) (*Profile, error) {
	was := t.Snapshot()
	p, err := was.Pick(w)
	_, unknown := errors.AsType[*UnknownError](err)
	broken, _ := errors.AsType[*config.Error](err)
	if !unknown && broken == nil {
		return p, err
	}
	if err := t.reloadChanged(broken); err != nil {
		return nil, err
	}
	if now := t.Snapshot(); now != was {
		return now.Pick(w)
	}
	return p, err
}

// retryTime is the least time between two readings of a configuration that cannot be used and looks as it did.
const retryTime = time.Second

// reloadChanged reads the configuration again if profiles were added to its files or removed since that was last done,
// or a file that could not be used has changed; and from time to time if a profile is wanted that cannot be used: what
// is wrong may be a directory. The error is what is wrong with the files as a whole; then the set stays as it was.
func (t *Table) reloadChanged(broken *config.Error) error {
	t.loading.Lock()
	defer t.loading.Unlock()
	read, err := t.readChanged(broken)
	if read && broken == nil { // else what has changed is in the log
		t.Log.Info("the configuration was read again for a profile that is not in it", zap.Error(err))
	}
	return err
}

// readChanged is reloadChanged for a caller that holds loading. It reports whether it has read the configuration.
func (t *Table) readChanged(broken *config.Error) (read bool, err error) {
	stamp, mended := t.Config.Stamp(), t.mended(broken)
	just := time.Since(t.tried) < retryTime && !mended
	switch {
	case stamp != "" && stamp == t.stamp && !mended && (broken == nil || just):
		return false, nil
	case t.failure != nil && just:
		return false, t.failure
	}
	err = t.reload(nil)
	whole, ok := errors.AsType[*config.Error](err)
	if err != nil && !ok {
		return false, err
	}
	t.tried = time.Now()
	if whole != nil {
		t.fail(whole)
	}
	return true, err
}

// CheckSave returns why p could not be saved, or nil: the profile of its name is described in a file that groat never
// writes, or in a way that cannot be used, or nothing can be written. The error is a [*config.Error] or about the
// system.
func (t *Table) CheckSave(p *Profile) error {
	if broken := t.Broken(p.Name); broken != nil { // as far as is known
		if err := t.reloadChanged(broken); err != nil {
			return err
		}
	}
	return t.checkSave(p)
}

func (t *Table) checkSave(p *Profile) error {
	if e := t.Broken(p.Name); e != nil {
		return e
	}
	was := t.Named(p.Name)
	switch {
	case was == p:
		return nil
	case p.Ephemeral && was != nil && !was.Ephemeral:
		return &config.Error{File: was.File, Line: was.Line, Hint: "groat login " + another(was.Name) + " --ephemeral",
			Message: fmt.Sprintf("profile %q is described here, so it cannot be kept in memory only (--ephemeral)",
				was.Name)}
	case p.Ephemeral:
		return nil
	case was != nil && !was.Ephemeral && !t.Config.Wrote(was.Profile):
		return &config.Error{File: was.File, Line: was.Line,
			Hint:    config.Edit(was.File) + " && groat login " + was.Name,
			Message: fmt.Sprintf("profile %q is described here, in a file that groat never writes", was.Name)}
	}
	return t.Config.Savable(p.Profile)
}

// another is a name beside a profile's.
func another(name string) string { return name[:min(len(name), 56)] + "-2" }

// Save makes p the profile of its name: it writes the file, unless p is ephemeral, and takes it over. saved is false
// where p was that profile already; replaced reports whether there was another one. If there is an error, the file is
// as it was before.
func (t *Table) Save(p *Profile) (saved, replaced bool, err error) {
	t.loading.Lock()
	defer t.loading.Unlock()
	was := t.Named(p.Name)
	if was == p {
		return false, false, nil
	}
	if p.Ephemeral {
		if broken := t.Broken(p.Name); broken != nil {
			return false, false, broken
		}
		t.ephemeral[p.Name] = p
		return true, was != nil, t.reload(nil)
	}
	if err := t.reload(nil); err != nil { // the files may have been edited while a person typed
		return false, false, err
	}
	if err := t.checkSave(p); err != nil {
		return false, false, err
	}
	undo, err := t.Config.Save(p.Profile)
	if err != nil {
		return false, false, err
	}
	err = t.reload(p)
	if broken := t.Broken(p.Name); err == nil && broken != nil {
		err = broken
	}
	if err != nil {
		undo() // if this fails too, err is still what to tell
		return false, false, err
	}
	delete(t.ephemeral, p.Name)
	return true, was != nil, nil
}

// Edit makes a profile one that change has changed, as [Table.Save] does, and returns it. The error is change's, an
// [*UnknownError], or as Save's.
func (t *Table) Edit(name string, change func(*config.Profile) error) (*Profile, error) {
	was, err := t.Find(Wanted{Name: name})
	if err != nil {
		return nil, err
	}
	p := was.Profile
	p.Resources = slices.Clone(p.Resources)
	if err := change(&p); err != nil || Same(was.Profile, p) {
		return was, err
	}
	now, err := t.Resolve(p)
	if err != nil {
		return was, &config.Error{File: was.File, Line: was.Line, Message: "was not changed: " + err.Error(),
			Hint: "groat profile show " + was.Name}
	}
	now.Ephemeral = was.Ephemeral
	if err := t.CheckSave(now); err != nil {
		return was, err
	}
	if _, _, err := t.Save(now); err != nil {
		return was, err
	}
	return t.Named(was.Name), nil
}

// Remove removes a profile's file, or the profile that is in no file. Where a file that groat never writes describes
// the profile, it stays, and still is called with it while the table is locked.
func (t *Table) Remove(name string, still func(*Profile)) error {
	t.loading.Lock()
	defer t.loading.Unlock()
	delete(t.ephemeral, name)
	if _, err := t.Config.Remove(name); err != nil {
		return err
	}
	err := t.reload(nil)
	if p := t.Named(name); p != nil {
		still(p)
	}
	return err
}
