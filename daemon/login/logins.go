// Package login signs profiles in and out: the flows by which a person or a program comes by a credential, and how it
// is proven, stored and given up.
//
// flow.go is the way of every login on one page; configure.go finds out what the profile will be, agree.go asks where
// its credential may go; browser.go, device.go, secret.go and appcredentials.go are the ways to come by one. An import
// (import.go) and a restore (restore.go) are logins whose credential is there already. The invariants: one login a
// profile at a time; a credential is replaced only after the new one has been proven; nothing of a credential is sent
// to a host that the person has not agreed to; a question is asked before anything is sent. A login needs no server and
// no connection: it shows its prompts to a [Viewer].
package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// loginTime bounds a login with everything a person takes for it: more than the half hour that a device's code may be
// good for.
const loginTime = 35 * time.Minute

const (
	// maxLogins is how many logins are under way at once, of all profiles. Each takes a goroutine, and some a port.
	maxLogins = 64
	// maxNotices is how many notices are kept for who joins.
	maxNotices = 4
)

// Viewer is who takes part in a login: it is shown every prompt. A login knows nothing else of a connection.
type Viewer interface {
	// Notify shows a prompt. It may be called by several goroutines at once, and should return soon: the login waits
	// for it.
	Notify(protocol.Prompt)
}

// Options is what Logins are made of. All members are required.
type Options struct {
	Profiles *profile.Table
	Broker   *broker.Broker
	Stores   *Stores
	Refusals Refusals
	// Keystore returns the word for the store that is in use.
	Keystore func() string
	// Wire returns the error that leaves for an error about a profile; see [wire.Error].
	Wire   func(err error, profile string) *protocol.Error
	HTTP   *http.Client
	Budget grant.Budget // of the listeners of browser logins
	Now    clock.Func
	Log    *zap.Logger
}

// Refusals is what servers have refused before.
type Refusals interface {
	// Forget durably removes what was refused to a profile, before a new credential of it is stored.
	Forget(ctx context.Context, profile string)
}

// Logins is all logins that are under way, at most one a profile. Its methods are safe for concurrent use.
type Logins struct {
	Options
	ports heldPorts // of logins that have ended

	mu       sync.Mutex
	running  map[string]*Login // :: profile name → the login under way
	closing  bool              // no further login begins
	underWay sync.WaitGroup    // counts the logins under way
}

// New returns Logins of which none is under way.
func New(o Options) *Logins { return &Logins{Options: o, running: map[string]*Login{}} }

// Running returns the profiles of which a login is under way, sorted.
func (s *Logins) Running() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.running))
}

// Cancel ends the login of a profile that is under way, for all who take part in it, and waits, as long as ctx allows,
// for what must not be cut off. One that is part of an import or a restore is not cancelled: it asks nobody, and the
// server may take what it proves once only. Cancel waits for its end. It returns whether there was a login.
func (s *Logins) Cancel(ctx context.Context, profile string) (bool, error) {
	s.mu.Lock()
	l := s.running[profile]
	s.mu.Unlock()
	if l == nil {
		return false, nil
	}
	if !l.alone {
		l.cancelled.Store(true)
		l.cancel()
	}
	select {
	case <-l.done:
		return true, nil
	case <-ctx.Done():
		return true, protocol.NewError(protocol.Temporary,
			fmt.Sprintf("the login of profile %q ends once a server has answered", profile), cancelCommand(profile))
	}
}

func cancelCommand(profile string) string { return "groat login " + profile + " --cancel" }

// Close cancels the logins that are under way, lets none begin, and waits, as long as ctx allows, for what must not be
// cut off.
func (s *Logins) Close(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	for _, l := range s.running {
		l.cancel()
	}
	s.mu.Unlock()
	over := make(chan struct{})
	go func() { s.underWay.Wait(); close(over) }()
	select {
	case <-over:
	case <-ctx.Done():
	}
	s.ports.close()
}

