// Package export keeps files with a token current, for programs that read one and cannot ask groatd. It runs a program
// of the person's after a replacement, where that is wanted.
//
// A file is replaced as a whole, before its token ends; its mode is 0600. The invariants: a file never holds a token
// longer than that is good, as long as a groatd runs; nothing that groat has not written is replaced or removed; a file
// is made only where no other user can put something else in its place.
package export

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/watch"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// Options is what Exports are made of. All members are required but StateDir and Hooks.
type Options struct {
	// StateDir is where the list of files outlives the daemon; if it is empty, nothing does.
	StateDir string
	// Hooks is the directory of the programs that may be run after a file was replaced; if it is empty, there are none.
	Hooks string
	// Token returns a token that is good for minTTL at least; 0 leaves that to the broker. It bounds its own time.
	Token func(ctx context.Context, of Variant, minTTL time.Duration) (grant.Token, error)
	// Hold says whether a profile's token is renewed also where no client asks for it. It counts: each true is taken
	// back by one false.
	Hold func(profile string, held bool)
	// Wire returns what a person is told for an error about a profile.
	Wire    func(err error, profile string) *protocol.Error
	Watches *watch.Hub
	Now     clock.Func
	Log     *zap.Logger
}

// Exports is the files that are kept. Its methods are safe for concurrent use.
type Exports struct {
	Options
	changing sync.Mutex // held while a file begins or ceases to be kept
	mu       sync.Mutex // guards all
	all      map[string]*keeper
	saving   sync.Mutex // held while the list is written
	list     list
	ending   sync.WaitGroup  // those that end by themselves, and hooks
	hooks    context.Context // ends with the Exports
	endHooks context.CancelFunc
	closed   bool // guarded by changing
}

// New returns Exports that keep no file yet; [Exports.Resume] goes on with those of an earlier daemon.
func New(o Options) *Exports {
	x := &Exports{Options: o, all: map[string]*keeper{}, list: list{dir: o.StateDir}}
	x.hooks, x.endHooks = context.WithCancel(context.Background())
	return x
}

// Start writes a file, and keeps it. One that is kept already for the same profile in the same form is kept as long as
// is wanted now: where that is a process, also as long as those run for which it is kept already. What cannot be had or
// written now is not kept: the error says why.
func (x *Exports) Start(ctx context.Context, w Wanted) (protocol.Export, error) {
	t, err := x.Token(ctx, w.Variant, 0)
	if err != nil {
		return protocol.Export{}, x.Wire(err, w.Profile)
	}
	x.changing.Lock()
	defer x.changing.Unlock()
	if x.closed {
		return protocol.Export{}, protocol.NewError(protocol.Temporary, "groatd is ending", "groat status")
	}
	was := x.keeper(w.Path)
	switch {
	case was != nil && (was.Variant != w.Variant || was.Form != w.Form):
		return protocol.Export{}, protocol.NewError(protocol.Config, fmt.Sprintf("%s is kept already: the %s of %s",
			w.Path, forms[was.Form].what, was.Variant), stopHint(w.Path))
	case was == nil && len(x.keepers()) == protocol.MaxExports:
		return protocol.Export{}, protocol.NewError(protocol.Config,
			fmt.Sprintf("%d files are kept already, which is as many as may be", protocol.MaxExports), "groat export")
	}
	if err := w.checkName(); err != nil {
		return protocol.Export{}, err
	}
	k := x.newKeeper(w)
	if err := k.hook.check(); err != nil {
		return protocol.Export{}, err
	}
	if err := k.locate(); err != nil {
		return protocol.Export{}, fileError(err)
	}
	if twin := x.twin(k); twin != "" {
		return protocol.Export{}, protocol.NewError(protocol.Config,
			fmt.Sprintf("%s is kept already, as %s", w.Path, twin), stopHint(twin))
	}
	if w.PID != 0 {
		if k.processes, err = x.join(was, w.PID); err != nil {
			return protocol.Export{}, err
		}
	}
	if was != nil {
		was.halt()
		k.inherit(was)
		k.takeHook(was)
	}
	x.know(k) // before the file is: what a crash leaves is the next daemon's
	if err := k.put(t); err != nil {
		if was == nil {
			k.processes.giveWay(nil)
			x.forget(k)
		} else {
			k.processes.giveWay(was.processes)
			x.run(was.again())
		}
		return protocol.Export{}, fileError(err)
	}
	x.run(k)
	if was != nil {
		was.processes.giveWay(k.processes)
	}
	x.save()
	return k.shown(), nil
}

// join returns those for which a file is kept, which may be nil, and one process more. The error is a
// [*protocol.Error]. x.changing is held.
func (x *Exports) join(was *keeper, pid int) (*processes, error) {
	n := 0
	for _, k := range x.keepers() {
		n += len(k.processes.list())
	}
	if n >= protocol.MaxExportProcesses {
		return nil, protocol.NewError(protocol.Config,
			fmt.Sprintf("files are kept for %d processes already, which is as many as may be", n), "groat export")
	}
	p, err := follow(pid)
	if err != nil {
		return nil, protocol.NewError(protocol.Config, fmt.Sprintf("process %d cannot be followed: %s", pid, err),
			"ps -p "+fmt.Sprint(pid))
	}
	var all []*process
	if was != nil {
		all = was.processes.others(pid)
	}
	return followed(append([]*process{p}, all...)), nil
}

func stopHint(path string) string { return "groat export --stop " + visible.Word(path) }

