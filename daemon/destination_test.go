package daemon

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// answering is a person: what they were asked, and what they say to a question whether to go on.
type answering struct {
	confirm string
	mu      sync.Mutex
	secrets []string
	asked   []string
	notices []string
}

func (a *answering) answer(_ context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch p.Kind {
	case protocol.PromptConfirm:
		a.asked = append(a.asked, p.Text)
		return protocol.NewLoginSecret([]byte(a.confirm)), nil
	case protocol.PromptSecret:
		a.secrets = append(a.secrets, p.Text)
	case protocol.PromptNotice:
		a.notices = append(a.notices, p.Text)
	}
	return protocol.NewLoginSecret([]byte("typed-secret")), nil
}

// sign runs a login; without what to confirm the client has no terminal.
func (h *env) sign(t *testing.T, p protocol.LoginParams, confirm string) (protocol.LoginResult, *answering, error) {
	t.Helper()
	a := &answering{confirm: confirm}
	p.Confirm = confirm != ""
	r, err := h.client(t).Login(t.Context(), p, a.answer)
	return r, a, err
}

// typed reads a command line as a shell and groat would.
func typed(t *testing.T, command string) protocol.LoginParams {
	t.Helper()
	words := strings.Fields(command)
	if len(words) < 3 || words[0] != "groat" || words[1] != "login" || strings.ContainsAny(command, "'\"") {
		t.Fatalf("%q is no command that this test understands", command)
	}
	p := protocol.LoginParams{Profile: words[2]}
	for i := 3; i+1 < len(words); i += 2 {
		v := words[i+1]
		switch words[i] {
		case "--issuer":
			p.Issuer = v
		case "--token-url":
			p.TokenURL = v
		case "--client-id":
			p.ClientID = v
		case "--client-auth":
			p.ClientAuth = v
		case "--grant":
			p.Grant = v
		case "--api":
			p.Resources = append(p.Resources, v)
		case "--trust":
			p.Trust = append(p.Trust, v)
		default:
			t.Fatalf("%q: unknown flag %s", command, words[i])
		}
	}
	return p
}

func (h *env) edit(t *testing.T, profile string, change func(string) string) {
	t.Helper()
	file := filepath.Join(h.config, "profiles.d", profile+".toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(change(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
}

// What a sign-in can do without is left out where the person does not agree, and used where they do.
func TestF11WhatASignInCanDoWithout(t *testing.T) {
	tier.Long(t, "sign-ins by device take a second each")
	t.Parallel()
	for _, confirm := range []string{"", "no", "yes"} {
		h := newEnv(t, sandbox.Options{})
		named, foreign := described.New(t, "named"), described.New(t, "foreign")
		maps.Copy(named.Document, map[string]any{
			"token_endpoint": named.URL + "/token", "device_authorization_endpoint": named.URL + "/device",
			"revocation_endpoint": foreign.URL + "/revoke", "userinfo_endpoint": foreign.URL + "/me",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		})
		p := protocol.LoginParams{Profile: "p", Issuer: named.URL, ClientID: "c", ClientAuth: "client_secret_post",
			Grant: "device_code"}
		_, a, err := h.sign(t, p, confirm)
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Join(slices.Concat(a.asked, a.notices), "\n")
		if !strings.Contains(said, foreign.Host()) ||
			(confirm != "yes") != strings.Contains(said, "--trust "+foreign.URL) {
			t.Errorf("%q: said %s", confirm, said)
		}
		c := h.client(t)
		err = c.Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "p"}, nil)
		var out protocol.LogoutResult
		if err := c.Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "p"}, &out); err != nil ||
			!out.Forgotten {
			t.Fatal(err)
		}
		got := foreign.Received()
		if confirm == "yes" {
			if err != nil || len(got) != 2 || !out.Revoked {
				t.Errorf("agreed to: %v, %q, %+v", err, got, out)
			}
		} else if wantError(t, err, protocol.Config); len(got) != 0 || out.Revoked {
			t.Errorf("%q: %q, %+v", confirm, got, out)
		}
	}
}

// signMachine signs a profile of a client with a secret in.
func signMachine(t *testing.T, h *env, o *described.Server, apis ...string) {
	t.Helper()
	_, _, err := h.sign(t, protocol.LoginParams{Profile: "lab", TokenURL: o.URL + "/token", ClientID: "my-client",
		ClientAuth: "client_secret_post", Resources: apis}, "")
	if err != nil {
		t.Fatal(err)
	}
	o.Received()
}

