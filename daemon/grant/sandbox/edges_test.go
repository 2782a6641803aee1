package sandbox

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Edges of the authorization endpoint that its table does not reach.
func TestAuthorizationEdges(t *testing.T) {
	s := newPersonServer(t, Options{Clients: []Client{{ID: "device-only", RedirectURIs: []string{callback},
		Grants: []string{grantDevice}}}})
	for query, want := range map[string]string{
		asked(nil).Encode() + "&state=again": "repeated", "client_id=%zz": "parsed", "state=%ff": "UTF-8",
	} {
		for _, path := range []string{"/authorize", "/device"} {
			if r := send(t, "GET", s.URL()+path+"?"+query, ""); r.StatusCode != 400 || !strings.Contains(r.body, want) {
				t.Errorf("%s?%s: %s %s", path, query, r.Status, r.body)
			}
		}
	}
	// RFC 6749 §3.1: a parameter without a value is treated as omitted.
	r := send(t, "GET", s.URL()+"/authorize?"+asked(nil).Encode()+"&scope=&nonce=", "")
	if !strings.Contains(r.Header.Get("Location"), "code=") {
		t.Errorf("empty parameters: %s %s", r.Status, r.body)
	}
	if q := authorize(t, s, url.Values{"client_id": {"device-only"}}); q.Get("error") != "unauthorized_client" {
		t.Errorf("client without codes: %v", q)
	}
	refresh(t, s, "x", url.Values{"refresh_token": {""}}).refused(t, "no refresh token", 400, "invalid_request")
}

// A device code belongs to one server; a person's decision counts once and in time.
func TestDeviceEdges(t *testing.T) {
	s := newPersonServer(t, Options{})
	s.SetConsent(ConsentForm)
	send(t, "POST", s.URL()+"/device/code", "{}", "Content-Type", "application/json").refused(t, "JSON", 400,
		"invalid_request")
	postForm(t, s.URL()+"/token", url.Values{"grant_type": {grantDevice}, "client_id": {native}, "device_code": {"x"}}).
		refused(t, "unknown", 400, "invalid_grant")
	device := startDevice(t, s, nil)
	code := device.text(t, "user_code")
	postForm(t, s.URL()+KeycloakTokenPath, pollForm(device, t)).refused(t, "another server", 400, "invalid_grant")
	if r := send(t, "GET", s.URL()+KeycloakIssuerPath+"/device?user_code="+code, ""); r.StatusCode != 404 {
		t.Errorf("another server's page: %s", r.Status)
	}
	page := send(t, "GET", device.text(t, "verification_uri_complete"), "")
	if err := s.DenyDevice(code); err != nil {
		t.Fatal(err)
	}
	late := submit(t, s, page, url.Values{"login": {alice}, "password": {alicePass}, "consent": {"allow"}})
	if late.StatusCode != 400 || !strings.Contains(late.body, "no longer open") {
		t.Errorf("after the decision: %s %s", late.Status, late.body)
	}
	postForm(t, s.URL()+"/token", pollForm(device, t)).refused(t, "denied all the same", 400, "access_denied")
	page = send(t, "GET", startDevice(t, s, nil).text(t, "verification_uri_complete"), "")
	if r := submit(t, s, page, url.Values{"consent": {"deny"}}); !strings.Contains(r.body, "refused") {
		t.Errorf("refusal: %s", r.body)
	}
	code = startDevice(t, s, nil).text(t, "user_code")
	s.BlockUser(alice, true)
	if err := s.ApproveDevice(code); err == nil {
		t.Error("approved by a person who may not sign in")
	}
}

// RFC 8628 §3.2: where no interval is said, clients must use five seconds, whatever the server had in mind.
func TestUnsaidIntervalInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := inBubble(t, Options{Clients: []Client{{ID: native}},
			Device: Device{OmitInterval: true, Interval: time.Second}})
		form := pollForm(bubble(t, c, s.URL()+"/device/code", url.Values{"client_id": {native}}), t)
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "authorization_pending"}, {5 * time.Second, "authorization_pending"}, {5*time.Second - 1, "slow_down"}} {
			time.Sleep(step.after)
			bubble(t, c, s.URL()+"/token", form).refused(t, step.after.String(), 400, step.want)
		}
	})
}

// What one of the servers here has issued is worth nothing at another.
func TestServersKeepApart(t *testing.T) {
	s := newPersonServer(t, Options{})
	machine := postForm(t, s.URL()+KeycloakTokenPath, url.Values{"grant_type": {"client_credentials"}}, "Authorization",
		basicHeader(clientID, secret))
	postForm(t, s.URL()+"/token", url.Values{"grant_type": {grantExchange}, "client_id": {native},
		"subject_token": {machine.text(t, "access_token")}, "subject_token_type": {typeAccess}}).refused(t, "exchange",
		400, "invalid_request")
	uri := postForm(t, s.URL()+"/par", asked(nil)).text(t, "request_uri")
	there := s.URL() + strings.TrimSuffix(KeycloakTokenPath, "token") + "auth?" +
		url.Values{"client_id": {native}, "request_uri": {uri}}.Encode()
	if r := send(t, "GET", there, ""); r.StatusCode != 400 || !strings.Contains(r.body, "request_uri") {
		t.Errorf("request_uri: %s %s", r.Status, r.body)
	}
	send(t, "POST", s.URL()+"/par", "{}", "Content-Type", "application/json").refused(t, "PAR in JSON", 400,
		"invalid_request")
	empty := New(Options{Consent: ConsentAllow, Clients: []Client{{ID: native, RedirectURIs: []string{callback}}}})
	defer empty.Close()
	if err := empty.Start(""); err != nil {
		t.Fatal(err)
	}
	if q := authorize(t, empty, nil); q.Get("error") != "login_required" {
		t.Errorf("without persons: %v", q)
	}
}

// The API says whose token it was given.
func TestAPITellsWhose(t *testing.T) {
	s := newPersonServer(t, Options{})
	machine := postForm(t, s.URL()+"/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization",
		basicHeader(clientID, secret))
	for _, tt := range []struct{ token, user, client string }{
		{tokens(t, s, nil).text(t, "access_token"), "00000000-1111-4222-8333-444444444444", native},
		{machine.text(t, "access_token"), "", clientID},
		{personToken(t, s), "00000000-1111-4222-8333-444444444444", ""},
	} {
		r := send(t, "GET", s.URL()+apiPath, "", "Authorization", "Bearer "+tt.token)
		if r.StatusCode != 200 || r.member(t, "user_id") != tt.user || r.member(t, "client_id") != tt.client {
			t.Errorf("%s %s, want %s, %s", r.Status, r.body, tt.user, tt.client)
		}
	}
}
