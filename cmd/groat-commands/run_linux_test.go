package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
)

// runDaemon keeps files for the profile work, which lists two APIs, and for bare, which lists none.
func runDaemon(t *testing.T) *fakeDaemon {
	t.Helper()
	return newFakeDaemon(t, func(r request) string {
		switch r.Method {
		case "profiles":
			return `"result":{"profiles":[{"profile":"bare","issuer":"https://i","resources":[]},` +
				`{"profile":"work","issuer":"https://i",` +
				`"resources":["https://api.example:443","https://git.example:443/team"]}]}`
		case "export":
			if p := r.Params["profile"]; p != "work" && p != "bare" {
				return `"error":{"code":-32001,"message":"there is no such profile",` +
					`"data":{"kind":"unknown_profile","hint":"groat list"}}`
			}
			return kept
		}
		return `"result":{"access_token":"dummy.token","token_type":"Bearer","expires_at":1790000839,` +
			`"expires_in":839,"header":"Authorization: Bearer dummy.token","profile":"work"}`
	})
}

// runReal runs groat as a process of its own at a daemon.
func runReal(t *testing.T, f *fakeDaemon, env []string, args ...string) (o outcome, state *os.ProcessState) {
	t.Helper()
	dir := filepath.Dir(f.socket)
	cmd := process(t.Context(), "groat", append([]string{"GROAT_SOCKET=" + f.socket, "HOME=" + dir}, env...), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}, cmd.ProcessState
}

// The command finds pointers to the token and not the token; groat's process is its own.
func TestRunPoints(t *testing.T) {
	f := runDaemon(t)
	dir := filepath.Dir(f.socket)
	header, rc := filepath.Join(dir, "run-work.header"), filepath.Join(dir, "run-work.gdalrc")
	o, _ := runReal(t, f, []string{"PATH=/usr/bin:/bin", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=a.b",
		"GIT_CONFIG_VALUE_0=c", "GROAT_PROFILE=bare", "X=y", "GOAUTH=git /x"}, "run", "work", "--", "sh", "-c", "echo $$; env")
	pid, vars, _ := strings.Cut(o.stdout, "\n")
	if o.code != 0 || o.stderr != "" || strings.Contains(vars, "dummy") {
		t.Fatalf("%+v", o)
	}
	helper := filepath.Join(bin, "groat") + " helper git"
	all := strings.Split(vars, "\n")
	for _, want := range []string{
		"X=y", "GROAT_PROFILE=work", "GROAT_HEADER_FILE=" + header, "GDAL_CONFIG_FILE=" + rc, "GIT_CONFIG_COUNT=7",
		"GIT_CONFIG_KEY_0=a.b", "GIT_CONFIG_VALUE_0=c",
		"GOAUTH=" + filepath.Join(bin, "groat") + " helper go;git /x",
		"GIT_CONFIG_KEY_1=credential.https://api.example.helper", "GIT_CONFIG_VALUE_1=",
		"GIT_CONFIG_KEY_2=credential.https://api.example.helper", "GIT_CONFIG_VALUE_2=" + helper,
		"GIT_CONFIG_KEY_3=credential.https://api.example.useHttpPath", "GIT_CONFIG_VALUE_3=true",
		"GIT_CONFIG_KEY_5=credential.https://git.example/team.helper", "GIT_CONFIG_VALUE_5=" + helper,
	} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is not in\n%s", want, vars)
		}
	}
	if strings.Count(vars, "GROAT_PROFILE=") != 1 || strings.Contains(vars, "GDAL_HTTP_HEADER_FILE") {
		t.Error(vars)
	}
	text, err := os.ReadFile(rc)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "gdalrc.txt", strings.ReplaceAll(string(text), dir, "/run/user/1000/groat"))
	q := f.requests()
	last := q[len(q)-1]
	if last.Method != "export" || last.Params["header_file"] != header || fmt.Sprint(last.Params["while_pid"]) != pid {
		t.Errorf("the process is %s, and asked was %+v", pid, last)
	}
}

