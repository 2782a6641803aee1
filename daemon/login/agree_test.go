package login

import (
	"context"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// answering is a person: what they were asked, and what they say to a question whether to go on.
type answering struct {
	confirm string
	mu      sync.Mutex
	secrets []string
	asked   []string
	notices []string
}

func (a *answering) answer(_ context.Context, p protocol.Prompt) (keystore.Secret, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch p.Kind {
	case protocol.PromptConfirm:
		a.asked = append(a.asked, p.Text)
		return keystore.SecretString(a.confirm), nil
	case protocol.PromptSecret:
		a.secrets = append(a.secrets, p.Text)
	case protocol.PromptNotice:
		a.notices = append(a.notices, p.Text)
	}
	return keystore.SecretString("typed-secret"), nil
}

// sign runs a login; without what to confirm the client has no terminal.
func (h *harness) sign(t *testing.T, p protocol.LoginParams, confirm string) (protocol.LoginResult, *answering, error) {
	t.Helper()
	a := &answering{confirm: confirm}
	p.Confirm = confirm != ""
	r, err := h.login(t.Context(), p, a.answer)
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
		case "--backend":
			p.Backend = v
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

func (h *harness) edit(t *testing.T, profile string, change func(string) string) {
	t.Helper()
	file := filepath.Join(h.config, "profiles.d", profile+".toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(change(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	h.reload(t)
}

// signMachine signs a profile of a client with a secret in.
func signMachine(t *testing.T, h *harness, o *described.Server, apis ...string) {
	t.Helper()
	_, _, err := h.sign(t, protocol.LoginParams{Profile: "lab", TokenURL: o.URL + "/token", ClientID: "my-client",
		ClientAuth: "client_secret_post", Resources: apis}, "")
	if err != nil {
		t.Fatal(err)
	}
	o.Received()
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
			h := onSockets(t, sandbox.Options{})
			named, foreign := described.New(t, "named"), described.New(t, "foreign")
			maps.Copy(named.Document, map[string]any{
				"token_endpoint": named.URL + "/token", "device_authorization_endpoint": named.URL + "/device",
				"authorization_endpoint": named.URL + "/authorize", "pushed_authorization_request_endpoint": named.URL +
					"/par",
				"require_pushed_authorization_requests": strings.HasPrefix(c.member, "pushed"),
				"token_endpoint_auth_methods_supported": []string{c.auth},
			})
			at, _ := url.Parse(named.Document[c.member].(string))
			named.Document[c.member] = foreign.URL + at.Path
			p := protocol.LoginParams{Profile: "p", Issuer: named.URL, ClientID: "c", ClientAuth: c.auth,
				Grant: c.grant}

			_, a, err := h.sign(t, p, "")
			e := wantError(t, err, protocol.Config)
			for _, host := range []string{named.Host(), foreign.Host()} {
				if !strings.Contains(e.Message, host) {
					t.Errorf("%q does not name %s", e.Message, host)
				}
			}
			_, b, err := h.sign(t, p, "no")
			wantError(t, err, protocol.Config)
			if len(b.asked) != 1 || !strings.Contains(b.asked[0], foreign.Host()) ||
				!strings.Contains(b.asked[0], named.Host()) {
				t.Errorf("asked %q", b.asked)
			}
			if n, f := named.Received(), foreign.Received(); len(n)+len(f)+len(a.secrets)+len(b.secrets) != 0 {
				t.Fatalf("arrived at the named host: %q, at the foreign one: %q; typed for %q, %q", n, f, a.secrets,
					b.secrets)
			}
			if c.grant == "authorization_code" {
				return // the rest takes a browser
			}
			again := typed(t, e.Hint())
			if r, _, err := h.sign(t, again, ""); err != nil || r.Outcome != protocol.SignedIn {
				t.Fatalf("%s: %v", e.Hint(), err)
			}
			_, b, err = h.sign(t, protocol.LoginParams{Profile: "p", ClientID: "c", Issuer: named.URL,
				ClientAuth: c.auth, Grant: c.grant}, "no")
			if err != nil || len(b.asked) != 0 {
				t.Errorf("the next time: %v, asked %q", err, b.asked)
			}
		})
	}
}

