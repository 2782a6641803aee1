package main

import (
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/protocol"
)

const (
	secretPrompt = `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L1","kind":"secret","text":"Password of ` +
		`ann\u001b[2J"}}`
	noticePrompt = `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L1","kind":"notice",` +
		`"text":"creating\nApp Credentials"}}`
	loggedIn = `"result":{"profile":"work","outcome":"signed_in","client_id":"c-1","created":true,` +
		`"provider":"spatiafi","issuer":"https://i",` +
		`"keystore":"memory","expires_at":1790000839,"expires_in":839}`
)

// loginDaemon asks for a secret, says something, and accepts the secret "hunter2".
func loginDaemon(t *testing.T) *fakeDaemon {
	return newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
		id := string(r.ID)
		if r.Method != "login" {
			say(`{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32601,"message":"unexpected"}}`)
			return
		}
		say(secretPrompt)
		in := hear()
		if in.Method == "" {
			return // the client has ended
		}
		say(`{"jsonrpc":"2.0","id":` + string(in.ID) + `,"result":{}}`)
		say(noticePrompt)
		say(`{"jsonrpc":"2.0","method":"later","params":{}}`)
		if in.Method == "login_input" && in.Params["login_id"] == "L1" && in.Params["value"] == "hunter2" {
			say(`{"jsonrpc":"2.0","id":` + id + `,` + loggedIn + `}`)
			return
		}
		say(`{"jsonrpc":"2.0","id":` + id +
			`,"error":{"code":-32001,"message":"the password is wrong","data":{"kind":"login_required","hint":"groat ` +
			`login work"}}}`)
	})
}

const signedIn = "signed in: profile work as client c-1 at https://i; access token good for 13m59s\n" +
	"created: App Credentials c-1, which exist at the provider from now on\nnext: groat get work\n"

func TestLoginFromStdin(t *testing.T) {
	for _, stdin := range []string{"hunter2", "hunter2\n", "hunter2\r\n"} {
		f := loginDaemon(t)
		got := run(t, f.socket, stdin, "login", "work", "--provider", "spatiafi", "--username", "ann", "--secret-stdin")
		if got != (outcome{0, signedIn, "groat: creating App Credentials\n"}) {
			t.Errorf("%q: %+v", stdin, got)
		}
	}
	f := loginDaemon(t)
	got := run(t, f.socket, "hunter3\n", "login", "work", "--secret-stdin")
	if got.code != report.ExitLoginRequired || !strings.HasSuffix(got.stderr,
		"groat: error: the password is wrong\ngroat: hint: groat login work\n") {
		t.Errorf("%+v", got)
	}
	if strings.Contains(got.stdout+got.stderr, "hunter") {
		t.Errorf("the secret is shown: %+v", got)
	}
	got = run(t, f.socket, "hunter2\n", "login", "work", "--secret-stdin", "--json")
	if !strings.HasPrefix(got.stdout,
		`{"profile":"work","outcome":"signed_in","grant":"","client_id":"c-1","created":true,`) {
		t.Errorf("%+v", got)
	}
}

