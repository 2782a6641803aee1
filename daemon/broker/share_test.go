package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

func standard(r grant.Request) bool { return len(r.Scope) == 0 && r.Audience == "" }

// elsewhere is a token that another machine has obtained so long ago.
func (w *env) elsewhere(text string, ago time.Duration) grant.Token {
	sent := w.now()
	sent.Boot -= ago
	return grant.Token{
		Access: keystore.SecretString(text), Type: "Bearer", Sent: sent, Lifetime: w.life, Refreshed: true, Shared: true,
	}
}

// A token of another machine is handed out without a request, answers who waits, and is renewed in its time.
func TestATokenOfAnotherMachine(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		if b.Share("other", standard, w.elsewhere("a", 0)) {
			t.Error("a profile that is not there has taken one")
		}
		if !b.Share("p", standard, w.elsewhere("a", time.Minute)) || mustGet(t, b, Unset) != "a" || w.count() != 0 {
			t.Fatalf("it is not served, or cost %d requests", w.count())
		}
		w.latency = 10 * time.Second
		waiting := make(chan string)
		go func() { waiting <- mustGet(t, b, w.life-30*time.Second) }() // more than it has left
		time.Sleep(time.Second)
		synctest.Wait()
		if !b.Share("p", standard, w.elsewhere("b", 0)) {
			t.Error("a newer one is not taken")
		}
		if got := <-waiting; got != "b" {
			t.Errorf("who waited got %q", got)
		}
		time.Sleep(w.life)
		if n := w.count(); n < 2 {
			t.Errorf("%d requests after the token's life", n)
		}
	})
}

// What is no better than the cached token, has expired, or was refused by an API is not taken.
func TestATokenOfAnotherMachineThatIsNotTaken(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		first := mustGet(t, b, Unset)
		for name, token := range map[string]grant.Token{
			"older": w.elsewhere("older", time.Minute), "expired": w.elsewhere("expired", w.life+time.Second),
		} {
			if b.Share("p", standard, token) || mustGet(t, b, Unset) != first {
				t.Errorf("a token that is %s was taken", name)
			}
		}
		if b.Share("p", func(grant.Request) bool { return false }, w.elsewhere("another", 0)) {
			t.Error("a token for other requests was taken")
		}
		refused, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset, Refused: keystore.SecretString(first)})
		if err != nil || refused.Access.Reveal() == first {
			t.Fatalf("after a refusal: %v", err)
		}
		if b.Share("p", standard, w.elsewhere(first, -time.Minute)) {
			t.Error("the token that an API has refused was taken")
		}
	})
}

// What another machine has left undone is made up for although a token is cached and nobody asks.
func TestRenewalsThatNobodyAsksFor(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		b.Renew("p", "other")
		time.Sleep(time.Second)
		synctest.Wait()
		if n := w.count(); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}
