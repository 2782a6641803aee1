package export

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/watch"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

const (
	// tokenTime is how long a keeper waits for a token.
	tokenTime = 30 * time.Second
	// firstRetry and lastRetry are the waits after a file could not be written; the wait doubles. longestWait is the
	// longest wait for a token: asking groatd itself costs no server anything.
	firstRetry, lastRetry = time.Second, 30 * time.Second
	longestWait           = 5 * time.Minute
	// variantLook is how often a keeper asks for a token that is not the profile's default one: nothing tells of it.
	variantLook = 30 * time.Second
	// clockCheck is how often a keeper that waits for a time looks at the clock: a timer does not count a suspend.
	clockCheck = time.Minute
)

// keeper keeps one file. Its goroutine is the only one that writes the file while it runs.
type keeper struct {
	x *Exports
	Wanted
	processes *processes // whose end is the keeper's, or nil
	watch     *watch.Watch
	changed   chan struct{} // holds an element when the profile has changed
	disk      chan struct{} // holds an element while the file is being written or removed
	hook      *hook
	over      bool // what it is kept for has ended; the goroutine's
	stop      context.CancelFunc
	done      chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	content keystore.Secret // what the file holds; empty where that is not known
	written bool            // there is a file
	expires int64           // when its token ends, Unix seconds; 0: it does not
	ends    time.Duration   // the same in boot time; 0: it is known from the list only
	problem *protocol.Error // why the file is not current, or nil
	flaw    string          // why it will not do although it is current, or empty
	trace   trace
	foreign bool // something that is not groat's was in the file's place when it was to be removed
}

// newKeeper returns a keeper that does not run yet.
func (x *Exports) newKeeper(w Wanted) *keeper {
	return &keeper{x: x, Wanted: w, changed: make(chan struct{}, 1), disk: make(chan struct{}, 1),
		done: make(chan struct{}), hook: &hook{x: x, name: w.Hook, file: w.Path, profile: w.Profile}}
}

// start begins to keep the file. A profile's default token is held from now on, so that it is renewed also where no
// client asks for it; one of another scope or audience is, since the keeper asks for it again and again.
func (k *keeper) start() {
	if k.isDefault() {
		k.x.Hold(k.Profile, true)
	}
	w, _ := k.x.Watches.Add(k.Profile, func(protocol.Change) { k.wake() })
	w.Start()
	ctx, stop := context.WithCancel(context.Background())
	k.watch, k.stop = w, stop
	k.wake() // the token may have changed before the watch began, and the keeper has to know when to look next
	go k.run(ctx)
}

// wake makes the keeper look at the token.
func (k *keeper) wake() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// halt ends the goroutine and waits for it.
func (k *keeper) halt() {
	k.stop()
	<-k.done
	k.watch.End()
	if k.isDefault() {
		k.x.Hold(k.Profile, false)
	}
}

// again is a keeper that goes on where a halted one was.
func (k *keeper) again() *keeper {
	next := k.x.newKeeper(k.Wanted)
	next.processes, next.hook = k.processes, k.hook
	next.inherit(k)
	k.mu.Lock()
	defer k.mu.Unlock()
	next.content, next.written, next.problem = k.content, k.written, k.problem
	next.expires, next.ends = k.expires, k.ends
	return next
}

// inherit takes over what a halted keeper of the same path knows of the disk.
func (k *keeper) inherit(was *keeper) {
	was.mu.Lock()
	defer was.mu.Unlock()
	k.disk, k.trace = was.disk, was.trace
}

// takeHook takes over the hook of a halted keeper of the same path, if it is the same: one of it runs at a time, and
// not again for the same content.
func (k *keeper) takeHook(was *keeper) {
	if k.hook.name != was.hook.name {
		return
	}
	was.mu.Lock()
	defer was.mu.Unlock()
	k.hook, k.content = was.hook, was.content
}

