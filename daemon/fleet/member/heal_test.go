package member

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
)

// forge is how a machine writes an entry with the keys that it has.
func (s *site) forge(by *machine, e entry) engine.Change {
	s.Helper()
	e.By = by.self.id()
	text, err := by.self.signEntry(by.keys.Fleet(), e)
	if err != nil {
		s.Fatal(err)
	}
	key := entryKey(by.keys.Fleet(), e.Index)
	value, err := by.keys.Seal(key, kindLog, text)
	if err != nil {
		s.Fatal(err)
	}
	return engine.Change{Key: key, Value: value}
}

// next is the entry after a log's last.
func next(l log) entry { return entry{Index: l.index + 1, Previous: l.hashes[l.index].bytes()} }

// rolledBack is a fleet of a and b whose engine is put back to before c was removed, and the log of then.
func (s *site) rolledBack(retire bool) (a, b, c *machine, old log, restore func()) {
	s.Helper()
	a = s.create("a")
	b, c = s.join(a, "b"), s.join(a, "c")
	s.agree([]string{"a", "b", "c"}, a, b, c)
	synctest.Wait()
	backup, old := s.engine.Backup(), a.log.clone()
	if err := a.Remove(s.Context(), "c"); err != nil {
		s.Fatal(err)
	}
	s.agree([]string{"a", "b"}, a, b)
	if retire {
		for _, x := range []*machine{a, b} {
			if err := x.Retire(s.Context()); err != nil {
				s.Fatal(err)
			}
		}
	}
	return a, b, c, old, func() { s.engine.Restore(backup) }
}

// A machine that has seen what an engine has lost, while it ran or before it was stopped, puts it back.
func TestTheLogIsPutBack(t *testing.T) {
	for _, retired := range []bool{false, true} {
		for _, restarted := range []bool{false, true} {
			bubble(t, func(s *site) {
				s.keeps = true
				a, b, c, _, restore := s.rolledBack(retired)
				c.stop()
				if restarted {
					a.stop()
					b.stop()
				}
				restore()
				if restarted {
					a = s.run(s.restart(a))
				}
				d := s.join(a, "d")
				if restarted {
					b = s.run(s.restart(b))
				}
				s.agree([]string{"a", "b", "d"}, a, b, d)
				if a.Keys().Epoch() != 2 {
					t.Errorf("epoch %d", a.Keys().Epoch())
				}
				if err := s.restart(c).Sync(s.Context()); !errors.Is(err, ErrRemoved) {
					t.Errorf("the removed machine says %v", err)
				}
			})
		}
	}
}

// A machine without the file waits for one that has the rest.
func TestAnotherMachinePutsTheLogBack(t *testing.T) {
	bubble(t, func(s *site) {
		s.keeps = true
		a, b, _, _, restore := s.rolledBack(true)
		a.stop()
		b.stop()
		restore()
		path := keptPath(b.dir, b.keys.Fleet())
		for _, damaged := range []string{"", "{", `{"entries":["eA=="]}`} {
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.restart(b).Sync(s.Context()); !errors.Is(err, ErrOlder) {
				t.Errorf("with %q in its file: %v", damaged, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		b = s.run(s.restart(b))
		a = s.run(s.restart(a))
		s.agree([]string{"a", "b"}, a, b)
	})
}

// An engine that has lost all of the fleet gets it again.
func TestAnEmptyEngine(t *testing.T) {
	bubble(t, func(s *site) {
		empty := s.engine.Backup()
		a := s.create("a")
		var all []*machine
		names := []string{"a"}
		for _, name := range []string{"b", "c", "d", "e"} {
			all, names = append(all, s.join(a, name)), append(names, name)
		}
		s.agree(names, append(all, a)...)
		s.engine.Restore(empty)
		s.agree(names, append(all, a)...)
		f := s.join(a, "f")
		s.agree(append(names, "f"), append(all, a, f)...)
	})
}

// A machine that was removed, and an engine that works with it, gain nothing by an older copy: the removal comes back,
// over what the removed machine has written meanwhile.
func TestARemovedMachineAndAnOlderCopy(t *testing.T) {
	for _, retired := range []bool{false, true} {
		bubble(t, func(s *site) {
			a, b, c, old, restore := s.rolledBack(retired)
			c.stop()
			a.client.Cut()
			b.client.Cut()
			restore()
			x, err := newIdentity("x")
			if err != nil {
				t.Fatal(err)
			}
			friend := next(old)
			friend.Kind, friend.Subject, friend.Invitation = kindJoin, x.public(), "0011223344556677"
			s.engine.Put(s.forge(c, friend), engine.Change{Key: c.key("m/epoch"), Value: []byte("mine")})
			a.client.Mend()
			b.client.Mend()
			s.agree([]string{"a", "b"}, a, b)
			if a.Keys().Epoch() != 2 {
				t.Errorf("epoch %d", a.Keys().Epoch())
			}
			for _, e := range s.engine.Entries() {
				if plain, epoch, err := c.Keys().Open(e.Key, kindLog, e.Value); err == nil {
					t.Errorf("%s: the removed machine reads %d bytes of epoch %d", e.Key, plain.Len(), epoch)
				}
			}
			for _, e := range s.engine.Entries() {
				if e.Key == a.key("k/"+string(keyID(a.log.commits[2]))+"/"+c.self.id()) {
					t.Error("the removed machine is given the new key")
				}
			}
			d := s.join(b, "d")
			s.agree([]string{"a", "b", "d"}, a, b, d)
		})
	}
}

// What a member has written after an older copy was put in place, without knowing of what was there before, is another
// history: nothing is written over it.
func TestAForkIsRefused(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c := s.join(a, "b"), s.join(a, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)
		backup := s.engine.Backup()
		synctest.Wait()
		old := b.log.clone()
		b.stop()
		d := s.join(a, "d")
		s.agree([]string{"a", "b", "c", "d"}, a, c, d)
		a.client.Cut()
		c.client.Cut()
		d.client.Cut()
		s.engine.Restore(backup)
		fork := next(old)
		fork.Kind, fork.Subject = kindLeave, &subject{ID: b.self.id()}
		change := s.forge(b, fork)
		s.engine.Put(change)
		for _, x := range []*machine{a, c, d} {
			x.client.Mend()
		}
		time.Sleep(time.Minute)
		for _, x := range []*machine{a, c, d} {
			if !errors.Is(x.Err(), ErrOtherFleet) {
				t.Errorf("%s: %v", x.Name(), x.Err())
			}
		}
		for _, e := range s.engine.Entries() {
			if e.Key == change.Key && string(e.Value) != string(change.Value) {
				t.Error("the other history was written over")
			}
		}
	})
}