func TestLoginWithoutSecret(t *testing.T) {
	for _, tt := range []struct {
		stdin string
		args  []string
		says  string
	}{
		{"hunter2\n", nil, "there is no terminal to ask on: Password of ann\ufffd[2J\n" +
			"groat: hint: groat login work --secret-stdin < FILE\n"},
		{"", []string{"--secret-stdin"}, "it is empty"},
		{"\n", []string{"--secret-stdin"}, "it is empty"},
		{strings.Repeat("x", maxInput+1), []string{"--secret-stdin"}, "16 KiB"},
		{"\ufeffhunter2\n", []string{"--secret-stdin"}, "it begins with a byte order mark"},
		{"\xff\xfeh\x00\n\x00", []string{"--secret-stdin"}, "it begins with a byte order mark"},
		{" hunter2\n", []string{"--secret-stdin"}, "it begins with a blank"},
		{"hunter2 \n", []string{"--secret-stdin"}, "it ends with a blank"},
		{"hunter2\u00a0\n", []string{"--secret-stdin"}, "it ends with a blank"},
		{"hunter2\t\n", []string{"--secret-stdin"}, "it ends with a tab"},
		{"hunter2\n\n", []string{"--secret-stdin"}, "it ends with a line break"},
		{"\nhunter2\n", []string{"--secret-stdin"}, "it begins with a line break"},
		{"hunter2\x00\n", []string{"--secret-stdin"}, "it ends with the invisible character U+0000"},
		{"hunter2\u200b", []string{"--secret-stdin"}, "it ends with the invisible character U+200B"},
	} {
		f := loginDaemon(t)
		got := run(t, f.socket, tt.stdin, append([]string{"login", "work"}, tt.args...)...)
		if got.code != report.ExitUsage || got.stdout != "" || !strings.Contains(got.stderr, tt.says) ||
			!twoLines(got.stderr) {
			t.Errorf("%.20q: %+v", tt.stdin, got)
		}
		for _, r := range f.requests() {
			if r.Method == "login_input" {
				t.Errorf("%.20q was sent", r.Params["value"])
			}
		}
	}
}

// The one secret on stdin is not the answer to two questions.
func TestLoginAsksTwice(t *testing.T) {
	f := newScriptedDaemon(t, func(_ request, say func(string), hear func() request) {
		say(secretPrompt)
		hear()
		say(secretPrompt)
		hear()
	})
	got := run(t, f.socket, "hunter2\n", "login", "work", "--secret-stdin")
	if got.code != report.ExitUsage || !strings.Contains(got.stderr, (&app{}).errStdinSpent().Message) {
		t.Errorf("%+v", got)
	}
}