// The token itself is in a variable only where a person says so; a gdalrc of their own stays the one that GDAL reads.
func TestRunWithWhatAPersonSays(t *testing.T) {
	f := runDaemon(t)
	own := filepath.Join(filepath.Dir(f.socket), ".gdal", "gdalrc")
	if err := errors.Join(os.Mkdir(filepath.Dir(own), 0o700), os.WriteFile(own, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	o, _ := runReal(t, f, []string{"PATH=/usr/bin:/bin", "TOKEN=old", "GOAUTH=off"}, "run", "work", "--env", "TOKEN", "--env",
		"other_1", "--every-host", "--", "env")
	if o.code != 0 || !strings.Contains(o.stdout, "\nTOKEN=dummy.token\nother_1=dummy.token\n") ||
		strings.Contains(o.stdout, "TOKEN=old") || !strings.Contains(o.stdout, "GOAUTH=off\n") || strings.Contains(o.stdout, "GDAL_CONFIG_FILE") ||
		!strings.Contains(o.stdout, "GDAL_HTTP_HEADER_FILE="+filepath.Dir(f.socket)+"/run-work.header\n") {
		t.Errorf("%+v", o)
	}
	o, _ = runReal(t, f, []string{"PATH=/usr/bin:/bin"}, "run", "bare", "--", "env")
	if o.code != 0 || strings.Contains(o.stdout, "GIT_CONFIG") || !strings.Contains(o.stdout, "/run-bare.header\n") {
		t.Errorf("%+v", o)
	}
}

// What the command ends with is what groat ends with; what is no command is not run, and no file is kept for it.
func TestRunEndsAsTheCommand(t *testing.T) {
	f := runDaemon(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"plain": "exit 9\n", "lost": "#!/no/such/interpreter\n", "secret": "x"} {
		mode := os.FileMode(0o700)
		if name == "secret" {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + dir + "::/usr/bin:/bin"}
	for _, tt := range []struct {
		argv []string
		code int
		says string
	}{
		{[]string{"true"}, 0, ""}, {[]string{"sh", "-c", "exit 7"}, 7, ""}, {[]string{"plain", "x"}, 9, ""},
		{[]string{filepath.Join(dir, "plain")}, 9, ""},
		{[]string{"sh", "-c", `exit $#`, "sh", "--", "-x", "--help"}, 3, ""},
		{[]string{"no-such-program"}, exitNotFound, "no such file"}, {[]string{""}, exitNotFound, "no such file"},
		{[]string{"/no/such/program"}, exitNotFound, "no such file"}, {[]string{"lost"}, exitNotFound, "no such file"},
		{[]string{"secret"}, exitCannotRun, "permission denied"}, {[]string{dir}, exitCannotRun, "permission denied"},
		{[]string{"/dev/null/x"}, exitCannotRun, "not a directory"},
	} {
		before := len(f.requests())
		o, _ := runReal(t, f, env, append([]string{"run", "work", "--"}, tt.argv...)...)
		if o.code != tt.code || o.stdout != "" || (tt.says == "") != (o.stderr == "") ||
			!strings.Contains(o.stderr, tt.says) || tt.says != "" && !strings.Contains(o.stderr, "groat: hint: ") {
			t.Errorf("%q: %+v", tt.argv, o)
		}
		if asked := len(f.requests()) > before; asked != (tt.says == "" || tt.argv[0] == "lost") {
			t.Errorf("%q: groatd was asked: %v", tt.argv, asked)
		}
	}
	_, state := runReal(t, f, env, "run", "work", "--", "sh", "-c", "kill -TERM $$")
	if s := state.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGTERM {
		t.Errorf("a command that a signal ends: %v", state)
	}
}

func TestRunThatIsRefused(t *testing.T) {
	f := runDaemon(t)
	for _, tt := range []struct {
		args, env string
		code      int
		says      string
	}{
		{"run", "", report.ExitUsage, msgRunWhat}, {"run work", "", report.ExitUsage, msgRunWhat},
		{"run work true", "", report.ExitUsage, msgRunWhat}, {"run work --", "", report.ExitUsage, msgRunWhat},
		{"run work bare -- true", "", report.ExitUsage, msgRunWhat},
		{"run work --env PATH -- true", "", report.ExitUsage, "PATH is not"},
		{"run work --env A=b -- true", "", report.ExitUsage, "A=b"},
		{"run work --env GIT_CONFIG_COUNT -- true", "", report.ExitUsage, "GIT_CONFIG_COUNT"},
		{"run work --env LD_PRELOAD -- true", "", report.ExitUsage, "LD_PRELOAD"},
		{"run work --env GOAUTH -- true", "", report.ExitUsage, "GOAUTH"},
		{"run work --env GDAL_CONFIG_FILE -- true", "", report.ExitUsage, "GDAL_CONFIG_FILE"},
		{"run work --env 1a -- true", "", report.ExitUsage, "1a"},
		{"run none -- true", "", report.ExitConfig, "there is no such profile"},
		{"run -- true", "", report.ExitConfig, "there is no such profile"}, // it is one of two
		{"run work -- true", "GIT_CONFIG_COUNT=x", report.ExitUsage, "GIT_CONFIG_COUNT is x"},
	} {
		o, _ := runReal(t, f, []string{"PATH=/usr/bin:/bin", tt.env}, strings.Fields(tt.args)...)
		if o.code != tt.code || !strings.Contains(o.stderr, tt.says) || !strings.Contains(o.stderr, "groat: hint: ") {
			t.Errorf("%s: %+v", tt.args, o)
		}
	}
}

// What a person types reaches the command, and the shell that groat was typed to has it as a job.
func TestRunOnATerminal(t *testing.T) {
	f := runDaemon(t)
	env := []string{"GROAT_SOCKET=" + f.socket, "PATH=/usr/bin:/bin", "PS1=$ "}
	groat := filepath.Join(bin, "groat")
	x := startProgram(t, "/bin/bash", 97, env, "--norc", "--noediting", "-i")
	x.expect("$ ")
	x.write(groat + " run work -- stty size\n")
	x.expect("50 97\n")
	loop := `'trap "echo cau""ght; exit 5" INT; echo rea""dy; while :; do read l; done'`
	x.write(groat + " run work -- sh -c " + loop + "\n")
	x.expect("ready\n")
	x.write("\x03")
	x.expect("caught\n")
	x.write("echo stat\"\"us $?\n")
	x.expect("status 5\n")
	x.write(groat + " run work -- cat\n")
	x.write("first\n")
	x.expectTimes("first\n", 2) // the terminal's echo, and cat's
	x.write("\x1a")
	x.expect("Stopped")
	x.write("fg\n")
	x.write("second\n")
	x.expectTimes("second\n", 2)
	x.write("\x1c")
	x.expect("Quit")
	x.write("echo th\"\"en $?\n")
	x.expect("then 131\n")
	x.write("exit 0\n")
	x.end(0)
}
