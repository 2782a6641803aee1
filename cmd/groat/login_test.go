package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	secretPrompt = `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L1","kind":"secret","text":"Password of ann\u001b[2J"}}`
	noticePrompt = `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L1","kind":"notice","text":"creating\nApp Credentials"}}`
	loggedIn     = `"result":{"profile":"work","outcome":"signed_in","client_id":"c-1","created":true,"provider":"spatiafi","issuer":"https://i",` +
		`"keystore":"memory","expires_at":1790000839,"expires_in":839}`
)

// loginDaemon asks for a secret, says something, and accepts the secret "hunter2".
func loginDaemon(t *testing.T) *fake {
	return newTalker(t, func(r request, say func(string), hear func() request) {
		id := string(r.ID)
		if r.Method != "login" {
			say(`{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32601,"message":"unexpected"}}`)
			return
		}
		say(secretPrompt)
		in := hear()
		if in.Method == "" {
			return // the client has gone
		}
		say(`{"jsonrpc":"2.0","id":` + string(in.ID) + `,"result":{}}`)
		say(noticePrompt)
		say(`{"jsonrpc":"2.0","method":"later","params":{}}`)
		if in.Method == "login_input" && in.Params["login_id"] == "L1" && in.Params["value"] == "hunter2" {
			say(`{"jsonrpc":"2.0","id":` + id + `,` + loggedIn + `}`)
			return
		}
		say(`{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32001,"message":"the password is wrong","data":{"kind":"login_required","hint":"groat login work"}}}`)
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
	if got.code != exitLoginRequired || !strings.HasSuffix(got.stderr, "groat: error: the password is wrong\ngroat: hint: groat login work\n") {
		t.Errorf("%+v", got)
	}
	if strings.Contains(got.stdout+got.stderr, "hunter") {
		t.Errorf("the secret is shown: %+v", got)
	}
	got = run(t, f.socket, "hunter2\n", "login", "work", "--secret-stdin", "--json")
	if !strings.HasPrefix(got.stdout, `{"profile":"work","outcome":"signed_in","grant":"","client_id":"c-1","created":true,`) {
		t.Errorf("%+v", got)
	}
}

func TestLoginWithoutSecret(t *testing.T) {
	for _, tt := range []struct {
		stdin string
		args  []string
		says  string
	}{
		{"hunter2\n", nil, "there is no terminal to ask on\ngroat: hint: use --secret-stdin\n"},
		{"", []string{"--secret-stdin"}, "it is empty"},
		{"\n", []string{"--secret-stdin"}, "it is empty"},
		{strings.Repeat("x", maxInput+1), []string{"--secret-stdin"}, "16 KiB"},
	} {
		f := loginDaemon(t)
		got := run(t, f.socket, tt.stdin, append([]string{"login", "work"}, tt.args...)...)
		if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, tt.says) || !twoLines(got.stderr) {
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
	f := newTalker(t, func(_ request, say func(string), hear func() request) {
		say(secretPrompt)
		hear()
		say(secretPrompt)
		hear()
	})
	got := run(t, f.socket, "hunter2\n", "login", "work", "--secret-stdin")
	if got.code != exitUsage || !strings.Contains(got.stderr, causeSpent) {
		t.Errorf("%+v", got)
	}
}

func TestLoginAsks(t *testing.T) {
	f := newFake(t, func(request) string {
		return `"result":{"profile":"work","outcome":"already_signed_in","client_id":"c","issuer":"https://i","expires_in":60}`
	})
	got := run(t, f.socket, "", "login", "work", "--provider", "spatiafi", "--issuer", "https://i", "--token-url", "https://t", "--auth-server", "https://a",
		"--client-auth", "client_secret_jwt", "--client-id", "c", "--username", "u", "--scope", "a b", "--audience", "au",
		"--resource", "https://r1", "--resource", "https://r2,x", "--new-client")
	want := "already signed in: profile work as client c at https://i; its App Credentials work, nothing was changed\nnext: groat get work\n"
	if got != (outcome{0, want, ""}) {
		t.Errorf("%+v", got)
	}
	params := map[string]any{
		"profile": "work", "provider": "spatiafi", "issuer": "https://i", "token_url": "https://t", "auth_server": "https://a",
		"client_auth": "client_secret_jwt", "client_id": "c", "username": "u", "scope": "a b", "audience": "au",
		"resources": []any{"https://r1", "https://r2,x"}, "new_client": true,
	}
	if diff := cmp.Diff(params, f.requests()[0].Params); diff != "" {
		t.Error(diff)
	}
}
