package daemon

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// An answer is to the question that it names. One that comes twice, or late from another client, is refused and says nothing to
// the next question; a consent always names what it is to.
func TestJ50AnAnswerIsToItsQuestion(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
		l := h.newLogin(protocol.LoginParams{Profile: "p", Confirm: true})
		l.ctx, l.cancel = context.WithCancel(t.Context())
		defer l.cancel()
		yes := func(question int64) bool {
			return l.takes(reply{keystore.SecretString("yes"), question, make(chan bool, 1)})
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
