package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore"
)

// site is an engine and the machines around it, in a synctest bubble.
type site struct {
	*testing.T
	engine *engine.Memory
	start  time.Time
	keeps  bool // the machines have a state directory
}

// machine is a member that runs.
type machine struct {
	*Member
	client *engine.Client
	dir    string
	mu     sync.Mutex
	kept   keystore.Secret
	warned []error
	stop   func() error
}

func newSite(t *testing.T) *site {
	return &site{T: t, engine: engine.NewMemory(nil), start: time.Now()}
}

func (s *site) now() clock.Instant {
	return clock.Instant{Wall: time.Now(), Boot: time.Since(s.start)}
}

func (s *site) options() (*machine, Options) {
	x := &machine{client: s.engine.Client(), stop: func() error { return nil }}
	if s.keeps {
		x.dir = s.TempDir()
	}
	return x, Options{
		Engine: x.client, Now: s.now, StateDir: x.dir,
		Keep: func(_ context.Context, _ string, secret keystore.Secret) error {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.kept = secret.Clone()
			return nil
		},
		Warn: func(err error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.warned = append(x.warned, err)
		},
	}
}

func (s *site) run(x *machine) *machine {
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	x.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	s.Cleanup(func() { x.stop() })
	return x
}

func (s *site) create(name string) *machine {
	s.Helper()
	x, o := s.options()
	m, err := Create(s.Context(), o, name)
	if err != nil {
		s.Fatal(err)
	}
	x.Member = m
	return s.run(x)
}

func (s *site) tryJoin(c Code, name string) (*machine, error) {
	x, o := s.options()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	m, err := Join(ctx, o, c, name)
	x.Member = m
	return x, err
}

func (s *site) join(by *machine, name string) *machine {
	s.Helper()
	c, err := by.Invite(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	x, err := s.tryJoin(c, name)
	if err != nil {
		s.Fatal(err)
	}
	return s.run(x)
}

// restart is the machine after a restart of its groatd.
func (s *site) restart(x *machine) *machine {
	s.Helper()
	x.stop()
	y, o := s.options()
	y.dir, o.StateDir = x.dir, x.dir
	x.mu.Lock()
	defer x.mu.Unlock()
	m, err := Open(o, x.kept)
	if err != nil {
		s.Fatal(err)
	}
	y.Member, y.kept = m, x.kept.Clone()
	return y
}

func names(x *machine) (all []string) {
	for _, m := range x.Machines() {
		all = append(all, m.Name)
	}
	return all
}

// agree fails unless the machines know the same members and keys.
func (s *site) agree(all []string, machines ...*machine) {
	s.Helper()
	time.Sleep(10 * time.Second) // of the bubble's time
	sealed, err := machines[0].Keys().Seal("key", "test", []byte("plain"))
	if err != nil {
		s.Fatal(err)
	}
	for _, x := range machines {
		if err := x.Err(); err != nil {
			s.Errorf("%s: %v", x.Name(), err)
		}
		if got := names(x); !slices.Equal(got, all) {
			s.Errorf("%s knows %v, want %v", x.Name(), got, all)
		}
		if plain, epoch, err := x.Keys().Open("key", "test", sealed); err != nil || epoch != x.Keys().Epoch() {
			s.Errorf("%s cannot open what is sealed now: %v, epoch %d of %d", x.Name(), err, epoch, x.Keys().Epoch())
		} else {
			plain.Wipe()
		}
	}
}

// bubble runs a test with an engine.
func bubble(t *testing.T, f func(s *site)) {
	synctest.Test(t, func(t *testing.T) { f(newSite(t)) })
}

func TestMachinesJoinLeaveAndAreRemoved(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b := s.join(a, "b")
		c := s.join(b, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)

		if err := a.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		s.agree([]string{"a", "b"}, a, b)
		if a.Keys().Epoch() != 2 {
			t.Errorf("epoch %d after a removal", a.Keys().Epoch())
		}
		if err := c.stop(); !errors.Is(err, ErrRemoved) || !errors.Is(c.Err(), ErrRemoved) {
			t.Errorf("the removed machine says %v", err)
		}
		if err := s.restart(c).Sync(s.Context()); !errors.Is(err, ErrRemoved) {
			t.Errorf("the removed machine says %v after a restart", err)
		}

		ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
		defer cancel()
		rotated, err := b.Leave(ctx)
		if err != nil || !rotated {
			t.Fatalf("leave: %v, rotated %t", err, rotated)
		}
		s.agree([]string{"a"}, a)
		if a.Keys().Epoch() != 3 {
			t.Errorf("epoch %d after a machine left", a.Keys().Epoch())
		}
		d := s.join(a, "b") // its name is free again
		s.agree([]string{"a", "b"}, a, d)
	})
}

