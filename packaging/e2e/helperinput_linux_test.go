package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/cmd/groat/helper"
)

// helperCall is one call of a helper.
type helperCall struct {
	program string
	args    []string
	stdin   string
	vars    []string
}

// helperCalls ask every helper for the token of a URL, in the way of the program that it answers. For "groat get" it is
// what rclone's configuration has.
var helperCalls = map[string]func(scheme, host, path string) helperCall{
	"git": func(scheme, host, path string) helperCall {
		return helperCall{program: helper.GitName, args: []string{"get"},
			stdin: "protocol=" + scheme + "\nhost=" + host + "\npath=" + strings.TrimPrefix(path, "/") + "\n"}
	},
	"docker": func(scheme, host, path string) helperCall {
		return helperCall{program: helper.DockerName, args: []string{"get"}, stdin: scheme + "://" + host + path}
	},
	"kubectl": func(scheme, host, path string) helperCall {
		return helperCall{program: "groat", args: []string{"helper", "kubectl"}, vars: []string{"KUBERNETES_EXEC_INFO=" +
			jsonText(map[string]any{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
				"spec": map[string]any{"cluster": map[string]any{"server": scheme + "://" + host + path}}})}}
	},
	"curl": func(scheme, host, path string) helperCall {
		return helperCall{program: "groat", args: []string{"helper", "curl", scheme + "://" + host + path}}
	},
	"go": func(scheme, host, path string) helperCall {
		return helperCall{program: "groat", args: []string{"helper", "go", scheme + "://" + host + path}}
	},
	"cargo": func(scheme, host, path string) helperCall {
		return helperCall{program: helper.CargoName, args: []string{helper.CargoPlugin},
			stdin: cargoAsks(scheme+"://"+host+path, "") + "\n"}
	},
	"keyring": func(scheme, host, path string) helperCall {
		return helperCall{program: "groat", args: []string{"helper", "keyring", "--mode=creds", "--output=json", "get",
			scheme + "://" + host + path}}
	},
	"get": func(scheme, host, path string) helperCall {
		return helperCall{program: "groat", args: []string{"get", "--target", scheme + "://" + host + path}}
	},
}

// jsonText is a value as JSON.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// asks calls a helper.
func (u toolUser) asks(c helperCall) result {
	u.t.Helper()
	before := u.vars
	u.vars = append(append([]string(nil), before...), c.vars...)
	defer func() { u.vars = before }()
	began := time.Now()
	r := u.run(c.stdin, c.program, c.args...)
	if took := time.Since(began); took > helper.Time+answerMargin {
		u.t.Errorf("%s %q took %v", c.program, c.args, took)
	}
	for _, bug := range []string{"panic", "goroutine "} {
		if strings.Contains(r.stderr, bug) {
			u.t.Errorf("%s %q: %s", c.program, c.args, r.stderr)
		}
	}
	return r
}

// answerMargin is what a busy machine takes to start and end a process.
const answerMargin = 5 * time.Second

