package login

import (
	"maps"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// A host that was agreed to for assertions is not agreed to for the secret that signs them: an edit sends nothing
// there, a login asks, and without an answer it goes on without that host.
func TestF46AgreedForAssertionsIsNotForTheSecret(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	o, second := described.New(t, "named"), described.New(t, "second")
	maps.Copy(o.Document, map[string]any{
		"token_endpoint": o.URL + "/token", "device_authorization_endpoint": o.URL + "/device",
		"revocation_endpoint":                   second.URL + "/revoke",
		"token_endpoint_auth_methods_supported": []string{"client_secret_jwt"},
	})
	p := protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c", ClientAuth: "client_secret_jwt",
		Grant: "device_code"}
	_, a, err := h.sign(t, p, "yes")
	if err != nil || len(a.asked) != 1 || !strings.Contains(a.asked[0], "refresh tokens and assertions that the client "+
		"secret signs") || strings.Contains(a.asked[0], "the client secret and") {
		t.Fatalf("%v, asked %q", err, a.asked)
	}
	h.edit(t, "lab", func(text string) string { return text + "refresh_auth = 'client_secret_post'\n" })
	if r, err := h.logout(t, protocol.LogoutParams{Profile: "lab", Yes: true}); err == nil && r.NotEnded == "" {
		t.Error("the session was ended in a way that was not agreed to")
	}
	if got := second.Received(); len(got) != 0 {
		t.Errorf("arrived: %q", got)
	}

	_, _, err = h.sign(t, p, "yes")
	if err != nil {
		t.Fatal(err)
	}
	p.Set = map[string]string{"refresh_auth": "client_secret_post"}
	p.Replace = true
	_, a, err = h.sign(t, p, "no")
	if err != nil || len(a.asked) != 1 || !strings.Contains(a.asked[0], "refresh tokens and the client secret") {
		t.Fatalf("%v, asked %q", err, a.asked)
	}
	if item := h.stored(t, "lab"); len(item.Origins) != 0 || item.RefreshAuth != "client_secret_post" {
		t.Errorf("sealed for %q, %q", item.Origins, item.RefreshAuth)
	}
	second.Received()
	h.edit(t, "lab", func(text string) string { return text + "revocation_endpoint = '" + second.URL + "/revoke'\n" })
	h.logout(t, protocol.LogoutParams{Profile: "lab", Yes: true})
	if got := second.Received(); len(got) != 0 {
		t.Errorf("arrived: %q", got)
	}
}

// An edit that makes assertions good at another server is refused for each request, and asked about at a login; the
// hint is a command that works.
func TestF47AnEditedAudienceIsAskedAbout(t *testing.T) {
	const bank = "https://bank.example/token"
	h := onSockets(t, sandbox.Options{})
	o := described.New(t, "named")
	p := protocol.LoginParams{Profile: "lab", TokenURL: o.URL + "/token", ClientID: "c", ClientAuth: "client_secret_jwt"}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	o.Received()
	h.edit(t, "lab", func(text string) string { return text + "assertion_audience = '" + bank + "'\n" })
	e := wantError(t, h.tokenError(t, "lab"), protocol.Config)
	if !strings.Contains(e.Message, bank) || e.Hint() != "groat login lab" {
		t.Errorf("%q, %q", e.Message, e.Hint())
	}
	_, _, err := h.sign(t, typed(t, e.Hint()), "")
	if e = wantError(t, err, protocol.Config); e.Hint() != "groat login lab --assertion-audience "+bank {
		t.Errorf("%q", e.Hint())
	}
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "lab"}, "no")
	wantError(t, err, protocol.Config)
	if len(a.asked) != 1 || !strings.Contains(a.asked[0], bank) || !strings.Contains(a.asked[0], o.Host()) ||
		len(a.secrets) != 0 {
		t.Errorf("asked %q, typed for %q", a.asked, a.secrets)
	}
	if got := o.Received(); len(got) != 0 {
		t.Errorf("arrived: %q", got)
	}
	again := protocol.LoginParams{Profile: "lab", AssertionAudience: bank, Replace: true}
	if _, _, err = h.sign(t, again, ""); err != nil || h.stored(t, "lab").AssertionAudience != bank {
		t.Errorf("%v, sealed for %q", err, h.stored(t, "lab").AssertionAudience)
	}
	if _, a, err = h.sign(t, protocol.LoginParams{Profile: "lab"}, "no"); err != nil || len(a.asked) != 0 {
		t.Errorf("the next time: %v, asked %q", err, a.asked)
	}
}

// A command in a notice is one that may be pasted, whatever the file says that it quotes.
func TestJ66ACommandInANoticeRunsNothingElse(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	o := described.New(t, "named")
	signMachine(t, h, o, "https://api.example")
	const evil = "https://h.example/$(touch$IFS$PWD/pwned)"
	h.edit(t, "lab", func(text string) string {
		return strings.Replace(text, "resources = [", "resources = ['"+evil+"', ", 1)
	})
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "lab"}, "")
	if err != nil || len(a.notices) == 0 {
		t.Fatalf("%v, %q", err, a.notices)
	}
	_, command, _ := strings.Cut(a.notices[0], "To allow it: ")
	if want := "groat login lab --api " + visible.Word(evil); command != want || strings.Contains(want, " "+evil) {
		t.Errorf("%q, want %q", command, want)
	}
}

// A login at another server of the same provider, which is refused, does not say that the API which gets the profile's
// tokens gets none.
func TestALoginElsewhereSaysWhoseTokensAnAPIGets(t *testing.T) {
	h := filled(t)
	own := protocol.LoginParams{Profile: "apps", Resources: []string{h.server.URL()}}
	if _, _, err := h.sign(t, own, ""); err != nil {
		t.Fatal(err)
	}
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "apps", Provider: h.Profiles.Named("apps").Provider,
		Username: "somebody@example.com"}, "no")
	said := strings.Join(a.notices, "\n")
	if err == nil || strings.Contains(said, "no token goes there") || !strings.Contains(said, h.server.URL()+" gets "+
		"the tokens of the credential that profile apps has now, and none from a sign-in at another server. To allow it: "+
		"groat login apps --provider ") || !strings.Contains(said, " --api "+h.server.URL()) {
		t.Errorf("%v, %q", err, said)
	}
}

// An API that one server's tokens were agreed to be sent to is not sent another server's.
func TestF42AnAPIOfAnotherServer(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	a, b := described.New(t, "first"), described.New(t, "second")
	sign := func(at string, more protocol.LoginParams) {
		t.Helper()
		more.Profile, more.TokenURL, more.ClientID, more.ClientAuth = "lab", at+"/token", "c", "client_secret_post"
		if _, _, err := h.sign(t, more, "yes"); err != nil {
			t.Fatal(err)
		}
	}
	sign(a.URL, protocol.LoginParams{Resources: []string{"https://api.example"}})
	sign(b.URL, protocol.LoginParams{Replace: true})
	if item := h.stored(t, "lab"); item.TokenEndpoint != b.URL+"/token" || len(item.APIs) != 0 {
		t.Errorf("%s is sealed for %q", item.TokenEndpoint, item.APIs)
	}
}
