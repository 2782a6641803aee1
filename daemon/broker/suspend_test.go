package broker

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// hold is fresh for very many profiles: each Install would copy the set of them.
func hold(t *testing.T, w *env, b *Broker, sources map[string]Source) {
	b.Put(sources)
	for name := range sources {
		s, _ := b.slot(name)
		s.do(func() {
			v := s.tokenSlot(key{}, w.now())
			v.touch(w.now())
			s.publish(v,
				grant.Token{
					Access: keystore.SecretString("first-" + name), Type: "Bearer", Sent: w.now(), Lifetime: life,
				},
				w.now())
		})
	}
	synctest.Wait() // for the resume watch too
}

// E17: ten thousand profiles come due together after the machine has slept for eight hours and every token is dead. The
// server sees what the limits allow and not one request more; profiles with callers come first; none fails, and in the
// end all have a token.
func TestE17TenThousandProfilesAfterAResume(t *testing.T) {
	tier.Long(t, "it renews ten thousand profiles")
	in(t, func(t *testing.T, w *env, b *Broker) {
		const profiles, waiting = 10_000, 100
		c := &crowded{env: w}
		w.life = 2 * time.Hour // so that no profile is due twice
		hold(t, w, b, named(profiles, c))
		w.boot.Add(int64(8 * time.Hour))
		woke := w.now().Boot
		time.Sleep(suspendPoll + resumeSpread) // by now thousands are in the queue
		before := w.count()
		var callers sync.WaitGroup
		for i := range waiting {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				token, err := b.Token(ctx, Query{Profile: fmt.Sprintf("q%d", i*profiles/waiting), MinTTL: Unset})
				if err != nil || token.Remaining(w.now()) < defaultMinTTL(life) {
					t.Errorf("caller %d: %v", i, err)
				}
			})
		}
		callers.Wait()
		if n := w.count() - before; n > waiting+maxPerSecond+maxAtOnce {
			t.Errorf("%d requests until %d callers were served: others came before them", n, waiting)
		}
		time.Sleep(profiles / maxPerSecond * time.Second)
		synctest.Wait()
		if n := w.count(); n != profiles {
			t.Errorf("%d requests for %d profiles", n, profiles)
		}
		for name := range named(profiles, c) {
			if st, _ := b.Status(name); !st.Held || st.Err != nil {
				t.Errorf("%s: held %v, %v", name, st.Held, st.Err)
				break
			}
		}
		peak, most := w.inOneSecond(0), c.most.Load()
		if peak > maxPerSecond || most > maxAtOnce {
			t.Errorf("%d requests in one second, %d at once", peak, most)
		}
		took := w.call(profiles-1) - woke
		if took > profiles/maxPerSecond*time.Second+2*(suspendPoll+resumeSpread) {
			t.Errorf("it took %s: the limit was not used up", took)
		}
		t.Attr("resume.profiles", fmt.Sprint(profiles))
		t.Attr("resume.requests", fmt.Sprint(w.count()))
		t.Attr("resume.peak-per-second", fmt.Sprint(peak))
		t.Attr("resume.at-once", fmt.Sprint(most))
		t.Attr("resume.seconds", fmt.Sprint(int(took.Seconds())))
	})
}