// What another person's repository, page or configuration can make a program ask: a token leaves only for what the
// profile lists, whichever program asks. The numbers are those of the catalogue of bad inputs.
func TestHelpersAreMadeToAsk(t *testing.T) {
	t.Parallel()
	u := newToolUser(t)
	u.signIn("https://example.com")
	u.groat("", "login", "work", "--api", "https://example.com", "--api", "https://scoped.example/team")
	token := u.token()
	const ours = "example.com"
	for _, tt := range []struct {
		name, scheme, host, path string
		gives                    bool
	}{
		{"the API", "https", ours, "/x", true},
		{"B2 no host", "https", "", "/x", false},
		{"B3 no scheme", "", ours, "/x", false},
		{"B5 a line feed in the host", "https", "evil.example\nhost=" + ours, "/x", false},
		{"B6 a carriage return", "https", ours + "\r", "/x", false},
		{"B8 an escape sequence", "https", ours + "\x1b[2J", "/x", false},
		{"B8 DEL", "https", ours + "\x7f", "/x", false},
		{"B8 a C1 control", "https", ours + "\u0085", "/x", false},
		{"B9 a bidirectional override", "https", "\u202e" + ours, "/x", false},
		{"B9 a zero-width space", "https", "exa\u200bmple.com", "/x", false},
		{"B10 http", "http", ours, "/x", false},
		{"B11 capitals", "HTTPS", ours, "/x", true},
		{"B12 ssh", "ssh", ours, "/x", false},
		{"B12 ftp", "ftp", ours, "/x", false},
		{"B12 file", "file", ours, "/x", false},
		{"B12 ext", "ext", ours, "/x", false},
		{"B12 cert", "cert", "", "/home/me/key", false},
		{"B13 the scheme's port", "https", ours + ":443", "/x", true},
		{"B14 another port", "https", ours + ":8443", "/x", false},
		{"B14 port 0", "https", ours + ":0", "/x", false},
		{"B14 no such port", "https", ours + ":99999", "/x", false},
		{"B14 no number", "https", ours + ":443x", "/x", false},
		{"B14 a colon alone", "https", ours + ":", "/x", false},
		{"B15 capitals in the host", "https", "EXAMPLE.COM", "/x", true},
		{"B16 a dot at the end", "https", ours + ".", "/x", false},
		{"B17 a name below another", "https", ours + ".evil.com", "/x", false},
		{"B17 a name that ends alike", "https", "evil" + ours, "/x", false},
		{"B17 a name below it", "https", "sub." + ours, "/x", false},
		{"B18 another script", "https", "exаmple.com", "/x", false},
		{"B18 an A-label", "https", "xn--exmple-4nf.com", "/x", false},
		{"B18 full width", "https", "ｅxample.com", "/x", false},
		{"B19 a user before another host", "https", ours + "@evil.example", "/x", false},
		{"B19 a password", "https", "user:pw@evil.example", "/x", false},
		{"B19 a backslash", "https", `evil.example\@` + ours, "/x", false},
		{"B20 IPv6", "https", "[::1]:443", "/x", false},
		{"B20 IPv6 without brackets", "https", "::1", "/x", false},
		{"B20 a short loopback", "http", "127.1", "/x", false},
		{"B20 a hexadecimal one", "http", "0x7f000001", "/x", false},
		{"B20 a decimal one", "http", "2130706433", "/x", false},
		{"below the path", "https", "scoped.example", "/team/x", true},
		{"B21 a path that climbs", "https", "scoped.example", "/team/../x", false},
		{"B21 one that climbs in disguise", "https", "scoped.example", "/team/%2e%2e/x", false},
		{"B21 an empty segment", "https", "scoped.example", "/team//x", false},
		{"B21 an encoded slash", "https", "scoped.example", "/team%2Fx", false},
		{"B21 capitals in the path", "https", "scoped.example", "/Team/x", false},
		{"B21 a path that begins alike", "https", "scoped.example", "/teamx", false},
		{"B22 no path", "https", "scoped.example", "", false},
		{"B32 a fragment in the host", "https", "evil.example#" + ours, "/x", false},
		{"B32 a query in the host", "https", "evil.example?" + ours, "/x", false},
		{"B32 64 KiB", "https", "other.example", "/" + strings.Repeat("x", 64<<10), false},
	} {
		for program, call := range helperCalls {
			r := u.asks(call(tt.scheme, tt.host, tt.path))
			if gave := strings.Contains(r.stdout, token); gave != tt.gives || strings.Contains(r.stderr, token) {
				t.Errorf("%s, %s: it gave the token: %v; exit code %d, %s", tt.name, program, gave, r.code, r.stderr)
			}
		}
	}
}

