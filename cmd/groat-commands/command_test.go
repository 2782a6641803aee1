package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text for people with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestShow(t *testing.T) {
	results := map[string]string{
		"profiles": `{"profiles":[{"profile":"climate","provider":"climateengine","issuer":"https://auth.example.com",
			"resources":["https://a.example.com","https://b.example.com"]},
			{"profile":"work","issuer":"https://login.example.org\u001b","resources":[]},
			{"profile":"wrong","issuer":"","resources":[],"broken":true,"message":"/c/wrong.toml:2: unknown\u001b key",
			"hint":"groatd --check"}]}`,
		"whoami": `{"profile":"work","claims":{"email":"ann@example.com","id":1000000,"ratio":0.5,"verified":true,` +
			`"name":"A\u202en"}}`,
		"keystore": `{"use":"sealed","key":"passphrase","state":"locked","message":"say the passphrase"}`,
		"reload":   `{"profiles":2}`,
		"status": `{"release":"1","pid":2,"started_at":3,"socket":"/s","keystore":{"use":"memory","state":"ok"},` +
			`"profiles":[]}`,
	}
	f := newFakeDaemon(t, func(r request) string {
		return `"result":` + strings.ReplaceAll(results[r.Method], "\n", " ")
	})
	for _, tt := range []struct {
		golden string
		args   []string
		method string
		params map[string]any
	}{
		{"list.txt", []string{"list"}, "profiles", map[string]any{}},
		{"list.json", []string{"list", "--json"}, "profiles", map[string]any{}},
		{"whoami.txt", []string{"whoami", "work"}, "whoami", map[string]any{"profile": "work"}},
		{"whoami.json", []string{"whoami", "--json"}, "whoami", map[string]any{}},
		{"keystore.txt", []string{"keystore"}, "keystore", map[string]any{}},
		{"keystore.json", []string{"keystore", "--json"}, "keystore", map[string]any{}},
		{"keystore.txt", []string{"keystore", "use", "memory"}, "keystore", map[string]any{"use": "memory"}},
		{"keystore.txt", []string{"keystore", "use", "sealed", "--key-file"}, "keystore",
			map[string]any{"use": "sealed", "key": "file"}},
		{"reload.txt", []string{"reload"}, "reload", map[string]any{}},
		{"status.json", []string{"status", "work", "--json"}, "status", map[string]any{"profile": "work"}},
	} {
		got := run(t, f.socket, "", tt.args...)
		if got.code != 0 || got.stderr != "" {
			t.Errorf("%v: %+v", tt.args, got)
		}
		golden(t, tt.golden, got.stdout)
		all := f.requests()
		if last := all[len(all)-1]; last.Method != tt.method || last.JSONRPC != "2.0" ||
			!cmp.Equal(last.Params, tt.params) {
			t.Errorf("%v asked %+v", tt.args, last)
		}
	}
}

// A choice of this shell's that groatd does not go by is named, and only such a one.
func TestGroatdReadsItsOwnKeystoreVariable(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return `"result":{"use":"sealed","key":"file","state":"ok"}` })
	for value, want := range map[string]string{
		"": "", "auto": "", "sealed": "",
		"memory": "groat: GROAT_KEYSTORE is memory in this shell; groatd reads it only at its start, and uses sealed\n",
	} {
		got := runEnv(t, f.socket, "", map[string]string{"GROAT_KEYSTORE": value}, "keystore")
		if got.code != 0 || got.stderr != want || got.stdout != "keystore: sealed (key: file), ok\n" {
			t.Errorf("%q: %+v", value, got)
		}
	}
}