// An alias for clients that show a certificate is an address as every other.
func TestF12AnAliasOnAForeignHost(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	named, foreign := described.New(t, "named"), described.New(t, "foreign")
	maps.Copy(named.Document, map[string]any{
		"token_endpoint":                        named.URL + "/token",
		"mtls_endpoint_aliases":                 map[string]any{"token_endpoint": foreign.URL + "/token"},
		"token_endpoint_auth_methods_supported": []string{"tls_client_auth"},
	})
	_, _, err := h.sign(t, protocol.LoginParams{Profile: "p", Issuer: named.URL, ClientID: "c",
		ClientAuth: "tls_client_auth", Key: "/nowhere", Certificate: "/nowhere"}, "")
	if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, foreign.Host()) ||
		!strings.Contains(e.Message, "certificate") {
		t.Error(e.Message)
	}
	if got := foreign.Received(); len(got) != 0 {
		t.Error(got)
	}
}

// A file is edited so that the profile's server is another. No secret is asked for, let alone sent, before a person has
// seen both names; the prompt says where the secret goes.
func TestJ1AnEditedServerIsAskedAbout(t *testing.T) {
	for _, p := range []protocol.LoginParams{{Profile: "lab"}, {Profile: "lab", ClientID: "my-client"}} {
		h := onSockets(t, sandbox.Options{})
		honest, evil := described.New(t, "honest"), described.New(t, "evil")
		signMachine(t, h, honest)
		h.edit(t, "lab", func(text string) string { return strings.ReplaceAll(text, honest.URL, evil.URL) })
		wantError(t, h.tokenError(t, "lab"), protocol.Config)
		_, a, err := h.sign(t, p, "")
		e := wantError(t, err, protocol.Config)
		if !strings.Contains(e.Message, honest.Host()) || !strings.Contains(e.Message, evil.Host()) ||
			len(a.secrets) != 0 {
			t.Errorf("%q, typed for %q", e.Message, a.secrets)
		}
		_, a, err = h.sign(t, p, "no")
		wantError(t, err, protocol.Config)
		if len(a.asked) != 1 || !strings.Contains(a.asked[0], honest.Host()) ||
			!strings.Contains(a.asked[0], evil.Host()) || len(a.secrets) != 0 {
			t.Errorf("asked %q, typed for %q", a.asked, a.secrets)
		}
		if got := evil.Received(); len(got) != 0 {
			t.Errorf("arrived: %q", got)
		}
		again := typed(t, e.Hint())
		if _, a, err = h.sign(t, again, ""); err == nil || !strings.Contains(err.Error(), "would give up") ||
			len(a.secrets) != 0 {
			t.Errorf("what the old server accepts is given up without a word: %v", err)
		}
		again.Replace = true
		_, a, err = h.sign(t, again, "")
		if err != nil || len(a.secrets) != 1 || !strings.Contains(a.secrets[0], evil.Host()) {
			t.Errorf("%s: %v, typed for %q", e.Hint(), err, a.secrets)
		}
	}
}

// An edit that leads a provider's profile to another host, or to another provider, is asked about as well.
func TestJ7AnEditedProviderIsAskedAbout(t *testing.T) {
	for name, edit := range map[string]func(text, from, to string) string{
		"auth_server": strings.ReplaceAll,
		"provider": func(_, _, to string) string {
			return "provider = 'climateengine'\nauth_server = '" + to +
				"'\n"
		},
		"its own host": func(text, from, to string) string {
			return strings.Replace(text, "auth_server = '"+from+"'\n", "", 1)
		},
	} {
		h := onSockets(t, sandbox.Options{})
		honest, evil := described.New(t, "honest"), described.New(t, "evil")
		_, _, err := h.sign(t, protocol.LoginParams{Profile: "lab", Provider: "spatiafi", AuthServer: honest.URL,
			ClientID: "c"}, "")
		if err != nil {
			t.Fatal(err)
		}
		h.edit(t, "lab", func(text string) string { return edit(text, honest.URL, evil.URL) })
		for _, p := range []protocol.LoginParams{{Profile: "lab"}, {Profile: "lab", ClientID: "c"},
			{Profile: "lab", Username: person}} {
			_, a, err := h.sign(t, p, "no")
			if e := wantError(t, err, protocol.Config); len(a.asked) != 1 ||
				!strings.Contains(a.asked[0], honest.Host()) || len(a.secrets) != 0 {
				t.Errorf("%s: %v, asked %q, typed for %q", name, e, a.asked, a.secrets)
			}
		}
		if got := evil.Received(); len(got) != 0 {
			t.Errorf("%s: arrived: %q", name, got)
		}
	}
}

