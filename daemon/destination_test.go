package daemon

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/login"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// describedServer is a server that describes itself as a test says, grants whatever is asked, and keeps what it was sent.
type describedServer struct {
	*httptest.Server
	name     string
	document map[string]any

	mu   sync.Mutex
	seen []string // "PATH AUTHORIZATION form", but for what carries nothing
}

func newDescribedServer(t *testing.T, name string) *describedServer {
	o := &describedServer{name: name, document: map[string]any{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	o.document["issuer"] = o.URL
	return o
}

func (o *describedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		json.NewEncoder(w).Encode(o.document)
		return
	}
	r.ParseForm()
	o.mu.Lock()
	o.seen = append(o.seen, r.URL.Path+" "+r.Header.Get("Authorization")+" "+r.Form.Encode())
	o.mu.Unlock()
	answer := map[string]any{}
	switch path := r.URL.Path; {
	case r.Form.Get("grant_type") != "":
		answer = map[string]any{"access_token": "token-of-" + o.name, "token_type": "Bearer", "expires_in": 900}
		if r.Form.Get("grant_type") != "client_credentials" {
			answer["refresh_token"] = "refresh-of-" + o.name
		}
	case path == "/device":
		answer = map[string]any{"device_code": "dc", "user_code": "ABCD", "verification_uri": o.URL + "/activate", "expires_in": 60, "interval": 0}
	case path == "/par":
		w.WriteHeader(http.StatusCreated)
		answer = map[string]any{"request_uri": "urn:x", "expires_in": 60}
	case path == "/me":
		answer = map[string]any{"sub": "x"}
	}
	json.NewEncoder(w).Encode(answer)
}

func (o *describedServer) host() string { return strings.TrimPrefix(o.URL, "http://") }

// received returns what came that carried something, and forgets it.
func (o *describedServer) received() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = nil
	return seen
}

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
func (h *house) sign(t *testing.T, p protocol.LoginParams, confirm string) (protocol.LoginResult, *answering, error) {
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

func (h *house) edit(t *testing.T, profile string, change func(string) string) {
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

// A document names an address on another host than the one that the person named, for every kind of address that the
// sign-in cannot do without: nothing of a credential goes anywhere before a person has seen both names and agreed; a
// client without a terminal gets the command that says so, and it works; what was agreed to is not asked again.
func TestF10ADocumentNamesAForeignHost(t *testing.T) {
	for _, c := range []struct {
		grant  string
		member string
		auth   string
	}{
		{"client_credentials", "token_endpoint", "client_secret_post"},
		{"client_credentials", "token_endpoint", "client_secret_basic"},
		{"client_credentials", "token_endpoint", "client_secret_jwt"},
		{"device_code", "token_endpoint", "none"},
		{"device_code", "token_endpoint", "client_secret_post"},
		{"device_code", "device_authorization_endpoint", "none"},
		{"device_code", "device_authorization_endpoint", "client_secret_jwt"},
		{"device_code", "device_authorization_endpoint", "client_secret_basic"},
		{"authorization_code", "token_endpoint", "none"},
		{"authorization_code", "authorization_endpoint", "none"},
		{"authorization_code", "pushed_authorization_request_endpoint", "client_secret_jwt"},
		{"authorization_code", "pushed_authorization_request_endpoint", "none"},
	} {
		t.Run(c.grant+", "+c.member+", "+c.auth, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, sandbox.Options{})
			named, foreign := newDescribedServer(t, "named"), newDescribedServer(t, "foreign")
			maps.Copy(named.document, map[string]any{
				"token_endpoint": named.URL + "/token", "device_authorization_endpoint": named.URL + "/device",
				"authorization_endpoint": named.URL + "/authorize", "pushed_authorization_request_endpoint": named.URL + "/par",
				"require_pushed_authorization_requests": strings.HasPrefix(c.member, "pushed"),
				"token_endpoint_auth_methods_supported": []string{c.auth},
			})
			at, _ := url.Parse(named.document[c.member].(string))
			named.document[c.member] = foreign.URL + at.Path
			p := protocol.LoginParams{Profile: "p", Issuer: named.URL, ClientID: "c", ClientAuth: c.auth, Grant: c.grant}

			_, a, err := h.sign(t, p, "")
			e := wantError(t, err, protocol.Config)
			for _, host := range []string{named.host(), foreign.host()} {
				if !strings.Contains(e.Message, host) {
					t.Errorf("%q does not name %s", e.Message, host)
				}
			}
			_, b, err := h.sign(t, p, "no")
			wantError(t, err, protocol.Config)
			if len(b.asked) != 1 || !strings.Contains(b.asked[0], foreign.host()) || !strings.Contains(b.asked[0], named.host()) {
				t.Errorf("asked %q", b.asked)
			}
			if n, f := named.received(), foreign.received(); len(n)+len(f)+len(a.secrets)+len(b.secrets) != 0 {
				t.Fatalf("arrived at the named host: %q, at the foreign one: %q; typed for %q, %q", n, f, a.secrets, b.secrets)
			}
			if c.grant == "authorization_code" {
				return // the rest takes a browser
			}
			again := typed(t, e.Hint())
			if r, _, err := h.sign(t, again, ""); err != nil || r.Outcome != protocol.SignedIn {
				t.Fatalf("%s: %v", e.Hint(), err)
			}
			_, b, err = h.sign(t, protocol.LoginParams{Profile: "p", ClientID: "c", Issuer: named.URL, ClientAuth: c.auth, Grant: c.grant}, "no")
			if err != nil || len(b.asked) != 0 {
				t.Errorf("the next time: %v, asked %q", err, b.asked)
			}
		})
	}
}

