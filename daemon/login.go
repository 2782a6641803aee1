package daemon

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// loginTime bounds a login with everything a person takes for it: more than the half hour that a device's code may be good for.
const loginTime = 35 * time.Minute

const (
	// maxLogins is how many logins are under way at once, of all profiles. Each takes a goroutine, and some a port.
	maxLogins = 64
	// maxLoginsOfOne is how many of them one connection takes part in.
	maxLoginsOfOne = 8
	// maxNotices is how many notices are kept for who joins.
	maxNotices = 4
)

// login is one login under way: one a profile, in a goroutine of its own, so that reads and renewals of all profiles go on
// while a person takes ten minutes. Whoever asks for the same login meanwhile joins it; when nobody is left it is cancelled.
type login struct {
	d      *Daemon
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
	alone     bool            // nobody joins it: it is an import, so what its parameters name is a file's word and no person's
	trusted   []string        // of an import: the origins that a person has named
	receiver  *grant.Receiver // where the browser comes back to; nil where none does

	mu       sync.Mutex
	viewers  map[*conn]bool
	shown    []protocol.Prompt // for who joins: what is open now, and the last notices
	question int64             // the last that was asked; an answer to another one comes too late

	done   chan struct{} // closed when result and err are there
	result protocol.LoginResult
	err    error
}

// startLogin answers "login".
func startLogin(c *conn, params []byte) (any, error) {
	var p protocol.LoginParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	if !config.ValidName(p.Profile) {
		return nil, protocol.InvalidParams("a profile's name is made of a-z, 0-9, '.', '_' and '-', 64 at most")
	}
	if err := c.d.profiles.Snapshot().Err(); err != nil {
		return nil, err
	}
	if !c.takesPart() {
		return nil, tooMany(maxLoginsOfOne, "of this connection", p.Profile)
	}
	defer c.tookPart()
	l, err := c.d.joinLogin(c, p)
	if err != nil {
		return nil, err
	}
	defer l.leave(c)
	select {
	case <-l.done:
		return l.result, l.err
	case <-c.ctx.Done():
		return nil, l.givenUp()
	}
}

// joinLogin starts a login, or joins the same one that is under way. Another one of the same profile is none to join: what
// is typed for one server must not go to another.
func (d *Daemon) joinLogin(c *conn, p protocol.LoginParams) (*login, error) {
	d.mu.Lock()
	l, joined := d.logins[p.Profile]
	switch {
	case d.closing:
		d.mu.Unlock()
		return nil, d.wire(broker.ErrStopped, p.Profile)
	case joined && (l.alone || l.ctx.Err() != nil || !sameLogin(l.asked, p)):
		d.mu.Unlock()
		return nil, underWay(p.Profile)
	case !joined && len(d.logins) >= maxLogins:
		d.mu.Unlock()
		return nil, tooMany(maxLogins, "of groatd", p.Profile)
	case !joined:
		l = d.newLogin(p)
		l.ctx, l.cancel = context.WithTimeout(context.Background(), loginTime)
		d.logins[p.Profile] = l
		d.living.Add(1)
	}
	d.mu.Unlock()
	l.view(c)
	if !joined {
		go func() { // not before c sees what it shows
			defer d.living.Done()
			l.live()
		}()
	}
	return l, nil
}

// sameLogin reports whether two requests are for the same login, whatever their clients can show.
func sameLogin(a, b protocol.LoginParams) bool {
	b.Confirm = a.Confirm
	return reflect.DeepEqual(a, b)
}

func underWay(profile string) error {
	return protocol.NewError(protocol.Temporary, fmt.Sprintf("another login of profile %q is under way", profile), "groat status "+profile)
}

func tooMany(most int, whose, profile string) error {
	return protocol.NewError(protocol.Temporary,
		fmt.Sprintf("there are %d logins %s under way, and there may be no more at once: let one end", most, whose), "groat login "+profile)
}

