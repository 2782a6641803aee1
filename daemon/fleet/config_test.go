package fleet

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
)

// configEntry is the configuration as it is in the engine.
func (s *site) configEntry(f *Fleet) (found engine.Entry) {
	for _, e := range s.store.Entries() {
		if _, kind, _ := f.part(e.Key); kind == kindConfig {
			found = e
		}
	}
	return found
}

// A configuration does not go back: where the engine shows an older one, or none, who has seen the newer writes it back.
func TestAConfigurationDoesNotGoBack(t *testing.T) {
	change := map[string]func(m *machine) error{
		"by a login": func(m *machine) error {
			return m.Replace(m.site.t.Context(), "work", m.site.session(), []byte("newer"))
		},
		"without a login": func(m *machine) error { return m.Configure(m.site.t.Context(), "work", []byte("newer")) },
	}
	for name, change := range change {
		for _, restarts := range []bool{false, true} {
			for _, value := range []string{"older", "none"} {
				if restarts && value == "none" {
					continue // a machine that starts knows a profile by its configuration
				}
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, strict)
					m := s.start("m0", dir)
					if err := m.Replace(t.Context(), "work", s.session(), []byte("older")); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					older := s.configEntry(m.Fleet)
					if err := change(m); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if restarts {
						m.stop()
					}
					back := engine.Change{Key: older.Key}
					if value == "older" {
						back.Value = older.Value
					}
					s.store.Put(back)
					if restarts {
						m = s.start("m0", dir)
					}
					time.Sleep(5 * time.Second)
					synctest.Wait()
					if got := string(m.Config("work")); got != "newer" {
						t.Errorf("%s, %s, restarted %v: the machine has the %q one", name, value, restarts, got)
					}
					c, err := m.openConfig(m.profiles["work"].id, s.configEntry(m.Fleet).Value)
					if err != nil || string(c.Config) != "newer" {
						t.Errorf("%s, %s, restarted %v: the engine has the %q one: %v", name, value, restarts, c.Config, err)
					}
					if at := m.profiles["work"].configAt; at != 0 {
						t.Errorf("%s, %s, restarted %v: it is written again and again", name, value, restarts)
					}
				})
			}
		}
	}
}

// A logout takes the configuration with it, also where it comes back without the credential; the next login brings one.
func TestALogoutTakesTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		all := s.machines(2)
		if err := all[0].Configure(t.Context(), "work", []byte("changed")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := all[1].Delete(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if e := s.configEntry(all[0].Fleet); e.Key != "" {
			t.Error("the configuration was written back after a logout")
		}
		fresh := s.start("m2", "")
		synctest.Wait()
		if err := fresh.Replace(t.Context(), "work", s.session(), []byte("of the login")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		for _, m := range append(all, fresh) {
			if got := string(m.Config("work")); got != "of the login" {
				t.Errorf("%s has the configuration %q", m.name, got)
			}
		}
	})
}
