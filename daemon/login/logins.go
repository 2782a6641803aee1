// Package login signs profiles in and out: the flows by which a person or a program comes by a credential, and how it is proven,
// stored and given up.
//
// flow.go is the way of every login on one page; configure.go finds out what the profile will be, agree.go asks where its credential
// may go; browser.go, device.go, secret.go and appcredentials.go are the ways to come by one. An import (import.go) and a restore
// (restore.go) are logins whose credential is there already. The invariants: one login a profile at a time; a credential is replaced
// only after the new one has been proven; nothing of a credential is sent to a host that the person has not agreed to; a question is
// asked before anything is sent. A login needs no server and no connection: it shows its prompts to a [Viewer].
package login

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// loginTime bounds a login with everything a person takes for it: more than the half hour that a device's code may be good for.
const loginTime = 35 * time.Minute

const (
	// maxLogins is how many logins are under way at once, of all profiles. Each takes a goroutine, and some a port.
	maxLogins = 64
	// maxNotices is how many notices are kept for who joins.
	maxNotices = 4
)

// Viewer is who takes part in a login: it is shown every prompt. A login knows nothing else of a connection.
type Viewer interface {
	// Notify shows a prompt. It may be called by several goroutines at once, and should return soon: the login waits for it.
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

	mu      sync.Mutex
	running map[string]*Login // :: profile name → the login under way
	closing bool              // no further login begins
	living  sync.WaitGroup    // one a login under way
}

// New returns Logins of which none is under way.
func New(o Options) *Logins { return &Logins{Options: o, running: map[string]*Login{}} }

// Running returns how many logins are under way.
func (s *Logins) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running)
}

// Close cancels the logins that are under way, lets none begin, and waits, as long as ctx allows, for what must not be cut off.
func (s *Logins) Close(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	for _, l := range s.running {
		l.cancel()
	}
	s.mu.Unlock()
	over := make(chan struct{})
	go func() { s.living.Wait(); close(over) }()
	select {
	case <-over:
	case <-ctx.Done():
	}
	s.ports.close()
}

// Login is one login under way: one a profile, in a goroutine of its own, so that reads and renewals of all profiles go on while a
// person takes ten minutes. A request for the same login meanwhile joins it; when its last viewer has left it is cancelled.
type Login struct {
	logins *Logins
	id     string
	asked  protocol.LoginParams // as it was asked for
	params protocol.LoginParams // with what was found out
	answer chan reply           // what a person types
	ctx    context.Context
	cancel context.CancelFunc

	kind     grant.Kind
	profile  *profile.Profile // what the profile will be
	endpoint *grant.Endpoint  // its server, with what only a sign-in needs
	was      *keystore.Item   // what is stored now, without its secrets; nil: nothing
	origins  []string         // what the credential is sealed with beside its token endpoint's origin
	tokenTo  []string         // those of access tokens
	pages    []string         // those of the sign-in's request
	clientTo []string         // the hosts that its client proves itself to
	apis     []string         // the API origins that it is sealed with
	hadAPIs  []string         // those that it was sealed with before, for the same server
	listed   []string         // the API origins that the profile lists
	preset   []string         // those of the provider's preset
	resealed bool             // the stored credential was given more of them
	before   *keystore.Item   // the stored credential, where its client goes on authenticating with what is in it
	saved    bool             // the profile's configuration was written
	changed  bool             // there was another one
	created  bool             // a client was created at the provider
	// elsewhere: the credential that the name has is an ephemeral profile's, so this sign-in cannot just prove it.
	elsewhere bool
	alone     bool            // no other request joins it: it is part of an import or a restore
	importing string          // of an import: the command that asks for it; what the parameters name is then a file's word and no person's
	trusted   []string        // of an import: the origins that a person has named
	receiver  *grant.Receiver // where the browser comes back to; nil where none does

	mu       sync.Mutex
	viewers  map[Viewer]bool
	shown    []protocol.Prompt // for who joins: what is open now, and the last notices
	question int64             // the last that was asked; an answer to another one comes too late

	done   chan struct{} // closed when result and err are there
	result protocol.LoginResult
	err    error
}

// Run is a viewer's part in a login from its beginning to its end: it begins the login, or joins the same one that is under way.
// When ctx ends the viewer leaves; the login is cancelled with its last viewer. The error is a [*protocol.Error] or that of a
// configuration that cannot be used.
func (s *Logins) Run(ctx context.Context, v Viewer, p protocol.LoginParams) (protocol.LoginResult, error) {
	if err := s.Profiles.Snapshot().Err(); err != nil {
		return protocol.LoginResult{}, err
	}
	l, err := s.join(v, p)
	if err != nil {
		return protocol.LoginResult{}, err
	}
	defer l.leave(v)
	select {
	case <-l.done:
		return l.result, l.err
	case <-ctx.Done():
		return protocol.LoginResult{}, l.givenUp()
	}
}

