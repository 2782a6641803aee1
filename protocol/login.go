package protocol

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// AnswerFunc shows a prompt to a person. What it returns for a [PromptSecret] is sent, and what it returns for a
// [PromptBrowser] where it is not empty; for other kinds it is ignored. All of it is wiped. An error gives the login up.
//
// Those two kinds are questions. While one is open the login goes on: the browser may come back by itself, and somebody else
// who takes part may answer. Then its context ends, and it must return; what it returns so late is not sent. A question
// is called in a goroutine of its own, so the notices that come meanwhile are shown beside it; there is one at a time.
type AnswerFunc = func(context.Context, Prompt) (LoginSecret, error)

// Login runs one login. answer is called for each prompt. For a [PromptBrowser] it is called once more for each notice that
// follows an answer: that was not it, then, and the login goes on waiting.
func (c *Client) Login(ctx context.Context, params LoginParams, answer AnswerFunc) (LoginResult, error) {
	var result LoginResult
	err := c.call(ctx, &call{method: MethodLogin, params: params, result: &result, login: &dialogue{c: c, answer: answer}})
	return result, err
}

// dialogue is the prompts of one login and what was answered. Without a remark, a field belongs to the goroutine that reads.
type dialogue struct {
	c      *Client
	answer AnswerFunc

	question Prompt             // the one that is open; its Kind is empty where there is none
	stop     context.CancelFunc // ends it
	asking   sync.WaitGroup     // the goroutine that asks it

	mu       sync.Mutex
	answered bool            // what was asked last
	inputs   map[string]bool // :: id of a login_input that was sent and not answered yet → true
	failed   error           // why the person gave up
}

// prompted deals with one prompt.
func (d *dialogue) prompted(ctx context.Context, params json.RawMessage) error {
	var p Prompt
	if err := json.Unmarshal(params, &p); err != nil {
		return fmt.Errorf("%w: a prompt: %w", ErrAnswer, err)
	}
	if p.isQuestion() {
		d.settle()
		d.pose(ctx, p)
		return nil
	}
	if p.Kind != PromptNotice {
		d.settle() // the login has gone on to something else
	}
	ignored, err := d.answer(ctx, p)
	ignored.Wipe()
	if err == nil && d.question.Kind == PromptBrowser && d.wasAnswered() {
		again := d.question
		d.settle()
		d.pose(ctx, again)
	}
	return err
}

func (p Prompt) isQuestion() bool { return p.Kind == PromptSecret || p.Kind == PromptBrowser }

// pose asks a question while the reading goes on.
func (d *dialogue) pose(ctx context.Context, p Prompt) {
	ctx, stop := context.WithCancel(ctx)
	d.question, d.stop, d.answered = p, stop, false
	d.asking.Go(func() {
		if err := d.ask(ctx, p); err != nil && ctx.Err() == nil {
			d.mu.Lock()
			d.failed = err
			d.mu.Unlock()
			d.c.conn.Close() // which ends the reading, and the login
		}
	})
}

// settle ends the question that is open, if there is one.
func (d *dialogue) settle() {
	if d.stop != nil {
		d.stop()
		d.asking.Wait()
		d.question, d.stop = Prompt{}, nil
	}
}

// ask passes a question on and sends the answer.
func (d *dialogue) ask(ctx context.Context, p Prompt) error {
	secret, err := d.answer(ctx, p)
	defer secret.Wipe()
	if err != nil || ctx.Err() != nil || p.Kind == PromptBrowser && len(secret.bytes()) == 0 {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock() // until the id is known, so that the reply is too
	id, err := d.c.send(MethodLoginInput, loginInput{p.LoginID}, Member{"value", secret})
	if d.inputs == nil {
		d.inputs = map[string]bool{}
	}
	d.inputs[id], d.answered = true, true
	return closed(err)
}

type loginInput struct {
	LoginID string `json:"login_id"`
}

func (d *dialogue) wasAnswered() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answered
}

// sent reports whether an answer is that to an input.
func (d *dialogue) sent(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.inputs[id]
	delete(d.inputs, id)
	return was
}

// end ends what is still asked, and returns why the login ended.
func (d *dialogue) end(err error) error {
	d.settle()
	if d.failed != nil {
		return d.failed
	}
	return err
}