func TestTheLastMachineDeletesTheFleet(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		if rotated, err := a.Leave(s.Context()); err != nil || !rotated {
			t.Fatal(rotated, err)
		}
		a.stop()
		if left := s.engine.Entries(); len(left) > 0 {
			t.Errorf("%d entries are left", len(left))
		}
	})
}

func TestARestartGoesOn(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b := s.join(a, "b")
		s.agree([]string{"a", "b"}, a, b)
		b = s.run(s.restart(b))
		s.agree([]string{"a", "b"}, a, b)
	})
}

func TestTwoMachinesOfOneName(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("node")
		b := s.join(a, "node")
		s.agree([]string{"node", "node-2"}, a, b)
		if b.Name() != "node-2" {
			t.Errorf("the second is called %q", b.Name())
		}
		if b = s.restart(b); b.Name() != "node-2" || b.Self() == a.Self() {
			t.Errorf("after a restart the second is called %q, %s beside %s", b.Name(), b.Self(), a.Self())
		}
	})
}

// A member that was away through two removals has the keys of both epochs.
func TestAwayThroughTwoRotations(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c, d := s.join(a, "b"), s.join(a, "c"), s.join(a, "d")
		s.agree([]string{"a", "b", "c", "d"}, a, b, c, d)
		b.stop()
		for _, gone := range []string{"c", "d"} {
			if err := a.Remove(s.Context(), gone); err != nil {
				t.Fatal(err)
			}
		}
		e := s.join(a, "e")
		b = s.run(s.restart(b))
		s.agree([]string{"a", "b", "e"}, a, b, e)
		if b.Keys().Epoch() != 3 {
			t.Errorf("epoch %d", b.Keys().Epoch())
		}
	})
}

func TestTwoRemovalsAtOnce(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c, d := s.join(a, "b"), s.join(a, "c"), s.join(a, "d")
		s.agree([]string{"a", "b", "c", "d"}, a, b, c, d)
		errs := make(chan error, 2)
		go func() { errs <- a.Remove(s.Context(), "c") }()
		go func() { errs <- b.Remove(s.Context(), "d") }()
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		s.agree([]string{"a", "b"}, a, b)

		// Two that remove each other: one is faster, and the other is no member then.
		go func() { errs <- a.Remove(s.Context(), "b") }()
		go func() { errs <- b.Remove(s.Context(), "a") }()
		first, second := <-errs, <-errs
		if (first == nil) == (second == nil) {
			t.Errorf("two that remove each other: %v, %v", first, second)
		}
	})
}

