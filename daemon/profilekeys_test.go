package daemon

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// profileKeys asks for the keys of a profile, or changes one.
func (h *env) profileKeys(t *testing.T, p protocol.ProfileParams) (r protocol.ProfileResult, err error) {
	t.Helper()
	err = h.client(t).Call(t.Context(), protocol.MethodProfile, p, &r)
	return r, err
}

// wantAnError makes sure that there is an error, of whatever kind.
func wantAnError(t *testing.T, err error) *protocol.Error {
	t.Helper()
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		t.Fatalf("got %v (%T)", err, err)
	}
	return e
}

// A key that was set counts at once, and stands in the profile's file; what a sign-in decides is not changed, nor is
// anything by a value that cannot be used.
func TestAKeyOfAProfileIsSet(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(h.config, "profiles.d", "work.toml")
	written := func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := written()
	all, err := h.profileKeys(t, protocol.ProfileParams{})
	if err != nil || len(all.Keys) != len(config.Keys()) || all.Keys[0].About == "" {
		t.Errorf("%+v, %v", all, err)
	}
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		key   string
		value *string
		says  string // of the error
	}{
		{"client_auth", text("none"), "groat login work --client-auth"},
		{"provider", nil, "groat login work --provider"},
		{"client_secret", text("dummy-value"), "no key"},
		{"scop", text("x"), "the nearest is scope"},
		{"resources", text("https://elsewhere.example"), "groat login work --api"},
		{"basic", text("raw"), "client_secret_jwt"},
		{"keep_session", text("true"), "has no session"},
		{"redirect", text("http://127.0.0.1/x"), "is redirected"},
		{"assertion_audience", text("endpoint"), "groat login work --assertion-audience"},
		{"assertion_life", text("-1"), "a number of seconds"},
		{"assertion_life", text("99999999999999999999"), "a number of seconds"},
		{"assertion_life", text("3601"), "3601"},
		{"audience", text("a\nscope = 'x'"), "line break"},
		{"strict_scope", text("perhaps"), "true or false"},
		{"userinfo_endpoint", text("http://elsewhere.example/me"), "https"},
		{"", text("x"), "needs the key"},
	} {
		_, err := h.profileKeys(t, protocol.ProfileParams{Profile: "work", Key: c.key, Value: c.value})
		e := wantAnError(t, err)
		if said := e.Message + " " + e.Hint(); !strings.Contains(said, c.says) || strings.Contains(said, "dummy-value") {
			t.Errorf("%s: %s", c.key, said)
		}
		if written() != before {
			t.Fatalf("%s: the file was changed: %s", c.key, written())
		}
	}
	requests := h.server.Count(sandbox.SpatiafiTokenPath)
	r, err := h.profileKeys(t, protocol.ProfileParams{Profile: "work", Key: "scope", Value: text("read")})
	if err != nil || !strings.HasSuffix(r.From, "work.toml:1") || !strings.Contains(written(), "scope = 'read'") {
		t.Fatalf("%+v, %v, %s", r, err, written())
	}
	var token protocol.TokenResult
	err = h.client(t).Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "work"}, &token)
	if log := h.server.Log(); err != nil || log[len(log)-1].Scope != "read" ||
		h.server.Count(sandbox.SpatiafiTokenPath) != requests+1 {
		t.Errorf("%v, %+v", err, log[len(log)-1])
	}
	if _, err := h.profileKeys(t, protocol.ProfileParams{Profile: "work", Key: "scope"}); err != nil ||
		written() != before {
		t.Errorf("%v, %s", err, written())
	}
	_, err = h.profileKeys(t, protocol.ProfileParams{Profile: "none", Key: "scope"})
	if e := wantAnError(t, err); e.Kind() != protocol.UnknownProfile {
		t.Errorf("%v", e)
	}
	h.write(t, "config.toml", "[profiles.mine]\nprovider = \"spatiafi\"\n")
	_, err = h.profileKeys(t, protocol.ProfileParams{Profile: "mine", Key: "scope", Value: text("read")})
	if e := wantAnError(t, err); !strings.Contains(e.Message, "never writes") {
		t.Errorf("%v", e)
	}
}