// run keeps the file until ctx ends, or what it is kept for.
func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	var next time.Duration // boot time of the next look at the token though nothing has changed; 0: never
	ended, failures := k.processes.ended(), 0
	for {
		wait := time.NewTimer(k.pause(next))
		due := false
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-ended:
			k.over, ended, next = true, nil, 0
		case <-k.changed:
			due = !k.over
		case <-wait.C:
			due = next != 0 && k.x.Now().Boot >= next
		}
		wait.Stop()
		if !k.over && k.EndsAt != 0 && k.x.Now().Wall.Unix() >= k.EndsAt {
			k.over, next = true, 0
		}
		switch {
		case k.over && (due || next == 0):
			if k.finish(&failures) {
				return
			}
			next = k.x.Now().Boot + retry(&failures)
		case due:
			next = 0
			if again := k.update(ctx, &failures); again > 0 {
				next = k.x.Now().Boot + again
			}
		}
	}
}

// finish removes the file, whose time has come, and has the keeper ended. Where that fails it reports false.
func (k *keeper) finish(failures *int) bool {
	err := k.remove()
	if err == nil {
		k.end()
		return true
	}
	if k.report(fileError(err)); *failures == 0 {
		k.x.Log.Warn("a file with a token cannot be removed", zap.String("file", k.Path), zap.Error(err))
	}
	return false
}

// retry is the wait before what has failed on the disk is tried again.
func retry(failures *int) time.Duration {
	wait := lastRetry
	if *failures < 5 { // 2^5 s is beyond the longest
		wait = firstRetry << *failures
	}
	*failures++
	return wait
}

// end has the keeper ended when its goroutine has returned.
func (k *keeper) end() { k.x.ending.Go(func() { k.x.over(k) }) }

// pause is how long to wait before next, or the end.
func (k *keeper) pause(next time.Duration) time.Duration {
	wait, now := 24*time.Hour, k.x.Now()
	if next != 0 {
		wait = min(clockCheck, max(next-now.Boot, 0))
	}
	if k.EndsAt != 0 && !k.over {
		left := time.Duration(k.EndsAt-now.Wall.Unix()) * time.Second
		wait = min(wait, clockCheck, max(left, 0))
	}
	return wait
}

// update writes the token that is current, or removes a file whose token is not good any more. It returns after which
// time to do so again, 0: only when the profile changes.
func (k *keeper) update(ctx context.Context, failures *int) time.Duration {
	t, err := k.token(ctx)
	if ctx.Err() != nil {
		return 0
	}
	if err == nil {
		if err = k.put(t); err == nil {
			*failures = 0
			return k.nextLook(t)
		}
		k.report(fileError(err))
		k.expire()
		return retry(failures)
	}
	e := k.x.Wire(err, k.Profile)
	k.report(e)
	wait := longestWait
	if e.Data != nil && e.Data.RetryAfter > 0 {
		wait = min(time.Duration(e.Data.RetryAfter)*time.Second, longestWait)
	}
	if kind := e.Kind(); kind == protocol.LoginRequired || kind == protocol.UnknownProfile {
		err = k.remove()
	} else {
		err = k.expire()
	}
	if err != nil {
		k.report(fileError(err))
		return firstRetry
	}
	return k.beforeEnd(wait)
}

// token returns the token that is current, or a newer one where the programs that read the file would renew it soon by
// themselves.
func (k *keeper) token(ctx context.Context) (grant.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTime)
	defer cancel()
	t, err := k.x.Token(ctx, k.Variant, 0)
	if err != nil {
		return t, err
	}
	if ahead := k.ahead(t); ahead > t.Remaining(k.x.Now()) {
		if newer, err := k.x.Token(ctx, k.Variant, ahead); err == nil {
			return newer, nil
		}
	}
	return t, nil
}

// ahead is with which remaining life a token is replaced at the latest, or 0 where the broker alone decides that: also
// where there is no other token.
func (k *keeper) ahead(t grant.Token) time.Duration {
	of := forms[k.Form].ahead
	if of == nil || t.Static || t.Kept || t.Last {
		return 0
	}
	return of(t.Lifetime)
}

