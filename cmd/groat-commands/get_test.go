package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/report"
)

func TestGetPrints(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return tokenResult })
	const token = "abc.DEF-123_~+/=="
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, token + "\n"},
		{[]string{"work"}, token + "\n"},
		{[]string{"--output", "token"}, token + "\n"},
		{[]string{"-o", "header"}, "Authorization: Bearer " + token + "\n"},
		{[]string{"--output=env"}, "GROAT_ACCESS_TOKEN=" + token + "\nGROAT_EXPIRES_AT=1790000000\n"},
		{[]string{"--json"}, `{"access_token":"` + token +
			`","token_type":"Bearer","expires_at":1790000000,"expires_in":839,"scope":"read write","profile":"work"}` +
			"\n"},
		{[]string{"--output", "json", "--json"}, `{"access_token":"` + token +
			`","token_type":"Bearer","expires_at":1790000000,"expires_in":839,"scope":"read write","profile":"work"}` +
			"\n"},
	} {
		got := run(t, f.socket, "", append([]string{"get"}, tt.args...)...)
		if diff := cmp.Diff(outcome{0, tt.want, ""}, got, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("get %v: %s", tt.args, diff)
		}
	}
}

// idResult is an answer with an ID token.
const idResult = `"result":{"id_token":"h.p.s_-","token_use":"id","expires_at":1790000000,"expires_in":839,` +
	`"profile":"work","header":"Authorization: Bearer h.p.s_-"}`

func TestGetPrintsAnIDToken(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return idResult })
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "h.p.s_-\n"},
		{[]string{"-o", "header"}, "Authorization: Bearer h.p.s_-\n"},
		{[]string{"--output=env"}, "GROAT_ID_TOKEN=h.p.s_-\nGROAT_ID_TOKEN_EXPIRES_AT=1790000000\n"},
		{[]string{"--json"}, `{"id_token":"h.p.s_-","token_use":"id","expires_at":1790000000,"expires_in":839,` +
			`"profile":"work"}` + "\n"},
	} {
		got := run(t, f.socket, "", append([]string{"get", "--id-token"}, tt.args...)...)
		if diff := cmp.Diff(outcome{0, tt.want, ""}, got, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("get %v: %s", tt.args, diff)
		}
	}
}

// Neither kind of token is printed for the other: not that of an older groatd, which does not know "token_use", and not
// one that comes unasked.
func TestGetPrintsNoTokenOfAnotherKind(t *testing.T) {
	for _, tt := range []struct {
		result string
		args   []string
	}{
		{tokenResult, []string{"--id-token"}},
		{tokenResult, []string{"--id-token", "--refused"}},
		{idResult, nil},
		{`"result":{"id_token":"a.b.c","token_use":"access"}`, []string{"--id-token"}},
		{`"result":{"id_token":"a.b.c","access_token":"x","token_type":"Bearer","token_use":"id"}`, []string{"--id-token"}},
		{`"result":{"id_token":"a.b.c","access_token":"x","token_type":"Bearer"}`, nil},
		{`"result":{"id_token":"a\nb","token_use":"id"}`, []string{"--id-token"}},
		{`"result":{"id_token":"","token_use":"id"}`, []string{"--id-token"}},
	} {
		f := newFakeDaemon(t, func(request) string { return tt.result })
		for _, output := range get.Formats {
			args := append([]string{"get", "--output", output}, tt.args...)
			got := run(t, f.socket, "refused.to.ken", args...)
			if got.code != report.ExitInternal || got.stdout != "" || !explained(args, got.stderr) {
				t.Errorf("%v, %s as %s: %+v", tt.args, tt.result, output, got)
			}
		}
	}
}