// What a sign-in can do without is left out where nobody agrees, and used where somebody does.
func TestF11WhatASignInCanDoWithout(t *testing.T) {
	tier.Long(t, "sign-ins by device take a second each")
	t.Parallel()
	for _, confirm := range []string{"", "no", "yes"} {
		h := newHouse(t, sandbox.Options{})
		named, foreign := newDescribedServer(t, "named"), newDescribedServer(t, "foreign")
		maps.Copy(named.document, map[string]any{
			"token_endpoint": named.URL + "/token", "device_authorization_endpoint": named.URL + "/device",
			"revocation_endpoint": foreign.URL + "/revoke", "userinfo_endpoint": foreign.URL + "/me",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		})
		p := protocol.LoginParams{Profile: "p", Issuer: named.URL, ClientID: "c", ClientAuth: "client_secret_post", Grant: "device_code"}
		_, a, err := h.sign(t, p, confirm)
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Join(slices.Concat(a.asked, a.notices), "\n")
		if !strings.Contains(said, foreign.host()) || (confirm != "yes") != strings.Contains(said, "--trust "+foreign.URL) {
			t.Errorf("%q: said %s", confirm, said)
		}
		c := h.client(t)
		err = c.Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "p"}, nil)
		var out protocol.LogoutResult
		if err := c.Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "p"}, &out); err != nil || !out.Forgotten {
			t.Fatal(err)
		}
		got := foreign.received()
		if confirm == "yes" {
			if err != nil || len(got) != 2 || !out.Revoked {
				t.Errorf("agreed to: %v, %q, %+v", err, got, out)
			}
		} else if wantError(t, err, protocol.Config); len(got) != 0 || out.Revoked {
			t.Errorf("%q: %q, %+v", confirm, got, out)
		}
	}
}

// An alias for clients that show a certificate is an address as every other.
func TestF12AnAliasOnAForeignHost(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	named, foreign := newDescribedServer(t, "named"), newDescribedServer(t, "foreign")
	maps.Copy(named.document, map[string]any{
		"token_endpoint": named.URL + "/token", "mtls_endpoint_aliases": map[string]any{"token_endpoint": foreign.URL + "/token"},
		"token_endpoint_auth_methods_supported": []string{"tls_client_auth"},
	})
	_, _, err := h.sign(t, protocol.LoginParams{Profile: "p", Issuer: named.URL, ClientID: "c", ClientAuth: "tls_client_auth", Key: "/nowhere", Certificate: "/nowhere"}, "")
	if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, foreign.host()) || !strings.Contains(e.Message, "certificate") {
		t.Error(e.Message)
	}
	if got := foreign.received(); len(got) != 0 {
		t.Error(got)
	}
}

