package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The commands of the scripts that are about groat and groatd.

// run runs a program and returns its exit code. Whatever it prints is held against the secrets.
func run(ts *testscript.TestScript, program string, args ...string) int {
	err := ts.Exec(program, args...)
	if what := envOf(ts).find(ts.ReadFile("stdout") + ts.ReadFile("stderr")); what != "" {
		ts.Fatalf("%s printed %s", program, what)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

func groat(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("say how it fails: exits CODE groat …")
	}
	if code := run(ts, "groat", args...); code != 0 {
		ts.Fatalf("groat ended with %d", code)
	}
}

// exits wants the exit code, and two lines at the end of stderr, an error and a hint; or a line of JSON with both.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := run(ts, args[1], args[2:]...); got != want {
		ts.Fatalf("%s ended with %d, want %d", args[1], got, want)
	}
	if want == 0 {
		return
	}
	if ts.ReadFile("stdout") != "" {
		ts.Fatalf("%s failed and printed something on stdout all the same", args[1])
	}
	lastTwo(ts)
}

var twoLines = regexp.MustCompile(`(?:^|\n)groatd?: error: (.+)\ngroatd?: hint: (.+)\n$`)

func lastTwo(ts *testscript.TestScript) (error, hint string) {
	said := ts.ReadFile("stderr")
	if m := twoLines.FindStringSubmatch(said); m != nil {
		return m[1], m[2]
	}
	var asJSON struct {
		Error struct{ Message, Hint string }
	}
	if json.Unmarshal([]byte(said), &asJSON) != nil || asJSON.Error.Message == "" || asJSON.Error.Hint == "" {
		ts.Fatalf("stderr does not end with an error and a hint, one line each, nor is it JSON:\n%s", said)
	}
	return asJSON.Error.Message, asJSON.Error.Hint
}

func complaint(which func(error, hint string) string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		line := which(lastTwo(ts))
		if regexp.MustCompile(args[0]).MatchString(line) == neg {
			ts.Fatalf("it says: %s", line)
		}
	}
}

func theError(error, _ string) string { return error }
func theHint(_, hint string) string   { return hint }

func daemonCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := envOf(ts)
	if len(args) == 0 {
		args = []string{"start"}
	}
	var err error
	switch args[0] {
	case "start":
		err = w.startDaemon(environ(ts), args[1:]...)
	case "stop":
		err = w.stopDaemon()
	case "restart":
		if err = w.stopDaemon(); err == nil {
			err = w.startDaemon(environ(ts))
		}
	case "kill":
		_, err = w.daemon.stop(syscall.SIGKILL)
		w.daemon = nil
	case "stop-started": // the one that groat started
		var pid int
		if pid, err = stopServing(w.socket()); err == nil && pid == 0 {
			err = errors.New("none runs")
		}
	case "hup":
		err = w.daemon.cmd.Process.Signal(syscall.SIGHUP)
	default:
		err = fmt.Errorf("daemon %s?", args[0])
	}
	ts.Check(err)
}