func TestPassphraseGoesToTheDaemonOnly(t *testing.T) {
	f := newFakeDaemon(t, func(r request) string {
		if r.Method == "keystore" && len(r.Params) == 0 {
			return `"result":{"use":"sealed","key":"passphrase","state":"locked"}`
		}
		return `"result":{"use":"sealed","key":"passphrase","state":"ok"}`
	})
	for _, tt := range []struct {
		args   []string
		method string
		params map[string]any
	}{
		{
			[]string{"keystore", "use", "sealed", "--passphrase-stdin"}, "keystore",
			map[string]any{"use": "sealed", "key": "passphrase", "passphrase": "corréct \"horse\"\\"},
		},
		{[]string{"unlock", "--passphrase-stdin"}, "unlock", map[string]any{"passphrase": "corréct \"horse\"\\"}},
	} {
		got := run(t, f.socket, "corréct \"horse\"\\\n", tt.args...)
		if got != (outcome{0, "keystore: sealed (key: passphrase), ok\n", ""}) {
			t.Errorf("%v: %+v", tt.args, got)
		}
		all := f.requests()
		if last := all[len(all)-1]; last.Method != tt.method || !cmp.Equal(last.Params, tt.params) {
			t.Errorf("%v asked %+v", tt.args, last)
		}
	}
	for _, args := range [][]string{
		{"unlock"}, {"keystore", "use", "sealed", "--passphrase"}, {"keystore", "use", "keychain",
			"--passphrase-stdin"},
		{"keystore", "use", "memory", "--key-file"}, {"keystore", "use", "sealed", "--key-file", "--passphrase-stdin"},
	} {
		if got := run(t, f.socket, "x\n", args...); got.code != report.ExitUsage || !twoLines(got.stderr) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := run(t, f.socket, "\n", "unlock", "--passphrase-stdin"); got.code != report.ExitUsage ||
		!strings.Contains(got.stderr, "it is empty") {
		t.Errorf("%+v", got)
	}
	secrets := 0
	for _, r := range f.requests() {
		if r.Params["passphrase"] != nil {
			secrets++
		}
	}
	if secrets != 2 {
		t.Errorf("%d passphrases were sent", secrets)
	}
}

// The desktop asks for its keychain's password itself, and where the keystore is open nobody is asked.
func TestUnlockKeychain(t *testing.T) {
	for _, tt := range []struct{ state, says string }{
		{`"use":"keychain","state":"locked","message":"locked"`, textDesktopAsks},
		{`"use":"sealed","key":"keychain","state":"locked","message":"locked"`, textDesktopAsks},
		{`"use":"keychain","state":"ok"`, ""},
		{`"use":"memory","state":"ok"`, ""},
		{`"use":"sealed","key":"passphrase","state":"ok"`, textUnlockedAlready},
	} {
		f := newFakeDaemon(t, func(r request) string {
			if r.Method == "unlock" {
				return `"result":{"use":"keychain","state":"ok"}`
			}
			return `"result":{` + tt.state + `}`
		})
		if got := run(t, f.socket, "", "unlock"); got != (outcome{0, "keystore: keychain, ok\n", tt.says}) {
			t.Errorf("%s: %+v", tt.state, got)
		}
		all := f.requests()
		if len(all) != 2 || all[0].Method != "keystore" || len(all[0].Params) > 0 || all[1].Params["passphrase"] != "" {
			t.Errorf("%s: %+v", tt.state, all)
		}
	}
}

// "groat login --cancel" ends the sign-in of the profile that is named, and goes with nothing that begins one.
func TestLoginCancel(t *testing.T) {
	f := newFakeDaemon(t, func(r request) string {
		return fmt.Sprintf(`"result":{"profile":%q,"cancelled":%v}`, r.Params["profile"], r.Params["profile"] == "lab")
	})
	for _, c := range []struct {
		typed string
		want  outcome
	}{
		{"lab --cancel", outcome{0, "The sign-in of profile lab that was under way has ended.\n", ""}},
		{"work --cancel", outcome{0, "No sign-in of profile work is under way.\n", ""}},
		{"lab --json --cancel", outcome{0, `{"profile":"lab","cancelled":true}` + "\n", ""}},
		{"lab --cancel --provider spatiafi", outcome{report.ExitUsage, "", "groat: error: --cancel goes with no flag " +
			"but --json\ngroat: hint: groat login lab --cancel\n"}},
		{"--cancel", outcome{report.ExitUsage, "", "groat: error: --cancel ends the sign-in of one profile, and none is " +
			"named\ngroat: hint: groat login --help\n"}},
	} {
		if got := run(t, f.socket, "", append([]string{"login"}, strings.Fields(c.typed)...)...); got != c.want {
			t.Errorf("%s: %+v", c.typed, got)
		}
	}
	for _, r := range f.requests() {
		if r.Method != protocol.MethodLoginCancel && r.Method != protocol.MethodHello {
			t.Errorf("%s was sent", r.Method)
		}
	}
}

func TestLogout(t *testing.T) {
	permanent := `"result":{"profile":"work","forgotten":false,"client_id":"abc\u0007","issuer":"https://i",` +
		`"permanent":true}`
	gone := `"result":{"profile":"work","forgotten":true,"client_id":"abc","issuer":"https://i","permanent":true}`
	f := newFakeDaemon(t, func(r request) string {
		if r.Params["yes"] == true {
			return gone
		}
		return permanent
	})
	got := run(t, f.socket, "y\n", "logout", "work")
	if got.code != report.ExitUsage || got.stdout != "" || !strings.Contains(got.stderr,
		"App Credentials \"abc\ufffd\" of profile work") ||
		!strings.HasSuffix(got.stderr, "groat: hint: groat logout work --yes\n") {
		t.Errorf("without a terminal: %+v", got)
	}
	got = run(t, f.socket, "", "logout", "work", "--yes")
	if got != (outcome{0, "signed out: profile work is forgotten on this machine\nnote: client abc still exists at " +
		"https://i\n", ""}) {
		t.Errorf("with --yes: %+v", got)
	}
	got = run(t, f.socket, "", "logout", "work", "-y", "--json")
	if got.stdout != `{"profile":"work","forgotten":true,"client_id":"abc","issuer":"https://i",`+
		`"permanent":true}`+"\n" {
		t.Errorf("with --json: %+v", got)
	}
	for _, tt := range []struct{ result, flag, want string }{
		{`"forgotten":true,"revoked":true,"issuer":"https://i"`, "",
			"signed out: the session at https://i has ended, and profile work is forgotten on this machine\n"},
		{`"forgotten":true,"issuer":"https://i"`, "--keep-remote",
			"signed out: profile work is forgotten on this machine\nnote: nothing was ended at https://i\n"},
		{`"forgotten":true,"issuer":"https://i","not_ended":"it names no address"`, "",
			"forgotten: profile work is no longer on this machine\n" +
				"note: nothing was ended at https://i: it names no address\n"},
	} {
		f = newFakeDaemon(t, func(r request) string {
			if r.Method == protocol.MethodLogout && (tt.flag != "") != (r.Params["keep_remote"] == true) {
				t.Errorf("%s asked %v", tt.flag, r.Params)
			}
			return `"result":{"profile":"work",` + tt.result + `}`
		})
		if got = run(t, f.socket, "", strings.Fields("logout work "+tt.flag)...); got != (outcome{0, tt.want, ""}) {
			t.Errorf("%s: %+v", tt.flag, got)
		}
	}
	f = newFakeDaemon(t, func(request) string { return `"result":{"profile":"work","forgotten":true}` })
	if got = run(t, f.socket, "", "logout", "work"); got != (outcome{0,
		"signed out: profile work is forgotten on this machine\n", ""}) {
		t.Errorf("nothing remains: %+v", got)
	}
	if n := len(f.requests()); n != 2 { // logout and export
		t.Errorf("%d requests", n)
	}
}

// A logout says what goes on using the profile, each with the command that ends it.
func TestLogoutNamesWhatUsesTheProfile(t *testing.T) {
	f := newFakeDaemon(t, func(r request) string {
		if r.Method == protocol.MethodExport {
			return `"result":{"exports":[{"path":"/h","profile":"work"},{"path":"/o","profile":"home"},` +
				`{"path":"/a b","profile":"work"}]}`
		}
		return `"result":{"profile":"work","forgotten":true}`
	})
	state := t.TempDir()
	for _, name := range []string{"git.work.json", "docker.work.json", "go.home.json", "git.work.0.gitconfig.before"} {
		path := filepath.Join(state, "setup", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	logout := func(args ...string) outcome {
		var out, errs bytes.Buffer
		place := &frame.Place{Home: t.TempDir(), State: state}
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, getenv: func(string) string { return "" },
			route: func() (*frame.Route, error) {
				return &frame.Route{Sockets: frame.Sockets{Explicit: f.socket}, Place: place}, nil
			}}
		code := a.main("groat", append([]string{"logout", "work", "--yes"}, args...))
		return outcome{code, out.String(), errs.String()}
	}
	want := outcome{0, `signed out: profile work is forgotten on this machine
note: docker still asks for its tokens; groat setup docker work --undo ends that
note: git still asks for its tokens; groat setup git work --undo ends that
note: /h is written again at the next sign-in; groat export --stop /h ends that
note: "/a b" is written again at the next sign-in; groat export --stop '/a b' ends that
`, ""}
	if got := logout(); got != want {
		t.Errorf("%+v", got)
	}
	want = outcome{0, `{"profile":"work","forgotten":true,"setups":["docker","git"],"exports":["/h","/a b"]}
`, ""}
	if got := logout("--json"); got != want {
		t.Errorf("%+v", got)
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}, {"-v"}} {
		if got := run(t, "", "", args...); got != (outcome{0, "groat dev, protocol 1\n", ""}) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	var v versionJSON
	got := run(t, "", "", "version", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || v != (versionJSON{"dev", 1}) {
		t.Errorf("%+v %v", got, err)
	}
}

func TestCompletionOffersProfiles(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"profiles":[{"profile":"\"$(touch pwned)\""},{"profile":"climate"},{"profile":"$(x)"},` +
			`{"profile":"-f"},{"profile":"work"},{"profile":"x;y"}]}`
	})
	if got := run(t, f.socket, "", "__complete", "get", ""); !strings.HasPrefix(got.stdout, "climate\nwork\n:4\n") {
		t.Errorf("%+v", got)
	}
	if got := run(t, "/nonexistent/s", "", "__complete", "status", ""); !strings.HasPrefix(got.stdout, ":4\n") {
		t.Errorf("without a daemon: %+v", got)
	}
}

// Behind --stop the files that groat keeps are offered.
func TestCompletionOffersExports(t *testing.T) {
	f := newFakeDaemon(t, func(r request) string {
		if r.Method == "export" {
			return `"result":{"exports":[{"path":"/h/a","profile":"work"},{"path":"/h/b c","profile":"work"}]}`
		}
		return `"result":{"profiles":[{"profile":"work"}]}`
	})
	for _, c := range []struct{ args, want string }{
		{"export --stop", "/h/a\n/h/b c\n:4\n"}, {"export", "work\n:4\n"}, {"export --stop /h/a", ":4\n"},
	} {
		args := append([]string{"__complete"}, append(strings.Fields(c.args), "")...)
		if got := run(t, f.socket, "", args...); !strings.HasPrefix(got.stdout, c.want) {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
}

// Where there is no passphrase, none is asked for.
func TestKeystoreHasNoPassphrase(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"use":"sealed","key":"file","state":"available"}`
	})
	got := run(t, f.socket, "", "keystore", "passphrase")
	if want := "groat: error: the keystore has no passphrase, so there is none to change\n" +
		"groat: hint: groat keystore move sealed --passphrase\n"; got.code != report.ExitConfig || got.stderr != want {
		t.Errorf("%+v", got)
	}
}
