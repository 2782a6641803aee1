package e2e_test

import (
	"context"
	"net/url"
	"slices"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// The commands of the scripts that are about servers.

func envOf(ts *testscript.TestScript) *env { return ts.Value("env").(*env) }

func serverOf(ts *testscript.TestScript, args []string) *server {
	if len(args) == 0 || envOf(ts).servers[args[0]] == nil {
		ts.Fatalf("name a sandbox that was started: %q", args)
	}
	return envOf(ts).servers[args[0]]
}

func startSandbox(ts *testscript.TestScript, _ bool, args []string) {
	s, err := envOf(ts).addServer(args[0], args[1:]...)
	ts.Check(err)
	ts.Setenv(args[0], s.URL())
}

func setSandbox(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(serverOf(ts, args).control("set", formOf(args[1:])))
}

func fault(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(serverOf(ts, args).control("fault", formOf(args[1:])))
}

func knob(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(serverOf(ts, args).control(args[1], formOf(args[2:])))
}

func formOf(args []string) url.Values {
	form := url.Values{}
	for _, a := range args {
		name, value := splitOption(a)
		form.Add(name, value)
	}
	return form
}

func down(ts *testscript.TestScript, _ bool, args []string) { serverOf(ts, args).down() }

func up(ts *testscript.TestScript, _ bool, args []string) { ts.Check(serverOf(ts, args).up()) }

// pathAndNumber reads the arguments of a count.
func pathAndNumber(ts *testscript.TestScript, args []string) (path string, n int) {
	if len(args) != 3 {
		ts.Fatalf("want NAME PATH N")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	return args[1], n
}

// requests holds the number of requests so far against what it must be; the path "/" stands for all of them.
func requests(ts *testscript.TestScript, _ bool, args []string) {
	path, want := pathAndNumber(ts, args)
	s := serverOf(ts, args)
	got := s.Count(path)
	if path == "/" {
		got = len(s.Log())
	}
	if got != want {
		ts.Fatalf("%d requests for %s at %s, want %d", got, path, args[0], want)
	}
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	path, n := pathAndNumber(ts, args)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// Answered ones: what follows in the script is about the time after the answer.
	ts.Check(serverOf(ts, args).Wait(ctx, func(entries []sandbox.Entry) bool {
		answered := 0
		for _, e := range entries {
			if e.Path == path && e.Status != 0 {
				answered++
			}
		}
		return answered >= n
	}))
}

// asked looks at the last request for a path.
func asked(ts *testscript.TestScript, _ bool, args []string) {
	log := serverOf(ts, args).Log()
	slices.Reverse(log)
	i := slices.IndexFunc(log, func(e sandbox.Entry) bool { return e.Path == args[1] })
	if i < 0 {
		ts.Fatalf("nobody asked for %s", args[1])
	}
	e := log[i]
	for _, a := range args[2:] {
		name, want := splitOption(a)
		got, ok := map[string]string{
			"method": e.Method, "grant": e.GrantType, "auth": e.Auth, "client": e.ClientID, "scope": e.Scope,
			"audience": e.Audience,
			"status":   strconv.Itoa(e.Status),
		}[name]
		if !ok || got != want {
			ts.Fatalf("the last request for %s had %s %q, want %q", args[1], name, got, want)
		}
	}
}
