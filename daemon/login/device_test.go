package login

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// What a device login shows is what a person needs to go on, on another device.
func TestDeviceLogin(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		signing := h.watch(h.ofDevice("p"))
		p := signing.next(t)
		page, err := url.Parse(p.URL)
		if err != nil || "http://"+page.Host != h.server.URL() || p.Code == "" || p.ExpiresIn != 900 ||
			!strings.Contains(p.QR, "█") ||
			p.Text != "Sign in at "+page.Host+" with this code, on any device" || p.Question != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		if err := h.server.ApproveDevice(p.Code); err != nil {
			t.Fatal(err)
		}
		r := <-signing.over
		if r.err != nil || r.result.Grant != "device_code" || r.result.ClientID != "app" || r.result.Created ||
			r.result.ExpiresIn == 0 {
			t.Errorf("%+v", r)
		}
		if got := h.stored(t, "p"); got.RefreshToken.IsZero() || got.Grant != "device_code" {
			t.Error("no session was stored")
		}
		if again := h.signIn(t, protocol.LoginParams{Profile: "p"}); again.Outcome != protocol.AlreadySignedIn {
			t.Errorf("%+v", again)
		}
	})
}

// Who says no on the other device, or does not come while the code is good, is told so; nothing is kept.
func TestDeviceLoginThatComesToNothing(t *testing.T) {
	for name, test := range map[string]struct {
		come  func(h *harness, code string) error
		after time.Duration // at least
	}{
		"denied": {come: func(h *harness, code string) error { return h.server.DenyDevice(code) }},
		"nobody": {func(*harness, string) error { return nil }, 30 * time.Minute},
		"blocked": {come: func(h *harness, code string) error {
			defer h.server.BlockUser(person, true)
			return h.server.ApproveDevice(code)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{Device: sandbox.Device{Lifetime: 30 * time.Minute}},
				func(t *testing.T, h *harness) {
					signing := h.watch(h.ofDevice("p"))
					begin := time.Now()
					if err := test.come(h, signing.next(t).Code); err != nil {
						t.Fatal(err)
					}
					r := <-signing.over
					if e := wantError(t, r.err, protocol.LoginRequired); e.Hint() != Command(h.ofDevice("p")) ||
						time.Since(begin) < test.after {
						t.Errorf("%v, %q after %s", e, e.Hint(), time.Since(begin))
					}
					if h.Profiles.Named("p") != nil || h.stored(t, "p").ClientID != "" {
						t.Error("it left something behind")
					}
				})
		})
	}
}