// A machine that was removed reads all that the engine has and opens nothing that was written afterwards.
func TestARemovedMachineReadsNothingNew(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c := s.join(a, "b"), s.join(a, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)
		before := map[string][]byte{}
		for _, e := range s.engine.Entries() {
			before[e.Key] = e.Value
		}
		if err := a.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		d := s.join(b, "d")
		s.agree([]string{"a", "b", "d"}, a, b, d)
		sealed, err := b.Keys().Seal("/groat/x/p/record", "record", []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		s.engine.Put(engine.Change{Key: "/groat/x/p/record", Value: sealed})
		read := 0
		for _, e := range s.engine.Entries() {
			if bytes.Equal(before[e.Key], e.Value) {
				continue
			}
			read++
			for _, kind := range []string{kindLog, kindInvitation, "record"} {
				if plain, _, err := c.Keys().Open(e.Key, kind, e.Value); err == nil {
					t.Errorf("%s: the removed machine reads %d bytes", e.Key, plain.Len())
				}
			}
			parts := strings.Split(e.Key, "/")
			if id := parts[len(parts)-2]; strings.Contains(e.Key, "/k/") {
				if _, err := c.self.open(c.keys.Fleet(), id, e.Value); err == nil {
					t.Errorf("%s: the removed machine opens the new keys", e.Key)
				}
			}
		}
		if read < 5 {
			t.Errorf("only %d values were written after the removal", read)
		}
	})
}

// A machine that was removed, and can still write to the engine, gets nothing in.
func TestARemovedMachineCannotForge(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c := s.join(a, "b"), s.join(a, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)
		synctest.Wait()
		old := c.log.clone()
		if err := a.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		s.agree([]string{"a", "b"}, a, b)

		forge := func(e entry, keys *keyring.Keyring) engine.Change {
			text, err := c.self.signEntry(c.keys.Fleet(), e)
			if err != nil {
				t.Fatal(err)
			}
			key := entryKey(c.keys.Fleet(), e.Index)
			value, err := keys.Seal(key, kindLog, text)
			if err != nil {
				t.Fatal(err)
			}
			return engine.Change{Key: key, Value: value}
		}
		mine := keyring.NewKey()
		synctest.Wait()
		now := a.log.clone()
		next := entry{Index: now.index + 1, Previous: now.hashes[now.index].bytes(), By: c.self.id()}
		epoch, again := next, next
		epoch.Kind, epoch.Epoch, epoch.Commit = kindRotate, now.epoch+1, commitOf(now.fleet, now.epoch+1, mine)
		again.Kind, again.Subject, again.Invitation = kindJoin, c.self.public(), "0011223344556677"
		for name, change := range map[string]engine.Change{
			"an epoch": forge(epoch, c.keys), "itself": forge(again, c.keys),
			"an epoch, sealed with a key that a member has let it seal with": forge(epoch, a.keys),
			"itself, so": forge(again, a.keys), "noise": {Key: entryKey(now.fleet, now.index+1), Value: []byte("x")},
		} {
			s.engine.Put(change, engine.Change{Key: a.key("m/epoch"), Value: keyID(epoch.Commit)})
			s.agree([]string{"a", "b"}, a, b)
			if a.Keys().Epoch() != 2 || len(a.warned) == 0 {
				t.Errorf("%s: epoch %d, warnings %v", name, a.Keys().Epoch(), a.warned)
			}
		}
		// What stands in the next entry's place keeps no machine from joining, and the log goes on.
		d := s.join(a, "d")
		s.agree([]string{"a", "b", "d"}, a, b, d)

		// The entry before its removal, with another one after it, is a history that nobody goes back to.
		fork := entry{Index: old.index + 1, Previous: old.hashes[old.index].bytes(), By: c.self.id(),
			Kind: kindRemove, Subject: &subject{ID: a.self.id()}, Epoch: old.epoch + 1,
			Commit: commitOf(old.fleet, old.epoch+1, mine)}
		s.engine.Put(forge(fork, c.keys))
		if err := b.Sync(s.Context()); err != nil {
			t.Errorf("a running machine looks at entries that it has seen: %v", err)
		}
		r := s.restart(b)
		if err := r.Sync(s.Context()); !errors.Is(err, ErrOtherFleet) && !errors.Is(err, ErrOlder) {
			t.Errorf("after a restart the fork is taken: %v, %v", err, names(r))
		}
	})
}