// join begins a login, or joins the same one that is under way. A different one of the same profile is not joined: what is typed
// for one server must not go to another.
func (s *Logins) join(v Viewer, p protocol.LoginParams) (*Login, error) {
	s.mu.Lock()
	l, joined := s.running[p.Profile]
	switch {
	case s.closing:
		s.mu.Unlock()
		return nil, s.Wire(broker.ErrStopped, p.Profile)
	case joined && (l.alone || l.ctx.Err() != nil || !sameLogin(l.asked, p)):
		s.mu.Unlock()
		return nil, underWay(p.Profile)
	case !joined && len(s.running) >= maxLogins:
		s.mu.Unlock()
		return nil, TooMany(maxLogins, "of groatd", p.Profile)
	case !joined:
		l = s.newLogin(p)
		l.ctx, l.cancel = context.WithTimeout(context.Background(), loginTime)
		s.running[p.Profile] = l
		s.living.Add(1)
	}
	s.mu.Unlock()
	l.view(v)
	if !joined {
		go func() { // not before v is shown what it shows
			defer s.living.Done()
			l.live()
		}()
	}
	return l, nil
}

// begin makes l the login of its profile until over is called, one that no request joins: the proof of a credential that was found
// may use it up, and a second proof at the same time makes the server end the session.
func (s *Logins) begin(l *Login) (over func(), err error) {
	name := l.params.Profile
	l.alone = true
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return nil, s.Wire(broker.ErrStopped, name)
	case s.running[name] != nil:
		return nil, underWay(name)
	case len(s.running) >= maxLogins:
		return nil, TooMany(maxLogins, "of groatd", name)
	}
	s.running[name] = l
	s.living.Add(1)
	return func() {
		s.mu.Lock()
		delete(s.running, name)
		s.mu.Unlock()
		s.living.Done()
	}, nil
}

// sameLogin reports whether two requests are for the same login, whatever their clients can show.
func sameLogin(a, b protocol.LoginParams) bool {
	b.Confirm = a.Confirm
	return reflect.DeepEqual(a, b)
}

func underWay(profile string) error {
	return protocol.NewError(protocol.Temporary, fmt.Sprintf("another login of profile %q is under way", profile), "groat status "+profile)
}

// TooMany is the error for one login more than there may be at once.
func TooMany(most int, whose, profile string) error {
	return protocol.NewError(protocol.Temporary,
		fmt.Sprintf("there are %d logins %s under way, and there may be no more at once: let one end", most, whose), "groat login "+profile)
}

// newLogin returns a login that nobody sees yet.
func (s *Logins) newLogin(p protocol.LoginParams) *Login {
	return &Login{
		logins: s, id: rand.Text(), asked: p, params: p, answer: make(chan reply),
		viewers: map[Viewer]bool{}, done: make(chan struct{}),
	}
}

// recovered is run, also where it panics.
func (l *Login) recovered() (result protocol.LoginResult, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = protocol.LoginResult{}, broker.Recovered(v)
		}
	}()
	return l.run()
}

// live is the whole login.
func (l *Login) live() {
	defer l.cancel()
	result, err := l.recovered()
	outcome := []zap.Field{zap.String("profile", l.params.Profile), zap.String("grant", string(l.kind))}
	if err != nil {
		e := l.hinted(l.logins.Wire(err, l.params.Profile))
		l.err = e
		l.logins.Log.Info("a login failed", append(outcome, zap.String("kind", string(e.Kind())))...)
	} else {
		l.result = result
		l.logins.Log.Info("a login succeeded", append(outcome, zap.String("outcome", result.Outcome))...)
	}
	l.release()
	l.logins.mu.Lock()
	delete(l.logins.running, l.params.Profile)
	l.logins.mu.Unlock()
	close(l.done)
}

// hinted makes the hint one that works where the profile is not there (yet): then no command knows its name, and the login is
// asked for as it was.
func (l *Login) hinted(e *protocol.Error) *protocol.Error {
	name := l.params.Profile
	if l.logins.Profiles.Named(name) == nil && e.Data != nil && (e.Hint() == "groat login "+name || e.Hint() == "groat status "+name) {
		e.Data.Hint = Command(l.asked)
	}
	return e
}

func (l *Login) givenUp() error {
	return protocol.NewError(protocol.Temporary, "the login was given up", "groat login "+l.params.Profile)
}
