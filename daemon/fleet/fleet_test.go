package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// The servers, as FLEET.md names them.
var (
	notRotating = sandbox.Refresh{Always: true}
	strict      = sandbox.Refresh{Always: true, Rotate: true, KeepFamily: true}
	revoking    = sandbox.Refresh{Always: true, Rotate: true}
	graceful    = sandbox.Refresh{Always: true, Rotate: true, Overlap: 30 * time.Second}
	fapi        = sandbox.Refresh{Always: true, Rotate: true, UntilUsed: true}
)

// All machines that ask at once for a token that none has cause one request, and have the same token; so they do after
// each of a day's renewals.
func TestOneRequestForAllMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, revoking)
		all := s.machines(5)
		synctest.Wait()
		ask := func() {
			var asking sync.WaitGroup
			tokens := make([]string, len(all))
			for i, m := range all {
				asking.Go(func() { tokens[i] = m.mustGet().Access.Reveal() })
			}
			asking.Wait()
			for i := range tokens {
				if tokens[i] != tokens[0] || tokens[i] == "" {
					t.Errorf("%s has another token than %s", all[i].name, all[0].name)
				}
			}
		}
		ask()
		if n := s.posts(); n != 1 {
			t.Fatalf("%d requests for the first token", n)
		}
		for range 24 * 12 {
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			ask()
		}
		generation := all[0].Status("work").Generation
		if n := s.posts(); int64(n) != generation-1 || n < 24 {
			t.Errorf("%d requests made %d generations", n, generation-1)
		}
		t.Logf("24 hours: %d requests", s.posts())
	})
}

// A logout on one machine is one on all.
func TestLogoutIsForAllMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(3)
		all[1].mustGet()
		if err := all[2].Delete(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, m := range all {
			if _, err := m.get(); err == nil || len(m.gone) != 1 {
				t.Errorf("%s still has a token, or was not told: %v", m.name, m.gone)
			}
			if st := m.Status("work"); !st.SignedOut || st.By != "m2" {
				t.Errorf("%s says %+v", m.name, st)
			}
		}
	})
}

// Whether the engine answers is told by one goroutine at a time, in order.
func TestReachedIsToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, heard := newSite(t, strict), make(chan struct{})
		var told []error
		f, err := Open(s.store.Client(), s.keys, "m0", "", s.now, Callbacks{Reached: func(err error) {
			if err != nil {
				<-heard
			}
			told = append(told, err)
		}})
		if err != nil {
			t.Fatal(err)
		}
		go f.reached(engine.ErrUnavailable)
		synctest.Wait()
		f.reached(nil)
		close(heard)
		synctest.Wait()
		if !slices.Equal(told, []error{engine.ErrUnavailable, nil}) {
			t.Errorf("told: %v", told)
		}
		for _, err := range []error{engine.ErrUntrusted, engine.ErrRefused, engine.ErrUnavailable} {
			if f.reached(err); !errors.Is(f.Status("work").Err, err) {
				t.Errorf("%v: the status says %v", err, f.Status("work").Err)
			}
		}
		if f.reached(context.Canceled); errors.Is(f.Status("work").Err, context.Canceled) {
			t.Error("a caller that has gone is the engine's fault")
		}
	})
}

// A server's refusal is presented by one machine, once; a login ends it for all.
func TestARefusalIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(3)
		s.server.Script(s.server.TokenPath(), sandbox.Refuse(400, "invalid_grant"))
		for _, m := range all {
			if _, err := m.get(); err == nil {
				t.Errorf("%s has a token", m.name)
			}
		}
		if n := s.posts(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// A machine that is cut off goes on with what it holds, says so, and is current again soon after.
func TestAMachineThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(2)
		first := all[1].mustGet()
		all[1].client.Cut()
		synctest.Wait()
		if got := all[1].mustGet(); !got.Access.Equal(first.Access) {
			t.Error("the token that it holds is not served")
		}
		time.Sleep(10 * time.Minute)
		if err := all[1].Status("work").Err; !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("the status says %v", err)
		}
		all[0].mustGet()
		time.Sleep(time.Hour)
		if _, err := all[1].get(); err == nil {
			t.Error("it has a token that it could not get")
		}
		all[1].client.Mend()
		time.Sleep(16 * time.Second)
		synctest.Wait()
		second, posts := all[0].mustGet(), s.posts()
		if got := all[1].mustGet(); !got.Access.Equal(second.Access) || s.posts() != posts {
			t.Errorf("it has another token, after %d requests", s.posts()-posts)
		}
	})
}

// The engine sees neither secrets nor names.
func TestWhatTheEngineSees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(2)
		token := all[0].mustGet()
		item, err := all[0].Get(t.Context(), "work")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.store.Entries() {
			secrets := []string{token.Access.Reveal(), item.RefreshToken.Reveal(), "work", "127.0.0.1", "m0"}
			for _, secret := range secrets {
				if strings.Contains(e.Key+string(e.Value), secret) {
					t.Errorf("%q is in the entry %s", secret, e.Key)
				}
			}
		}
	})
}