func (h *env) forTarget(t *testing.T, target string) error {
	return h.client(t).Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Target: target}, nil)
}

// Who is sent a profile's tokens is sealed with its credential: an edit may narrow that, and does not widen it. A
// person's word does, without the secret being typed again.
func TestF13AnEditedAPI(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	o := described.New(t, "named")
	signMachine(t, h, o, "https://api.example")
	if err := h.forTarget(t, "https://api.example/v1"); err != nil {
		t.Fatal(err)
	}
	h.edit(t, "lab", func(text string) string {
		return strings.Replace(text, "'https://api.example'", "'https://api.example', 'https://evil.example'", 1)
	})
	for _, held := range []bool{true, false} {
		e := wantError(t, h.forTarget(t, "https://evil.example/v1"), protocol.Config)
		if e.Hint() != "groat login lab --api https://evil.example" ||
			!strings.Contains(e.Message, "https://evil.example") {
			t.Errorf("held %t: %s, %s", held, e.Message, e.Hint())
		}
		h.cool("lab")
	}
	if r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab"}, ""); err != nil ||
		r.Outcome != protocol.AlreadySignedIn ||
		!strings.Contains(strings.Join(a.notices, ""), "https://evil.example") {
		t.Errorf("%+v, said %q: %v", r, a.notices, err)
	}
	wantError(t, h.forTarget(t, "https://evil.example/v1"), protocol.Config)
	r, a, err := h.sign(t, typed(t, "groat login lab --api https://evil.example"), "")
	if err != nil || r.Outcome != protocol.AlreadySignedIn || len(a.secrets) != 0 ||
		!slices.Equal(r.Resources, []string{"https://api.example", "https://evil.example"}) ||
		!slices.Equal(r.Added, []string{"https://evil.example"}) {
		t.Fatalf("%+v, typed for %q: %v", r, a.secrets, err)
	}
	for _, target := range []string{"https://evil.example/v1", "https://api.example/"} {
		if err := h.forTarget(t, target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	h.edit(t, "lab", func(text string) string { return strings.Replace(text, "'https://api.example', ", "", 1) })
	wantError(t, h.forTarget(t, "https://api.example/"), protocol.UnknownProfile)
}

// A session is given another API without a sign-in: its refresh token is used once, by its owner, and what replaced it
// stays.
func TestF14ASessionIsResealed(t *testing.T) {
	tier.Long(t, "sign-ins by device take a second each")
	h := newEnv(t, sandbox.Options{})
	o := described.New(t, "named")
	maps.Copy(o.Document, map[string]any{"token_endpoint": o.URL + "/token", "device_authorization_endpoint": o.URL +
		"/device"})
	p := protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c", ClientAuth: "none", Grant: "device_code"}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	o.Received()
	o.Document["userinfo_endpoint"] = "https://me.example/me"
	r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", Resources: []string{"https://api.example"},
		Trust: []string{"https://me.example/"}}, "")
	if len(a.notices) != 1 || !strings.Contains(a.notices[0], "https://me.example too") {
		t.Errorf("what was added is not said: %q", a.notices)
	}
	if err != nil || r.Outcome != protocol.AlreadySignedIn || !slices.Equal(r.Added, []string{"https://api.example"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := o.Received(); len(got) != 1 || !strings.Contains(got[0], "grant_type=refresh_token") {
		t.Errorf("sent %q", got)
	}
	item := stored(t, h.Store, "lab")
	if item.RefreshToken.Reveal() != "refresh-of-named" ||
		!slices.Equal(item.APIs, []string{"https://api.example:443"}) || len(item.Origins) != 0 ||
		!slices.Equal(item.TokenOrigins, []string{"https://me.example"}) {
		t.Errorf("%+v", item)
	}
	if err := h.forTarget(t, "https://api.example/"); err != nil {
		t.Error(err)
	}
	if got := o.Received(); len(got) != 0 {
		t.Errorf("the token that was proven is not handed out: %q", got)
	}
}

// A static key is given another API without being typed again.
func TestF15AKeyIsResealed(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, _, err := h.sign(t, protocol.LoginParams{Profile: "lab", Provider: "planet-key"}, ""); err != nil {
		t.Fatal(err)
	}
	r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", Resources: []string{"https://more.example"}}, "")
	if err != nil || len(a.secrets) != 0 || !slices.Contains(r.Added, "https://more.example") {
		t.Fatalf("%+v, typed for %q: %v", r, a.secrets, err)
	}
	for _, target := range []string{"https://more.example/", "https://api.planet.com/"} {
		if err := h.forTarget(t, target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// A credential of before there were seals: the preset's own APIs get its tokens, what a file lists does not, and its
// session is not ended at a foreign host.
func TestF16ACredentialFromBefore(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	o, foreign := described.New(t, "named"), described.New(t, "foreign")
	signMachine(t, h, o, "https://api.example")
	item := stored(t, h.Store, "lab")
	item.APIs, item.Grant = nil, "device_code"
	item.RefreshToken, item.RevocationEndpoint = keystore.SecretString("dummy-refresh"), foreign.URL+"/revoke"
	if err := h.Store.Set(t.Context(), "lab", item); err != nil {
		t.Fatal(err)
	}
	h.edit(t, "lab", func(text string) string {
		return text + "grant = 'device_code'\nrevocation_endpoint = '" + foreign.URL + "/revoke'\n"
	})
	if e := wantError(t, h.forTarget(t, "https://api.example/"),
		protocol.Config); e.Hint() != "groat login lab --api https://api.example" {
		t.Error(e.Hint())
	}
	var out protocol.LogoutResult
	if err := h.client(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "lab"},
		&out); err != nil {
		t.Fatal(err)
	}
	if out.Revoked || !out.Forgotten || !strings.Contains(out.NotEnded, foreign.Host()) ||
		len(foreign.Received()) != 0 {
		t.Errorf("%+v", out)
	}
}

// A profile's file changes during a whoami: the token of one server is never shown to the other.
func TestF17WhoamiRacesWithAnEdit(t *testing.T) {
	tier.Long(t, "it provokes a race for seconds")
	h := newEnv(t, sandbox.Options{})
	a, b := described.New(t, "a"), described.New(t, "b")
	signMachine(t, h, a)
	text := func(o *described.Server) string {
		return "issuer = '" + o.URL + "'\ntoken_endpoint = '" + o.URL + "/token'\nuserinfo_endpoint = '" + o.URL +
			"/me'\nclient_auth = 'client_secret_post'\n"
	}
	h.edit(t, "lab", func(string) string { return text(a) })
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		c := h.client(t)
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.Call(context.Background(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "lab"}, nil)
				}
			}
		})
	}
	for range 100 {
		h.edit(t, "lab", func(string) string { return text(a) })
		h.client(t).Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "lab"}, nil)
		h.edit(t, "lab", func(string) string { return text(b) })
	}
	close(stop)
	all.Wait()
	if got := b.Received(); len(got) != 0 {
		t.Errorf("the other server was shown %q", got)
	}
	if got := a.Received(); !slices.ContainsFunc(got,
		func(s string) bool { return strings.HasPrefix(s, "/me Bearer token-of-a") }) {
		t.Error("no whoami was answered: this test tests nothing")
	}
}

