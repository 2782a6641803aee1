package daemon

import (
	"cmp"
	"fmt"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// reply is one answer of a person, to one question.
type reply struct {
	question int64
	value    keystore.Secret
	used     chan bool // tells who sent it; it never blocks
}

// asking returns the question that was asked last.
func (l *login) asking() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.question
}

// use takes an answer, if it is to the question that was asked last: one that comes twice, or from two people, must not answer
// the next question.
func (l *login) use(a *reply) bool {
	ok := a.question == l.asking()
	a.used <- ok
	return ok
}

// inPrompt is a name as a prompt shows it: neither so long that the host behind it would be cut off, nor taken for a host.
func inPrompt(name string) string {
	const most = 100
	if runes := []rune(name); len(runes) > most {
		name = string(runes[:most]) + "…"
	}
	return visible.Name(name)
}

// ask shows a prompt and waits for what is typed. The caller wipes it. A prompt that names more hosts than a terminal shows is
// not shown.
func (l *login) ask(text string) (keystore.Secret, error) {
	if len(text) > maxQuestion {
		return keystore.Secret{}, protocol.NewError(protocol.Config,
			fmt.Sprintf("profile %s names more hosts, or longer ones, than a prompt can show; nothing was asked or sent", l.params.Profile),
			"sign in with fewer API origins, then add the others: groat login "+l.params.Profile+" --api ORIGIN")
	}
	secret, err := l.pose(protocol.Prompt{Kind: protocol.PromptSecret, Text: text})
	if err == nil && secret.IsZero() {
		err = protocol.InvalidParams("nothing was typed")
	}
	return secret, err
}

// confirm asks whether to go on. Where the person says no, or the client cannot ask, it returns refusal.
func (l *login) confirm(text string, refusal error) error {
	if !l.params.Confirm {
		return refusal
	}
	answer, err := l.pose(protocol.Prompt{Kind: protocol.PromptConfirm, Text: text})
	if err == nil && !answer.Equal(keystore.SecretString("yes")) {
		err = refusal
	}
	return err
}

// pose shows a question and waits for its answer.
func (l *login) pose(p protocol.Prompt) (keystore.Secret, error) {
	l.show(p)
	for {
		select {
		case a := <-l.answer:
			if !l.use(a) {
				continue
			}
			l.mu.Lock()
			l.forget()
			l.mu.Unlock()
			return a.value, nil
		case <-l.ctx.Done():
			return keystore.Secret{}, l.givenUp()
		}
	}
}

func (l *login) givenUp() error {
	return protocol.NewError(protocol.Temporary, "the login was given up", "groat login "+l.params.Profile)
}

// loginInput answers "login_input".
func loginInput(c *conn, params []byte) (any, error) {
	var p protocol.LoginInputParams
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
		last := l.asking()
		a := &reply{cmp.Or(p.Question, last), secret, make(chan bool, 1)} // 0 is whichever was asked last
		if a.question == last && l.send(a) {
			return struct{}{}, nil
		}
	}
	secret.Wipe()
	return nil, protocol.InvalidParams("no login of this connection waits for an answer")
}

// send hands an answer to whoever asked, and reports whether it was used.
func (l *login) send(a *reply) bool {
	select {
	case l.answer <- a:
		return <-a.used
	case <-l.ctx.Done():
	case <-time.After(protocol.WriteTimeout):
	}
	return false
}
