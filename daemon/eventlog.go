package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
)

// remindAfter is the least time between two lines of the log about the same state of a profile.
const remindAfter = time.Hour

// standing is what the log says of a profile.
type standing int

const (
	well     standing = iota
	retrying          // a request has failed, and time brings the next one
	parked            // no request leaves until a person acts
	signedOut
)

// what are the lines of a standing: when it begins, and where it goes on.
var what = map[standing][2]string{
	retrying:  {"a token request has failed and is tried again", "token requests still fail and are tried again"},
	parked:    {"no token is asked for until a person acts", "no token is asked for still, until a person acts"},
	signedOut: {"a login is needed", "a login is still needed"},
}

// eventLog writes a line to the log for each change of what keeps profiles from new tokens, and none for a request.
// What lasts is told again after remindAfter at the earliest, with the number of requests that it has cost. A keystore
// that cannot be used is one line, however many profiles wait for it.
type eventLog struct {
	d       *Daemon
	changes chan struct{} // holds an element when [Daemon.Summary] may be another one

	mu       sync.Mutex
	said     map[string]*told         // :: profile → what was told last; those that are well have none
	waiting  map[string]time.Duration // :: profile that waits for the keystore → since when it does not, 0: it does
	keystore protocol.Kind            // why they do
}

// settled is how long no profile waits for the keystore before that is told: a keychain may seem open while it is not.
const settled = 10 * time.Second

// told is what was told of a profile.
type told struct {
	standing standing
	since    time.Duration // boot time
	at       time.Duration // of the last line
	requests int64         // of the profile, when it began
}

func newEventLog(d *Daemon) *eventLog {
	return &eventLog{d: d, changes: make(chan struct{}, 1), said: map[string]*told{},
		waiting: map[string]time.Duration{}}
}

// changed looks at a profile that may have changed. The profile's owner calls it after each step.
func (l *eventLog) changed(name string) {
	b, exists := l.d.broker.Status(name)
	now, e := well, (*protocol.Error)(nil)
	if exists && b.Err != nil {
		now, e = l.judge(name, b)
	}
	var unstored *protocol.Error // the keystore's own, or nil
	switch {
	case b.Err != nil && b.AwaitsKeystore():
		unstored = e
	case b.Degraded != nil:
		unstored, _ = wire.Error(b.Degraded, l.d.context(name))
	}
	for _, say := range l.compare(name, b, now, e, unstored) {
		say()
	}
}

// lookAgain looks at the profiles that wait for the keystore, every watchEvery: what is in memory only is stored by no
// step of a profile.
func (l *eventLog) lookAgain() {
	l.mu.Lock()
	names := slices.Collect(maps.Keys(l.waiting))
	l.mu.Unlock()
	for _, name := range names {
		l.changed(name)
	}
	l.mu.Lock()
	over := len(l.waiting) > 0
	for _, since := range l.waiting {
		over = over && since != 0 && l.d.Now().Boot-since >= settled
	}
	if over {
		clear(l.waiting)
		l.keystore = ""
	}
	l.mu.Unlock()
	if over {
		l.d.Log.Info("the keystore can be used again")
		l.poke()
	}
}

// judge says what a failure means for the log.
func (l *eventLog) judge(name string, b broker.Status) (standing, *protocol.Error) {
	e, _ := wire.Error(&broker.Unavailable{Err: b.Err, RetryAfter: b.RetryIn}, l.d.context(name))
	_, answered := errors.AsType[*grant.Error](b.Err)
	_, outage := errors.AsType[*broker.Outage](b.Err)
	switch kind := e.Kind(); {
	case b.AwaitsKeystore():
		return well, e
	case kind == protocol.LoginRequired:
		return signedOut, e
	case kind != protocol.Temporary:
		return parked, e
	case answered || outage:
		return retrying, e
	}
	return well, e // a caller asks too often, or groatd ends
}

