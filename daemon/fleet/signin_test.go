package fleet

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/keystore"
)

// A sign-in that the engine does not take is kept, sealed, and written when it answers again: by the same process or
// the next one, also with a newer key of the fleet, and after another machine has renewed the credential before it.
func TestASignInThatTheEngineDoesNotTake(t *testing.T) {
	for name, meanwhile := range map[string]func(s *site, m, other *machine) *machine{
		"the same process": func(_ *site, m, _ *machine) *machine { return m },
		"another process": func(s *site, m, _ *machine) *machine {
			m.stop()
			return s.start("m", filepath.Dir(m.memory.path))
		},
		"a renewal by another machine": func(s *site, m, other *machine) *machine {
			time.Sleep(2 * time.Hour)
			other.mustGet()
			return m
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, strict)
				other := s.machines(1)[0]
				m := s.start("m", dir)
				time.Sleep(time.Second)
				m.client.Cut()
				item := s.session()
				if err := m.Replace(t.Context(), "work", item, []byte("new")); err != nil {
					t.Fatal(err)
				}
				if err := m.PendingError("work"); !errors.Is(err, engine.ErrUnavailable) {
					t.Errorf("of a sign-in that is kept is said: %v", err)
				}
				if err := m.Status("work").Err; !errors.Is(err, engine.ErrUnavailable) {
					t.Errorf("the status says: %v", err)
				}
				text, err := os.ReadFile(memoryPath(dir, s.keys.Fleet()))
				if plain := item.RefreshToken.AppendTo(nil); err != nil || bytes.Contains(text, plain) {
					t.Errorf("the file has plain text, or: %v", err)
				}
				after := meanwhile(s, m, other)
				after.client.Mend()
				time.Sleep(10 * time.Second)
				if err := after.PendingError("work"); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				got, err := other.Get(t.Context(), "work")
				if err != nil || !got.RefreshToken.Equal(item.RefreshToken) {
					t.Errorf("the sign-in is not in the fleet: %v", err)
				}
				if text := string(other.Config("work")); text != "new" {
					t.Errorf("the configuration is %q", text)
				}
				if len(after.memory.allSignIns()) > 0 {
					t.Error("it is kept still")
				}
			})
		})
	}
}

// What came after a sign-in that was kept stays: another sign-in, or a logout.
func TestAKeptSignInThatIsVoid(t *testing.T) {
	for name, later := range map[string]func(s *site, other *machine) error{
		"another sign-in": func(s *site, other *machine) error {
			return other.Replace(s.t.Context(), "work", s.session(), []byte("configuration"))
		},
		"a logout": func(s *site, other *machine) error { return other.Delete(s.t.Context(), "work") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, strict)
				all := s.machines(2)
				all[1].client.Cut()
				item := s.session()
				if err := all[1].Replace(t.Context(), "work", item, []byte("new")); err != nil {
					t.Fatal(err)
				}
				if err := later(s, all[0]); err != nil {
					t.Fatal(err)
				}
				want := all[0].Status("work").Generation
				all[1].client.Mend()
				time.Sleep(time.Minute)
				if got := all[0].Status("work").Generation; got != want {
					t.Errorf("generation %d, want %d", got, want)
				}
				if err := all[1].PendingError("work"); err != nil {
					t.Errorf("of a sign-in that is void is said: %v", err)
				}
			})
		})
	}
}

// A sign-in that is kept is sealed with the fleet's newest key, before the older ones are forgotten.
func TestAKeptSignInIsSealedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(2)
		all[1].client.Inject(func(c engine.Call) engine.Fault {
			if c.Kind == engine.Swapping {
				return engine.Refuse
			}
			return engine.None
		})
		item := s.session()
		if err := all[1].Replace(t.Context(), "new", item, []byte("new")); err != nil {
			t.Fatal(err)
		}
		key := keystore.SecretString("0123456789abcdef0123456789abcdef")
		for _, m := range all {
			if err := m.keys.Add(2, key); err != nil {
				t.Fatal(err)
			}
		}
		if err := all[0].Reseal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := all[1].Reseal(t.Context()); err != nil {
			t.Fatal(err)
		}
		all[1].keys.Retire(2)
		all[1].client.Inject(nil)
		time.Sleep(10 * time.Second)
		if got, err := all[0].Get(t.Context(), "new"); err != nil || !got.RefreshToken.Equal(item.RefreshToken) {
			t.Errorf("it was not written: %v", err)
		}
	})
}