// signMachine signs a profile of a client with a secret in.
func signMachine(t *testing.T, h *house, o *describedServer, apis ...string) {
	t.Helper()
	_, _, err := h.sign(t, protocol.LoginParams{Profile: "lab", TokenURL: o.URL + "/token", ClientID: "my-client", ClientAuth: "client_secret_post", Resources: apis}, "")
	if err != nil {
		t.Fatal(err)
	}
	o.received()
}

// A file is edited so that the profile's server is another. No secret is asked for, let alone sent, before a person has seen
// both names; the prompt says where the secret goes.
func TestJ1AnEditedServerIsAskedAbout(t *testing.T) {
	for _, p := range []protocol.LoginParams{{Profile: "lab"}, {Profile: "lab", ClientID: "my-client"}} {
		h := newHouse(t, sandbox.Options{})
		honest, evil := newDescribedServer(t, "honest"), newDescribedServer(t, "evil")
		signMachine(t, h, honest)
		h.edit(t, "lab", func(text string) string { return strings.ReplaceAll(text, honest.URL, evil.URL) })
		wantError(t, h.client(t).Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "lab"}, nil), protocol.Config)
		_, a, err := h.sign(t, p, "")
		e := wantError(t, err, protocol.Config)
		if !strings.Contains(e.Message, honest.host()) || !strings.Contains(e.Message, evil.host()) || len(a.secrets) != 0 {
			t.Errorf("%q, typed for %q", e.Message, a.secrets)
		}
		_, a, err = h.sign(t, p, "no")
		wantError(t, err, protocol.Config)
		if len(a.asked) != 1 || !strings.Contains(a.asked[0], honest.host()) || !strings.Contains(a.asked[0], evil.host()) || len(a.secrets) != 0 {
			t.Errorf("asked %q, typed for %q", a.asked, a.secrets)
		}
		if got := evil.received(); len(got) != 0 {
			t.Errorf("arrived: %q", got)
		}
		again := typed(t, e.Hint())
		if _, a, err = h.sign(t, again, ""); err == nil || !strings.Contains(err.Error(), "would give up") || len(a.secrets) != 0 {
			t.Errorf("what the old server accepts is given up without a word: %v", err)
		}
		again.Replace = true
		_, a, err = h.sign(t, again, "")
		if err != nil || len(a.secrets) != 1 || !strings.Contains(a.secrets[0], evil.host()) {
			t.Errorf("%s: %v, typed for %q", e.Hint(), err, a.secrets)
		}
	}
}

// An edit that leads a provider's profile to another host, or to another provider, is asked about as well.
func TestJ7AnEditedProviderIsAskedAbout(t *testing.T) {
	for name, edit := range map[string]func(text, from, to string) string{
		"auth_server": strings.ReplaceAll,
		"provider":    func(_, _, to string) string { return "provider = 'climateengine'\nauth_server = '" + to + "'\n" },
		"its own host": func(text, from, to string) string {
			return strings.Replace(text, "auth_server = '"+from+"'\n", "", 1)
		},
	} {
		h := newHouse(t, sandbox.Options{})
		honest, evil := newDescribedServer(t, "honest"), newDescribedServer(t, "evil")
		_, _, err := h.sign(t, protocol.LoginParams{Profile: "lab", Provider: "spatiafi", AuthServer: honest.URL, ClientID: "c"}, "")
		if err != nil {
			t.Fatal(err)
		}
		h.edit(t, "lab", func(text string) string { return edit(text, honest.URL, evil.URL) })
		for _, p := range []protocol.LoginParams{{Profile: "lab"}, {Profile: "lab", ClientID: "c"}, {Profile: "lab", Username: person}} {
			_, a, err := h.sign(t, p, "no")
			if e := wantError(t, err, protocol.Config); len(a.asked) != 1 || !strings.Contains(a.asked[0], honest.host()) || len(a.secrets) != 0 {
				t.Errorf("%s: %v, asked %q, typed for %q", name, e, a.asked, a.secrets)
			}
		}
		if got := evil.received(); len(got) != 0 {
			t.Errorf("%s: arrived: %q", name, got)
		}
	}
}