// An engine that shows an older copy, or swaps keys, is noticed.
func TestAHostileEngine(t *testing.T) {
	t.Run("an older copy", func(t *testing.T) {
		bubble(t, func(s *site) {
			a := s.create("a")
			b := s.join(a, "b")
			s.agree([]string{"a", "b"}, a, b)
			backup := s.engine.Backup()
			c := s.join(a, "c")
			s.agree([]string{"a", "b", "c"}, a, b, c)
			b.stop()
			s.engine.Restore(backup)
			if err := s.restart(b).Sync(s.Context()); !errors.Is(err, ErrOlder) {
				t.Errorf("a machine that was stopped takes the older copy: %v", err)
			}
		})
	})
	t.Run("other keys in the place of a member's", func(t *testing.T) {
		bubble(t, func(s *site) {
			a := s.create("a")
			b, c := s.join(a, "b"), s.join(a, "c")
			s.agree([]string{"a", "b", "c"}, a, b, c)
			b.stop()
			if err := a.Remove(s.Context(), "c"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // what is read below is not written any more
			// The engine, or the removed machine, seals keys of its own to b.
			hostile := keyring.NewKey()
			ring, err := keyring.Decode(c.keys.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if err := ring.Add(2, hostile); err != nil {
				t.Fatal(err)
			}
			id := string(keyID(a.log.commits[2]))
			value, err := b.self.public().sealTo(a.keys.Fleet(), id, ring.Encode())
			if err != nil {
				t.Fatal(err)
			}
			s.engine.Put(engine.Change{Key: a.key("k/" + id + "/" + b.self.id()), Value: value})
			r := s.restart(b)
			if err := r.Sync(s.Context()); !errors.Is(err, ErrWithheld) || r.Keys().Epoch() != 1 {
				t.Errorf("%v, epoch %d", err, r.Keys().Epoch())
			}
		})
	})
	t.Run("other public keys in a request", func(t *testing.T) {
		bubble(t, func(s *site) {
			a := s.create("a")
			c, err := a.Invite(s.Context())
			if err != nil {
				t.Fatal(err)
			}
			other := c
			other.Secret = newSecret()
			x, err := newIdentity("x")
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := other.seal(useRequest, request{Machine: *x.public()})
			if err != nil {
				t.Fatal(err)
			}
			s.engine.Put(engine.Change{Key: c.key() + "/" + useRequest, Value: sealed})
			s.agree([]string{"a"}, a)
			if _, err := s.tryJoin(c, "b"); !errors.Is(err, ErrExpired) {
				t.Errorf("the invitation is good after a forged request: %v", err)
			}
		})
	})
}

func TestACodeIsGoodOnce(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		c, err := a.Invite(s.Context())
		if err != nil {
			t.Fatal(err)
		}
		invited := slices.DeleteFunc(s.engine.Entries(), func(e engine.Entry) bool { return e.Key != c.key() })[0]
		x, err := s.tryJoin(c, "b")
		if err != nil {
			t.Fatal(err)
		}
		b := s.run(x)
		if _, err := s.tryJoin(c, "c"); !errors.Is(err, ErrUsed) {
			t.Errorf("the second with this code: %v", err)
		}
		// The engine puts the invitation back for a thief who knows the code.
		s.engine.Put(engine.Change{Key: c.key(), Value: invited.Value},
			engine.Change{Key: c.key() + "/" + useAnswer})
		if _, err := s.tryJoin(c, "thief"); !errors.Is(err, ErrExpired) {
			t.Errorf("with a code that the engine has put back: %v", err)
		}
		s.agree([]string{"a", "b"}, a, b)
	})
}