// takesPart reports whether the connection may take part in one more login, and counts it.
func (c *conn) takesPart() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts == maxLoginsOfOne {
		return false
	}
	c.parts++
	return true
}

func (c *conn) tookPart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parts--
}

// newLogin returns a login that nobody sees yet.
func (d *Daemon) newLogin(p protocol.LoginParams) *login {
	return &login{
		d: d, id: rand.Text(), asked: p, params: p, answer: make(chan reply),
		viewers: map[*conn]bool{}, done: make(chan struct{}),
	}
}

// live is the whole login.
func (l *login) live() {
	defer l.cancel()
	result, err := l.guarded()
	outcome := []zap.Field{zap.String("profile", l.params.Profile), zap.String("grant", string(l.kind))}
	if err != nil {
		e := l.hinted(l.d.wire(err, l.params.Profile))
		l.err = e
		l.d.Log.Info("a login failed", append(outcome, zap.String("kind", string(e.Kind())))...)
	} else {
		l.result = result
		l.d.Log.Info("a login succeeded", append(outcome, zap.String("outcome", result.Outcome))...)
	}
	l.release()
	l.d.mu.Lock()
	delete(l.d.logins, l.params.Profile)
	l.d.mu.Unlock()
	close(l.done)
}

// hinted makes the hint one that works where the profile is not there (yet): then no command knows its name, and the login is
// asked for as it was.
func (l *login) hinted(e *protocol.Error) *protocol.Error {
	name := l.params.Profile
	if l.d.profiles.Named(name) == nil && e.Data != nil && (e.Hint() == "groat login "+name || e.Hint() == "groat status "+name) {
		e.Data.Hint = command(l.asked)
	}
	return e
}

// view lets a connection see what was shown, and what will be.
func (l *login) view(c *conn) {
	c.mu.Lock()
	c.logins[l.id] = l
	c.mu.Unlock()
	l.mu.Lock()
	l.viewers[c] = true
	shown := slices.Clone(l.shown)
	l.mu.Unlock()
	for _, p := range shown {
		c.notify(protocol.NotePrompt, p)
	}
}

// leave takes a connection away; the last one's leaving cancels the login.
func (l *login) leave(c *conn) {
	c.mu.Lock()
	delete(c.logins, l.id)
	c.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.viewers, c)
	if len(l.viewers) == 0 {
		l.cancel()
	}
}

// show shows a prompt to everybody there, and returns the number of a question.
func (l *login) show(p protocol.Prompt) int64 {
	p.LoginID = l.id
	l.mu.Lock()
	if p.IsQuestion() {
		l.question++
		p.Question = l.question
	}
	l.remember(p)
	viewers := slices.Collect(maps.Keys(l.viewers))
	l.mu.Unlock()
	for _, c := range viewers { // one of them may be slow to read
		c.notify(protocol.NotePrompt, p)
	}
	return p.Question
}

// remember keeps what somebody who joins must see: what is open, which is what was shown last and is no notice, and the last
// notices. The caller holds mu.
func (l *login) remember(p protocol.Prompt) {
	notices := 0
	for _, q := range l.shown {
		if q.Kind == protocol.PromptNotice {
			notices++
		}
	}
	if p.Kind != protocol.PromptNotice {
		l.forget()
	} else if notices == maxNotices {
		i := slices.IndexFunc(l.shown, func(q protocol.Prompt) bool { return q.Kind == protocol.PromptNotice })
		l.shown = slices.Delete(l.shown, i, i+1)
	}
	l.shown = append(l.shown, p)
}

// forget leaves the notices only: what was open is not any more. The caller holds mu.
func (l *login) forget() {
	l.shown = slices.DeleteFunc(l.shown, func(q protocol.Prompt) bool { return q.Kind != protocol.PromptNotice })
}

// tell shows a sentence.
func (l *login) tell(text string) { l.show(protocol.Prompt{Kind: protocol.PromptNotice, Text: text}) }

func (l *login) givenUp() error {
	return protocol.NewError(protocol.Temporary, "the login was given up", "groat login "+l.params.Profile)
}