// compare takes over what a profile is like now, and returns the lines to write. e is what it lacks a token for, and
// unstored what the keystore has; each may be nil.
func (l *eventLog) compare(name string, b broker.Status, now standing,
	e, unstored *protocol.Error) (say []func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.said[name]
	since, waited := l.waiting[name]
	waits := unstored != nil
	if now == well && last == nil && !waits && !waited { // nearly always
		return nil
	}
	log, boot := l.d.Log, l.d.Now().Boot
	switch {
	case waits:
		if l.waiting[name] = 0; len(l.waiting) == 1 && !waited {
			l.keystore = unstored.Kind()
			say = append(say, func() {
				log.Warn("the keystore cannot be used", zap.String("kind", string(unstored.Kind())),
					zap.String("error", unstored.Message), zap.String("next", unstored.Hint()))
			})
			l.poke()
		}
	case waited && since == 0:
		l.waiting[name] = boot
	}
	again := last != nil && last.standing == now
	switch {
	case b.AwaitsKeystore(), now == well && last == nil, again && boot-last.at < remindAfter:
		return say
	case now == well:
		delete(l.said, name)
		l.poke()
		if b.Err != nil || b.Tokens == 0 {
			return say // it is gone, or starts anew
		}
		return append(say, func() {
			log.Info("tokens come again", zap.String("profile", name), zap.Duration("after", boot-last.since),
				zap.Int64("requests", b.Requests-last.requests))
		})
	}
	fields := []zap.Field{zap.String("profile", name), zap.String("kind", string(e.Kind())),
		zap.String("error", e.Message)}
	line := what[now][0]
	if again {
		line = what[now][1]
		fields = append(fields, zap.Duration("for", boot-last.since), zap.Int64("requests", b.Requests-last.requests))
	} else {
		last = &told{standing: now, since: boot, requests: b.Requests}
		l.said[name] = last
		l.poke()
	}
	last.at = boot
	if now == retrying {
		fields = append(fields, zap.Duration("retry_in", b.RetryIn.Round(time.Second)))
	} else {
		fields = append(fields, zap.String("next", e.Hint()))
	}
	return append(say, func() { log.Warn(line, fields...) })
}

// poke says that the summary may be another one.
func (l *eventLog) poke() {
	select {
	case l.changes <- struct{}{}:
	default:
	}
}

// needing returns the profiles that need a person, and the kind of what keeps the keystore from being used, or "".
func (l *eventLog) needing() (all map[string]standing, keystore protocol.Kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all = map[string]standing{}
	for name, t := range l.said {
		if t.standing != retrying {
			all[name] = t.standing
		}
	}
	return all, l.keystore
}

// Summary says in a line how many profiles there are, and what a person has to do.
func (d *Daemon) Summary() string {
	set := d.profiles.Snapshot()
	if set.Err() != nil {
		return "the configuration cannot be used: groatd --check"
	}
	said := fmt.Sprintf("%d profiles", set.Known())
	if set.Known() == 1 {
		said = "1 profile"
	}
	needing, keystore := d.events.needing()
	for _, name := range set.AllBroken() {
		needing[name] = parked
	}
	switch {
	case keystore == protocol.Locked:
		return said + ", and the keystore is locked: groat unlock"
	case keystore != "":
		return said + ", and the keystore cannot be used: groat keystore"
	case len(needing) == 0:
		return said
	case len(needing) > 1:
		return fmt.Sprintf("%s, %d need you: groat status", said, len(needing))
	}
	name := slices.Collect(maps.Keys(needing))[0]
	command := "groat status " + name
	switch {
	case needing[name] == signedOut:
		command = "groat login " + name
	case !config.ValidName(name):
		command = "groat status"
	}
	return said + ", 1 needs you: " + command
}

// SummaryChanged holds an element when [Daemon.Summary] may say something else.
func (d *Daemon) SummaryChanged() <-chan struct{} { return d.events.changes }

// changed is told of a profile that may have changed.
func (d *Daemon) changed(name string) {
	d.events.changed(name)
	d.changes.Changed(name)
}
