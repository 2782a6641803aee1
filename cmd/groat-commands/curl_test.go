package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// headerServer notes the value of a header field of each request.
type headerServer struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

func newHeaderServer(t *testing.T, field string) *headerServer {
	s := &headerServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, r.Header.Get(field))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *headerServer) look() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.seen
	s.seen = nil
	return was
}

// shell runs a line of a person's in a shell.
func shell(t *testing.T, socket, line string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", line, "sh"}, args...)...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + bin + ":/usr/bin:/bin", "no_proxy=127.0.0.1",
		"GROAT_SOCKET=" + socket, "GROAT_NO_AUTOSTART=1"}, runtimeEnv...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func TestCurlSendsTheTokenOfAURL(t *testing.T) {
	tier.Needs(t, "curl")
	parts.Client(t, "curl", "curl", "--version")
	const line = `groat helper curl "$1" | curl -sS -K - "$1"`
	ours, other := newHeaderServer(t, "Authorization"), newHeaderServer(t, "Authorization")
	target := ours.URL + "/v1/me?x=1"
	f := newFakeDaemon(t, func(r request) string {
		if r.Params["target"] != target {
			return `"error":{"code":-32005,"message":"no profile lists it","data":{"kind":"unknown_profile",` +
				`"hint":"groat list"}}`
		}
		return tokenResult
	})
	if got := shell(t, f.socket, line, target); got != (outcome{}) {
		t.Errorf("%+v", got)
	}
	if seen := ours.look(); !slices.Equal(seen, []string{"Bearer abc.DEF-123_~+/=="}) {
		t.Errorf("the server saw %q", seen)
	}
	want := outcome{0, "", "groat: error: no profile lists it\ngroat: hint: groat list\n"}
	if got := shell(t, f.socket, line, other.URL); got != want {
		t.Errorf("a server of no profile: %+v", got)
	}
	if seen := other.look(); !slices.Equal(seen, []string{""}) {
		t.Errorf("a server of no profile saw %q", seen)
	}
	if got := run(t, f.socket, "", "helper", "curl", other.URL); got.code != 78 || got.stdout != "" {
		t.Errorf("%+v", got)
	}
}

// An API key may hold what means something in curl's configuration: curl sends it as it is, and nothing else.
func TestCurlSendsAnyKey(t *testing.T) {
	tier.Needs(t, "curl")
	const key = `a\nproxy = "http://127.0.0.1:1" \" \\x`
	server := newHeaderServer(t, "X-Key")
	quoted, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"access_token":` + string(quoted) + `,"static":true,"profile":"p","header":"X-Key: ` +
			string(quoted[1:]) + `}`
	})
	for _, line := range []string{`groat get p --output curl | curl -sS -K - "$1"`,
		`groat helper curl "$1" | curl -sS -K - "$1"`, `groat get p --output header | curl -sS -H @- "$1"`} {
		if got := shell(t, f.socket, line, server.URL); got != (outcome{}) {
			t.Errorf("%s: %+v", line, got)
		}
		if seen := server.look(); !slices.Equal(seen, []string{key}) {
			t.Errorf("%s: the server saw %q", line, seen)
		}
	}
}

// A shell evaluates the export, and a headers command is one object whose values are text.
func TestOutputsForProgramsAreRead(t *testing.T) {
	parts.NoClient(t, "none, groat get", "a coding agent", "they want an account of their makers': a test reads the "+
		"object of json-header in their place")
	f := newFakeDaemon(t, func(request) string { return tokenResult })
	got := shell(t, f.socket, `eval "$(groat get work --output export)" && env | grep ^GROAT_ | sort`)
	if !strings.Contains(got.stdout, "GROAT_ACCESS_TOKEN=abc.DEF-123_~+/==\nGROAT_EXPIRES_AT=1790000000\n") {
		t.Errorf("%+v", got)
	}
	got = run(t, f.socket, "", "get", "work", "--output", "json-header")
	headers := map[string]string{}
	if err := json.Unmarshal([]byte(got.stdout), &headers); err != nil || len(headers) != 1 || got.stderr != "" ||
		headers["Authorization"] != "Bearer abc.DEF-123_~+/==" {
		t.Errorf("%v, %+v", err, got)
	}
}

// A helper that there is not is a wrong call, and what there is can be asked what it is.
func TestHelpersExplainThemselves(t *testing.T) {
	list := run(t, "", "", "helper")
	for _, name := range []string{"git", "docker", "kubectl", "curl", "go", "cargo", "keyring"} {
		if !strings.Contains(list.stdout, "\n  "+name+" ") || list.code != 0 {
			t.Errorf("%s is not listed: %+v", name, list)
		}
		got := run(t, "", "", "helper", name, "--help")
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, args := range [][]string{{"nonsense"}, {"nonsense", "get"}, {"curl"}, {"curl", "a", "b"},
		{"kubectl", "a", "b"}, {"kubectl", "--nonsense"}, {"docker", "--nonsense"}, {"go", "a", "b"},
		{"go", "--nonsense"},
		{"cargo", "get"}, {"cargo", "--nonsense"}, {"keyring"}, {"keyring", "nonsense"}, {"keyring", "get"},
		{"keyring", "get", "https://h"}, {"keyring", "--nonsense", "get", "https://h", "u"}} {
		if got := run(t, "", "", append([]string{"helper"}, args...)...); got.code != 2 || got.stdout != "" ||
			!strings.Contains(got.stderr, "groat: hint: groat helper") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	for _, name := range []string{helper.GitName, helper.DockerName, helper.CargoName, helper.KeyringName} {
		cmd := process(t.Context(), name, nil, "--help")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Examples:\n") {
			t.Errorf("%s --help: %v, %s", name, err, out)
		}
	}
}
