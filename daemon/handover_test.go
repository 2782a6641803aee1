package daemon

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/keystore"
)

// durable is a keystore that says it outlives the process.
type durable struct{ *faultyStore }

func (durable) Status(context.Context) keystore.Status {
	return keystore.Status{Use: "sealed", State: "ok"}
}

// A daemon goes on as long as something would be lost, and says what; else it hands over.
func TestM2WhatKeepsFromAHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := durable{&faultyStore{memory: memory{&keystore.Memory{}}}}
		h := newBubbleEnv(t, sandbox.Options{}, store)
		want := func(says string) {
			t.Helper()
			why := h.KeepsFromHandover(t.Context())
			if says == "" && why != nil || says != "" &&
				(why == nil || !strings.Contains(why.Message, says) || !strings.HasPrefix(why.Hint, "kill ")) {
				t.Errorf("%+v, want %q", why, says)
			}
		}
		want("")
		h.signIn(t, h.ofMachine("p"))
		want("")

		login := h.watch(t, h.ofDevice("q"))
		<-login.asked
		want("a sign-in is under way")
		login.leave()
		<-login.over
		synctest.Wait()
		want("")

		store.unwritable.Store(true)
		item := stored(t, store, "p")
		item.ClientSecret = keystore.SecretString(clientSecret)
		if err := h.stores.Kept.SetOrHold(t.Context(), "p", item); err == nil {
			t.Fatal("it was stored")
		}
		want("could not take yet")
		store.unwritable.Store(false)
		want("") // it has been stored

		params := h.ofDevice("short")
		params.Ephemeral = true
		h.signIn(t, params)
		want("in memory only: short")
	})
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		if why := h.KeepsFromHandover(t.Context()); why != nil {
			t.Errorf("%+v, and there is nothing to lose", why)
		}
		h.signIn(t, h.ofMachine("p"))
		if why := h.KeepsFromHandover(t.Context()); why == nil ||
			!strings.Contains(why.Message, "credentials in memory only") {
			t.Errorf("%+v", why)
		}
	})
}

// A profile that is in use though its file is wrong would be lost with the daemon, also before the file is read again.
func TestAProfileInUseKeepsFromAHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := durable{&faultyStore{memory: memory{&keystore.Memory{}}}}
		h := newBubbleEnv(t, sandbox.Options{}, store)
		h.signIn(t, h.ofMachine("lab"))
		h.signIn(t, h.ofMachine("work"))
		mend := h.spoils(t, "work")
		const says = "it uses profiles as they were before their files became wrong: work"
		keeps := func(when, want string) {
			t.Helper()
			why := h.KeepsFromHandover(t.Context())
			if why == nil && want != "" || why != nil && (want == "" || !strings.HasPrefix(why.Message, want)) {
				t.Errorf("%s: %+v, want %q", when, why, want)
			}
		}
		keeps("before a reload", says)
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
		keeps("after it", says)
		st, err := h.visit(t).Status(t.Context(), "")
		if err != nil || len(st.Unsaved) != 1 || st.Unsaved[0] != says {
			t.Errorf("%q, %v", st.Unsaved, err)
		}
		mend()
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
		keeps("mended", "")
		h.write(t, "config.toml", "nonsense")
		keeps("a wrong config.toml", "it uses the configuration as it was before: ")
	})
}

// A token is held by the daemon that comes next, for a profile of the same configuration only.
func TestM1TheNextDaemonHoldsTheTokens(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		h.signIn(t, h.ofMachine("p"))
		h.signIn(t, h.ofMachine("q"))
		first, err := h.token(t, "p")
		if err != nil {
			t.Fatal(err)
		}
		asked := h.renewals()
		h.stop(t)
		tokens := h.Tokens()
		h.restart(t, store, h.HTTP)
		changed := map[string]bool{}
		var adopted []handover.Token
		for _, token := range tokens {
			if token.Profile == "q" && !changed["q"] {
				changed["q"], token.Configuration = true, "another"
			}
			adopted = append(adopted, token)
		}
		if n := h.Adopt(adopted); len(tokens) != 2 || n != 1 {
			t.Errorf("%d of %d tokens are held, want 1 of 2", n, len(tokens))
		}
		if h.holds("q") {
			t.Error("a token of another configuration is held")
		}
		second, err := h.token(t, "p")
		if err != nil || second.AccessToken != first.AccessToken || h.renewals() != asked {
			t.Errorf("another token, after %d requests: %v", h.renewals()-asked, err)
		}
	})
}