func TestGetAsks(t *testing.T) {
	var params map[string]any
	var method string
	f := newFakeDaemon(t, func(r request) string {
		method, params = r.Method, r.Params
		if params["token_use"] == "id" {
			return idResult
		}
		return tokenResult
	})
	for _, tt := range []struct {
		args   []string
		env    map[string]string
		stdin  string
		method string
		want   map[string]any
	}{
		{method: "token", want: map[string]any{}},
		{args: []string{"work"}, method: "token", want: map[string]any{"profile": "work"}},
		{env: map[string]string{"GROAT_PROFILE": "home"}, method: "token", want: map[string]any{"profile": "home"}},
		{args: []string{"work"}, env: map[string]string{"GROAT_PROFILE": "home"}, method: "token",
			want: map[string]any{"profile": "work"}},
		{args: []string{"--min-ttl", "5m"}, method: "token", want: map[string]any{"min_ttl": 300.0}},
		{args: []string{"--min-ttl=300"}, method: "token", want: map[string]any{"min_ttl": 300.0}},
		{args: []string{"--min-ttl=0"}, method: "token", want: map[string]any{"min_ttl": 0.0}},
		{args: []string{"--min-ttl=1500ms", "--wait", "0"}, method: "token",
			want: map[string]any{"min_ttl": 2.0, "wait": 0.0}},
		{
			args: []string{"--scope", "a b", "work", "--audience", "https://x"}, method: "token",
			want: map[string]any{"profile": "work", "scope": "a b", "audience": "https://x"},
		},
		{
			args: []string{"work", "--refused"}, stdin: "old.token=\n", method: "reject",
			want: map[string]any{"profile": "work", "access_token": "old.token="},
		},
		{args: []string{"work", "--id-token"}, method: "token",
			want: map[string]any{"profile": "work", "token_use": "id"}},
		{args: []string{"--id-token", "--refused"}, stdin: "old.id.token\n", method: "reject",
			want: map[string]any{"token_use": "id", "id_token": "old.id.token"}},
		{args: []string{"--refused"}, stdin: "old\r\n", method: "reject", want: map[string]any{"access_token": "old"}},
	} {
		if got := runEnv(t, f.socket, tt.stdin, tt.env, append([]string{"get"}, tt.args...)...); got.code != 0 {
			t.Fatalf("get %v: %+v", tt.args, got)
		}
		if method != tt.method || !cmp.Equal(params, tt.want) {
			t.Errorf("get %v asked %s %v, want %s %v", tt.args, method, params, tt.method, tt.want)
		}
	}
}

func TestGetUsage(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return tokenResult })
	for _, tt := range []struct {
		args  []string
		stdin string
		want  string // in the error line
	}{
		{args: []string{"--min-ttl", "-1"}, want: "must be a number of seconds"},
		{args: []string{"--min-ttl", "5 minutes"}, want: "must be a number of seconds"},
		{args: []string{"--min-ttl", "1000000000000000000000"}, want: "must be a number of seconds"},
		{args: []string{"--min-ttl", "8785h"}, want: "at most 366d"},
		{args: []string{"--wait", "121"}, want: "at most 2m0s"},
		{args: []string{"--output", "xml"}, want: "token, header, json, env"},
		{args: []string{"--output", "header", "--json"}, want: "exclude each other"},
		{args: []string{"--no-such-flag"}, want: "--no-such-flag"},
		{args: []string{"a", "b"}, want: "takes at most 1 argument"},
		{args: []string{"--refused"}, stdin: "", want: "it is empty"},
		{args: []string{"--refused"}, stdin: "two tokens", want: "is no token"},
		{args: []string{"--refused"}, stdin: "tok\ntok\n", want: "is no token"},
		{args: []string{"--refused"}, stdin: strings.Repeat("a", maxInput+1), want: "16 KiB"},
	} {
		got := run(t, f.socket, tt.stdin, append([]string{"get"}, tt.args...)...)
		if got.code != report.ExitUsage || got.stdout != "" || !strings.Contains(got.stderr, tt.want) ||
			!explained(tt.args, got.stderr) {
			t.Errorf("get %v: %+v", tt.args, got)
		}
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests were sent for commands that cannot be understood", n)
	}
}

// explained reports whether s is an error with a hint: two lines, or an object of JSON where args ask for JSON.
func explained(args []string, s string) bool {
	if slices.Contains(args, "--json") || slices.Contains(args, "json") {
		var said struct {
			Error struct{ Message, Hint string }
		}
		return json.Unmarshal([]byte(s), &said) == nil && said.Error.Message != "" && said.Error.Hint != ""
	}
	return twoLines(s)
}

// twoLines reports whether s is an error line and a hint line.
func twoLines(s string) bool {
	first, rest, ok := strings.Cut(s, "\n")
	if !ok || !strings.HasPrefix(first, "groat: error: ") {
		return false
	}
	return strings.HasPrefix(rest, "groat: hint: ") && strings.Count(rest, "\n") == 1
}

