package login

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A client with a secret: the secret is asked for by the host that it is sent to, proven by a first token, and stored;
// after that nothing is asked.
func TestAClientsLogin(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		v := h.watch(h.ofMachine("p"))
		p := v.next(t)
		host := strings.TrimPrefix(h.server.URL(), "http://")
		if p.Kind != protocol.PromptSecret || !strings.HasSuffix(p.Text, ", for "+host) || p.Question != 1 {
			t.Errorf("%+v", p)
		}
		if !v.answer(p, clientSecret) {
			t.Fatal("the answer was not taken")
		}
		if result := v.done(t); result.Outcome != protocol.SignedIn || result.ClientID != "machine" ||
			result.ExpiresIn == 0 {
			t.Errorf("%+v", result)
		}
		item := h.stored(t, "p")
		if item.ClientSecret.Reveal() != clientSecret || h.Profiles.Named("p") == nil || h.forgotten.Load() != 1 {
			t.Errorf("stored: %+v; refusals forgotten: %d", item, h.forgotten.Load())
		}
		again := h.watch(protocol.LoginParams{Profile: "p"})
		if result := again.done(t); result.Outcome != protocol.AlreadySignedIn {
			t.Errorf("%+v", result)
		}
		if len(h.Running()) != 0 {
			t.Errorf("%q are under way", h.Running())
		}
	})
}

// A wrong secret is refused at once, the hint is the same command, and nothing is stored.
func TestAWrongSecret(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		v := h.watch(h.ofMachine("p"))
		v.answer(v.next(t), "wrong")
		e := wantError(t, (<-v.over).err, protocol.LoginRequired)
		if !strings.HasPrefix(e.Hint(), "groat login p --issuer ") || h.stored(t, "p").Issuer != "" ||
			h.Profiles.Named("p") != nil {
			t.Errorf("%q, and %+v is stored", e.Hint(), h.stored(t, "p"))
		}
	})
}

// A device: the code is shown, and the session is stored once a person has approved of it elsewhere.
func TestADevicesLogin(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		v := h.watch(h.ofDevice("p"))
		p := v.next(t)
		if p.Kind != protocol.PromptDevice || p.Code == "" || p.ExpiresIn != 900 || p.Question != 0 {
			t.Errorf("%+v", p)
		}
		time.Sleep(time.Minute)
		if err := h.server.ApproveDevice(p.Code); err != nil {
			t.Fatal(err)
		}
		if result := v.done(t); result.Outcome != protocol.SignedIn || result.Grant != "device_code" {
			t.Errorf("%+v", result)
		}
		if h.stored(t, "p").RefreshToken.IsZero() {
			t.Error("no session is stored")
		}
	})
}

// A session that works is kept; one that the server has ended is replaced by a new sign-in.
func TestASessionIsReplacedOnceItHasEnded(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		first := h.stored(t, "p").RefreshToken.Clone()
		v := h.watch(protocol.LoginParams{Profile: "p"})
		if result := v.done(t); result.Outcome != protocol.AlreadySignedIn {
			t.Fatalf("%+v", result)
		}
		h.server.EndSessions(person)
		v = h.watch(protocol.LoginParams{Profile: "p"})
		p := v.next(t)
		if p.Kind != protocol.PromptDevice {
			t.Fatalf("%+v", p)
		}
		if err := h.server.ApproveDevice(p.Code); err != nil {
			t.Fatal(err)
		}
		if result := v.done(t); result.Outcome != protocol.SignedIn {
			t.Errorf("%+v", result)
		}
		if next := h.stored(t, "p").RefreshToken; next.IsZero() || next.Equal(first) {
			t.Error("the old session is still stored")
		}
	})
}

// Two viewers of one login are shown the same; the login goes on with the second when the first has left, and ends with
// the last.
func TestTwoViewers(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		first := h.watch(h.ofDevice("p"))
		shown := first.next(t)
		second := h.watch(h.ofDevice("p"))
		if p := second.next(t); p != shown {
			t.Errorf("the second is shown %+v", p)
		}
		first.leave()
		wantError(t, (<-first.over).err, protocol.Temporary)
		if err := h.server.ApproveDevice(shown.Code); err != nil {
			t.Fatal(err)
		}
		if result := second.done(t); result.Outcome != protocol.SignedIn {
			t.Errorf("%+v", result)
		}
		last := h.watch(h.ofDevice("q"))
		last.next(t)
		last.leave()
		wantError(t, (<-last.over).err, protocol.Temporary)
		synctest.Wait()
		if len(h.Running()) != 0 || h.Profiles.Named("q") != nil {
			t.Error("the login goes on without a viewer")
		}
		// Another login of the same profile is none to join.
		v := h.watch(h.ofMachine("z"))
		v.next(t)
		other := h.watch(h.ofDevice("z"))
		wantError(t, (<-other.over).err, protocol.Temporary)
		v.leave()
		<-v.over
	})
}

// There are at most so many logins at once; a viewer who joins one is no login more.
func TestI13LoginsAreBounded(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		var all []*viewer
		for i := range maxLogins {
			v := h.watch(h.ofMachine(fmt.Sprint("p", i)))
			v.next(t)
			all = append(all, v)
		}
		more := h.watch(h.ofMachine("more"))
		e := wantError(t, (<-more.over).err, protocol.Temporary)
		if !strings.Contains(e.Message, "there are 64 logins of groatd under way") || e.Hint() != "groat login more" {
			t.Errorf("%v, hint %q", e, e.Hint())
		}
		joined := h.watch(h.ofMachine("p0"))
		joined.next(t)
		joined.leave()
		<-joined.over
		all[0].leave()
		<-all[0].over
		synctest.Wait()
		v := h.watch(h.ofMachine("more"))
		v.next(t)
		for _, v := range append(all[1:], v) {
			v.leave()
			<-v.over
		}
	})
}

// A login that no person answers ends after loginTime.
func TestALoginEndsAfterItsTime(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		begin := time.Now()
		v := h.watch(h.ofMachine("p"))
		v.next(t)
		e := wantError(t, (<-v.over).err, protocol.Temporary)
		if e.Hint() != Command(h.ofMachine("p")) || time.Since(begin) != loginTime {
			t.Errorf("%q after %s", e.Hint(), time.Since(begin))
		}
	})
}
