package login

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/protocol"
)

// A person signs in at a server that publishes nothing, by the endpoints that were typed. The session is renewed,
// proven and revoked there.
func TestASignInByEndpointsAlone(t *testing.T) {
	for _, kind := range []string{"authorization_code", "device_code"} {
		t.Run(kind, func(t *testing.T) {
			o := sandbox.Options{Device: sandbox.Device{Interval: time.Second}}
			if kind == "authorization_code" {
				o.Consent = sandbox.ConsentAllow
			}
			for _, c := range apps {
				c.RedirectURIs = []string{"http://127.0.0.1/callback"}
				o.Clients = append(o.Clients, c)
			}
			h := onSockets(t, o)
			at := h.server.URL()
			p := protocol.LoginParams{Profile: "p", TokenURL: at + "/token", ClientID: "app", ClientAuth: "none",
				UserinfoEndpoint: at + "/userinfo", RevocationEndpoint: at + "/revoke"}
			if kind == "device_code" {
				p.DeviceEndpoint = at + "/device/code"
			} else {
				p.AuthorizationEndpoint, p.PAREndpoint = at+"/authorize", at+"/par"
			}
			var said []string
			r, err := h.login(t.Context(), p, h.typing(t, "", &said))
			if err != nil || r.Grant != kind {
				t.Fatalf("%+v, %v", r, err)
			}
			if slices.ContainsFunc(h.server.Log(), func(e sandbox.Entry) bool {
				return strings.Contains(e.Path, "well-known")
			}) {
				t.Error("it was asked what it is")
			}
			if pushed := h.posts("/par"); pushed != 1 && kind == "authorization_code" {
				t.Errorf("%d requests were pushed", pushed)
			}
			h.cool("p")
			if err := h.tokenError(t, "p"); err != nil {
				t.Errorf("a renewal: %v", err)
			}
			r, err = h.login(t.Context(), protocol.LoginParams{Profile: "p"}, h.typing(t, "", &said))
			if err != nil || r.Outcome != protocol.AlreadySignedIn {
				t.Errorf("again: %+v, %v", r, err)
			}
			h.server.Script("/token", sandbox.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
			r, err = h.login(t.Context(), protocol.LoginParams{Profile: "p"}, h.typing(t, "", &said))
			if err != nil || r.Outcome != protocol.SignedIn {
				t.Errorf("when the session has ended: %+v, %v", r, err)
			}
			out, err := h.Logout(h.Profiles.Named("p"), true, false)
			if err != nil || !out.Revoked {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}

// An endpoint that is typed takes the place of the one that the server publishes, and no host that was not named gets
// anything.
func TestAnEndpointBesideDiscovery(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	o, other, third := described.New(t, "named"), described.New(t, "other"), described.New(t, "third")
	o.Document["token_endpoint"], o.Document["device_authorization_endpoint"] = o.URL+"/token", o.URL+"/nowhere"
	p := protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c", ClientAuth: "none", Grant: "device_code",
		DeviceEndpoint: other.URL + "/device"}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	if got := other.Received(); len(got) != 1 || !strings.HasPrefix(got[0], "/device ") {
		t.Errorf("the typed host got %q", got)
	}
	for _, line := range o.Received() {
		if !strings.HasPrefix(line, "/token ") {
			t.Errorf("the server got %q", line)
		}
	}
	// A file that was edited is not what a person typed.
	h.edit(t, "lab", func(text string) string {
		return strings.ReplaceAll(text, "/device", "/elsewhere") + "authorization_endpoint = '" + third.URL + "/page'\n"
	})
	h.edit(t, "lab", func(text string) string { return strings.ReplaceAll(text, "device_code", "authorization_code") })
	_, _, err := h.sign(t, protocol.LoginParams{Profile: "lab", Replace: true}, "")
	wantError(t, err, protocol.Config)
}

// A pushed request is what a server gets that has an endpoint for it, always, or never; no other host is asked about
// for it where the server can do without.
func TestWhenASignInIsPushed(t *testing.T) {
	for _, c := range []struct {
		name, par                  string
		foreign, unnamed, required bool
		pushed                     int
		refused                    string // a flag of the hint
	}{
		{name: "named", pushed: 1},
		{name: "never", par: "never"},
		{name: "not named", unnamed: true},
		{name: "not named, and always", unnamed: true, par: "always", refused: "--par-endpoint URL"},
		{name: "on another host", foreign: true},
		{name: "on another host, and always", foreign: true, par: "always", refused: "--trust"},
		{name: "on another host, which the server wants", foreign: true, required: true, refused: "--trust"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := onSockets(t, sandbox.Options{})
			o, other := described.New(t, "named"), described.New(t, "other")
			o.Document["token_endpoint"], o.Document["authorization_endpoint"] = o.URL+"/token", o.URL+"/page"
			at := o
			if c.foreign {
				at = other
			}
			if !c.unnamed {
				o.Document["pushed_authorization_request_endpoint"] = at.URL + "/par"
			}
			if c.required {
				o.Document["require_pushed_authorization_requests"] = true
			}
			_, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c",
				ClientAuth: "none", Grant: "authorization_code", PAR: c.par}, "")
			n := 0
			for _, line := range at.Received() {
				if strings.HasPrefix(line, "/par ") {
					n++
				}
			}
			if n != c.pushed {
				t.Errorf("%d requests were pushed", n)
			}
			if c.refused == "" {
				if err != nil || len(a.asked) > 0 {
					t.Errorf("%v, asked %q", err, a.asked)
				}
				return
			}
			e, ok := errors.AsType[*protocol.Error](err)
			if !ok || !strings.Contains(e.Hint(), c.refused) || len(a.asked) > 0 {
				t.Errorf("%v, asked %q", err, a.asked)
			}
		})
	}
}