// A machine that dies with its request under way is followed by another one within the server's grace, although nobody
// asks.
func TestTakeOverWithoutACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, graceful)
		all := s.machines(3)
		died := make(chan struct{})
		all[0].trip = func(next func() (*http.Response, error)) (*http.Response, error) {
			next()
			all[0].client.Cut()
			close(died)
			return nil, context.Canceled
		}
		go all[0].get()
		<-died
		time.Sleep(TakeOver + takeOverSpread + time.Second)
		synctest.Wait()
		for _, m := range all[1:] {
			if st := m.Status("work"); st.Generation != 2 || st.By == "m0" {
				t.Errorf("%s says %+v", m.name, st)
			}
			m.mustGet()
		}
		if n := s.posts(); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// What a machine reads of a credential is the newest, also after another machine's renewal.
func TestGetReturnsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(2)
		all[0].mustGet()
		if _, err := all[1].b.Verify(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a, errA := all[0].Get(t.Context(), "work")
		b, errB := all[1].Get(t.Context(), "work")
		if errA != nil || errB != nil || !a.RefreshToken.Equal(b.RefreshToken) {
			t.Errorf("they have different refresh tokens: %v, %v", errA, errB)
		}
	})
}

// A token that an API refuses as soon as another machine has shared it is not the answer to who wants another one: one
// request brings that for all.
func TestATokenThatIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(3)
		refused := all[0].mustGet()
		synctest.Wait()
		query := broker.Query{Profile: "work", MinTTL: broker.Unset, Refused: refused.Access}
		for _, m := range all[1:] {
			token, err := m.b.Token(t.Context(), query)
			if err != nil || token.Access.Equal(refused.Access) {
				t.Errorf("%s has the refused token: %v", m.name, err)
			}
		}
		if n := s.posts(); n != 2 {
			t.Errorf("%d requests for two tokens", n)
		}
	})
}

// The machines that wait for a renewal wait for longer than its request can take.
func TestTakeOverIsAfterTheRequest(t *testing.T) {
	if client := grant.NewHTTPClient(new(grant.Network)); client.Timeout <= 0 || SendWindow+client.Timeout >= TakeOver {
		t.Errorf("a request takes up to %v, and another machine takes over after %v", client.Timeout, TakeOver)
	}
}

// A token of a narrower scope is shared as the default one is, and a caller who wants more life than a shared token has
// left gets a new one.
func TestVariantsAndMinTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(3)
		ask := func(m *machine, q broker.Query) grant.Token {
			t.Helper()
			q.Profile = "work"
			token, err := m.b.Token(t.Context(), q)
			if err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
			return token
		}
		first := ask(all[0], broker.Query{MinTTL: broker.Unset})
		life := first.Lifetime
		for _, m := range all[1:] {
			if got := ask(m, broker.Query{MinTTL: life / 2}); !got.Access.Equal(first.Access) || s.posts() != 1 {
				t.Errorf("%s has another token, after %d requests", m.name, s.posts())
			}
		}
		time.Sleep(life / 4)
		second := ask(all[1], broker.Query{MinTTL: life - 30*time.Second})
		if second.Access.Equal(first.Access) || s.posts() != 2 {
			t.Errorf("%d requests for a token that is good for longer", s.posts())
		}
		synctest.Wait()
		if got := ask(all[2], broker.Query{MinTTL: life - 30*time.Second}); !got.Access.Equal(second.Access) {
			t.Error("another machine does not have it")
		}
	})
}

// The clock of a machine that is two hours off makes no difference: nothing is renewed more often, and no token that
// has expired is served.
func TestAWrongClockOnOneMachine(t *testing.T) {
	for _, off := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, revoking)
			s.off = map[string]time.Duration{"m1": off}
			all := s.machines(3)
			for range 12 {
				for _, m := range all {
					token := m.mustGet()
					if left := token.Remaining(s.now()); left < 0 || left > token.Lifetime {
						t.Errorf("%s serves a token with %v of %v left", m.name, left, token.Lifetime)
					}
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
			}
			if generation := all[0].Status("work").Generation; int64(s.posts()) != generation-1 || s.posts() > 8 {
				t.Errorf("%d requests made %d generations in an hour", s.posts(), generation-1)
			}
		})
	}
}

