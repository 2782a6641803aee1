package daemon

import (
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// tell shows a sentence.
func (l *login) tell(text string) {
	l.c.notify(protocol.NotePrompt, protocol.Prompt{LoginID: l.id, Kind: protocol.PromptNotice, Text: text})
}

// ask shows a prompt and waits for what is typed. The caller wipes it.
func (l *login) ask(text string) (keystore.Secret, error) {
	l.c.notify(protocol.NotePrompt, protocol.Prompt{LoginID: l.id, Kind: protocol.PromptSecret, Text: text})
	select {
	case secret := <-l.answer:
		if secret.IsZero() {
			return secret, protocol.InvalidParams("nothing was typed")
		}
		return secret, nil
	case <-l.ctx.Done():
		return keystore.Secret{}, protocol.NewError(protocol.Temporary, "the login was given up", "groat login "+l.params.Profile)
	}
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

// endLogins gives the connection's logins up: there is nobody left to type.
func (c *conn) endLogins() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.logins {
		l.cancel()
	}
}
