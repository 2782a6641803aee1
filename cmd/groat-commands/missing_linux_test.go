package main

import (
	"maps"
	"strings"
	"testing"
)

// needyDaemon refuses a login as long as something is missing: a provider or an issuer, then a user name or a client.
// first is the error of the first login, if there is one.
func needyDaemon(t *testing.T, first string) *fakeDaemon {
	return newFakeDaemon(t, func(r request) string {
		missing := func(message, names string) string {
			return `"error":{"code":-32602,"message":"` + message + `","data":{"hint":"groat login","missing":[` + names + `]}}`
		}
		switch r.Method {
		case "providers":
			return `"result":{"providers":[{"provider":"spatiafi","title":"SpatiaFi","grants":["app_credentials"]}]}`
		case "keystore":
			return `"result":{"use":"auto","state":"undecided"}`
		case "unlock":
			return `"result":{"use":"keychain","state":"ok"}`
		}
		p := r.Params
		switch {
		case first != "":
			said := first
			first = ""
			return said
		case p["profile"] == "My Lab":
			return missing("a name is made of a-z", `"profile"`)
		case p["provider"] == nil && p["issuer"] == nil:
			return missing("a provider is missing", `"provider","issuer"`)
		case p["provider"] != nil && p["provider"] != "spatiafi":
			return missing("there is no such provider", `"provider","issuer"`)
		case p["username"] == nil && p["client_id"] == nil:
			return missing("a person is missing", `"username","client_id"`)
		}
		return loggedIn
	})
}

// lastLogin is what the last login of a daemon was asked for, by name.
func lastLogin(f *fakeDaemon, names ...string) map[string]any {
	last := map[string]any{}
	for _, r := range f.requests() {
		if r.Method == "login" {
			clear(last)
			for _, name := range names {
				if v, ok := r.Params[name]; ok {
					last[name] = v
				}
			}
		}
	}
	return last
}

func TestALoginAsksForWhatIsMissing(t *testing.T) {
	type said struct{ question, answer string }
	const locked = `"error":{"code":-32004,"message":"the keychain is locked","data":{"kind":"locked",` +
		`"hint":"groat unlock"}}`
	const undecided = `"error":{"code":-32007,"message":"no keystore is chosen","data":{"kind":"keystore_unavailable",` +
		`"hint":"groat keystore use sealed --passphrase","missing":["keystore"]}}`
	for name, c := range map[string]struct {
		first string
		args  []string
		talk  []said
		want  map[string]any
		calls string
	}{
		"nothing": {args: []string{"login", "work"}, want: map[string]any{"profile": "work", "provider": "spatiafi",
			"username": "ann"}, talk: []said{{"a provider is missing", "nope"}, {"there is no such provider", "Spatiafi "},
			{"User name there", "ann"}}, calls: "login login login login"},
		"a client": {args: []string{"login", "work", "--provider", "spatiafi"}, want: map[string]any{"profile": "work",
			"provider": "spatiafi", "client_id": "c-1"}, talk: []said{{"User name there", ""}, {"Client id", "c-1"}},
			calls: "login login"},
		"an issuer": {args: []string{"login", "work", "--username", "ann"}, want: map[string]any{"profile": "work",
			"issuer": "https://a.example", "username": "ann"}, talk: []said{{"Provider, or", "https://a.example"}},
			calls: "login login"},
		"no name": {args: []string{"login"}, want: map[string]any{"profile": "spatiafi", "provider": "spatiafi",
			"username": "ann"}, talk: []said{{"Provider, or", "spatiafy"},
			{"no provider spatiafy in the list", "spatiafi"}, {"Name of the profile [spatiafi]", ""},
			{"User name there", "ann"}}, calls: "providers login login"},
		"another name": {args: []string{"login", "My Lab", "--provider", "spatiafi", "--username", "ann"},
			want: map[string]any{"profile": "lab", "provider": "spatiafi", "username": "ann"},
			talk: []said{{"Name of the profile", "lab"}}, calls: "login login"},
		"a locked keychain": {first: locked, args: []string{"login", "work", "--provider", "spatiafi", "--username", "ann"},
			want:  map[string]any{"profile": "work", "provider": "spatiafi", "username": "ann"},
			calls: "login keystore unlock login"},
		"no keystore": {first: undecided, args: []string{"login", "work", "--provider", "spatiafi", "--username", "ann"},
			talk: []said{{"1, 2 or 3", "4"}, {"there is no keystore \"4\"", "2"}}, calls: "login keystore login",
			want: map[string]any{"profile": "work", "provider": "spatiafi", "username": "ann"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := needyDaemon(t, c.first)
			x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, c.args...)
			for _, s := range c.talk {
				x.expect(s.question)
				x.write(s.answer + "\n")
			}
			x.expect("next: groat get work")
			x.end(0)
			if got := lastLogin(f, "profile", "provider", "issuer", "username", "client_id"); !maps.Equal(got, c.want) {
				t.Errorf("the last login is %v, want %v", got, c.want)
			}
			var calls []string
			for _, r := range f.requests() {
				if r.Method != "hello" {
					calls = append(calls, r.Method)
				}
			}
			if got := strings.Join(calls, " "); got != c.calls {
				t.Errorf("requests %s, want %s", got, c.calls)
			}
		})
	}
}

// Without a terminal nothing is asked: the refusal is what it was. An empty answer ends the login.
func TestALoginAsksNobodyElse(t *testing.T) {
	f := needyDaemon(t, "")
	got := run(t, f.socket, "", "login", "work")
	if want := (outcome{2, "", "groat: error: a provider is missing\ngroat: hint: groat login\n"}); got != want {
		t.Errorf("without a terminal: %+v, want %+v", got, want)
	}
	x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "login", "work")
	x.expect("Provider, or")
	x.write("\n")
	x.expect("nothing was changed\ngroat: hint: groat login work\n")
	x.end(2)
}

// Who has no secret to type is told how a client without one signs in, with what has been typed already.
func TestALoginWithoutASecretToType(t *testing.T) {
	f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
		if r.Params["profile"] == "My Lab" {
			say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,"error":{"code":-32602,"message":"no name",` +
				`"data":{"missing":["profile"]}}}`)
			return
		}
		if r.Params["client_id"] == nil {
			say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,"error":{"code":-32602,"message":"a client is missing",` +
				`"data":{"missing":["client_id"]}}}`)
			return
		}
		say(secretPrompt)
		hear()
	})
	const issuer = "https://a.example"
	for _, args := range [][]string{
		{"login", "lab", "--issuer", issuer}, {"login", "lab", "--issuer=" + issuer, "--client-id", "c-1"},
		{"login", "My Lab", "--issuer", issuer},
	} {
		x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, args...)
		if args[1] != "lab" {
			x.expect("Name of the profile: ")
			x.write("lab\n")
			args[1] = "lab"
		}
		if len(args) == 4 {
			x.expect("Client id: ")
			x.write("c-1\n")
		}
		x.expect("[2J: ")
		x.hidden()
		x.write("\n")
		typed := "groat " + strings.Join(args, " ")
		if len(args) == 4 {
			typed += " --client-id c-1"
		}
		x.expect("groat: hint: " + typed + " --client-auth none\n")
		x.end(2)
	}
}
