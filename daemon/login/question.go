package login

import (
	"fmt"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// reply is an answer on its way to the login that waits for it.
type reply struct {
	secret   keystore.Secret
	question int64 // which it is to; 0 where the client does not say
	// taken is told whether the answer was to the question that is open. It has room for that.
	taken chan bool
}

// to reports whether an answer is to an open question, and tells the client. An answer that comes twice, or late from
// another client, must not be taken for one to the next question. One that names none is to whichever is open, but
// never a consent.
func (t reply) to(question int64, kind protocol.PromptKind) bool {
	ok := t.question == question || t.question == 0 && kind != protocol.PromptConfirm
	if !ok {
		t.secret.Wipe()
	}
	t.taken <- ok
	return ok
}

// inPrompt is a name as a prompt shows it: neither so long that the host behind it would be cut off, nor taken for a
// host.
func inPrompt(name string) string {
	const most = 100
	if runes := []rune(name); len(runes) > most {
		name = string(runes[:most]) + "…"
	}
	return visible.Name(name)
}

// ask shows a prompt and waits for what is typed. The caller wipes it. A prompt that names more hosts than a terminal
// shows is not shown.
func (l *Login) ask(text string) (keystore.Secret, error) {
	return l.askSecret(protocol.Prompt{}, text)
}

// askSecret is ask with a prompt that may be optional, or be followed by another one.
func (l *Login) askSecret(p protocol.Prompt, text string) (keystore.Secret, error) {
	if len(text) > maxQuestion {
		with := l.asked
		with.Resources = nil
		return keystore.Secret{}, protocol.NewError(protocol.Config,
			fmt.Sprintf("profile %s names more hosts, or longer ones, than a prompt can show; nothing was asked or "+
				"sent; sign in with fewer API origins, and add the others then, a few with each login (--api)",
				l.params.Profile), Command(with))
	}
	p.Kind, p.Text = protocol.PromptSecret, text
	secret, err := l.awaitAnswer(p)
	if err == nil && secret.IsZero() && !p.Optional {
		err = protocol.InvalidParams("nothing was typed")
	}
	return secret, err
}

// confirm asks whether to go on. Where the person says no, or the client cannot ask, it returns refusal.
func (l *Login) confirm(text string, refusal error) error {
	if !l.params.Confirm {
		return refusal
	}
	answer, err := l.awaitAnswer(protocol.Prompt{Kind: protocol.PromptConfirm, Text: text})
	if err == nil && !answer.Equal(keystore.SecretString("yes")) {
		err = refusal
	}
	return err
}

// awaitAnswer shows a question and waits for its answer.
func (l *Login) awaitAnswer(p protocol.Prompt) (keystore.Secret, error) {
	question := l.showPrompt(p)
	for {
		select {
		case answer := <-l.answer:
			if !answer.to(question, p.Kind) {
				continue
			}
			l.mu.Lock()
			l.dropOpenPrompt()
			l.mu.Unlock()
			return answer.secret, nil
		case <-l.ctx.Done():
			return keystore.Secret{}, l.givenUpError()
		}
	}
}

// deliver passes an answer to the login and reports whether it was taken for the open question. It waits at most
// [protocol.WriteTimeout] for one to be asked.
func (l *Login) deliver(t reply) bool {
	limit := time.NewTimer(protocol.WriteTimeout)
	defer limit.Stop()
	select {
	case l.answer <- t:
		return <-t.taken
	case <-l.ctx.Done():
	case <-limit.C:
	}
	return false
}

// Answer passes what a viewer's person has typed on to the login of that id, and reports whether it was taken as the
// answer to the open question. question is the number of the question that it is to, 0 where the client does not say.
// Where it was not taken, value is wiped; else the login wipes it. Answer waits up to [protocol.WriteTimeout] for a
// question to be asked.
func (s *Logins) Answer(v Viewer, id string, question int64, value keystore.Secret) bool {
	if l := s.loginOfViewer(v, id); l != nil && l.deliver(reply{value, question, make(chan bool, 1)}) {
		return true
	}
	value.Wipe()
	return false
}

// loginOfViewer returns the login of an id that a viewer takes part in, or nil.
func (s *Logins) loginOfViewer(v Viewer, id string) *Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.running {
		if l.id == id && l.hasViewer(v) {
			return l
		}
	}
	return nil
}

// hasViewer reports whether a viewer takes part.
func (l *Login) hasViewer(v Viewer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.viewers[v]
}