func TestAReplayedRequest(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		c, err := a.Invite(s.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := newIdentity("b")
		if err != nil {
			t.Fatal(err)
		}
		first, err := c.seal(useRequest, request{Machine: *b.public()})
		if err != nil {
			t.Fatal(err)
		}
		s.engine.Put(engine.Change{Key: c.key() + "/" + useRequest, Value: first})
		s.agree([]string{"a", "b"}, a)
		if err := a.Remove(s.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		again, err := a.Invite(s.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The request of the machine that was removed, as it was and with the same keys under the new code.
		s.engine.Put(engine.Change{Key: c.key() + "/" + useRequest, Value: first})
		same, err := again.seal(useRequest, request{Machine: *b.public()})
		if err != nil {
			t.Fatal(err)
		}
		s.engine.Put(engine.Change{Key: again.key() + "/" + useRequest, Value: same})
		s.agree([]string{"a"}, a)
	})
}

func TestAnExpiredCode(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		c, err := a.Invite(s.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(CodeLife + 2*sweepTime)
		if _, err := s.tryJoin(c, "b"); !errors.Is(err, ErrExpired) {
			t.Errorf("after its time: %v", err)
		}
		// Nobody was there to delete it, and the engine has stopped its clock.
		if c, err = a.Invite(s.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		a.client.Cut()
		time.Sleep(CodeLife + 2*sweepTime)
		a.client.Mend()
		if _, err := s.tryJoin(c, "b"); !errors.Is(err, ErrExpired) {
			t.Errorf("after its time, with nobody there: %v", err)
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		c, err := a.Invite(s.Context())
		if err != nil {
			t.Fatal(err)
		}
		a.stop()
		if _, err := s.tryJoin(c, "b"); !errors.Is(err, ErrNobody) {
			t.Errorf("with no machine running: %v", err)
		}
		// The one that has gone does not become a machine later.
		a = s.run(s.restart(a))
		s.agree([]string{"a"}, a)
	})
}

// A thousand requests that nobody was invited to keep nobody waiting.
func TestRequestsOfNobody(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		for i := range 1000 {
			key := a.key(fmt.Sprintf("m/invite/%016x", i))
			s.engine.Put(engine.Change{Key: key, Value: []byte("junk")},
				engine.Change{Key: key + "/" + useRequest, Value: []byte("junk")})
		}
		began := time.Now()
		b := s.join(a, "b")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("a machine joined after %v", took)
		}
		s.agree([]string{"a", "b"}, a, b)
	})
}

// The answers of the engine may be lost at every step.
func TestLostAnswers(t *testing.T) {
	for step := range 6 {
		bubble(t, func(s *site) {
			a := s.create("a")
			b := s.join(a, "b")
			c := s.join(a, "c")
			s.agree([]string{"a", "b", "c"}, a, b, c)
			swaps := 0
			a.client.Inject(func(call engine.Call) engine.Fault {
				if call.Kind == engine.Swapping {
					if swaps++; swaps == step+1 {
						return engine.LoseAnswer
					}
				}
				return engine.None
			})
			for range 3 {
				if err := a.Remove(s.Context(), "c"); err == nil || errors.Is(err, ErrUnknownMachine) {
					break
				}
			}
			s.agree([]string{"a", "b"}, a, b)
		})
	}
}