// Every prompt for something that is not echoed says where it goes, by host.
func TestJ2EveryPromptNamesTheHost(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	o := newDescribedServer(t, "named")
	for name, c := range map[string]struct {
		p    protocol.LoginParams
		host string
	}{
		"client secret":   {protocol.LoginParams{TokenURL: o.URL + "/token", ClientID: "c"}, o.host()},
		"password":        {protocol.LoginParams{Provider: "spatiafi", AuthServer: o.URL, Username: person}, o.host()},
		"password of key": {protocol.LoginParams{Provider: "planet-legacy", AuthServer: o.URL, Username: person}, o.host()},
		"token":           {protocol.LoginParams{TokenURL: o.URL + "/token", ClientID: "c", ClientAuth: "none", Grant: "token_exchange"}, o.host()},
		"API key":         {protocol.LoginParams{Provider: "planet-key"}, "api.planet.com"},
		"API key, named":  {protocol.LoginParams{Provider: "planet-key", Resources: []string{"https://more.example"}}, "more.example"},
	} {
		c.p.Profile = "p"
		_, a, _ := h.sign(t, c.p, "")
		if len(a.secrets) == 0 || !strings.Contains(a.secrets[0], c.host) {
			t.Errorf("%s: asked %q", name, a.secrets)
		}
		h.client(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "p", Yes: true}, nil)
	}
}

// The prompts that the test above does not come by: each is made of a host.
func TestJ8EveryPromptIsMadeOfAHost(t *testing.T) {
	files, err := filepath.Glob("login/*.go")
	if err != nil {
		t.Fatal(err)
	}
	prompts := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if _, ask, ok := strings.Cut(line, "l.ask("); ok {
				prompts++
				if !strings.Contains(ask, "host(") && !strings.Contains(ask, "Hosts()") {
					t.Errorf("%s: %s", name, line)
				}
			}
		}
	}
	if prompts < 5 {
		t.Errorf("%d prompts were found: how are they asked now?", prompts)
	}
}