func TestGetRefusesBadToken(t *testing.T) {
	for _, result := range []string{
		`{"access_token":"a\nb","token_type":"Bearer"}`,
		`{"access_token":"a b","token_type":"Bearer"}`,
		`{"access_token":"","token_type":"Bearer"}`,
		`{"access_token":"===","token_type":"Bearer"}`,
		`{"access_token":"tök","token_type":"Bearer"}`,
		`{"access_token":"a=b","token_type":"Bearer"}`,
		`{"access_token":"abc","token_type":"DPoP"}`,
		`{"access_token":"$(id)","token_type":"Bearer"}`,
		`{}`,
	} {
		f := newFakeDaemon(t, func(request) string { return `"result":` + result })
		for _, output := range get.Formats {
			args := []string{"get", "--output", output}
			got := run(t, f.socket, "", args...)
			if got.code != report.ExitInternal || got.stdout != "" || !explained(args, got.stderr) {
				t.Errorf("%s as %s: %+v", result, output, got)
			}
		}
	}
}

func TestGetJSONIsSafeOnTerminals(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"access_token":"abc","token_type":"bearer",` +
			`"scope":"a\u009b31m\u202e\u007f😀\udb40\udc01\u001b","profile":"é<>"}`
	})
	got := run(t, f.socket, "", "get", "--json")
	want := `{"access_token":"abc","token_type":"Bearer","expires_at":0,"expires_in":0,` +
		`"scope":"a\u009b31m\u202e\u007f😀\udb40\udc01\u001b","profile":"é<>"}` + "\n"
	if got.stdout != want {
		t.Errorf("got  %q\nwant %q", got.stdout, want)
	}
	var back struct{ Scope string }
	if err := json.Unmarshal([]byte(got.stdout), &back); err != nil ||
		back.Scope != "a\u009b31m\u202e\u007f😀\U000e0001\u001b" {
		t.Errorf("%q: %v", back.Scope, err)
	}
}

func TestGetIntoNothing(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return tokenResult })
	env := []string{"GROAT_SOCKET=" + f.socket, "GROAT_NO_AUTOSTART=1", "PATH=" + os.Getenv("PATH")}
	for _, tt := range []struct{ name, script, want string }{
		{"full disk", `"$0" get >/dev/full; echo "code $?" >&2`,
			"groat: error: cannot write the answer: write /dev/stdout: no space left on device\ngroat: hint: df " +
				"-h .\ncode 1\n"},
		{"kubectl's", `"$0" helper kubectl >/dev/full; echo "code $?" >&2`,
			"groat: error: cannot write the answer: write /dev/stdout: no space left on device\ngroat: hint: df " +
				"-h .\ncode 1\n"},
		{"docker's", `echo h.example | "$0" helper docker get >/dev/full; echo "code $?" >&2`,
			"groat: cannot write the answer: write /dev/stdout: no space left on device (df -h " +
				".)\ncode 1\n"},
		{"closed stdout", `"$0" get >&-; echo "code $?" >&2`, "code 0\n"},
		{"everything else closed", `out=$("$0" get <&- 2>&-); echo "code $? $out" >&2`, "code 0 abc.DEF-123_~+/==\n"},
	} {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", tt.script, bin+"/groat")
		cmd.Env = append(env, runtimeEnv...)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("%s: %v, %q", tt.name, err, out)
		}
	}
}

func TestGetReaderIsGone(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return tokenResult })
	env := []string{"GROAT_SOCKET=" + f.socket, "GROAT_NO_AUTOSTART=1"}
	for _, script := range []string{`exec "$0" get`, `trap "" PIPE; exec "$0" get --json`, `exec "$0" status`,
		`exec "$0" helper kubectl`, `exec "$0" helper curl https://h`, "exec \"$0\" helper docker get <<E\nh.example\nE",
		`exec "$0" helper docker list`} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script, bin+"/groat")
		var stderr strings.Builder
		cmd.Env, cmd.Stdout, cmd.Stderr = env, w, &stderr
		err = cmd.Run()
		w.Close()
		if err == nil || err.Error() != "signal: broken pipe" || stderr.Len() > 0 {
			t.Errorf("%s: %v, %q", script, err, &stderr)
		}
	}
}
