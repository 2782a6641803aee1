package export

import (
	"context"
	"sync"
	"time"

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
	processes *processes // whose end is the keeper's, or nil
	watch     *watch.Watch
	changed   chan struct{} // holds an element when the profile has changed
	stop      context.CancelFunc
	done      chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	content keystore.Secret // what the file holds; empty where that is not known
	written bool            // there is a file
	expires int64           // when its token ends, Unix seconds; 0: it does not
	problem *protocol.Error // why the file is not current, or nil
}

// start begins to keep the file, whose profile's token is renewed from now on although nobody asks for it.
func (k *keeper) start() {
	k.x.Hold(k.Profile, true)
	w, _ := k.x.Watches.Add(k.Profile, func(protocol.Change) { k.wake() })
	w.Start()
	ctx, stop := context.WithCancel(context.Background())
	k.watch, k.stop = w, stop
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
	k.mu.Lock()
	defer k.mu.Unlock()
	next := &keeper{x: k.x, Wanted: k.Wanted, processes: k.processes, changed: make(chan struct{}, 1),
		done: make(chan struct{}), content: k.content, written: k.written, expires: k.expires, problem: k.problem}
	next.wake()
	return next
}

// run keeps the file until ctx ends, or what it is kept for.
func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	var next time.Time // when to look at the token though nothing has changed; zero: never
	failures := 0
	for {
		wait := time.NewTimer(k.pause(next))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-k.processes.ended():
			wait.Stop()
			k.end()
			return
		case <-k.changed:
		case <-wait.C:
			if k.EndsAt != 0 && k.x.Now().Wall.Unix() >= k.EndsAt {
				k.end()
				return
			}
			if next.IsZero() || time.Now().Before(next) {
				continue
			}
		}
		wait.Stop()
		next = time.Time{}
		if again := k.update(ctx, &failures); again > 0 {
			next = time.Now().Add(again)
		}
	}
}

// end has the keeper ended when its goroutine has returned.
func (k *keeper) end() { k.x.ending.Go(func() { k.x.over(k) }) }

// pause is how long to wait before next, or the end.
func (k *keeper) pause(next time.Time) time.Duration {
	wait := 24 * time.Hour
	if !next.IsZero() {
		wait = max(time.Until(next), 0)
	}
	if k.EndsAt != 0 {
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
		wait := lastRetry
		if *failures < 5 { // 2^5 s is beyond the longest
			wait = firstRetry << *failures
		}
		*failures++
		return wait
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
	if k.written && k.expires != 0 {
		wait = min(wait, time.Duration(k.expires-k.x.Now().Wall.Unix())*time.Second)
	}
	return max(wait, time.Second)
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
	if err := write(k.Path, content); err != nil {
		return err
	}
	k.mu.Lock()
	k.content, k.written, k.problem, k.expires = content, true, nil, 0
	if !t.Static {
		now := k.x.Now()
		k.expires = now.Wall.Add(t.Remaining(now)).Unix()
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
	ended := k.written && k.expires != 0 && k.x.Now().Wall.Unix() >= k.expires
	k.mu.Unlock()
	if !ended {
		return nil
	}
	return k.remove()
}

// remove removes the file.
func (k *keeper) remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.written {
		return nil
	}
	if err := remove(k.Path); err != nil {
		return err
	}
	k.content, k.written, k.expires = keystore.Secret{}, false, 0
	return nil
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
		ExpiresAt: k.expires, EndsAt: k.EndsAt}
	if all := k.processes.list(); len(all) > 0 {
		e.WhilePID, e.WhileOthers = all[0].pid, len(all)-1
	}
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
	e := entry{Path: k.Path, Profile: k.Profile, Form: k.Form, EndsAt: k.EndsAt, ExpiresAt: k.expires}
	for _, p := range k.processes.list() {
		e.Processes = append(e.Processes, entryProcess{PID: p.pid, Began: p.began})
	}
	return e
}
