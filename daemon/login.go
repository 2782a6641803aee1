package daemon

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// loginTime bounds a login with everything a person takes for it.
const loginTime = 15 * time.Minute

// login is one login under way: one a profile, in a goroutine of its own, so that reads and renewals of all profiles go on
// while a person takes ten minutes. Whoever asks for the same login meanwhile joins it; when nobody is left it is cancelled.
type login struct {
	d      *Daemon
	id     string
	params protocol.LoginParams
	answer chan keystore.Secret // what a person types
	ctx    context.Context
	cancel context.CancelFunc

	kind     grant.Kind
	profile  *profile        // what the profile will be
	endpoint *grant.Endpoint // its server, with what only a sign-in needs
	created  bool            // a client was created at the provider

	mu      sync.Mutex
	viewers map[*conn]bool
	shown   []protocol.Prompt // for who joins

	done   chan struct{} // closed when result and err are there
	result protocol.LoginResult
	err    error
}

// startLogin answers "login".
func startLogin(c *conn, params []byte) (any, error) {
	var p protocol.LoginParams
	if err := protocol.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	if !config.ValidName(p.Profile) {
		return nil, protocol.InvalidParams("a profile's name is made of a-z, 0-9, '.', '_' and '-', 64 at most")
	}
	if broken := c.d.profiles.Load().broken; broken != nil {
		return nil, broken
	}
	l := c.d.joinLogin(c, p)
	defer l.leave(c)
	select {
	case <-l.done:
		return l.result, l.err
	case <-c.ctx.Done():
		return nil, l.givenUp()
	}
}

// joinLogin returns the login of a profile that is under way, or starts it.
func (d *Daemon) joinLogin(c *conn, p protocol.LoginParams) *login {
	d.mu.Lock()
	l, joined := d.logins[p.Profile]
	if !joined {
		l = d.newLogin(p)
		l.ctx, l.cancel = context.WithTimeout(context.Background(), loginTime)
		d.logins[p.Profile] = l
	}
	d.mu.Unlock()
	l.view(c)
	if !joined {
		go l.live() // not before c sees what it shows
	}
	return l
}

// newLogin returns a login that nobody sees yet.
func (d *Daemon) newLogin(p protocol.LoginParams) *login {
	return &login{
		d: d, id: rand.Text(), params: p, answer: make(chan keystore.Secret),
		viewers: map[*conn]bool{}, done: make(chan struct{}),
	}
}

// live is the whole login.
func (l *login) live() {
	defer l.cancel()
	result, err := l.run()
	outcome := []zap.Field{zap.String("profile", l.params.Profile), zap.String("grant", string(l.kind))}
	if err != nil {
		e := l.d.wire(err, l.params.Profile)
		l.err = e
		l.d.Log.Info("a login failed", append(outcome, zap.String("kind", string(e.Kind())))...)
	} else {
		l.result = result
		l.d.Log.Info("a login succeeded", append(outcome, zap.String("outcome", result.Outcome))...)
	}
	l.d.mu.Lock()
	delete(l.d.logins, l.params.Profile)
	l.d.mu.Unlock()
	close(l.done)
}

// view lets a connection see what was shown, and what will be.
func (l *login) view(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers[c] = true
	c.mu.Lock()
	c.logins[l.id] = l
	c.mu.Unlock()
	for _, p := range l.shown {
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

// show shows a prompt to everybody there.
func (l *login) show(p protocol.Prompt) {
	p.LoginID = l.id
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = append(l.shown, p)
	for c := range l.viewers {
		c.notify(protocol.NotePrompt, p)
	}
}

// tell shows a sentence.
func (l *login) tell(text string) { l.show(protocol.Prompt{Kind: protocol.PromptNotice, Text: text}) }

// ask shows a prompt and waits for what is typed. The caller wipes it.
func (l *login) ask(text string) (keystore.Secret, error) {
	l.show(protocol.Prompt{Kind: protocol.PromptSecret, Text: text})
	select {
	case secret := <-l.answer:
		if secret.IsZero() {
			return secret, protocol.InvalidParams("nothing was typed")
		}
		return secret, nil
	case <-l.ctx.Done():
		return keystore.Secret{}, l.givenUp()
	}
}

func (l *login) givenUp() error {
	return protocol.NewError(protocol.Temporary, "the login was given up", "groat login "+l.params.Profile)
}

// loginInput answers "login_input".
func loginInput(c *conn, params []byte) (any, error) {
	var p struct {
		LoginID string `json:"login_id"`
	}
	if err := protocol.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	secret, err := secretParam(params, "value")
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	l := c.logins[p.LoginID]
	c.mu.Unlock()
	if l != nil {
		select {
		case l.answer <- secret:
			return struct{}{}, nil
		case <-l.ctx.Done():
		case <-time.After(protocol.WriteTimeout):
		}
	}
	secret.Wipe()
	return nil, protocol.InvalidParams("no login of this connection waits for an answer")
}