// Whatever address a key is set to, nothing of the profile's credential goes to another host by that: not by a token, a
// whoami, another login that asks nobody, or a logout.
func TestNoKeyMovesACredential(t *testing.T) {
	tier.Long(t, "sign-ins by device take a second each")
	for _, key := range []string{"authorization_endpoint", "device_endpoint", "par_endpoint", "userinfo_endpoint",
		"revocation_endpoint", "introspection_endpoint", "redirect"} {
		t.Run(key, func(t *testing.T) {
			h := newEnv(t, sandbox.Options{})
			own, foreign := described.New(t, "named"), described.New(t, "foreign")
			maps.Copy(own.Document, map[string]any{"token_endpoint": own.URL + "/token",
				"device_authorization_endpoint": own.URL + "/device", "revocation_endpoint": own.URL + "/revoke"})
			p := protocol.LoginParams{Profile: "lab", Issuer: own.URL, ClientID: "c", ClientAuth: "none",
				Grant: "device_code"}
			if _, _, err := h.sign(t, p, ""); err != nil {
				t.Fatal(err)
			}
			to := foreign.URL + "/" + key
			_, err := h.profileKeys(t, protocol.ProfileParams{Profile: "lab", Key: key, Value: &to})
			refused := slices.Contains([]string{"authorization_endpoint", "par_endpoint", "redirect",
				"introspection_endpoint"}, key)
			if (err != nil) != refused {
				t.Errorf("set: %v", err)
			}
			c := h.client(t)
			c.Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "lab"}, nil)
			c.Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "lab"}, nil)
			h.sign(t, protocol.LoginParams{Profile: "lab", Replace: true}, "")
			var out protocol.LogoutResult
			err = c.Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "lab", Yes: true}, &out)
			if err != nil || !out.Forgotten {
				t.Errorf("logout: %+v, %v", out, err)
			}
			if got := foreign.Received(); len(got) > 0 {
				t.Errorf("the other host was sent %q", got)
			}
		})
	}
}

// The largest profile that can be written is shown in one line of the protocol.
func TestTheLargestProfileIsShown(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	set := func(key, value string) error {
		_, err := h.profileKeys(t, protocol.ProfileParams{Profile: "work", Key: key, Value: &value})
		return err
	}
	if err := set("scope", strings.Repeat("<", 4<<10)); err != nil { // 24 KiB as JSON
		t.Fatal(err)
	}
	size := 0
	for step := 2 << 10; step > 0; step /= 2 { // as much more as is taken
		if set("audience", strings.Repeat("<", size+step)) == nil {
			size += step
		}
	}
	r, err := h.profileKeys(t, protocol.ProfileParams{Profile: "work"})
	if err != nil || size < 3<<10 || !slices.ContainsFunc(r.Keys, func(k protocol.ProfileKey) bool {
		return k.Key == "audience" && len(k.Value) == size
	}) {
		t.Errorf("with %d bytes more: %v", size, err)
	}
}

// What a credential may be sent to becomes less without a sign-in, and never more.
func TestResourcesAreTakenAway(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	change := func(p *protocol.LoginParams) { p.Resources = []string{"https://a.example", "https://b.example/x"} }
	if _, err := h.login(t, "work", change); err != nil {
		t.Fatal(err)
	}
	one := "https://b.example/x/y"
	for _, c := range []struct {
		value  *string
		listed string
	}{{&one, "https://b.example:443/x/y"}, {nil, ""}} {
		_, err := h.profileKeys(t, protocol.ProfileParams{Profile: "work", Key: "resources", Value: c.value})
		if err != nil {
			t.Fatal(err)
		}
		got := h.Daemon.profiles.Named("work").APIs
		if slices.Contains(got, "https://a.example:443") || slices.Contains(got, "https://b.example:443/x") ||
			slices.Contains(got, c.listed) != (c.listed != "") {
			t.Errorf("%v", got)
		}
	}
	again := "https://a.example"
	_, err := h.profileKeys(t, protocol.ProfileParams{Profile: "work", Key: "resources", Value: &again})
	if e := wantAnError(t, err); e.Hint() != "groat login work --api ORIGIN" {
		t.Errorf("%v, hint %q", e, e.Hint())
	}
}