// environ is what a script's programs run with.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, v := range envOf(ts).variables() {
		name, _ := splitOption(v)
		env = append(env, name+"="+ts.Getenv(name))
	}
	for _, name := range []string{"GROAT_SOCKET", "GROAT_CONFIG", "GROAT_STATE_DIR", "GROAT_KEYSTORE"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func daemonSays(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(envOf(ts).daemon.waitLog(regexp.MustCompile(args[0])))
}

// signedIn is the state that most scripts begin with. The keystore is a sealed file, as on a machine without a
// keychain.
func signedIn(ts *testscript.TestScript, _ bool, args []string) {
	w := envOf(ts)
	if w.servers[args[0]] == nil {
		startSandbox(ts, false, args[:1])
	}
	if w.daemon == nil {
		ts.Check(w.startDaemon(environ(ts)))
	}
	if groat(ts, false, []string{"keystore", "--json"}); !strings.Contains(ts.ReadFile("stdout"), `"use":"sealed"`) {
		groat(ts, false, []string{"keystore", "use", "sealed", "--key-file"})
	}
	url := ts.Getenv(args[0])
	login := `exec groat login "$1" --provider spatiafi --username "$2" ` +
		`--auth-server "$3" --api "$3" --secret-stdin <password`
	if code := run(ts, "sh", "-c", login, "login", args[1], person, url); code != 0 {
		ts.Fatalf("the login ended with %d", code)
	}
}

// stillWorks makes every server well again, starts groatd anew, so that it has what is stored and nothing else, and
// wants a token.
func stillWorks(ts *testscript.TestScript, _ bool, args []string) {
	w := envOf(ts)
	for _, s := range w.servers {
		s.down() // whoever still waits for an answer is let go
		s.ClearFaults()
		s.SetLatency(0)
		ts.Check(s.up())
	}
	daemonCommand(ts, false, []string{"restart"})
	groat(ts, false, append([]string{"get"}, args...))
	if ts.ReadFile("stdout") == "" {
		ts.Fatalf("groat get printed nothing")
	}
}

// asJSON compares members of the object on stdout; "a.0.b" goes inside.
func asJSON(ts *testscript.TestScript, _ bool, args []string) {
	var object any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	for _, a := range args {
		name, want := splitOption(a)
		got := object
		for key := range strings.SplitSeq(name, ".") {
			switch inner := got.(type) {
			case map[string]any:
				got = inner[key]
			case []any:
				i, err := strconv.Atoi(key)
				ts.Check(err)
				got = inner[i]
			default:
				got = nil
			}
		}
		if number, ok := got.(float64); ok {
			got = strconv.FormatFloat(number, 'f', -1, 64)
		}
		if ok, err := regexp.MatchString("^(?:"+want+")$", fmt.Sprint(got)); !ok || err != nil {
			ts.Fatalf("%s is %v, want %s", name, got, want)
		}
	}
}

// keep puts what a group matches into the environment.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout") + ts.ReadFile("stderr"))
	if len(m) != 2 {
		ts.Fatalf("nothing matches %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// token compares what was printed with a file.
func token(ts *testscript.TestScript, _ bool, args []string) {
	kept, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	if same := string(kept) == ts.ReadFile("stdout"); same != (args[0] == "same") {
		ts.Fatalf("it is the same token: %v", same)
	}
}

// crowd runs N processes that are let go at once. All must succeed and print the same, which is then on stdout.
func crowd(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	args = args[1:]
	input := os.DevNull
	if args[0] == "-stdin" {
		input, args = ts.MkAbs(args[1]), args[2:]
	}
	outputs, err := runCrowd(n, environ(ts), input, args...)
	ts.Check(err)
	for _, out := range outputs {
		if out != outputs[0] {
			ts.Fatalf("they printed different things:\n%s%s", outputs[0], out)
		}
	}
	io.WriteString(ts.Stdout(), outputs[0])
}

// runCrowd starts n processes, which all wait at a gate, opens it, and returns what each printed.
func runCrowd(n int, env []string, input string, command ...string) ([]string, error) {
	gate, opener, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	defer opener.Close()
	// Each is a shell that reads from the gate until it ends, and then becomes the program.
	script := `read -r _ <&3; exec 3<&-; input=$1; shift; exec "$@" <"$input"`
	procs := make([]*exec.Cmd, n)
	outs, complaints := make([]bytes.Buffer, n), make([]bytes.Buffer, n)
	for i := range procs {
		c := exec.Command("/bin/sh", append([]string{"-c", script, "sh", input}, command...)...)
		c.Env, c.Dir, c.ExtraFiles = env, filepath.Dir(bin), []*os.File{gate}
		c.Stdout, c.Stderr = &outs[i], &complaints[i]
		if err := c.Start(); err != nil {
			return nil, err
		}
		procs[i] = c
	}
	opener.Close()
	errs, texts := make([]error, n), make([]string, n)
	var wg sync.WaitGroup
	for i, c := range procs {
		wg.Go(func() {
			hung := time.AfterFunc(patience, func() { c.Process.Kill() })
			defer hung.Stop()
			if err := c.Wait(); err != nil {
				errs[i] = fmt.Errorf("number %d: %w: %s", i, err, complaints[i].String())
			}
			texts[i] = outs[i].String()
		})
	}
	wg.Wait()
	return texts, errors.Join(errs...)
}