func TestLoginAsks(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"profile":"work","outcome":"already_signed_in","client_id":"c","issuer":"https://i",` +
			`"expires_in":60}`
	})
	t.Chdir("/")
	got := run(t, f.socket, "", "login", "work", "--provider", "spatiafi", "--issuer", "https://i", "--token-url",
		"https://t", "--auth-server", "https://a",
		"--client-auth", "client_secret_jwt", "--client-id", "c", "--username", "u", "--scope", "a b",
		"--audience", "au",
		"--resource", "https://r2,x", "--api", "https://r1", "--trust", "https://t1", "--new-client",
		"--grant", "device_code", "--no-browser", "--key", "k/../key.pem", "--certificate", "/c.pem", "--subject", "s",
		"--key-alg", "PS256", "--key-id", "kid", "--assertion-audience", "issuer", "--basic", "raw",
		"--assertion-file", "/a.jwt",
		"--resource-indicator", "https://e/x", "--target-audience", "iap", "--wider-scope", "--strict-scope",
		"--authorization-endpoint", "https://e/a", "--device-endpoint", "https://e/d", "--par-endpoint", "https://e/p",
		"--revocation-endpoint", "https://e/r", "--userinfo-endpoint", "https://e/u", "--par", "always",
		"--redirect", "http://127.0.0.1:8000/", "--header", "X-Key", "--prefix", "", "--ephemeral",
		"--set", "session_scope=a b=c", "--set", "token_chars=visible")
	want := "already signed in: profile work as client c at https://i; its client works, nothing was changed\n" +
		"note: profile work is in memory only, and gone when groatd ends\nnext: groat get work\n"
	if got != (outcome{0, want, textResource}) {
		t.Errorf("%+v", got)
	}
	params := map[string]any{
		"profile": "work", "provider": "spatiafi", "issuer": "https://i", "token_url": "https://t",
		"auth_server": "https://a",
		"client_auth": "client_secret_jwt", "client_id": "c", "username": "u", "scope": "a b", "audience": "au",
		"resources": []any{"https://r1", "https://r2,x"}, "trust": []any{"https://t1"}, "new_client": true,
		"grant": "device_code", "no_browser": true, "key": "/key.pem", "certificate": "/c.pem", "subject": "s",
		"key_alg": "PS256", "key_id": "kid", "assertion_audience": "issuer", "basic": "raw", "assertion_file": "/a.jwt",
		"resource_indicator": "https://e/x", "target_audience": "iap", "wider_scope": true, "strict_scope": true,
		"authorization_endpoint": "https://e/a", "device_endpoint": "https://e/d", "par_endpoint": "https://e/p",
		"revocation_endpoint": "https://e/r", "userinfo_endpoint": "https://e/u", "par": "always",
		"redirect": "http://127.0.0.1:8000/", "header": "X-Key", "prefix": "", "ephemeral": true,
		"set": map[string]any{"session_scope": "a b=c", "token_chars": "visible"},
	}
	if diff := cmp.Diff(params, f.requests()[0].Params); diff != "" {
		t.Error(diff)
	}
	for _, set := range [][]string{{"x"}, {"=x"}, {"x="}, {"x=1", "x=2"}} {
		args := []string{"login", "work"}
		for _, word := range set {
			args = append(args, "--set", word)
		}
		if got := run(t, f.socket, "", args...); got.code != report.ExitUsage || !twoLines(got.stderr) {
			t.Errorf("%q: %+v", set, got)
		}
	}
	run(t, f.socket, "", "login", "work")
	if diff := cmp.Diff(map[string]any{"profile": "work"}, f.requests()[1].Params); diff != "" {
		t.Error(diff)
	}
}

// Two secrets in a row: from a pipe the first is a line and the second the rest, which may be missing where the prompt
// is optional.
func TestFurtherSecretsAreFurtherLines(t *testing.T) {
	for _, c := range []struct {
		stdin    string
		optional bool
		want     []any // the values that arrive
		code     int
	}{
		{"hunter2\n246810\n", true, []any{"hunter2", "246810"}, 0},
		{"hunter2\r\n246810", true, []any{"hunter2", "246810"}, 0},
		{"hunter2\n", true, []any{"hunter2", ""}, 0},
		{"hunter2\n\n", true, []any{"hunter2", ""}, 0},
		{"hunter2", true, []any{"hunter2", ""}, 0},
		{"hunter2\n246810", false, []any{"hunter2", "246810"}, 0},
		{"hunter2\n", false, []any{"hunter2"}, report.ExitUsage},
		{"hunter2\n 246810\n", true, []any{"hunter2"}, report.ExitUsage},
		{"\n246810\n", true, nil, report.ExitUsage},
	} {
		second := ""
		if c.optional {
			second = `,"optional":true`
		}
		f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
			for _, more := range []string{`,"further":true`, second} {
				say(`{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L1","kind":"secret","text":"It"` + more +
					`}}`)
				in := hear()
				if in.Method == "" {
					return // the client has ended
				}
				say(`{"jsonrpc":"2.0","id":` + string(in.ID) + `,"result":{}}`)
			}
			say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + loggedIn + `}`)
		})
		out := run(t, f.socket, c.stdin, "login", "work", "--secret-stdin")
		var got []any
		for _, r := range f.requests() {
			if r.Method == "login_input" {
				got = append(got, r.Params["value"])
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" || out.code != c.code {
			t.Errorf("%q: %s %+v", c.stdin, diff, out)
		}
	}
}

// What a login came to, in the words of each way to sign in.
func TestSignedInForPeople(t *testing.T) {
	var all strings.Builder
	for _, grant := range grants() {
		for _, outcome := range []string{protocol.SignedIn, protocol.AlreadySignedIn} {
			r := protocol.LoginResult{Profile: "work", Outcome: outcome, Grant: grant, ClientID: "c-1",
				Issuer: "https://i.example\u202e", ExpiresIn: 839}
			if grant == "key_login" || grant == "api_key" {
				all.WriteString(grant + " that ends, " + outcome + ":\n" + string(textSignedIn(r, false)))
				r.ExpiresIn = 0
			}
			all.WriteString(grant + ", " + outcome + ":\n" + string(textSignedIn(r, false)))
		}
	}
	golden(t, "signedin.txt", all.String())
}