// What is written through the fence is sealed with a key that every member has, and no removed machine.
func TestNothingIsWrittenWithAnOldKey(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c := s.join(a, "b"), s.join(a, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)
		key := a.key("p/name/record")
		write := func(x *machine) bool {
			value, err := x.Keys().Seal(key, "record", []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			swapped, _, err := x.Fenced().Swap(s.Context(), nil, []engine.Change{{Key: key, Value: value}})
			if err != nil {
				t.Error(err)
			}
			return swapped
		}
		if !write(b) {
			t.Fatal("nothing was written")
		}
		b.stop() // so that it does not hear of the removal
		if err := a.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		before := s.engine.Entries()
		if write(b) {
			t.Error("a value was written with the key of an epoch that is over")
		}
		same := func(x, y engine.Entry) bool { return x.Revision == y.Revision }
		if !slices.EqualFunc(before, s.engine.Entries(), same) {
			t.Error("something was written")
		}
		if !write(b) || b.Keys().Epoch() != 2 {
			t.Errorf("the second try, in epoch %d, was refused", b.Keys().Epoch())
		}
		time.Sleep(time.Second)

		// The removed machine writes with the key that it has, and as if there were a later one. Then it writes to the
		// fence, so that it looks as if the epoch had begun later.
		value, err := c.keys.Seal(key, "record", []byte("forged"))
		if err != nil {
			t.Fatal(err)
		}
		later := slices.Clone(value)
		later[1] = 0xff
		fence := a.Fence().Key
		was := slices.DeleteFunc(s.engine.Entries(), func(e engine.Entry) bool { return e.Key != fence })[0]
		for name, puts := range map[string][]engine.Change{
			"alone": {{Key: key, Value: value}}, "a later epoch": {{Key: key, Value: later}},
			"noise in the fence": {{Key: key, Value: value}, {Key: fence, Value: []byte("junk")}},
			"the fence again":    {{Key: key, Value: value}, {Key: fence, Value: was.Value}},
			"no fence":           {{Key: key, Value: value}, {Key: fence}},
		} {
			for _, put := range puts {
				s.engine.Put(put)
			}
			time.Sleep(time.Second)
			a.stop()
			for _, x := range []*machine{a, s.restart(a)} {
				if err := x.Sync(s.Context()); err != nil {
					t.Fatal(name, err)
				}
				entries, _, err := x.Fenced().Read(s.Context(), key)
				if err != nil || len(entries) != 1 || len(entries[0].Value) > 0 || entries[0].Value == nil {
					t.Errorf("%s: what the removed machine wrote is shown: %v, %v", name, entries, err)
				}
			}
			a = s.run(s.restart(a))
			time.Sleep(time.Second)
			if entries, _, err := a.Fenced().Read(s.Context(), key); err != nil || len(entries) != 1 || !write(a) {
				t.Errorf("%s: it cannot be written over: %v, %v", name, entries, err)
			} else if entries, _, _ := a.Fenced().Read(s.Context(), key); len(entries[0].Value) == 0 {
				t.Errorf("%s: what a member has written in its place is not shown", name)
			}
		}
		// A machine that joins learns when the epoch began.
		s.engine.Put(engine.Change{Key: key, Value: value})
		s.engine.Put(engine.Change{Key: fence, Value: was.Value})
		d := s.join(a, "d")
		if entries, _, err := d.Fenced().Read(s.Context(), key); err != nil || len(entries[0].Value) > 0 {
			t.Errorf("a machine that has joined since is shown what was written: %v, %v", entries, err)
		}
		if _, _, err := c.Fenced().Read(s.Context(), key); !errors.Is(err, ErrRemoved) {
			t.Errorf("the removed machine reads: %v", err)
		}
	})
}

// A machine that was removed has read the invitations that were open, and joins by none of them.
func TestARemovalEndsInvitations(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c := s.join(a, "b"), s.join(a, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)
		code, err := a.Invite(s.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.tryJoin(code, "c"); !errors.Is(err, ErrExpired) {
			t.Errorf("the removed machine joins again: %v", err)
		}
		s.agree([]string{"a", "b"}, a, b)
		for _, x := range []*machine{a, b} {
			if err := x.Retire(s.Context()); err != nil {
				t.Error(err)
			}
		}
		b = s.run(s.restart(b))
		s.agree([]string{"a", "b"}, a, b)
	})
}

// One value in the place of the log's next entry keeps nobody from removing the machine that wrote it.
func TestNoiseOfALaterEpoch(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c := s.join(a, "b"), s.join(a, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)
		noise := append([]byte{1, 0xff, 0xff, 0xff, 0xff}, make([]byte, keyring.Overhead)...)
		s.engine.Put(engine.Change{Key: entryKey(a.keys.Fleet(), a.log.index+1), Value: noise})
		s.agree([]string{"a", "b", "c"}, a, b, c)
		if len(a.warned) != 1 {
			t.Errorf("warnings %v", a.warned)
		}
		a.stop()
		a = s.run(s.restart(a))
		s.agree([]string{"a", "b", "c"}, a, b, c)
		if err := a.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		s.agree([]string{"a", "b"}, a, b)
	})
}