// A request that is cut, too long or no request gets an answer of the protocol's own, or nothing, and the exit code
// that the program expects.
func TestHelpersRefuseWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	u := newToolUser(t)
	u.signIn("https://example.com")
	long := strings.Repeat("x", 64<<10)
	const hello = `{"v":[1]}` + "\n"
	for _, tt := range []struct {
		name   string
		call   helperCall
		code   int
		stdout string // its beginning, or all of it where it is empty
	}{
		{"B1 git, a cut request", helperCall{program: helper.GitName, args: []string{"get"}, stdin: "protocol=https\n"}, 0, ""},
		{"B7 git, NUL", helperCall{program: helper.GitName, args: []string{"get"},
			stdin: "protocol=https\nhost=example.com\x00\n"}, 0, ""},
		{"B23 git, 64 KiB", helperCall{program: helper.GitName, args: []string{"get"},
			stdin: "protocol=https\nhost=example.com\nstate[]=" + long + "\n"}, 0, ""},
		{"B24 git, a URL", helperCall{program: helper.GitName, args: []string{"get"}, stdin: "url=https://example.com\n"}, 0, ""},
		{"B25 git, quit", helperCall{program: helper.GitName, args: []string{"get"},
			stdin: "protocol=https\nhost=example.com\nquit=1\n"}, 0, ""},
		{"B25 git, a password", helperCall{program: helper.GitName, args: []string{"get"},
			stdin: "protocol=https\nhost=example.com\nusername=me\npassword=p\n"}, 0, ""},
		{"B23 git, 10,000 values", helperCall{program: helper.GitName, args: []string{"get"},
			stdin: "protocol=https\nhost=example.com\n" + strings.Repeat("wwwauth[]=Basic\n", 10_000)}, 0, ""},
		{"B26 git, store", helperCall{program: helper.GitName, args: []string{"store"},
			stdin: "protocol=https\nhost=example.com\nusername=me\npassword=p\n"}, 0, ""},
		{"B26 git, erase of another's", helperCall{program: helper.GitName, args: []string{"erase"},
			stdin: "protocol=https\nhost=example.com\nusername=me\npassword=p\n"}, 0, ""},
		{"B27 git, a later operation", helperCall{program: helper.GitName, args: []string{"later"}}, 0, ""},
		{"B27 git, none", helperCall{program: helper.GitName}, 0, ""},
		{"docker, nothing", helperCall{program: helper.DockerName, args: []string{"get"}}, 1, "no credentials server URL\n"},
		{"docker, 64 KiB", helperCall{program: helper.DockerName, args: []string{"get"}, stdin: long + "x"}, 1, "groat: "},
		{"docker, half an object", helperCall{program: helper.DockerName, args: []string{"store"}, stdin: `{"Ser`}, 1, "groat: "},
		{"docker, a later operation", helperCall{program: helper.DockerName, args: []string{"later"}}, 1, "the operation is"},
		{"kubectl, half an object", helperCall{program: "groat", args: []string{"helper", "kubectl"},
			vars: []string{`KUBERNETES_EXEC_INFO={"kind":`}}, 78, ""},
		{"cargo, half a line", helperCall{program: helper.CargoName, args: []string{helper.CargoPlugin}, stdin: `{"v":1`}, 1,
			hello + `{"Err":{"kind":"other",`},
		{"cargo, 64 KiB", helperCall{program: helper.CargoName, args: []string{helper.CargoPlugin}, stdin: long + "x"}, 1,
			hello + `{"Err":{"kind":"other",`},
		{"cargo, login", helperCall{program: helper.CargoName, args: []string{helper.CargoPlugin},
			stdin: strings.Replace(cargoAsks("https://example.com/", ""), `"get"`, `"login"`, 1) + "\n"}, 0,
			hello + `{"Err":{"kind":"operation-not-supported"}}` + "\n"},
		{"keyring, a name with a line's end", helperCall{program: "groat",
			args: []string{"helper", "keyring", "--mode=creds", "get", "https://example.com/", "a\nb"}}, 2, ""},
		{"keyring, a later operation", helperCall{program: "groat", args: []string{"helper", "keyring", "diagnose"}}, 2, ""},
		{"an unknown helper", helperCall{program: "groat", args: []string{"helper", "later", "get"}}, 2, ""},
	} {
		r := u.asks(tt.call)
		if r.code != tt.code || tt.stdout == "" && r.stdout != "" || !strings.HasPrefix(r.stdout, tt.stdout) {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
}

// Without a reader of what it prints each helper ends, and says nothing of the token.
func TestB30StdoutIsClosed(t *testing.T) {
	t.Parallel()
	u := newToolUser(t)
	u.signIn("https://example.com")
	token := u.token()
	for program, call := range helperCalls {
		c := call("https", "example.com", "/x")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := u.command(t.Context(), c.stdin, c.program, c.args...)
		cmd.Env = append(cmd.Env, c.vars...)
		var complaint strings.Builder
		cmd.Stdout, cmd.Stderr = w, &complaint
		err = cmd.Run()
		w.Close()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || strings.Contains(complaint.String(), token) || strings.Contains(complaint.String(), "goroutine ") {
			t.Errorf("%s, without a reader: %v, %s", program, err, &complaint)
		} else if s, ok := exit.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGPIPE {
			t.Errorf("%s, without a reader: %v", program, err)
		}
	}
}

// Without a groatd each helper says so at once in the way of its program.
func TestB28GroatdIsDown(t *testing.T) {
	t.Parallel()
	u := newToolUser(t)
	u.signIn("https://example.com")
	if err := u.stopDaemon(); err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{"git": 0, "docker": 1, "cargo": 0}
	for program, call := range helperCalls {
		code, ok := codes[program]
		if !ok {
			code = 69
		}
		r := u.asks(call("https", "example.com", "/x"))
		said := r.stderr
		if program == "cargo" {
			said = r.stdout
		}
		if r.code != code || !strings.Contains(said, "groatd") {
			t.Errorf("%s, without groatd: %+v", program, r)
		}
	}
}

// What git is told is a token, its end and that it is not to be stored, and nothing else.
func TestB31AGoodRequest(t *testing.T) {
	t.Parallel()
	u := newToolUser(t)
	u.signIn("https://example.com")
	token := u.token()
	for capability, want := range map[string]string{
		"capability[]=authtype\n": "capability[]=authtype\nauthtype=Bearer\ncredential=TOKEN\nephemeral=1\n",
		"":                        "username=oauth2\npassword=TOKEN\n",
	} {
		r := u.asks(helperCall{program: helper.GitName, args: []string{"get"},
			stdin: capability + "protocol=https\nhost=example.com\nwwwauth[]=Bearer\n"})
		end, ok := strings.CutPrefix(strings.Replace(r.stdout, token, "TOKEN", 1), want+"password_expiry_utc=")
		until, err := strconv.ParseInt(strings.TrimSuffix(end, "\n"), 10, 64)
		if r.code != 0 || r.stderr != "" || !ok || err != nil || until < time.Now().Unix() {
			t.Errorf("%q: %+v", capability, r)
		}
	}
}

// A groatd that is stopped (SIGSTOP) keeps no helper longer than ten seconds, and what a program may leave open is not
// waited for.
func TestB28GroatdHangs(t *testing.T) {
	t.Parallel()
	u := newToolUser(t)
	u.signIn("https://example.com")
	u.daemon.cmd.Process.Signal(syscall.SIGSTOP)
	defer u.daemon.cmd.Process.Signal(syscall.SIGCONT)
	said := make(chan string)
	programs := 0
	for program, call := range helperCalls {
		if program == "get" { // it has a limit of its own, which --wait sets
			continue
		}
		programs++
		go func() { said <- u.hangs(program, call("https", "example.com", "/x")) }()
	}
	for range programs {
		if flaw := <-said; flaw != "" {
			t.Error(flaw)
		}
	}
}

// hangs makes a call of a groatd that does not answer, with a stdin that stays open after the request, and returns what
// is wrong about the outcome. Docker's protocol ends with stdin.
func (u toolUser) hangs(program string, c helperCall) string {
	ctx, cancel := context.WithTimeout(u.t.Context(), time.Minute)
	defer cancel()
	cmd := u.command(ctx, c.stdin, c.program, c.args...)
	cmd.Env = append(cmd.Env, c.vars...)
	if program != "docker" && program != "cargo" {
		r, w, err := os.Pipe()
		if err != nil {
			return err.Error()
		}
		defer w.Close()
		defer r.Close()
		if program == "git" {
			c.stdin += "\n"
		}
		io.WriteString(w, c.stdin)
		cmd.Stdin = r
	}
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	began := time.Now()
	err := cmd.Run()
	took, failed := time.Since(began), err != nil
	said := complaint.String()
	switch program {
	case "docker", "cargo": // they are answered on stdout
		said = out.String()
	default:
		if out.Len() > 0 {
			return fmt.Sprintf("%s: it printed %q", program, &out)
		}
	}
	want := program != "git" && program != "cargo" // for these no answer is none
	if took > helper.Time+answerMargin || failed != want || !strings.Contains(said, "groatd") {
		return fmt.Sprintf("%s: after %v, %v, %q", program, took, err, said)
	}
	return ""
}

// Whatever a groatd hands out, what is no token reaches no program.
func TestB29WhatIsNoTokenIsNotHandedOn(t *testing.T) {
	t.Parallel()
	u := newToolUser(t)
	path := filepath.Join(u.home, "other.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var result atomic.Value
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					var asked struct{ ID json.RawMessage }
					json.Unmarshal(lines.Bytes(), &asked)
					fmt.Fprintf(c, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n", asked.ID, result.Load())
				}
			}()
		}
	}()
	handed := func(token string) map[string]any {
		return map[string]any{"access_token": token, "token_type": "Bearer", "expires_at": time.Now().Unix() + 600,
			"expires_in": 600, "profile": "work", "api": "https://example.com",
			"header": "Authorization: Bearer " + token}
	}
	for _, bad := range []string{"AT-1\nhost=evil.example", "AT-1\r\nX-Evil: 1", `AT-1" proxy="evil`, "AT-1 evil",
		"AT-1\x00", "AT-1\u202eevil"} {
		result.Store(jsonText(handed(bad)))
		for program, call := range helperCalls {
			c := call("https", "example.com", "/x")
			c.vars = append(c.vars, "GROAT_SOCKET="+path)
			if r := u.asks(c); strings.Contains(r.stdout+r.stderr, "AT-1") {
				t.Errorf("%q, %s: %+v", bad, program, r)
			}
		}
	}
	result.Store(jsonText(handed("AT-1")))
	for program, call := range helperCalls {
		c := call("https", "example.com", "/x")
		c.vars = append(c.vars, "GROAT_SOCKET="+path)
		if r := u.asks(c); r.code != 0 || !strings.Contains(r.stdout, "AT-1") {
			t.Errorf("a good one, %s: %+v", program, r)
		}
	}
}