// Login is one login under way. It runs in a goroutine of its own, so that a person may take ten minutes while tokens
// of all profiles are served and renewed. A profile has at most one: a request for the same login joins it, and it is
// cancelled when its last viewer leaves.
type Login struct {
	logins *Logins
	id     string
	ctx    context.Context
	cancel context.CancelFunc
	answer chan reply // what a person types

	// What was asked.
	asked  protocol.LoginParams // as the request had it
	params protocol.LoginParams // completed by what is stored and configured
	alone  bool                 // no other request joins it: it is part of an import or a restore
	// the import's command line, or empty; the addresses in params are then those of a file
	importing string
	trusted   []string // the origins that the person named for the import

	// What was found.
	kind     grant.Kind
	profile  *profile.Profile // what the profile will be
	endpoint *grant.Endpoint  // its server, with the addresses that only a sign-in needs
	current  *keystore.Item   // what the profile has now, without its secrets; nil where that is nothing
	// what it has is in the store of another kind of profile: an ephemeral one, or a kept one
	otherStore bool
	// the matching credential whose client goes on authenticating with what is in it, or nil
	reused *keystore.Item
	// the public client that an openEO back end lists, where it no longer lists the one that the profile has
	freshClient string

	// What was agreed: what the new credential is sealed with, beside its token endpoint's origin.
	origins      []string // what may be sent everything
	tokenOrigins []string // what may be sent access tokens
	pageOrigins  []string // what may be sent the sign-in's request
	clientTo     []string // the hosts that the client authenticates to
	apis         []string // the API origins
	sealedAPIs   []string // those that the current credential is sealed with, for the same server
	listedAPIs   []string // those that the profile lists
	presetAPIs   []string // those of the provider's preset

	// What was done.
	reformed bool // the client's other form was tried
	// Nobody has said how the client proves itself, and the server may take its secret in the request's body.
	mayPost   bool
	triedBody bool            // that was tried
	posts     bool            // and taken
	receiver  *grant.Receiver // where the browser comes back to, or nil
	created   bool            // a client was created at the provider
	resealed  bool            // the stored credential was sealed with more
	saved     bool            // the profile's configuration was written
	changed   bool            // and was another one before

	// Who takes part, and what they are shown.
	mu       sync.Mutex
	viewers  map[Viewer]bool
	prompts  []protocol.Prompt // for viewers that join: the open prompt and the last notices
	question int64             // the number of the last question

	cancelled atomic.Bool // by [Logins.Cancel]

	done   chan struct{} // closed when result and err are set
	result protocol.LoginResult
	err    error
}

// Run is a viewer's part in a login from its beginning to its end: it begins the login, or joins the same one that is
// under way. When ctx ends the viewer leaves; the login is cancelled with its last viewer. The error is a
// [*protocol.Error] or that of a configuration that cannot be used.
func (s *Logins) Run(ctx context.Context, v Viewer, p protocol.LoginParams) (protocol.LoginResult, error) {
	if err := s.Profiles.Usable().Err(); err != nil {
		return protocol.LoginResult{}, err
	}
	l, err := s.join(v, p)
	if err != nil {
		return protocol.LoginResult{}, err
	}
	defer l.removeViewer(v)
	select {
	case <-l.done:
		return l.result, l.err
	case <-ctx.Done():
		return protocol.LoginResult{}, l.givenUpError()
	}
}

// join begins a login, or joins the same one that is under way. A different login of the same profile is refused: what
// is typed for one server must not go to another.
func (s *Logins) join(v Viewer, p protocol.LoginParams) (*Login, error) {
	s.mu.Lock()
	l, joined := s.running[p.Profile]
	switch {
	case s.closing:
		s.mu.Unlock()
		return nil, s.Wire(broker.ErrStopped, p.Profile)
	case joined && (l.alone || l.ctx.Err() != nil || !sameLogin(l.asked, p)):
		s.mu.Unlock()
		return nil, s.underWayError(l)
	case !joined && len(s.running) >= maxLogins:
		s.mu.Unlock()
		return nil, TooMany(maxLogins, "of groatd", p.Profile)
	case !joined:
		l = s.newLogin(p)
		l.ctx, l.cancel = context.WithTimeout(context.Background(), loginTime)
		s.running[p.Profile] = l
		s.underWay.Add(1)
	}
	s.mu.Unlock()
	l.addViewer(v)
	if !joined {
		go func() { // not before v is shown what it shows
			defer s.underWay.Done()
			l.runToEnd()
		}()
	}
	return l, nil
}

