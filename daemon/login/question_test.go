package login

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// An answer is to the question that it names. One that comes twice, or late from another client, is refused and says
// nothing to the next question; a consent always names what it is to.
func TestJ50AnAnswerIsToItsQuestion(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		l := h.newLogin(protocol.LoginParams{Profile: "p", Confirm: true})
		l.ctx, l.cancel = context.WithCancel(t.Context())
		defer l.cancel()
		yes := func(question int64) bool {
			return l.deliver(reply{keystore.SecretString("yes"), question, make(chan bool, 1)})
		}
		refusal := protocol.NewError(protocol.Config, "no", "")
		for question := int64(1); question <= 3; question++ {
			said := make(chan error, 1)
			go func() { said <- l.confirm("Go on?", refusal) }()
			synctest.Wait()
			for _, other := range []int64{0, question - 1, question + 1} {
				if yes(other) {
					t.Errorf("an answer to question %d was taken for one to %d", other, question)
				}
			}
			select {
			case err := <-said:
				t.Fatalf("question %d was answered: %v", question, err)
			default:
			}
			if !yes(question) {
				t.Errorf("question %d cannot be answered", question)
			}
			if err := <-said; err != nil {
				t.Error(err)
			}
		}
		if yes(3) {
			t.Error("an answer was taken while nothing is asked")
		}
	})
}

// viewing makes a viewer take part in a login that no goroutine runs.
func (h *harness) viewing(l *Login) *viewer {
	v := &viewer{h: h, prompts: make(chan protocol.Prompt, 16)}
	h.mu.Lock()
	h.running[l.params.Profile] = l
	h.mu.Unlock()
	l.addViewer(v)
	return v
}

// An answer names its question: one that comes after the login has gone on to the next is refused, and is not taken for
// the answer to that.
func TestAnAnswerToAnEarlierQuestion(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		l := h.newLogin(h.ofMachine("p"))
		l.ctx, l.cancel = context.WithCancel(t.Context())
		defer l.cancel()
		v := h.viewing(l)
		answer := func(question int64, value string) bool {
			return h.Answer(v, l.id, question, keystore.SecretString(value))
		}
		typed := make(chan string, 2)
		go func() {
			for _, text := range []string{"one", "two"} {
				secret, err := l.ask(text)
				if err != nil {
					t.Error(err)
				}
				typed <- secret.Reveal()
			}
		}()
		synctest.Wait()
		if !answer(1, "first") {
			t.Fatal("the first question cannot be answered")
		}
		synctest.Wait() // the second question is asked
		if answer(1, "too late") {
			t.Error("an answer to the first question was taken for one to the second")
		}
		if !answer(2, "second") {
			t.Fatal("the second question cannot be answered")
		}
		if one, two := <-typed, <-typed; one != "first" || two != "second" {
			t.Errorf("the questions were answered with %q and %q", one, two)
		}
		if answer(2, "again") {
			t.Error("an answer was taken while nothing is asked")
		}
		if h.Answer(&viewer{}, l.id, 0, keystore.SecretString("x")) {
			t.Error("an answer was taken from one who does not take part")
		}
	})
}

// Two people answer the same question, or one twice: the second answer is refused and is no answer to the next
// question.
func TestJ62ALateAnswerIsNotTheNextQuestions(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		l := h.newLogin(protocol.LoginParams{Profile: "p", Confirm: true})
		l.ctx, l.cancel = context.WithCancel(t.Context())
		defer l.cancel()
		v := h.viewing(l)
		refusal := errors.New("no")
		var first, second error
		go func() {
			first = l.confirm("One?", refusal)
			time.Sleep(protocol.WriteTimeout / 2) // the server is asked something
			second = l.confirm("Two?", refusal)
		}()
		synctest.Wait()
		answer := func(question int64, value string) bool {
			return h.Answer(v, l.id, question, keystore.SecretString(value))
		}
		taken := make(chan bool, 4)
		for _, question := range []int64{1, 0, 1, 0} {
			go func() { taken <- answer(question, "yes") }()
		}
		refused := 0
		for range cap(taken) {
			if !<-taken {
				refused++
			}
		}
		if !answer(2, "no") {
			t.Error("the second question cannot be answered")
		}
		synctest.Wait()
		if refused != 3 || first != nil || second != refusal {
			t.Errorf("%d refused, the first answer %v, the second %v", refused, first, second)
		}
	})
}

// However much was shown, who joins is shown what is open and the last notices, and memory does not grow.
func TestI14WhatIsShownIsBounded(t *testing.T) {
	l := New(Options{}).newLogin(protocol.LoginParams{Profile: "p"})
	kinds := func() (s string) {
		for _, p := range l.prompts {
			s += string(p.Kind) + " "
		}
		return s
	}
	l.notice("first")
	l.showPrompt(protocol.Prompt{Kind: protocol.PromptSecret, Text: "secret"})
	l.showPrompt(protocol.Prompt{Kind: protocol.PromptBrowser, Text: "page"})
	if got := kinds(); got != "notice browser " {
		t.Errorf("%s", got)
	}
	for i := range 10_000 {
		l.notice(fmt.Sprint("That was not it: ", i))
	}
	if got := kinds(); got != "browser notice notice notice notice " || l.prompts[4].Text != "That was not it: 9999" ||
		l.prompts[0].Question != 2 {
		t.Errorf("%s: %+v", got, l.prompts)
	}
	if cap(l.prompts) > 64 {
		t.Errorf("room for %d", cap(l.prompts))
	}
	l.showPrompt(protocol.Prompt{Kind: protocol.PromptDevice, Code: "code"})
	if got := kinds(); got != "notice notice notice notice device " {
		t.Errorf("%s", got)
	}
}