// nextLook is when to look again after a token was written, 0: when the profile changes.
func (k *keeper) nextLook(t grant.Token) (wait time.Duration) {
	if ahead := k.ahead(t); ahead > 0 {
		left := t.Remaining(k.x.Now())
		wait = left - ahead
		if wait <= 0 { // there is no newer one yet
			wait = min(max(left/8, firstRetry), lastRetry)
		}
	}
	if !k.isDefault() && (wait == 0 || wait > variantLook) {
		wait = variantLook
	}
	return wait
}

// beforeEnd shortens a wait to the end of the token in the file, which is removed then.
func (k *keeper) beforeEnd(wait time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if left, ends := k.left(); ends {
		wait = min(wait, left)
	}
	return max(wait, time.Second)
}

// left returns how long the token in the file is good for, by boot time, which nothing sets. It reports false where the
// token does not end, or there is no file. k.mu is held.
func (k *keeper) left() (left time.Duration, ends bool) {
	now := k.x.Now()
	if k.ends != 0 {
		return k.ends - now.Boot, true
	}
	return time.Duration(k.expires-now.Wall.Unix()) * time.Second, k.written && k.expires != 0
}

// put writes a token, if the file does not hold it yet.
func (k *keeper) put(t grant.Token) error {
	form := forms[k.Form]
	content, err := form.render(k.Profile, t)
	if err != nil {
		return err
	}
	k.mu.Lock()
	known := content.Equal(k.content)
	same := k.written && known
	if k.flaw = ""; form.flaw != nil {
		k.flaw = form.flaw(t)
	}
	k.mu.Unlock()
	if same {
		k.report(nil)
		return nil
	}
	if err := k.write(content); err != nil {
		return err
	}
	k.mu.Lock()
	k.content, k.written, k.problem, k.expires, k.ends = content, true, nil, 0, 0
	if !t.Static {
		now := k.x.Now()
		left := t.Remaining(now)
		k.expires, k.ends = now.Wall.Add(left).Unix(), now.Boot+left
	}
	k.mu.Unlock()
	if !known {
		k.hook.fire()
	}
	if k.watch != nil { // it runs: otherwise who starts it saves
		k.x.save()
	}
	return nil
}

// expire removes a file whose token has ended.
func (k *keeper) expire() error {
	k.mu.Lock()
	left, ends := k.left()
	k.mu.Unlock()
	if !ends || left > 0 {
		return nil
	}
	return k.remove()
}

func (k *keeper) report(e *protocol.Error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.problem = e
}

// maxMessage is how much of a message a listing shows, in bytes.
const maxMessage = 300

// shown is what people are told of the file.
func (k *keeper) shown() protocol.Export {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := protocol.Export{Path: k.Path, Profile: k.Profile, Form: k.Form, Scope: k.Scope, Audience: k.Audience,
		OnChange: k.Hook, State: protocol.ExportCurrent, Message: k.flaw, ExpiresAt: k.expires, EndsAt: k.EndsAt}
	if all := k.processes.list(); len(all) > 0 {
		e.WhilePID, e.WhileOthers = all[0].pid, len(all)-1
	}
	if p := k.problem; p != nil {
		e.State, e.Message, e.Hint = protocol.ExportStale, p.Message, p.Hint()
	}
	if e.Message == "" {
		e.Message, e.Hint = k.hook.shown()
	}
	if len(e.Message) > maxMessage {
		e.Message = strings.ToValidUTF8(e.Message[:maxMessage], "")
	}
	if !k.written {
		e.State = protocol.ExportMissing
	}
	return e
}

// entry is what the next daemon has to know.
func (k *keeper) entry() entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := entry{Path: k.Path, Profile: k.Profile, Form: k.Form, Scope: k.Scope, Audience: k.Audience, Hook: k.Hook,
		EndsAt: k.EndsAt, ExpiresAt: k.expires}
	e.Draft, e.Marks = k.trace.draft, k.trace.marks
	for _, p := range k.processes.list() {
		e.Processes = append(e.Processes, entryProcess{PID: p.pid, Began: p.began})
	}
	return e
}