// A userinfo endpoint on another host is asked once a person has said so, which takes no secret; an edit to a third
// host is refused again.
func TestF18UserinfoOnAnotherHost(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	o, second, third := described.New(t, "named"), described.New(t, "second"), described.New(t, "third")
	signMachine(t, h, o)
	whoami := func() error {
		return h.client(t).Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "lab"}, nil)
	}
	h.edit(t, "lab", func(text string) string { return text + "userinfo_endpoint = '" + second.URL + "/me'\n" })
	e := wantError(t, whoami(), protocol.Config)
	if !strings.Contains(e.Message, o.Host()) || !strings.Contains(e.Message, second.Host()) ||
		e.Hint() != "groat login lab --trust "+second.URL {
		t.Errorf("%s, %s", e.Message, e.Hint())
	}
	if _, a, err := h.sign(t, typed(t, e.Hint()), ""); err != nil || len(a.secrets) != 0 {
		t.Fatalf("%v, typed for %q", err, a.secrets)
	}
	if err := whoami(); err != nil || len(second.Received()) != 1 {
		t.Errorf("agreed to: %v", err)
	}
	h.edit(t, "lab", func(text string) string { return strings.ReplaceAll(text, second.URL, third.URL) })
	if wantError(t, whoami(), protocol.Config); len(third.Received()) != 0 {
		t.Error("the third host was shown a token")
	}
}
