package protocol

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// AnswerFunc shows a prompt to a person. What it returns is answered and wiped where the prompt's kind is [PromptSecret], or
// [PromptBrowser] and it is not empty; for other kinds it is ignored. An error gives the login up.
type AnswerFunc = func(context.Context, Prompt) (LoginSecret, error)

// Login runs one login. answer is called for each prompt, one at a time. While it shows a [PromptBrowser] the login goes on,
// because the browser may come back by itself: then its context ends, and it must return.
func (c *Client) Login(ctx context.Context, params LoginParams, answer AnswerFunc) (LoginResult, error) {
	var result LoginResult
	err := c.call(ctx, &call{method: MethodLogin, params: params, result: &result, login: &dialogue{c: c, answer: answer}})
	return result, err
}

// dialogue is the prompts of one login and what was answered.
type dialogue struct {
	c      *Client
	answer AnswerFunc

	stop   context.CancelFunc // ends the question that a browser may answer, nil where there is none
	asking sync.WaitGroup     // that question

	mu     sync.Mutex
	inputs map[string]bool // :: id of a login_input that was sent and not answered yet → true
	failed error           // why the person gave up
}

// prompted deals with one prompt.
func (d *dialogue) prompted(ctx context.Context, params json.RawMessage) error {
	var p Prompt
	if err := json.Unmarshal(params, &p); err != nil {
		return fmt.Errorf("%w: a prompt: %w", ErrAnswer, err)
	}
	d.settle()
	if p.Kind != PromptBrowser {
		return d.ask(ctx, p)
	}
	ctx, d.stop = context.WithCancel(ctx)
	d.asking.Go(func() {
		if err := d.ask(ctx, p); err != nil && ctx.Err() == nil {
			d.mu.Lock()
			d.failed = err
			d.mu.Unlock()
			d.c.conn.Close()
		}
	})
	return nil
}

// settle ends the question that a browser may answer.
func (d *dialogue) settle() {
	if d.stop != nil {
		d.stop()
		d.asking.Wait()
		d.stop = nil
	}
}

// ask passes one prompt on and sends the answer.
func (d *dialogue) ask(ctx context.Context, p Prompt) error {
	secret, err := d.answer(ctx, p)
	defer secret.Wipe()
	if err != nil {
		return err
	}
	if p.Kind != PromptSecret && (p.Kind != PromptBrowser || len(secret.bytes()) == 0) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock() // until the id is known, so that the reply is too
	id, err := d.c.send(MethodLoginInput, loginInput{p.LoginID}, "value", secret)
	if d.inputs == nil {
		d.inputs = map[string]bool{}
	}
	d.inputs[id] = true
	return closed(err)
}

type loginInput struct {
	LoginID string `json:"login_id"`
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