// A server that only the configuration names, for a profile that nothing is stored for, needs no question.
func TestJ3NothingStoredIsNotAskedAbout(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	o := newDescribedServer(t, "named")
	if err := os.MkdirAll(h.config, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[profiles.lab]\nissuer = \"" + o.URL + "\"\ntoken_endpoint = \"" + o.URL + "/token\"\nclient_auth = \"client_secret_post\"\nresources = [\"https://api.example\"]\n"
	if err := os.WriteFile(filepath.Join(h.config, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", ClientID: "c"}, "no")
	if err != nil || len(a.asked) != 0 || len(a.secrets) != 1 || !strings.Contains(a.secrets[0], o.host()) || !slices.Equal(r.Added, []string{"https://api.example"}) {
		t.Errorf("%v, asked %q, typed for %q, %+v", err, a.asked, a.secrets, r)
	}
}

// A configuration that names the servers of two is asked about, also where nothing is stored: the prompt would name one host,
// and the other would be sent the secret too.
func TestJ5TheOtherHostOfAConfiguration(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	honest, evil := newDescribedServer(t, "honest"), newDescribedServer(t, "evil")
	maps.Copy(evil.document, map[string]any{
		"token_endpoint": honest.URL + "/token", "device_authorization_endpoint": evil.URL + "/device",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
	if err := os.MkdirAll(h.config, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[profiles.lab]\nissuer = '" + evil.URL + "'\ntoken_endpoint = '" + honest.URL + "/token'\nclient_auth = 'client_secret_post'\ngrant = 'device_code'\n"
	if err := os.WriteFile(filepath.Join(h.config, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", ClientID: "c"}, "no")
	if wantError(t, err, protocol.Config); len(a.asked) != 1 || !strings.Contains(a.asked[0], evil.host()+" would receive") || len(a.secrets) != 0 {
		t.Errorf("asked %q, typed for %q", a.asked, a.secrets)
	}
	_, a, err = h.sign(t, protocol.LoginParams{Profile: "lab", ClientID: "c"}, "yes")
	if err != nil || len(a.secrets) != 1 || !strings.Contains(a.secrets[0], evil.host()) || !strings.Contains(a.secrets[0], honest.host()) {
		t.Errorf("%v: typed for %q", err, a.secrets)
	}
}

// A document's names are so long that a terminal would not show all of them: nobody is asked.
func TestJ6NamesThatHideOthers(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	named, foreign := newDescribedServer(t, "named"), newDescribedServer(t, "foreign")
	long := func(letter string) string { return "https://" + strings.Repeat(letter, 230) + ".example" }
	maps.Copy(named.document, map[string]any{
		"token_endpoint": foreign.URL + "/token", "device_authorization_endpoint": long("a"), "revocation_endpoint": long("b"),
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "p", Issuer: named.URL, ClientID: "c", ClientAuth: "client_secret_post", Grant: "device_code"}, "yes")
	if wantError(t, err, protocol.Config); len(a.asked) != 0 || len(a.secrets) != 0 || len(foreign.received()) != 0 {
		t.Errorf("%v, asked %q, typed for %q", err, a.asked, a.secrets)
	}
}

func (h *house) forTarget(t *testing.T, target string) error {
	return h.client(t).Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Target: target}, nil)
}

// Who is sent a profile's tokens is sealed with its credential: an edit may narrow that, and does not widen it. A person's
// word does, without the secret being typed again.
func TestF13AnEditedAPI(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	o := newDescribedServer(t, "named")
	signMachine(t, h, o, "https://api.example")
	if err := h.forTarget(t, "https://api.example/v1"); err != nil {
		t.Fatal(err)
	}
	h.edit(t, "lab", func(text string) string {
		return strings.Replace(text, "'https://api.example'", "'https://api.example', 'https://evil.example'", 1)
	})
	for _, held := range []bool{true, false} {
		e := wantError(t, h.forTarget(t, "https://evil.example/v1"), protocol.Config)
		if e.Hint() != "groat login lab --api https://evil.example" || !strings.Contains(e.Message, "https://evil.example") {
			t.Errorf("held %t: %s, %s", held, e.Message, e.Hint())
		}
		h.cool("lab")
	}
	if r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab"}, ""); err != nil || r.Outcome != protocol.AlreadySignedIn || !strings.Contains(strings.Join(a.notices, ""), "https://evil.example") {
		t.Errorf("%+v, said %q: %v", r, a.notices, err)
	}
	wantError(t, h.forTarget(t, "https://evil.example/v1"), protocol.Config)
	r, a, err := h.sign(t, typed(t, "groat login lab --api https://evil.example"), "")
	if err != nil || r.Outcome != protocol.AlreadySignedIn || len(a.secrets) != 0 || !slices.Equal(r.Resources, []string{"https://api.example", "https://evil.example"}) || !slices.Equal(r.Added, []string{"https://evil.example"}) {
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

// A session is given another API without a sign-in: its refresh token is used once, by its owner, and what replaced it stays.
func TestF14ASessionIsResealed(t *testing.T) {
	tier.Long(t, "sign-ins by device take a second each")
	h := newHouse(t, sandbox.Options{})
	o := newDescribedServer(t, "named")
	maps.Copy(o.document, map[string]any{"token_endpoint": o.URL + "/token", "device_authorization_endpoint": o.URL + "/device"})
	p := protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c", ClientAuth: "none", Grant: "device_code"}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	o.received()
	o.document["userinfo_endpoint"] = "https://me.example/me"
	r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", Resources: []string{"https://api.example"}, Trust: []string{"https://me.example/"}}, "")
	if len(a.notices) != 1 || !strings.Contains(a.notices[0], "https://me.example too") {
		t.Errorf("what was added is not said: %q", a.notices)
	}
	if err != nil || r.Outcome != protocol.AlreadySignedIn || !slices.Equal(r.Added, []string{"https://api.example"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := o.received(); len(got) != 1 || !strings.Contains(got[0], "grant_type=refresh_token") {
		t.Errorf("sent %q", got)
	}
	item := stored(t, h.Store, "lab")
	if item.RefreshToken.Reveal() != "refresh-of-named" || !slices.Equal(item.APIs, []string{"https://api.example:443"}) || len(item.Origins) != 0 || !slices.Equal(item.TokenOrigins, []string{"https://me.example"}) {
		t.Errorf("%+v", item)
	}
	if err := h.forTarget(t, "https://api.example/"); err != nil {
		t.Error(err)
	}
	if got := o.received(); len(got) != 0 {
		t.Errorf("the token that was proven is not handed out: %q", got)
	}
}

// A static key is given another API without being typed again.
func TestF15AKeyIsResealed(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
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

// A credential of before there were seals: the preset's own APIs get its tokens, what a file lists does not, and its session
// is not ended at a foreign host.
func TestF16ACredentialFromBefore(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	o, foreign := newDescribedServer(t, "named"), newDescribedServer(t, "foreign")
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
	if e := wantError(t, h.forTarget(t, "https://api.example/"), protocol.Config); e.Hint() != "groat login lab --api https://api.example" {
		t.Error(e.Hint())
	}
	var out protocol.LogoutResult
	if err := h.client(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "lab"}, &out); err != nil {
		t.Fatal(err)
	}
	if out.Revoked || !out.Forgotten || !strings.Contains(out.NotEnded, foreign.host()) || len(foreign.received()) != 0 {
		t.Errorf("%+v", out)
	}
}

// A profile's file changes while somebody asks who they are: the token of one server is never shown to the other.
func TestF17WhoamiRacesWithAnEdit(t *testing.T) {
	tier.Long(t, "it provokes a race for seconds")
	h := newHouse(t, sandbox.Options{})
	a, b := newDescribedServer(t, "a"), newDescribedServer(t, "b")
	signMachine(t, h, a)
	text := func(o *describedServer) string {
		return "issuer = '" + o.URL + "'\ntoken_endpoint = '" + o.URL + "/token'\nuserinfo_endpoint = '" + o.URL + "/me'\nclient_auth = 'client_secret_post'\n"
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
	if got := b.received(); len(got) != 0 {
		t.Errorf("the other server was shown %q", got)
	}
	if got := a.received(); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "/me Bearer token-of-a") }) {
		t.Error("nobody was told who they are: this test tests nothing")
	}
}

// The command that a refusal hints at is one command, whatever a server calls its hosts.
func TestJ4AHintIsOneCommand(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example:1/x": "https://a.example:1/x", "": "''", "a b": "'a b'", "$(id)": "'$(id)'", "it's": `'it'\''s'`, "a;b": "'a;b'", "é": "'é'",
	} {
		if got := visible.Word(in); got != want {
			t.Errorf("%s is quoted as %s", in, got)
		}
	}
	none := ""
	got := login.Command(protocol.LoginParams{Profile: "p", Issuer: "https://$(id).example", Scope: "a b", Prefix: &none, NoBrowser: true, Trust: []string{"https://t.example"}})
	if want := "groat login p --issuer 'https://$(id).example' --no-browser --prefix '' --scope 'a b' --trust https://t.example"; got != want {
		t.Error(got)
	}
}

// A userinfo endpoint on another host is asked once a person has said so, which takes no secret; an edit to a third host is
// refused again.
func TestF18UserinfoOnAnotherHost(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	o, second, third := newDescribedServer(t, "named"), newDescribedServer(t, "second"), newDescribedServer(t, "third")
	signMachine(t, h, o)
	whoami := func() error {
		return h.client(t).Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "lab"}, nil)
	}
	h.edit(t, "lab", func(text string) string { return text + "userinfo_endpoint = '" + second.URL + "/me'\n" })
	e := wantError(t, whoami(), protocol.Config)
	if !strings.Contains(e.Message, o.host()) || !strings.Contains(e.Message, second.host()) || e.Hint() != "groat login lab --trust "+second.URL {
		t.Errorf("%s, %s", e.Message, e.Hint())
	}
	if _, a, err := h.sign(t, typed(t, e.Hint()), ""); err != nil || len(a.secrets) != 0 {
		t.Fatalf("%v, typed for %q", err, a.secrets)
	}
	if err := whoami(); err != nil || len(second.received()) != 1 {
		t.Errorf("agreed to: %v", err)
	}
	h.edit(t, "lab", func(text string) string { return strings.ReplaceAll(text, second.URL, third.URL) })
	if wantError(t, whoami(), protocol.Config); len(third.received()) != 0 {
		t.Error("the third host was shown a token")
	}
}

// Who may be sent access tokens is not sent a client secret, a device code or a refresh token, whatever names it later.
func TestF40AgreedForTokensIsNotForSecrets(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	o, second := newDescribedServer(t, "named"), newDescribedServer(t, "second")
	maps.Copy(o.document, map[string]any{
		"token_endpoint": o.URL + "/token", "device_authorization_endpoint": o.URL + "/device", "userinfo_endpoint": second.URL + "/me",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
	p := protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c", Grant: "device_code", Trust: []string{second.URL}}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	if item := stored(t, h.Store, "lab"); len(item.Origins) != 0 || !slices.Equal(item.TokenOrigins, []string{second.URL}) {
		t.Fatalf("sealed for %q and %q", item.Origins, item.TokenOrigins)
	}
	second.received()
	o.document["device_authorization_endpoint"] = second.URL + "/device"
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", Scope: "more"}, "")
	if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, second.host()+" would receive") || len(a.secrets) != 0 {
		t.Errorf("%q, typed for %q", e.Message, a.secrets)
	}
	h.edit(t, "lab", func(text string) string { return text + "revocation_endpoint = '" + second.URL + "/revoke'\n" })
	if err := h.client(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "lab", Yes: true}, nil); err != nil {
		t.Error(err)
	}
	if got := second.received(); len(got) != 0 {
		t.Errorf("arrived: %q", got)
	}
}

// What a credential is sealed with is not changed by what is added to it.
func TestF41AddingKeepsWhatWasAgreed(t *testing.T) {
	tier.Long(t, "sign-ins by device take a second each")
	h := newHouse(t, sandbox.Options{})
	o, second := newDescribedServer(t, "named"), newDescribedServer(t, "second")
	maps.Copy(o.document, map[string]any{
		"token_endpoint": o.URL + "/token", "device_authorization_endpoint": o.URL + "/device", "userinfo_endpoint": second.URL + "/me",
		"revocation_endpoint": second.URL + "/revoke",
	})
	p := protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c", ClientAuth: "none", Grant: "device_code", Trust: []string{second.URL}}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	if _, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", Resources: []string{"https://api.example"}}, ""); err != nil || len(a.asked) != 0 {
		t.Fatalf("asked %q: %v", a.asked, err)
	}
	item := stored(t, h.Store, "lab")
	if !slices.Equal(item.Origins, []string{second.URL}) || !slices.Equal(item.TokenOrigins, []string{second.URL}) {
		t.Errorf("sealed for %q and %q", item.Origins, item.TokenOrigins)
	}
	var r protocol.LogoutResult
	if err := h.client(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "lab", Yes: true}, &r); err != nil || r.NotEnded != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

// An API that one server's tokens were agreed to be sent to is not sent another server's.
func TestF42AnAPIOfAnotherServer(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	a, b := newDescribedServer(t, "first"), newDescribedServer(t, "second")
	sign := func(at string, more protocol.LoginParams) {
		t.Helper()
		more.Profile, more.TokenURL, more.ClientID, more.ClientAuth = "lab", at+"/token", "c", "client_secret_post"
		if _, _, err := h.sign(t, more, "yes"); err != nil {
			t.Fatal(err)
		}
	}
	sign(a.URL, protocol.LoginParams{Resources: []string{"https://api.example"}})
	sign(b.URL, protocol.LoginParams{Replace: true})
	if item := stored(t, h.Store, "lab"); item.TokenEndpoint != b.URL+"/token" || len(item.APIs) != 0 {
		t.Errorf("%s is sealed for %q", item.TokenEndpoint, item.APIs)
	}
}
