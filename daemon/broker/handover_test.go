package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// Another broker adopts a closed broker's tokens: it hands them out, renews them when the first one would have, and
// sends no request before that.
func TestM1TokensAreAdopted(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		token := mustGet(t, b, Unset)
		if _, err := b.Token(t.Context(), Query{Profile: "p", Scope: "b a", MinTTL: Unset}); err != nil {
			t.Fatal(err)
		}
		if n := len(b.Tokens()); n != 0 {
			t.Errorf("%d tokens of a broker that is not closed", n)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := b.Tokens()
		if len(all) != 2 {
			t.Fatalf("%d tokens, want 2", len(all))
		}
		asked := w.count()

		next := New(w.now)
		defer next.Close(t.Context())
		next.Put(map[string]Source{"p": w})
		for _, cached := range all {
			if !next.Adopt(cached) {
				t.Error("a token is not adopted")
			}
			if next.Adopt(cached) {
				t.Error("a token takes the place of another one")
			}
			if cached.Profile = "other"; next.Adopt(cached) {
				t.Error("a token of no profile is adopted")
			}
		}
		if got := mustGet(t, next, Unset); got != token {
			t.Errorf("%s, want %s", got, token)
		}
		if _, err := next.Token(t.Context(), Query{Profile: "p", Scope: "a b", MinTTL: Unset}); err != nil {
			t.Error(err)
		}
		if n := w.count(); n != asked {
			t.Errorf("%d requests", n-asked)
		}
		var renew time.Duration
		for _, cached := range all {
			if cached.Scope == "" {
				renew = cached.Renew
			}
		}
		time.Sleep(renew - w.now().Boot - time.Second)
		synctest.Wait()
		if got := mustGet(t, next, Unset); got != token {
			t.Error("renewed before its time")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := mustGet(t, next, Unset); got == token {
			t.Error("not renewed at its time")
		}
	})
}

// The ID token of a token goes with it, unless it has ended.
func TestAnIDTokenIsAdopted(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		cached, q := b.Tokens()[0], Query{Profile: "p", MinTTL: Unset}
		for _, life := range []time.Duration{time.Hour, time.Second} {
			sent := clock.Instant{Boot: w.now().Boot - 2*time.Second}
			id := &grant.IDToken{Text: keystore.SecretString("h.p.s"), Sent: sent, Lifetime: life}
			cached.Token.ID = id
			next := New(w.now)
			next.Put(map[string]Source{"p": w})
			if !next.Adopt(cached) {
				t.Fatal("the token is not adopted")
			}
			if got, ok := next.CachedID(q); ok != (life == time.Hour) || ok && got != id {
				t.Errorf("%v: %v, %v", life, got, ok)
			}
			if err := next.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if passed := next.Tokens()[0].Token.ID; (passed == id) != (life == time.Hour) {
				t.Errorf("%v: passed on %v", life, passed)
			}
		}
	})
}

// A token that has expired, or is an API key, is neither passed on nor adopted.
func TestM1NoDeadTokenIsAdopted(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		cached := b.Tokens()[0]
		next := New(w.now)
		defer next.Close(t.Context())
		next.Put(map[string]Source{"p": w})
		key := cached
		if key.Token.Static = true; next.Adopt(key) {
			t.Error("an API key is adopted")
		}
		dead := cached
		dead.Token.Sent = clock.Instant{Boot: w.now().Boot - cached.Token.Lifetime}
		if next.Adopt(dead) {
			t.Error("an expired token is adopted")
		}
		time.Sleep(cached.Token.Lifetime)
		if n := len(b.Tokens()); n != 0 {
			t.Errorf("%d tokens that have ended are passed on", n)
		}
	})
}
