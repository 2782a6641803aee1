package login

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// answerFunc shows a prompt to a person and returns what was typed, as [protocol.AnswerFunc] does in a client.
type answerFunc = func(context.Context, protocol.Prompt) (keystore.Secret, error)

// client is a viewer that asks a person every question, as groat does: one at a time, in a goroutine of its own.
type client struct {
	h      *harness
	ctx    context.Context
	giveUp context.CancelCauseFunc
	answer answerFunc

	mu       sync.Mutex
	open     protocol.Prompt    // the question that is asked now; its Kind is empty where none is
	stop     context.CancelFunc // ends the question
	answered bool
	asking   sync.WaitGroup
}

// login runs a login to its end. An error of answer gives the login up.
func (h *harness) login(ctx context.Context, params protocol.LoginParams, answer answerFunc) (protocol.LoginResult,
	error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	c := &client{h: h, ctx: ctx, giveUp: giveUp, answer: answer, stop: func() {}}
	result, err := h.Run(ctx, c, params)
	c.mu.Lock()
	c.stop()
	c.mu.Unlock()
	c.asking.Wait()
	switch {
	case ctx.Err() != nil:
		return result, context.Cause(ctx)
	case err != nil:
		return result, h.Wire(err, params.Profile)
	}
	return result, nil
}

// Notify implements Viewer.
func (c *client) Notify(p protocol.Prompt) {
	if p.IsQuestion() {
		c.ask(p)
		return
	}
	if p.Kind != protocol.PromptNotice {
		c.end()
	}
	ignored, err := c.answer(c.ctx, p)
	ignored.Wipe()
	if err != nil {
		c.giveUp(err)
	}
	c.mu.Lock()
	again, answered := c.open, c.answered
	c.mu.Unlock()
	if p.Kind == protocol.PromptNotice && again.Kind == protocol.PromptBrowser && answered {
		c.ask(again) // the answer was not the right one
	}
}

// end ends the question that is open.
func (c *client) end() {
	c.mu.Lock()
	c.stop()
	c.open, c.answered = protocol.Prompt{}, false
	c.mu.Unlock()
}

// ask asks a question in the background and passes the answer on.
func (c *client) ask(p protocol.Prompt) {
	c.end()
	ctx, stop := context.WithCancel(c.ctx)
	c.mu.Lock()
	c.open, c.stop = p, stop
	c.mu.Unlock()
	c.asking.Go(func() {
		secret, err := c.answer(ctx, p)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			c.giveUp(err)
		case p.Kind != protocol.PromptBrowser || !secret.IsZero():
			c.mu.Lock()
			c.answered = true
			c.mu.Unlock()
			c.h.Answer(c, p.LoginID, p.Question, secret)
			return
		}
		secret.Wipe()
	})
}

// typing types the same text at every question.
func typing(text string) answerFunc {
	return func(context.Context, protocol.Prompt) (keystore.Secret, error) {
		return keystore.SecretString(text), nil
	}
}

// willing answers every question: it approves of devices, and types the client secret that the applications have.
func (h *harness) willing(t *testing.T) answerFunc {
	return func(_ context.Context, p protocol.Prompt) (keystore.Secret, error) {
		if p.Kind == protocol.PromptDevice {
			if err := h.server.ApproveDevice(p.Code); err != nil {
				t.Error(err)
			}
		}
		return keystore.SecretString(clientSecret), nil
	}
}

// saying answers every confirm prompt with one word, and every other question as its text asks. It notes what was
// asked.
func (h *harness) saying(word string, asked *[]protocol.Prompt) answerFunc {
	var mu sync.Mutex
	return func(_ context.Context, p protocol.Prompt) (keystore.Secret, error) {
		mu.Lock()
		*asked = append(*asked, p)
		mu.Unlock()
		answer := clientSecret
		switch {
		case p.Kind == protocol.PromptDevice:
			return keystore.Secret{}, h.server.ApproveDevice(p.Code)
		case p.Kind == protocol.PromptConfirm:
			answer = word
		case strings.HasPrefix(p.Text, "Password"):
			answer = password
		}
		return keystore.SecretString(answer), nil
	}
}

// questions returns the texts of the prompts of one kind.
func questions(asked []protocol.Prompt, kind protocol.PromptKind) (texts []string) {
	for _, p := range asked {
		if p.Kind == kind {
			texts = append(texts, p.Text)
		}
	}
	return texts
}

// unasked fails the test where a prompt is shown.
func unasked(t *testing.T) answerFunc {
	return func(_ context.Context, p protocol.Prompt) (keystore.Secret, error) {
		t.Errorf("a person was asked: %+v", p)
		return keystore.Secret{}, errors.New("not asked for")
	}
}

// unaskedButNotices fails the test where a prompt that is no notice is shown.
func unaskedButNotices(t *testing.T) answerFunc {
	ask := unasked(t)
	return func(ctx context.Context, p protocol.Prompt) (keystore.Secret, error) {
		if p.Kind == protocol.PromptNotice {
			return keystore.Secret{}, nil
		}
		return ask(ctx, p)
	}
}
