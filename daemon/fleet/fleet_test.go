package fleet

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
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