// What is sealed anew is written many values at once.
func TestResealTogether(t *testing.T) {
	keys, store := keyring.New(), engine.NewMemory(nil)
	f, err := Open(store.Client(), keys, "a", "", clock.Now, Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2*resealBatch + 1 {
		key := fmt.Sprintf("%s%032x/%s", f.root(), i, kindRecord)
		sealed, err := keys.Seal(key, kindRecord, []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		store.Put(engine.Change{Key: key, Value: sealed})
	}
	if err := keys.Add(2, keyring.NewKey()); err != nil {
		t.Fatal(err)
	}
	if err := f.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	writes := map[int64]bool{}
	for _, e := range store.Entries() {
		writes[e.Revision] = true
		if _, epoch, err := keys.Open(e.Key, kindRecord, e.Value); epoch != 2 || err != nil {
			t.Errorf("epoch %d, %v", epoch, err)
		}
	}
	if len(writes) != 3 {
		t.Errorf("%d writes, want 3", len(writes))
	}
}

// After the key was rotated nothing in the engine can be read with the old one, and all machines go on.
func TestReseal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(2)
		all[0].mustGet()
		removed, err := keyring.Decode(s.keys.Encode())
		if err != nil {
			t.Fatal(err)
		}
		key := keyring.NewKey()
		for _, m := range all {
			if err := m.keys.Add(2, key); err != nil {
				t.Fatal(err)
			}
		}
		// What nobody has sealed keeps nobody from it: values of no epoch, of a later one, and of none at all.
		for i, junk := range []string{"", "junk", "\x01\xaa\xbb\xcc\xdd" + strings.Repeat("junk", 20)} {
			s.store.Put(engine.Change{Key: fmt.Sprintf("%s%032x/record", all[0].root(), i), Value: []byte(junk)})
		}
		if err := all[1].Reseal(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, e := range s.store.Entries() {
			id, kind, _ := all[0].part(e.Key)
			if all[0].byID[id] == nil {
				continue // junk
			}
			if _, _, err := removed.Open(e.Key, kind, e.Value); !errors.Is(err, keyring.ErrEpoch) {
				t.Errorf("the old key opens %s: %v", e.Key, err)
			}
		}
		for _, m := range all {
			m.keys.Retire(2)
			if _, err := m.b.Verify(t.Context(), "work"); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	})
}

// A profile that was signed in with a key which a machine does not have yet is there once it has the key.
func TestAProfileBeforeItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(2)
		key := keyring.NewKey()
		if err := all[0].keys.Add(2, key); err != nil {
			t.Fatal(err)
		}
		if err := all[0].Replace(t.Context(), "late", s.session(), []byte("configuration")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if names := all[1].Names(); slices.Contains(names, "late") {
			t.Fatalf("without the key: %q", names)
		}
		if err := all[1].keys.Add(2, key); err != nil {
			t.Fatal(err)
		}
		all[1].Rekeyed()
		time.Sleep(2 * time.Second)
		if names := all[1].Names(); !slices.Contains(names, "late") {
			t.Errorf("with the key: %q", names)
		}
	})
}

// What a hostile engine puts in the place of a record is not taken: what was sealed for another place, what is garbage,
// what a removed machine has sealed, and nothing at all. The newest record is written back.
func TestAForgedRecord(t *testing.T) {
	for name, forge := range map[string]func(s *site, record engine.Entry, config engine.Entry) []byte{
		"garbage":       func(*site, engine.Entry, engine.Entry) []byte { return []byte("garbage") },
		"another place": func(_ *site, _, config engine.Entry) []byte { return config.Value },
		"nothing":       func(*site, engine.Entry, engine.Entry) []byte { return nil },
		"another fleet": func(_ *site, record, _ engine.Entry) []byte {
			sealed, err := keyring.New().Seal(record.Key, kindRecord, []byte("{}"))
			if err != nil {
				panic(err)
			}
			return sealed
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, revoking)
				all := s.machines(2)
				all[0].mustGet()
				synctest.Wait()
				var record, config engine.Entry
				for _, e := range s.store.Entries() {
					switch _, kind, _ := all[0].part(e.Key); kind {
					case kindRecord:
						record = e
					case kindConfig:
						config = e
					}
				}
				s.store.Put(engine.Change{Key: record.Key, Value: forge(s, record, config)})
				time.Sleep(time.Minute)
				for _, m := range all {
					if _, err := m.b.Verify(t.Context(), "work"); err != nil {
						t.Errorf("%s: %v", m.name, err)
					}
				}
				if s.presentedTwice() {
					t.Error("a refresh token was presented twice")
				}
			})
		})
	}
}

// After a login no token of the one before is taken, also where the engine puts it back.
func TestATokenOfAnEarlierLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(2)
		old := all[0].mustGet()
		var entry engine.Entry
		for _, e := range s.store.Entries() {
			if _, kind, _ := all[0].part(e.Key); kind == kindToken {
				entry = e
			}
		}
		if err := all[1].Replace(t.Context(), "work", s.session(), []byte("another configuration")); err != nil {
			t.Fatal(err)
		}
		s.store.Put(engine.Change{Key: entry.Key, Value: entry.Value})
		synctest.Wait()
		fresh := s.start("m2", "")
		synctest.Wait()
		for _, m := range append(all, fresh) {
			if token := m.mustGet(); token.Access.Equal(old.Access) {
				t.Errorf("%s serves the token of the login before", m.name)
			}
		}
	})
}