// Every prompt for something that is not echoed says where it goes, by host.
func TestJ2EveryPromptNamesTheHost(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	o := described.New(t, "named")
	for name, c := range map[string]struct {
		p    protocol.LoginParams
		host string
	}{
		"client secret": {protocol.LoginParams{TokenURL: o.URL + "/token", ClientID: "c"}, o.Host()},
		"password":      {protocol.LoginParams{Provider: "spatiafi", AuthServer: o.URL, Username: person}, o.Host()},
		"password of key": {protocol.LoginParams{Provider: "planet-legacy", AuthServer: o.URL, Username: person},
			o.Host()},
		"token": {protocol.LoginParams{TokenURL: o.URL + "/token", ClientID: "c", ClientAuth: "none",
			Grant: "token_exchange"}, o.Host()},
		"API key": {protocol.LoginParams{Provider: "planet-key"}, "api.planet.com"},
		"API key, named": {protocol.LoginParams{Provider: "planet-key", Resources: []string{"https://more.example"}},
			"more.example"},
	} {
		c.p.Profile = "p"
		_, a, _ := h.sign(t, c.p, "")
		if len(a.secrets) == 0 || !strings.Contains(a.secrets[0], c.host) {
			t.Errorf("%s: asked %q", name, a.secrets)
		}
		h.logoutError(t, protocol.LogoutParams{Profile: "p", Yes: true})
	}
}