// A machine that was away while another one was removed takes no entry for junk because the removed one has put the
// fence back: it would go back behind the removal.
func TestAFenceThatWasPutBack(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c := s.join(a, "b"), s.join(a, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)
		fence := a.Fence().Key
		was := slices.DeleteFunc(s.engine.Entries(), func(e engine.Entry) bool { return e.Key != fence })[0]
		b.client.Cut()
		if err := a.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		a.stop()
		s.engine.Put(engine.Change{Key: fence, Value: was.Value})
		b.client.Mend()
		if err := b.Sync(s.Context()); !errors.Is(err, ErrWithheld) {
			t.Errorf("the machine that was away says %v", err)
		}
		if _, err := b.Invite(s.Context()); err == nil {
			t.Error("it invites another machine")
		}
		a = s.run(s.restart(a))
		s.agree([]string{"a", "b"}, a, b)
	})
}

// A machine that was removed is told so at once when it leaves.
func TestLeavingAfterARemoval(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b := s.join(a, "b")
		s.agree([]string{"a", "b"}, a, b)
		b.stop()
		if err := a.Remove(s.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		rotated, err := b.Leave(s.Context())
		if took := time.Since(began); !errors.Is(err, ErrRemoved) || rotated || took > 0 {
			t.Errorf("it says %v, rotated %t, after %v", err, rotated, took)
		}
	})
}

// begin begins an epoch.
func (s *site) begin(x *machine) error {
	release, err := x.take(s.Context())
	if err != nil {
		return err
	}
	defer release()
	return x.rotate(s.Context(), func(log) (entry, error) { return entry{Kind: kindRotate}, nil })
}

// However many epochs begin before the older keys are forgotten, the next one does too.
func TestManyRemovals(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b := s.join(a, "b")
		c := s.join(a, "c")
		for range 69 {
			if err := s.begin(a); err != nil {
				t.Fatalf("in epoch %d: %v", a.Keys().Epoch(), err)
			}
		}
		if err := a.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		c.stop()
		s.agree([]string{"a", "b"}, a, b)
		for _, x := range []*machine{a, b} {
			if err := x.Retire(s.Context()); err != nil || x.Keys().Oldest() != 71 {
				t.Errorf("the oldest key is of epoch %d: %v", x.Keys().Oldest(), err)
			}
		}
	})
}

// Where no key can be given up, a removal says so.
func TestAFullKeyring(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		key := a.key("p/name/record")
		value, err := a.Keys().Seal(key, "record", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		s.engine.Put(engine.Change{Key: key, Value: value})
		s.join(a, "x").stop()
		for range 100 {
			if err = s.begin(a); err != nil {
				break
			}
		}
		if !errors.Is(err, keyring.ErrFull) {
			t.Errorf("in epoch %d: %v", a.Keys().Epoch(), err)
		}
		if err := a.Remove(s.Context(), "x"); !errors.Is(err, keyring.ErrFull) {
			t.Errorf("a removal: %v", err)
		}
		s.agree([]string{"a", "x"}, a)
	})
}

// A key is forgotten only when nothing is sealed with it, also where another epoch has begun while all was sealed anew.
func TestNoKeyIsForgottenTooEarly(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		s.join(a, "x").stop()
		key := a.key("p/name/record")
		seal := func() {
			value, err := a.Keys().Seal(key, "record", []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			s.engine.Put(engine.Change{Key: key, Value: value})
		}
		seal()
		if err := a.Remove(s.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if err := a.Retire(s.Context()); err == nil || a.Keys().Oldest() != 1 {
			t.Errorf("the key of epoch 1 is in use, and forgotten: %v", err)
		}
		seal()
		if err := a.Retire(s.Context()); err != nil || a.Keys().Oldest() != 2 {
			t.Errorf("the oldest key is of epoch %d: %v", a.Keys().Oldest(), err)
		}
	})
}
