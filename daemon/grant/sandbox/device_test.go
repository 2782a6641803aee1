package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func startDevice(t *testing.T, s *Server, form url.Values) reply {
	t.Helper()
	return postForm(t, s.URL()+s.DevicePath(), with(url.Values{"client_id": {native}}, form))
}

func pollForm(device reply, t *testing.T) url.Values {
	return url.Values{"grant_type": {grantDevice}, "client_id": {native},
		"device_code": {device.text(t, "device_code")}}
}

func TestDeviceStart(t *testing.T) {
	s := newPersonServer(t, Options{Scopes: []string{"read"},
		Clients: []Client{{ID: "code-only", Grants: []string{grantCode}}}})
	s.SetConsent(ConsentForm)
	r := startDevice(t, s, url.Values{"scope": {"read"}})
	code := r.text(t, "user_code")
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(code) ||
		r.StatusCode != 200 {
		t.Fatalf("%s %s", r.Status, r.body)
	}
	page := s.URL() + "/device"
	for name, want := range map[string]any{
		"verification_uri": page, "verification_uri_complete": page + "?user_code=" + code, "expires_in": float64(900),
		"interval": float64(5),
	} {
		if got := r.member(t, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if d := cmp.Diff([]string{code}, s.Devices()); d != "" {
		t.Error(d)
	}
	startDevice(t, s, url.Values{"client_id": {"x"}}).refused(t, "unknown client", 401, "invalid_client")
	startDevice(t, s, url.Values{"client_id": {"web"}}).refused(t, "confidential without its secret", 401,
		"invalid_client")
	startDevice(t, s, url.Values{"client_id": {"code-only"}}).refused(t, "client without this grant", 400,
		"unauthorized_client")
	startDevice(t, s, url.Values{"scope": {"admin"}}).refused(t, "unknown scope", 400, "invalid_scope")
	if r := send(t, "GET", s.URL()+"/device/code", ""); r.StatusCode != 405 {
		t.Errorf("GET: %s", r.Status)
	}
	s.SetDevice(Device{OmitInterval: true, OmitComplete: true, Interval: time.Second, Lifetime: time.Minute})
	r = startDevice(t, s, nil)
	if r.member(t, "interval") != nil || r.member(t, "verification_uri_complete") != nil ||
		r.member(t, "expires_in") != float64(60) {
		t.Errorf("%s", r.body)
	}
	poll := func() reply { return postForm(t, s.URL()+"/token", pollForm(r, t)) }
	poll().refused(t, "first poll", 400, "authorization_pending")
	poll().refused(t, "with an interval that was not said, which is 5 s", 400, "slow_down")
}

// The interval counts from the last answer, and every slow_down makes it five seconds longer for good (RFC 8628 §3.5).
func TestDeviceIntervalInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := inBubble(t, Options{Clients: []Client{{ID: native}}, Latency: 2 * time.Second})
		form := pollForm(bubble(t, c, s.URL()+"/device/code", url.Values{"client_id": {native}, "scope": {"openid"}}),
			t)
		poll := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			bubble(t, c, s.URL()+"/token", form).refused(t, want, 400, want)
		}
		const tick = time.Millisecond
		poll(0, "authorization_pending")
		poll(5*time.Second, "authorization_pending") // 7 s after the last was asked, 5 s after it was answered
		poll(5*time.Second-tick, "slow_down")        // 7 s - 1 ms after it was asked
		poll(10*time.Second-tick, "slow_down")
		poll(15*time.Second, "authorization_pending")
		poll(15*time.Second-tick, "slow_down")
		poll(20*time.Second, "authorization_pending")
		if err := s.ApproveDevice(s.Devices()[0]); err != nil {
			t.Fatal(err)
		}
		poll(time.Second, "slow_down") // approval is no excuse
		time.Sleep(25 * time.Second)
		r := bubble(t, c, s.URL()+"/token", form)
		if r.StatusCode != 200 || r.text(t, "access_token") == "" || r.text(t, "id_token") == "" {
			t.Fatalf("%s %s", r.Status, r.body)
		}
		poll(time.Minute, "invalid_grant") // a code works once
	})
}

func TestDeviceEndsInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := inBubble(t, Options{Clients: []Client{{ID: native}, {ID: "other"}},
			Device: Device{Lifetime: time.Minute, Interval: time.Second}})
		start := func() (url.Values, string) {
			r := bubble(t, c, s.URL()+"/device/code", url.Values{"client_id": {native}})
			if r.member(t, "interval") != float64(1) {
				t.Errorf("%s", r.body)
			}
			return pollForm(r, t), r.text(t, "user_code")
		}
		poll := func(form url.Values, want string) {
			t.Helper()
			bubble(t, c, s.URL()+"/token", form).refused(t, want, 400, want)
		}
		form, code := start()
		poll(with(url.Values{"client_id": {"other"}}, url.Values{"grant_type": {grantDevice},
			"device_code": form["device_code"]}), "invalid_grant")
		time.Sleep(time.Minute - time.Nanosecond)
		poll(form, "authorization_pending")
		time.Sleep(time.Nanosecond)
		if err := s.ApproveDevice(code); err == nil {
			t.Error("approved after its end")
		}
		poll(form, "expired_token")
		poll(form, "invalid_grant") // said once
		form, code = start()
		if err := s.DenyDevice(code); err != nil {
			t.Fatal(err)
		}
		poll(form, "access_denied")
		time.Sleep(2 * time.Second)
		poll(form, "invalid_grant")
		form, code = start()
		if err := s.ApproveDevice(strings.ToLower(strings.ReplaceAll(code, "-", " "))); err != nil { // RFC 8628 §6.1
			t.Error(err)
		}
		if err := s.DenyDevice(code); err == nil {
			t.Error("decided twice")
		}
		s.BlockUser(alice, true)
		poll(form, "invalid_grant")
		if err := s.ApproveDevice("NONE-SUCH"); err == nil {
			t.Error("approved what is not there")
		}
		form.Del("device_code")
		poll(form, "invalid_request")
	})
}

// A person at the verification URI, with the forms.
func TestDeviceForms(t *testing.T) {
	s := newPersonServer(t, Options{Device: Device{Interval: time.Millisecond}})
	s.SetConsent(ConsentForm)
	get := func(u string) reply { return send(t, "GET", u, "") }
	device := startDevice(t, s, url.Values{"scope": {"openid"}})
	if r := get(device.text(t, "verification_uri")); r.StatusCode != 200 ||
		!strings.Contains(r.body, `id="user_code"`) {
		t.Errorf("%s %s", r.Status, r.body)
	}
	if r := get(device.text(t, "verification_uri") + "?user_code=WRNG-CODE"); r.StatusCode != 404 ||
		!strings.Contains(r.body, `id="problem"`) {
		t.Errorf("wrong code: %s %s", r.Status, r.body)
	}
	page := get(device.text(t, "verification_uri_complete"))
	consent := submit(t, s, page, url.Values{"login": {alice}, "password": {alicePass}})
	done := submit(t, s, consent, url.Values{"consent": {"allow"}})
	if done.StatusCode != 200 || !strings.Contains(done.body, `id="message"`) {
		t.Fatalf("%s %s", done.Status, done.body)
	}
	r := postForm(t, s.URL()+"/token", pollForm(device, t))
	if r.StatusCode != 200 || segment(t, r.text(t, "id_token"), 1)["aud"] != native {
		t.Errorf("%s %s", r.Status, r.body)
	}
	if r := get(device.text(t, "verification_uri_complete")); r.StatusCode != 404 {
		t.Errorf("a code that was used: %s", r.Status)
	}
	device = startDevice(t, s, nil)
	submit(t, s, get(device.text(t, "verification_uri_complete")), url.Values{"consent": {"deny"}})
	postForm(t, s.URL()+"/token", pollForm(device, t)).refused(t, "denied", 400, "access_denied")

	for consent, status := range map[Consent]int{ConsentAllow: http.StatusOK, ConsentDeny: http.StatusBadRequest} {
		s.SetConsent(consent)
		if r := postForm(t, s.URL()+"/token", pollForm(startDevice(t, s, nil), t)); r.StatusCode != status {
			t.Errorf("%s: %s %s", consent, r.Status, r.body)
		}
	}
}