// startAlone makes l the login of its profile until over is called. No request joins it: the proof of a credential that
// was found may use it up, and a second proof at the same time makes the server end the session.
func (s *Logins) startAlone(l *Login) (over func(), err error) {
	name := l.params.Profile
	l.alone = true
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return nil, s.Wire(broker.ErrStopped, name)
	case s.running[name] != nil:
		return nil, s.underWayError(s.running[name])
	case len(s.running) >= maxLogins:
		return nil, TooMany(maxLogins, "of groatd", name)
	}
	s.running[name] = l
	s.underWay.Add(1)
	return func() {
		s.mu.Lock()
		delete(s.running, name)
		s.mu.Unlock()
		close(l.done)
		s.underWay.Done()
	}, nil
}

// sameLogin reports whether two requests are for the same login, whatever their clients can show.
func sameLogin(a, b protocol.LoginParams) bool {
	b.Confirm = a.Confirm
	return reflect.DeepEqual(a, b)
}

func (s *Logins) underWayError(l *Login) error {
	if l.alone {
		return protocol.NewError(protocol.Temporary,
			fmt.Sprintf("profile %q is being imported or restored; groat login --cancel waits until that is over",
				l.params.Profile), cancelCommand(l.params.Profile))
	}
	end := loginTime
	if l.ctx != nil {
		if at, ok := l.ctx.Deadline(); ok {
			end = max(time.Until(at), time.Second)
		}
	}
	return protocol.NewError(protocol.Temporary,
		fmt.Sprintf("another login of profile %q is under way; Ctrl-C ends it where it was typed, and it ends by "+
			"itself in %s", l.params.Profile, words(end)), cancelCommand(l.params.Profile))
}

// TooMany is the error for one login more than there may be at once.
func TooMany(most int, whose, profile string) error {
	return protocol.NewError(protocol.Temporary,
		fmt.Sprintf("there are %d logins %s under way, and there may be no more at once: let one end", most,
			whose), "groat login "+profile)
}

// newLogin returns a login without viewers.
func (s *Logins) newLogin(p protocol.LoginParams) *Login {
	return &Login{
		logins: s, id: rand.Text(), asked: p, params: p, answer: make(chan reply),
		viewers: map[Viewer]bool{}, done: make(chan struct{}),
	}
}

// runRecovered is run, with a panic turned into an error.
func (l *Login) runRecovered() (result protocol.LoginResult, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = protocol.LoginResult{}, broker.Recovered(v)
		}
	}()
	return l.run()
}

// runToEnd runs the login, sets its result and takes it out of those under way.
func (l *Login) runToEnd() {
	defer l.cancel()
	result, err := l.runRecovered()
	if err != nil && l.cancelled.Load() {
		err = protocol.NewError(protocol.Temporary,
			fmt.Sprintf("the login of profile %q was ended by groat login --cancel", l.params.Profile),
			"groat login "+l.params.Profile)
	}
	outcome := []zap.Field{zap.String("profile", l.params.Profile), zap.String("grant", string(l.kind))}
	if err != nil {
		e := l.withRedirectHint(l.withLoginHint(l.logins.Wire(err, l.params.Profile)), err)
		e = l.withAddressHint(e, err)
		l.err = e
		l.logFailure(e, outcome)
	} else {
		l.result = result
		l.logins.Log.Info("a login succeeded", append(outcome, zap.String("outcome", result.Outcome))...)
	}
	l.releasePort()
	l.logins.mu.Lock()
	delete(l.logins.running, l.params.Profile)
	l.logins.mu.Unlock()
	close(l.done)
}

// logFailure writes why a login has ended without a credential. One that lacks a parameter is the first half of what a
// person does at a terminal: the client asks for it, and tries again.
func (l *Login) logFailure(e *protocol.Error, outcome []zap.Field) {
	switch {
	case e.Data != nil && len(e.Data.Missing) > 0:
		l.logins.Log.Debug("a login lacks a parameter", append(outcome, zap.Strings("missing", e.Data.Missing))...)
	default:
		kind := cmp.Or(string(e.Kind()), "invalid_params") // PROTOCOL.md, "Errors": a wrong call has no kind
		l.logins.Log.Info("a login failed", append(outcome, zap.String("kind", kind))...)
	}
}

// givenUpError is the error of a login whose viewer has left.
func (l *Login) givenUpError() error {
	return protocol.NewError(protocol.Temporary, "the login was given up", "groat login "+l.params.Profile)
}
