package export

import (
	"context"
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
	// endCheck is how often a keeper that ends at a time looks at the clock: a timer does not count a suspend.
	endCheck = time.Minute
)

// keeper keeps one file. Its goroutine is the only one that writes the file while it runs.
type keeper struct {
	x *Exports
	Wanted
	process *process // whose end is the keeper's, or nil
	watch   *watch.Watch
	changed chan struct{} // holds an element when the profile has changed
	disk    chan struct{} // holds an element while the file is being written or removed
	over    bool          // what it is kept for has ended; the goroutine's
	stop    context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	content keystore.Secret // what the file holds; empty where that is not known
	written bool            // there is a file
	expires int64           // when its token ends, Unix seconds; 0: it does not
	ends    time.Duration   // the same in boot time; 0: it is known from the list only
	problem *protocol.Error // why the file is not current, or nil
	trace   trace
	foreign bool // something that is not groat's was in the file's place when it was to be removed
}

// newKeeper returns a keeper that does not run yet.
func (x *Exports) newKeeper(w Wanted) *keeper {
	return &keeper{x: x, Wanted: w, changed: make(chan struct{}, 1), disk: make(chan struct{}, 1),
		done: make(chan struct{})}
}

// start begins to keep the file, whose profile's token is renewed from now on although nobody asks for it.
func (k *keeper) start() {
	k.x.Hold(k.Profile, true)
	w, _ := k.x.Watches.Add(k.Profile, func(protocol.Change) { k.wake() })
	w.Start()
	ctx, stop := context.WithCancel(context.Background())
	k.watch, k.stop = w, stop
	k.wake() // the token may have changed before the watch began
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
	k.x.Hold(k.Profile, false)
}

// again is a keeper that goes on where a halted one was.
func (k *keeper) again() *keeper {
	next := k.x.newKeeper(k.Wanted)
	next.process = k.process
	next.follow(k)
	k.mu.Lock()
	defer k.mu.Unlock()
	next.content, next.written, next.problem = k.content, k.written, k.problem
	next.expires, next.ends = k.expires, k.ends
	return next
}

// follow takes over what a halted keeper of the same path knows of the disk.
func (k *keeper) follow(was *keeper) {
	was.mu.Lock()
	defer was.mu.Unlock()
	k.disk, k.trace = was.disk, was.trace
}

// run keeps the file until ctx ends, or what it is kept for.
func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	var next time.Time // when to look at the token though nothing has changed; zero: never
	ended, failures := k.process.ended(), 0
	for {
		wait := time.NewTimer(k.pause(next))
		due := false
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-ended:
			k.over, ended, next = true, nil, time.Time{}
		case <-k.changed:
			due = !k.over
		case <-wait.C:
			due = !next.IsZero() && !time.Now().Before(next)
		}
		wait.Stop()
		if !k.over && k.EndsAt != 0 && k.x.Now().Wall.Unix() >= k.EndsAt {
			k.over, next = true, time.Time{}
		}
		switch {
		case k.over && (due || next.IsZero()):
			if k.finish(&failures) {
				return
			}
			next = time.Now().Add(retry(&failures))
		case due:
			next = time.Time{}
			if again := k.update(ctx, &failures); again > 0 {
				next = time.Now().Add(again)
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
func (k *keeper) pause(next time.Time) time.Duration {
	wait := 24 * time.Hour
	if !next.IsZero() {
		wait = max(time.Until(next), 0)
	}
	if k.EndsAt != 0 && !k.over {
		left := time.Duration(k.EndsAt-k.x.Now().Wall.Unix()) * time.Second
		wait = min(wait, endCheck, max(left, 0))
	}
	return wait
}

// update writes the token that is current, or removes a file whose token is not good any more. It returns after which
// time to do so again, 0: only when the profile changes.
func (k *keeper) update(ctx context.Context, failures *int) time.Duration {
	bounded, cancel := context.WithTimeout(ctx, tokenTime)
	t, err := k.x.Token(bounded, k.Profile)
	cancel()
	if ctx.Err() != nil {
		return 0
	}
	if err == nil {
		if err = k.put(t); err == nil {
			*failures = 0
			return 0
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

// beforeEnd shortens a wait to the end of the token in the file, which is removed then.
func (k *keeper) beforeEnd(wait time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if left, ends := k.left(); ends {
		wait = min(wait, left)
	}
	return max(wait, time.Second)
}

// left returns how long the token in the file is good for, by boot time, which nobody sets; ends is false where it does
// not end, or there is no file. k.mu is held.
func (k *keeper) left() (left time.Duration, ends bool) {
	now := k.x.Now()
	if k.ends != 0 {
		return k.ends - now.Boot, true
	}
	return time.Duration(k.expires-now.Wall.Unix()) * time.Second, k.written && k.expires != 0
}

// put writes a token, if the file does not hold it yet.
func (k *keeper) put(t grant.Token) error {
	content, err := render(k.Form, k.Profile, t)
	if err != nil {
		return err
	}
	k.mu.Lock()
	same := k.written && content.Equal(k.content)
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
	e := protocol.Export{Path: k.Path, Profile: k.Profile, Form: k.Form, State: protocol.ExportCurrent,
		ExpiresAt: k.expires, WhilePID: k.PID, EndsAt: k.EndsAt}
	if p := k.problem; p != nil {
		e.State, e.Message, e.Hint = protocol.ExportStale, p.Message, p.Hint()
		if len(e.Message) > maxMessage {
			e.Message = e.Message[:maxMessage]
		}
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
	e := entry{Path: k.Path, Profile: k.Profile, Form: k.Form, PID: k.PID, EndsAt: k.EndsAt, ExpiresAt: k.expires}
	e.Draft, e.Marks = k.trace.draft, k.trace.marks
	if k.process != nil {
		e.Began = k.process.began
	}
	return e
}