// The prompts that the test above does not come by: each is made of a host.
func TestJ8EveryPromptIsMadeOfAHost(t *testing.T) {
	files, err := filepath.Glob("*.go")
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
		// gofmt ends a line within a statement with one of these.
		statements := regexp.MustCompile(`([,(+])\n\t+`).ReplaceAllString(string(text), "$1 ")
		for line := range strings.Lines(statements) {
			_, ask, ok := strings.Cut(line, "l.ask(")
			if !ok {
				_, ask, ok = strings.Cut(line, "l.askSecret(protocol.Prompt{")
			}
			if ok && !strings.HasPrefix(ask, "}, text)") { // which is what l.ask does
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
	h := onSockets(t, sandbox.Options{})
	o := described.New(t, "named")
	if err := os.MkdirAll(h.config, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[profiles.lab]\nissuer = \"" + o.URL + "\"\ntoken_endpoint = \"" + o.URL +
		"/token\"\nclient_auth = \"client_secret_post\"\nresources = [\"https://api.example\"]\n"
	if err := os.WriteFile(filepath.Join(h.config, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", ClientID: "c"}, "no")
	if err != nil || len(a.asked) != 0 || len(a.secrets) != 1 || !strings.Contains(a.secrets[0], o.Host()) ||
		!slices.Equal(r.Added, []string{"https://api.example"}) {
		t.Errorf("%v, asked %q, typed for %q, %+v", err, a.asked, a.secrets, r)
	}
}

// A configuration that names the servers of two is asked about, also where nothing is stored: the prompt would name one
// host, and the other would be sent the secret too.
func TestJ5TheOtherHostOfAConfiguration(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	honest, evil := described.New(t, "honest"), described.New(t, "evil")
	maps.Copy(evil.Document, map[string]any{
		"token_endpoint": honest.URL + "/token", "device_authorization_endpoint": evil.URL + "/device",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
	if err := os.MkdirAll(h.config, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[profiles.lab]\nissuer = '" + evil.URL + "'\ntoken_endpoint = '" + honest.URL +
		"/token'\nclient_auth = 'client_secret_post'\ngrant = 'device_code'\n"
	if err := os.WriteFile(filepath.Join(h.config, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", ClientID: "c"}, "no")
	if wantError(t, err, protocol.Config); len(a.asked) != 1 ||
		!strings.Contains(a.asked[0], evil.Host()+" would receive") || len(a.secrets) != 0 {
		t.Errorf("asked %q, typed for %q", a.asked, a.secrets)
	}
	_, a, err = h.sign(t, protocol.LoginParams{Profile: "lab", ClientID: "c"}, "yes")
	if err != nil || len(a.secrets) != 1 || !strings.Contains(a.secrets[0], evil.Host()) ||
		!strings.Contains(a.secrets[0], honest.Host()) {
		t.Errorf("%v: typed for %q", err, a.secrets)
	}
}

// A document whose names are too long for a terminal to show is refused without a question.
func TestJ6NamesThatHideOthers(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	named, foreign := described.New(t, "named"), described.New(t, "foreign")
	long := func(letter string) string { return "https://" + strings.Repeat(letter, 230) + ".example" }
	maps.Copy(named.Document, map[string]any{
		"token_endpoint": foreign.URL + "/token", "device_authorization_endpoint": long("a"),
		"revocation_endpoint":                   long("b"),
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "p", Issuer: named.URL, ClientID: "c",
		ClientAuth: "client_secret_post", Grant: "device_code"}, "yes")
	if wantError(t, err, protocol.Config); len(a.asked) != 0 || len(a.secrets) != 0 || len(foreign.Received()) != 0 {
		t.Errorf("%v, asked %q, typed for %q", err, a.asked, a.secrets)
	}
}

// The command that a refusal hints at is one command, whatever a server calls its hosts.
func TestJ4AHintIsOneCommand(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example:1/x": "https://a.example:1/x", "": "''", "a b": "'a b'", "$(id)": "'$(id)'",
		"it's": `'it'\''s'`, "a;b": "'a;b'", "é": "'é'",
	} {
		if got := visible.Word(in); got != want {
			t.Errorf("%s is quoted as %s", in, got)
		}
	}
	none := ""
	got := Command(protocol.LoginParams{Profile: "p", Issuer: "https://$(id).example", Scope: "a b", Prefix: &none,
		NoBrowser: true, Trust: []string{"https://t.example"}})
	const want = "groat login p --issuer 'https://$(id).example' --no-browser --prefix '' --scope 'a b' " +
		"--trust https://t.example"
	if got != want {
		t.Error(got)
	}
}

// Who may be sent access tokens is not sent a client secret, a device code or a refresh token, whatever names it later.
func TestF40AgreedForTokensIsNotForSecrets(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	o, second := described.New(t, "named"), described.New(t, "second")
	maps.Copy(o.Document, map[string]any{
		"token_endpoint": o.URL + "/token", "device_authorization_endpoint": o.URL + "/device",
		"userinfo_endpoint":                     second.URL + "/me",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
	p := protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c", Grant: "device_code",
		Trust: []string{second.URL}}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	if item := h.stored(t, "lab"); len(item.Origins) != 0 || !slices.Equal(item.TokenOrigins, []string{second.URL}) {
		t.Fatalf("sealed for %q and %q", item.Origins, item.TokenOrigins)
	}
	second.Received()
	o.Document["device_authorization_endpoint"] = second.URL + "/device"
	_, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", Scope: "more"}, "")
	if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, second.Host()+" would receive") ||
		len(a.secrets) != 0 {
		t.Errorf("%q, typed for %q", e.Message, a.secrets)
	}
	h.edit(t, "lab", func(text string) string { return text + "revocation_endpoint = '" + second.URL + "/revoke'\n" })
	if err := h.logoutError(t, protocol.LogoutParams{Profile: "lab", Yes: true}); err != nil {
		t.Error(err)
	}
	if got := second.Received(); len(got) != 0 {
		t.Errorf("arrived: %q", got)
	}
}

// What a credential is sealed with is not changed by what is added to it.
func TestF41AddingKeepsWhatWasAgreed(t *testing.T) {
	tier.Long(t, "sign-ins by device take a second each")
	h := onSockets(t, sandbox.Options{})
	o, second := described.New(t, "named"), described.New(t, "second")
	maps.Copy(o.Document, map[string]any{
		"token_endpoint": o.URL + "/token", "device_authorization_endpoint": o.URL + "/device",
		"userinfo_endpoint":   second.URL + "/me",
		"revocation_endpoint": second.URL + "/revoke",
	})
	p := protocol.LoginParams{Profile: "lab", Issuer: o.URL, ClientID: "c", ClientAuth: "none", Grant: "device_code",
		Trust: []string{second.URL}}
	if _, _, err := h.sign(t, p, ""); err != nil {
		t.Fatal(err)
	}
	if _, a, err := h.sign(t, protocol.LoginParams{Profile: "lab", Resources: []string{"https://api.example"}},
		""); err != nil || len(a.asked) != 0 {
		t.Fatalf("asked %q: %v", a.asked, err)
	}
	item := h.stored(t, "lab")
	if !slices.Equal(item.Origins, []string{second.URL}) || !slices.Equal(item.TokenOrigins, []string{second.URL}) {
		t.Errorf("sealed for %q and %q", item.Origins, item.TokenOrigins)
	}
	r, err := h.logout(t, protocol.LogoutParams{Profile: "lab", Yes: true})
	if err != nil || r.NotEnded != "" {
		t.Errorf("%+v, %v", r, err)
	}
}
