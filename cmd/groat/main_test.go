package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// patience bounds every wait for another process. It is reached only when something is broken.
const patience = 2 * time.Minute

// TestMain makes this test binary three programs: the tests, the program under test, and a stand-in for groat-commands
// that says how it was called. Which one it is says the name of its file.
func TestMain(m *testing.M) {
	self, err := os.Executable()
	switch {
	case err != nil:
		panic(err)
	case filepath.Base(self) == "groat":
		main()
	case filepath.Base(self) == commands:
		stdin, _ := io.ReadAll(os.Stdin)
		json.NewEncoder(os.Stdout).Encode(called{os.Args, string(stdin), os.Getenv("MARK")})
		os.Exit(7)
	}
	os.Exit(m.Run())
}

// called is what the stand-in prints.
type called struct {
	Args  []string
	Stdin string
	Mark  string
}

// house is a directory with programs, and a socket.
type house struct {
	t           *testing.T
	dir, socket string
}

// newHouse installs copies of this test binary, by their paths within the directory.
func newHouse(t *testing.T, programs ...string) *house {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "gr") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &house{t, dir, filepath.Join(dir, "s")}
	for _, name := range programs {
		h.install(name)
	}
	return h
}

func (h *house) install(name string) {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// outcome is what a run left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

// run runs a program of the house under a name.
func (h *house) run(program, name string, stdin io.Reader, args ...string) outcome {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(h.dir, program))
	c.Args = append([]string{name}, args...)
	c.Env = []string{"HOME=" + h.dir, "GROAT_SOCKET=" + h.socket, "GROAT_NO_AUTOSTART=1", "MARK=kept",
		"GORACE=atexit_sleep_ms=0"}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		c.Env = append(c.Env, "GOCOVERDIR="+dir)
	}
	var out, errs strings.Builder
	c.Stdin, c.Stdout, c.Stderr = stdin, &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		h.t.Fatal(err)
	}
	return outcome{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// serve answers each request with a member of a reply, or hangs up if it is empty, for as long as answer has one.
// The listener ends with the test, or once a request finds no answer: then no groatd runs.
func (h *house) serve(answer func(n int, method string, params map[string]any) (member string, ok bool)) {
	h.t.Helper()
	l, err := net.Listen("unix", h.socket)
	if err != nil {
		h.t.Fatal(err)
	}
	var asked atomic.Int64
	done := make(chan struct{})
	h.t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var r struct {
				ID     json.RawMessage
				Method string
				Params map[string]any
			}
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if json.Unmarshal(lines.Bytes(), &r) != nil {
					break
				}
				member, ok := answer(int(asked.Add(1)), r.Method, r.Params)
				if !ok {
					l.Close() // and the socket is gone
				}
				if member == "" {
					break
				}
				fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%s,%s}`+"\n", r.ID, member)
			}
			c.Close()
		}
	}()
}

const token = `"result":{"access_token":"abc-1","token_type":"Bearer","expires_at":1790000000,"expires_in":839,` +
	`"scope":"r w","profile":"work","api":"https://h/x","header":"Authorization: Bearer abc-1"}`

const cargoAsks = `{"v":1,"registry":{"index-url":"sparse+https://h/x/","name":"r"},"kind":"get","operation":"read",` +
	`"args":[]}` + "\n"

const gitAsks = "protocol=https\nhost=h\n\n"

// What it does not do itself groat-commands does, with the same name, arguments, environment and stdin.
func TestHandsOver(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args        []string
	}{
		{"groat", "typed", nil},
		{"groat", "a secret\n", []string{"login", "work", "--secret-stdin"}},
		{"groat", "", []string{"get", "--help"}},
		{"groat", "", []string{"get", "a", "b"}},
		{"groat", "", []string{"get", "--output", "xml"}},
		{"groat", "", []string{"get", "--output", "env", "--json"}},
		{"groat", "refused.token", []string{"get", "--refused"}},
		{"groat", "", []string{"helper", "git"}},
		{"groat", "", []string{"helper"}},
		{"groat", "", []string{"helper", "git", "--help"}},
		{"groat", "", []string{"helper", "later", "get"}},
		{"groat", "", []string{"helper", "docker", "--help"}},
		{"groat", "h.example", []string{"helper", "docker", "version"}},
		{"groat", "", []string{"helper", "kubectl", "--help"}},
		{"groat", "", []string{"helper", "kubectl", "a", "b"}},
		{"groat", "", []string{"helper", "kubectl", "--id-token", "--id-token"}},
		{"groat", "", []string{"helper", "curl", "--help"}},
		{"groat", "", []string{"helper", "curl", "https://h", "https://i"}},
		{"groat", "", []string{"helper", "kubectl"}},
		{"groat", "", []string{"helper", "go", "--help"}},
		{"groat", "", []string{"helper", "go", "https://h", "https://i"}},
		{"groat", "", []string{"helper", "cargo", "--help"}},
		{"groat", "", []string{"helper", "cargo", "get"}},
		{"groat", "", []string{"helper", "keyring", "--help"}},
		{"groat", "", []string{"helper", "keyring"}},
		{helper.CargoName, "", []string{"--help"}},
		{helper.KeyringName, "", []string{"--help"}},
		{helper.DockerName, "", nil},
		{helper.DockerName, "", []string{"later"}},
		{"groat", "", []string{"__complete", "get", ""}},
		// No groatd runs.
		{"groat", "", []string{"get", "work"}},
		{"groat", gitAsks, []string{"helper", "git", "get"}},
		{helper.GitName, gitAsks, []string{"get"}},
		{"groat", "h.example", []string{"helper", "docker", "get"}},
		{"groat", "https://h.example/v1/", []string{"helper", "docker", "erase"}},
		{helper.DockerName, "127.0.0.1:5000\n", []string{"get"}},
		{"groat", "unread", []string{"helper", "kubectl", "work", "--id-token"}},
		{"groat", "unread", []string{"helper", "curl", "https://h/x"}},
		{"groat", "unread", []string{"helper", "go", "https://h/x"}},
		{"groat", cargoAsks, []string{"helper", "cargo"}},
		{helper.CargoName, cargoAsks, []string{helper.CargoPlugin}},
		{"groat", "unread", []string{"helper", "keyring", "get", "https://h/x", "me"}},
		{helper.KeyringName, "unread", []string{"--mode=creds", "--output=json", "get", "https://h/x"}},
		{helper.GitName, "protocol=https\nhost=h\npassword=p\n", []string{"--of", "the", "configuration", "erase"}},
	} {
		h := newHouse(t, "groat", commands)
		got := h.run("groat", tt.name, strings.NewReader(tt.stdin), tt.args...)
		var c called
		if err := json.Unmarshal([]byte(got.stdout), &c); err != nil || got.code != 7 || got.stderr != "" {
			t.Fatalf("%s %q: %v, %+v", tt.name, tt.args, err, got)
		}
		if d := cmp.Diff(called{append([]string{tt.name}, tt.args...), tt.stdin, "kept"}, c); d != "" {
			t.Errorf("%s %q: %s", tt.name, tt.args, d)
		}
	}
}

// Git may leave the pipe open after its empty line: what was read is handed over, and an end after it.
func TestHandsOverFromAnOpenPipe(t *testing.T) {
	h := newHouse(t, "groat", commands)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	if _, err := io.WriteString(w, gitAsks); err != nil {
		t.Fatal(err)
	}
	got := h.run("groat", "groat", r, "helper", "git", "get")
	if !strings.Contains(got.stdout, `"Stdin":"protocol=https\nhost=h\n\n"`) {
		t.Errorf("%+v", got)
	}
}

// A groatd that dies with the question, and no other one comes: groat-commands may start one.
func TestHandsOverWhenGroatdDies(t *testing.T) {
	for _, args := range [][]string{{"get", "work"}, {"helper", "git", "get"}} {
		h := newHouse(t, "groat", commands)
		h.serve(func(int, string, map[string]any) (string, bool) { return "", false })
		got := h.run("groat", "groat", strings.NewReader(gitAsks), args...)
		want := ""
		if args[0] == "helper" {
			want = gitAsks
		}
		var c called
		if err := json.Unmarshal([]byte(got.stdout), &c); err != nil || got.code != 7 || got.stderr != "" ||
			args[0] == "helper" && c.Stdin != want {
			t.Errorf("%q: %v, %+v", args, err, got)
		}
	}
}

// groat-commands is found beside the real file, whatever link led to it.
func TestWhereGroatCommandsIs(t *testing.T) {
	h := newHouse(t, "bin/groat", "bin/"+commands)
	link := filepath.Join(h.dir, "link")
	if err := os.Symlink("bin/groat", link); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"bin/groat", "link"} {
		if got := h.run(program, "groat", strings.NewReader(""), "list"); got.code != 7 {
			t.Errorf("%s: %+v", program, got)
		}
	}
}

// A groat-commands that is not there, cannot be run, or that others could have changed is not run. Git is told in one
// line.
func TestWithoutGroatCommands(t *testing.T) {
	for _, tt := range []struct {
		name  string
		make  func(path string) error
		code  int
		first string // of the error line, with DIR for the directory
	}{
		{"missing", func(string) error { return nil }, report.ExitInternal,
			"groat is installed in part: DIR/groat-commands is missing, which belongs beside groat with groatd"},
		{"not executable", func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\n"), 0o644) },
			report.ExitInternal, "cannot go on as groat-commands (run DIR/groat-commands: permission denied)"},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o755) },
			report.ExitInternal, "cannot go on as groat-commands (run DIR/groat-commands: permission denied)"},
		{"others may write", func(path string) error {
			if err := os.WriteFile(path, []byte("#!/bin/sh\necho ran\n"), 0o755); err != nil {
				return err
			}
			return os.Chmod(path, 0o757)
		}, report.ExitDenied, "DIR/groat-commands could be changed by others, who could not change groat itself"},
	} {
		h := newHouse(t, "groat")
		if err := tt.make(filepath.Join(h.dir, commands)); err != nil {
			t.Fatal(err)
		}
		first := strings.ReplaceAll(tt.first, "DIR", h.dir)
		got := h.run("groat", "groat", strings.NewReader(""), "list")
		if got.code != tt.code || got.stdout != "" || !strings.HasPrefix(got.stderr, "groat: error: "+first+"\n"+
			"groat: hint: ") {
			t.Errorf("%s: %+v", tt.name, got)
		}
		got = h.run("groat", helper.GitName, strings.NewReader(gitAsks), "get")
		if got.code != 0 || got.stdout != "" || !strings.HasPrefix(got.stderr, "groat: "+first+" (") ||
			strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s, git: %+v", tt.name, got)
		}
	}
}

// The owner counts, too: another user's program is not run by root.
func TestGroatCommandsOfAnotherUser(t *testing.T) {
	tier.NeedsRoot(t)
	h := newHouse(t, "groat", commands)
	if err := os.Chown(filepath.Join(h.dir, commands), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if got := h.run("groat", "groat", strings.NewReader(""), "list"); got.code != report.ExitDenied {
		t.Errorf("%+v", got)
	}
	// Where groat itself is that user's, nothing is gained by a refusal.
	if err := os.Chown(filepath.Join(h.dir, "groat"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if got := h.run("groat", "groat", strings.NewReader(""), "list"); got.code != 7 {
		t.Errorf("%+v", got)
	}
}

// A request as long as a helper's protocol allows is put back whole.
func TestALongRequestIsHandedOver(t *testing.T) {
	h := newHouse(t, "groat", commands)
	request := "protocol=https\nhost=h\npath=" + strings.Repeat("x", 63<<10) + "\n\n"
	got := h.run("groat", "groat", strings.NewReader(request), "helper", "git", "get")
	var c called
	if err := json.Unmarshal([]byte(got.stdout), &c); err != nil || c.Stdin != request {
		t.Errorf("%v, %d bytes, %s", err, len(c.Stdin), got.stderr)
	}
}

// What it does itself it does as groat-commands does: the same requests, texts and exit codes.
func TestTheShortWayIsTheSame(t *testing.T) {
	tier.Long(t, "it builds groat and groat-commands")
	h := newHouse(t)
	for program, dir := range map[string]string{".": h.dir, "../groat-commands": filepath.Join(h.dir, "other")} {
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", dir+"/", program)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var answer atomic.Value
	type question struct {
		Method string
		Params map[string]any
	}
	asked := make(chan question, 100)
	h.serve(func(_ int, method string, params map[string]any) (string, bool) {
		asked <- question{method, params}
		return answer.Load().(string), true
	})
	run := func(program, stdin string, args []string) (outcome, []question) {
		got := h.run(program, "groat", strings.NewReader(stdin), args...)
		var all []question
		for len(asked) > 0 {
			all = append(all, <-asked)
		}
		return got, all
	}
	const static = `"result":{"access_token":"k y","token_type":"","static":true,"profile":"p","header":"X-Key: k y"}`
	refused := func(code int, data string) string {
		return fmt.Sprintf(`"error":{"code":%d,"message":"it is \"so\"\u001b","data":%s}`, code, data)
	}
	formats := [][]string{nil, {"work"}, {"--output", "header"}, {"-oenv"}, {"--json"}, {"--min-ttl", "5m", "--wait=0"},
		{"--scope", "a b", "--audience", "é"}, {"--target", "https://h/x"}, {"work", "--target=https://h/é"},
		{"--id-token"}, {"--id-token", "-o", "header"}, {"-o", "curl"}, {"-o", "json-header"}, {"-o=export"}}
	const id = `"result":{"id_token":"h.p.s","token_use":"id","expires_at":9,"expires_in":8,"profile":"p",` +
		`"header":"Authorization: Bearer h.p.s"}`
	for _, member := range []string{
		token,
		static,
		id,
		strings.Replace(id, "h.p.s", `a\nb`, 1),
		strings.Replace(token, "abc-1", `a\nb`, 1),
		strings.Replace(token, "r w", `\u009b<é>\u202e\ud83d\ude00`, 1),
		`"result":{}`,
		`"result":7`,
		refused(-32001, `{"kind":"login_required"}`),
		refused(-32001, `{"kind":"login_required","hint":"groat login work"}`),
		refused(-32002, `{"kind":"temporary","retry_after":90}`),
		refused(-32002, `{"kind":"temporary","network":{"pid":4711,"started_at":1}}`),
		refused(-32003, `{"kind":"denied"}`),
		refused(-32005, `{"kind":"unknown_profile"}`),
		refused(-32005, `{"kind":"unknown_profile","choices":{"a":"https://h","b":"https://h"}}`),
		refused(-32005, `{"kind":"unknown_profile","choices":{"a":"https://h/x","b":"https://h/y"}}`),
		refused(-32006, `{"kind":"config","place":{"home":"/h","configuration":"/c","state":"/s"}}`),
		refused(-32602, `{"max_min_ttl":840}`),
		refused(-32601, `{}`),
		"", // it hangs up, each time
	} {
		answer.Store(member)
		runs := [][]string{}
		wanted := formats
		if strings.HasPrefix(member, `"error"`) {
			wanted = [][]string{nil, {"work", "--json"}} // what a refusal is printed in does not depend on more
		}
		for _, args := range wanted {
			runs = append(runs, append([]string{"get"}, args...))
		}
		for _, operation := range []string{"get", "erase", "store", "later"} {
			runs = append(runs, []string{"helper", "git", operation})
		}
		for _, operation := range []string{"get", "erase", "store", "list"} {
			runs = append(runs, []string{"helper", "docker", operation})
		}
		runs = append(runs, []string{"helper", "kubectl", "work"}, []string{"helper", "kubectl", "--id-token"},
			[]string{"helper", "curl", "https://h/x"}, []string{"helper", "git", "capability"},
			[]string{"helper", "go"}, []string{"helper", "go", "https://h/x"}, []string{"helper", "cargo"},
			[]string{"helper", "keyring", "get", "https://h/x", "me"},
			[]string{"helper", "keyring", "--mode=creds", "--output", "json", "get", "https://h/x"},
			[]string{"helper", "keyring", "get", "h", "me"}, []string{"helper", "keyring", "set", "https://h/x", "me"},
			[]string{"helper", "keyring", "nonsense", "get"})
		if member == "" {
			runs = runs[len(formats)-1:]
		}
		for _, args := range runs {
			stdin := "protocol=https\nhost=h\npassword=abc-1\n"
			switch strings.Join(args, " ") {
			case "helper docker get", "helper docker erase":
				stdin = "localhost:5000"
			case "helper docker store":
				stdin = `{"ServerURL":"h.example","Username":"oauth2","Secret":"abc-1"}`
			case "helper cargo":
				stdin = cargoAsks
			}
			short, asked := run("groat", stdin, args)
			long, asked2 := run("other/"+commands, stdin, args)
			if short != long || !cmp.Equal(asked, asked2) || args[0] == "get" && !slices.ContainsFunc(asked,
				func(q question) bool { return q.Method == "token" }) {
				t.Errorf("%q, %s:\nthe short way %+v %v\nthe long way %+v %v", args, member, short, asked, long, asked2)
			}
		}
	}
}

// A program that never ends its request is told so, and the helper ends.
func TestARequestThatNeverEnds(t *testing.T) {
	tier.Long(t, "it takes as long as a helper may take")
	for _, tt := range []struct {
		name, argument, begins string
		want                   outcome
	}{
		{helper.GitName, "get", "protocol=https\nhost=h\n",
			outcome{0, "", "groat: git's request does not end (groat status)\n"}},
		{helper.DockerName, "get", "", outcome{1, "groat: docker's request does not end (groat status)\n",
			"groat: docker's request does not end (groat status)\n"}},
		{helper.CargoName, helper.CargoPlugin, `{"v":1,`, outcome{1, `{"v":[1]}` + "\n" + `{"Err":{"kind":"other","message":` +
			`"cargo's request does not end","caused-by":["groat status"]}}` + "\n", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "groat", commands)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			defer r.Close()
			if _, err := io.WriteString(w, tt.begins); err != nil {
				t.Fatal(err)
			}
			if tt.name == helper.CargoName {
				h.serve(func(int, string, map[string]any) (string, bool) { return token, true })
			}
			if got := h.run("groat", tt.name, r, tt.argument); got != tt.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What no protocol has on stdin is not read: there an open pipe changes nothing.
func TestStdinIsReadOnlyWhereItIsDefined(t *testing.T) {
	h := newHouse(t, "groat")
	h.serve(func(int, string, map[string]any) (string, bool) { return token, true })
	for _, args := range [][]string{{"helper", "docker", "list"}, {"helper", "kubectl", "work"},
		{"helper", "curl", "https://h/x"}, {"get"}, {"helper", "go", "https://h/x"},
		{"helper", "keyring", "get", "https://h/x", "me"}, {"helper", "git", "capability"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		got := h.run("groat", "groat", r, args...)
		if got.code != 0 || got.stdout == "" || got.stderr != "" || time.Since(began) > helper.Time {
			t.Errorf("%q: %+v", args, got)
		}
		w.Close()
		r.Close()
	}
}