const providersResult = `"result":{"providers":[
	{"provider":"earthscope","title":"EarthScope","grants":["device_code","client_credentials","authorization_code"],
		"needs_by":["","client_id","client_id"]},
	{"provider":"globus","title":"Globus","grants":["authorization_code"],"needs":"client_id",
		"needs_by":["client_id"],"unconfirmed":["session_absolute"]},
	{"provider":"google","title":"Google","grants":["authorization_code","jwt_bearer"],"needs":"client_id",
		"needs_by":["client_id","key"]},
	{"provider":"planet-legacy","title":"Planet (email and password)","grants":["key_login","api_key"],
		"needs":"username","needs_by":["username",""],
		"deprecated":"Planet asks its users\u001b to sign in with planet-user."},
	{"provider":"sa","title":"A key","grants":["jwt_bearer","of_the_future"],"needs":"key"},
	{"provider":"spatiafi","title":"SpatiaFi","grants":["app_credentials","client_credentials"],"needs":"username"}]}`

func TestLoginListsProviders(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return strings.NewReplacer("\n", "", "\t", "").Replace(providersResult)
	})
	for _, tt := range []struct {
		golden string
		args   []string
	}{{"providers.txt", []string{"login"}}, {"providers.json", []string{"login", "--json"}}} {
		got := run(t, f.socket, "", tt.args...)
		if got.code != 0 || got.stderr != "" {
			t.Errorf("%v: %+v", tt.args, got)
		}
		golden(t, tt.golden, got.stdout)
	}
	if got := run(t, f.socket, "", "__complete", "login", "--provider", ""); !strings.HasPrefix(got.stdout,
		"earthscope\tEarthScope\nglobus\tGlobus\ngoogle\tGoogle\n") {
		t.Errorf("%+v", got)
	}
	for _, r := range f.requests() {
		if r.Method != "providers" {
			t.Errorf("%+v was asked", r)
		}
	}
}

// The list of the presets that there are fits a terminal of 80 columns, one line a preset.
func TestTheListOfProvidersFitsATerminal(t *testing.T) {
	var r protocol.ProvidersResult
	for _, name := range preset.Names() {
		p, _ := preset.Lookup(name)
		info := protocol.ProviderInfo{Provider: name, Title: p.Title, Grants: p.Grants, Deprecated: p.Deprecated,
			Unconfirmed: p.Unconfirmed}
		for range p.Grants { // the widest
			info.NeedsBy = append(info.NeedsBy, "client_id")
		}
		r.Providers = append(r.Providers, info)
	}
	list := string(textProviders(&r))
	for line := range strings.Lines(list) {
		if utf8.RuneCountInString(line) > listWidth+1 {
			t.Errorf("a line is too wide: %s", line)
		}
	}
	table, _, _ := strings.Cut(list, "\n\n")
	if n := strings.Count(table, "\n"); n != len(r.Providers) {
		t.Errorf("%d lines for %d presets", n, len(r.Providers))
	}
}