// run lets a keeper run. x.changing is held.
func (x *Exports) run(k *keeper) {
	x.know(k)
	k.start()
}

func (x *Exports) know(k *keeper) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all[k.Path] = k
}

func (x *Exports) forget(k *keeper) {
	x.mu.Lock()
	delete(x.all, k.Path)
	x.mu.Unlock()
	x.save()
}

// twin returns the path of a file that is kept and is the same as a keeper's, over a symbolic link or a mount, or "".
func (x *Exports) twin(k *keeper) string {
	for _, other := range x.keepers() {
		if other.Path != k.Path && filepath.Base(other.Path) == filepath.Base(k.Path) && other.isIn(k.directory()) {
			return other.Path
		}
	}
	return ""
}

// List returns the files that are kept, sorted by path.
func (x *Exports) List() []protocol.Export {
	all := []protocol.Export{}
	for _, k := range x.keepers() {
		all = append(all, k.shown())
	}
	return fitting(all)
}

// maxListing is how long a listing is at most as JSON, in bytes: an answer is one line.
const maxListing = protocol.MaxLine - 2<<10

// fitting leaves out of a listing what is too long: the ends of scopes and audiences first, then hints, then messages.
func fitting(all []protocol.Export) []protocol.Export {
	for _, shorten := range []func(*protocol.Export){
		func(e *protocol.Export) {
			e.Scope, e.Audience = e.Scope[:min(len(e.Scope), 64)], e.Audience[:min(len(e.Audience), 64)]
		},
		func(e *protocol.Export) { e.Hint = "" },
		func(e *protocol.Export) { e.Message = "" },
	} {
		if text, err := json.Marshal(all); err == nil && len(text) <= maxListing {
			break
		}
		for i := range all {
			shorten(&all[i])
		}
	}
	return all
}

// Stop ends keeping a file, which is removed, or all files where path is empty. It returns what was kept.
func (x *Exports) Stop(path string) ([]protocol.Export, error) {
	if path != "" {
		if err := checkPath(path); err != nil {
			return nil, err
		}
	}
	x.changing.Lock()
	defer x.changing.Unlock()
	stopped := []protocol.Export{}
	var failed error
	for _, k := range x.keepers() {
		if path != "" && path != k.Path {
			continue
		}
		e := k.shown()
		failed = cmp.Or(failed, x.end(k))
		if e.Message, e.Hint = "", ""; k.foreign {
			e.Message = "what is there was not written by groat; it is not removed"
		}
		stopped = append(stopped, e)
	}
	if failed != nil {
		return nil, fileError(failed)
	}
	if path != "" && len(stopped) == 0 {
		return nil, protocol.NewError(protocol.Config, path+" is no file that groat keeps", "groat export")
	}
	return stopped, nil
}

// end ends keeping a file and removes it. It is kept on where it cannot be removed. x.changing is held.
func (x *Exports) end(k *keeper) error {
	k.halt()
	if err := k.remove(); err != nil {
		x.run(k.again())
		return err
	}
	k.processes.giveWay(nil)
	x.forget(k)
	return nil
}

// over ends a keeper whose time has come. Its own goroutine has ended.
func (x *Exports) over(k *keeper) {
	x.changing.Lock()
	defer x.changing.Unlock()
	if x.closed || x.keeper(k.Path) != k {
		return
	}
	if err := x.end(k); err != nil {
		x.Log.Warn("a file with a token cannot be removed", zap.String("file", k.Path), zap.Error(err))
	}
}

// Close ends keeping without removing a file: the next daemon goes on.
func (x *Exports) Close() {
	x.changing.Lock()
	x.closed = true
	x.changing.Unlock()
	x.endHooks()
	all := x.keepers()
	for _, k := range all {
		k.stop() // all at once: a file system may not answer any of them
	}
	for _, k := range all {
		k.halt()
		k.processes.giveWay(nil)
	}
	x.ending.Wait()
}

// Resume goes on with what an earlier daemon kept. A file whose time has come meanwhile is removed.
func (x *Exports) Resume() {
	x.changing.Lock()
	defer x.changing.Unlock()
	entries, err := x.list.read()
	if err != nil {
		x.Log.Warn("which files are kept current is not known any more", zap.String("file", x.list.path()),
			zap.Error(err))
		return
	}
	for _, e := range entries {
		k := x.newKeeper(e.wanted())
		k.written, k.expires, k.trace = len(e.Marks) > 0, e.ExpiresAt, trace{draft: e.Draft, marks: e.Marks}
		if len(e.Processes) > 0 {
			if all := e.running(); len(all) > 0 {
				k.processes = followed(all)
			} else {
				k.over = true
			}
		}
		x.run(k)
	}
	if len(entries) > 0 {
		x.save()
	}
}

// save records what is kept. A list that cannot be written is only lost for the next daemon.
func (x *Exports) save() {
	x.saving.Lock()
	defer x.saving.Unlock()
	var entries []entry
	for _, k := range x.keepers() {
		entries = append(entries, k.entry())
	}
	if err := x.list.write(entries); err != nil {
		x.Log.Warn("which files are kept current is not known to the next groatd", zap.String("file", x.list.path()),
			zap.Error(err))
	}
}

func (x *Exports) keeper(path string) *keeper {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.all[path]
}

// keepers returns all, sorted by path.
func (x *Exports) keepers() (all []*keeper) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(x.all)) {
		all = append(all, x.all[path])
	}
	return all
}