// Without a terminal the address and the code are on stderr, nothing is opened, and the login waits.
func TestLoginWithoutTerminal(t *testing.T) {
	for _, tt := range []struct{ prompt, shows string }{
		{devicePrompt, "groat: Sign in at as.example with this code, on any device\n\n  " +
			"https://as.example/activate\n\n  code: BCDF-GHJK\n\n" +
			"groat: the code is good for 15m0s; this waits for you\n"},
		{browserPrompt, "groat: Sign in at as.example\n" +
			"groat: open this address in a browser; this waits for you\n\n  " + authorizeURL + "\n\n"},
	} {
		f := newScriptedDaemon(t, func(r request, say func(string), _ func() request) {
			say(tt.prompt)
			say(noticePrompt)
			say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + sessionResult + `}`)
		})
		env := map[string]string{"DISPLAY": ":0", "PATH": "/nonexistent"}
		got := runEnv(t, f.socket, "", env, "login", "work")
		want := outcome{0, sessionIn, tt.shows + "groat: creating App Credentials\n"}
		notice := "groat: creating App Credentials\n" // it may come before a question was put
		got.stderr = strings.Replace(got.stderr, notice, "", 1) + notice
		if got != want {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
}

const (
	authorizeURL = "https://as.example/authorize?client_id=c" +
		"&redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2Fcallback&state=" +
		"a-state-that-makes-it-longer-than-other-text-may-be-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaaz"
	browserPrompt = `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L1","kind":"browser","text":"Sign in ` +
		`at as.example","url":"` + authorizeURL + `"}}`
	devicePrompt = `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L1","kind":"device","text":"Sign in at ` +
		`as.example with this code, on any device",` +
		`"url":"https://as.example/activate","code":"BCDF-GHJK","qr":"█▀█\n▄ █\n","expires_in":900}}`
	sessionResult = `"result":{"profile":"work","outcome":"signed_in","grant":"device_code","client_id":"c-1",` +
		`"issuer":"https://as.example","expires_in":839}`
	sessionIn = "signed in: profile work at https://as.example; access token good for 13m59s\nnext: groat get " +
		"work\n"
)

func TestOpenable(t *testing.T) {
	for page, want := range map[string]bool{
		"https://as.example/a?b=c&d=%20": true, "https://as.example": true,
		"http://127.0.0.1:8080/x": true, "http://[::1]/": true, "http://localhost/": true,
		"HTTPS://as.example": true,
		"http://as.example/": false, "http://127.0.0.1.evil.example/": false,
		"file:///etc/passwd": false, "--version": false, "": false,
		"https://": false, "https:as.example": false, "javascript:alert(1)": false,
		"https://a b/": false, "https://a/\n": false, "https://a/ä": false,
		"https://as.example@evil.example/": false, "vscode://x": false, "https://a/\x7f": false,
	} {
		if got := openable(page); got != want {
			t.Errorf("%q: %v", page, got)
		}
	}
}

func TestDisplay(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{"DISPLAY": ":0"}, true},
		{map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true},
		{map[string]string{"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "x"}, true},
		{map[string]string{"SSH_CONNECTION": "x"}, false},
		{map[string]string{"SSH_TTY": "/dev/pts/3", "WSL_DISTRO_NAME": "Debian"}, false},
		{map[string]string{"WSL_DISTRO_NAME": "Debian"}, true},
		{nil, false},
	} {
		a := &app{getenv: func(name string) string { return tt.env[name] }}
		if got := a.hasDisplay(); got != tt.want && runtime.GOOS == "linux" {
			t.Errorf("%v: %v", tt.env, got)
		}
	}
}

// What was added is said, with what was there before; if a session was left at its server, why.
func TestF19WhatWasAddedIsSaid(t *testing.T) {
	r := protocol.LoginResult{
		Profile: "lab", Outcome: protocol.AlreadySignedIn, ClientID: "c", Issuer: "https://i",
		Resources: []string{"https://a", "https://b\x1b[2J"}, Added: []string{"https://b\x1b[2J"},
	}
	want := "already signed in: profile lab as client c at https://i; its client works, nothing else was " +
		"changed\n" +
		"API origins of lab: https://a, https://b\ufffd[2J (added)\nnext: groat get lab\n"
	if got := string(textSignedIn(r, false)); got != want {
		t.Errorf("%q", got)
	}
	out := string(textLoggedOut(&logoutJSON{LogoutResult: protocol.LogoutResult{
		Profile: "lab", Forgotten: true, Issuer: "https://i", NotEnded: "no\x1b",
	}}, false))
	if want := "note: nothing was ended at https://i: no\ufffd\n"; !strings.Contains(out, want) {
		t.Errorf("%q", out)
	}
}

// A hint that says whom to trust is the command that was typed, also if the secret came by stdin.
func TestJ9AHintKeepsSecretStdin(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"error":{"code":-32006,"message":"m","data":{"kind":"config","hint":"groat login work --trust ` +
			`https://t"}}`
	})
	for _, flags := range [][]string{{}, {"--secret-stdin"}} {
		got := run(t, f.socket, "", append([]string{"login", "work"}, flags...)...)
		if want := strings.Join(append([]string{"groat: hint: groat login work --trust https://t"}, flags...), " ") +
			"\n"; !strings.HasSuffix(got.stderr, want) {
			t.Errorf("%q, want %q", got.stderr, want)
		}
	}
}
