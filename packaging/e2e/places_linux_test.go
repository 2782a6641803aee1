package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// place is where the groatd of r lives.
func (r *userEnv) place() frame.Place {
	r.t.Helper()
	vars := map[string]string{}
	for _, v := range r.environ() {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	p, err := frame.PlaceOf(func(name string) string { return vars[name] }, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// status asks for the status, which may start a groatd. That one is stopped at the end.
func (r *userEnv) status() protocol.StatusResult {
	r.t.Helper()
	var s protocol.StatusResult
	if err := json.Unmarshal([]byte(r.groat("", "status", "--json")), &s); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if _, err := stopServing(s.Socket); err != nil {
			r.t.Error(err)
		}
	})
	return s
}

// fallsBack wants groat to start a groatd whose socket is in dir, and the next groat to find it.
func (r *userEnv) fallsBack(dir string) protocol.StatusResult {
	r.t.Helper()
	vars := r.vars
	r.vars = append([]string{"GROAT_NO_AUTOSTART="}, vars...)
	defer func() { r.vars = vars }()
	s := r.status()
	if want := filepath.Join(dir, "d."+r.place().ID(), "agent.sock"); s.Socket != want {
		r.t.Errorf("it listens at %s, not at %s", s.Socket, want)
	}
	r.vars = append([]string{"GROAT_NO_AUTOSTART=1"}, vars...)
	if again := r.status(); again.PID != s.PID {
		r.t.Errorf("process %d answers, and then process %d", s.PID, again.PID)
	}
	return s
}

// owners returns what is below a directory, and whose it is.
func owners(t *testing.T, dirs ...string) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				fmt.Fprintf(&b, "%s %v %d\n", path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// Two homes in one runtime directory are two places: each has its groatd, with its profiles.
func TestH12TwoHomesInOneRuntimeDirectory(t *testing.T) {
	t.Parallel()
	first, second := newUserEnv(t, stranger), newUserEnv(t, stranger)
	os.RemoveAll(second.runtime)
	second.runtime = first.runtime
	for name, r := range map[string]*userEnv{"one": first, "two": second} {
		profiles := filepath.Join(r.home, ".config", "groat", "profiles.d")
		r.dir(profiles, 0o700, r.uid)
		if err := os.WriteFile(filepath.Join(profiles, name+".toml"), []byte("provider = \"spatiafi\"\n"),
			0o644); err != nil {
			t.Fatal(err)
		}
	}
	a := first.fallsBack(filepath.Dir(first.link()))
	// The plain path leads to the first; whoever is of the second place is refused there, also with a request that is
	// not preceded by any other.
	second.refused(second.run("", "groat", "get", "one"), 69, "groatd does not run at ", "groatd")
	second.vars = []string{"GROAT_NO_AUTOSTART="}
	second.refused(second.run("", "groat", "get", "one"), 78, `there is no profile "one"`, "groat list")
	second.vars = nil
	b := second.fallsBack(filepath.Dir(first.link()))
	if a.PID == b.PID || len(a.Profiles) != 1 || a.Profiles[0].Profile != "one" || len(b.Profiles) != 1 ||
		b.Profiles[0].Profile != "two" {
		t.Errorf("%+v and %+v", a, b)
	}
	if *a.Place != (protocol.PlaceStatus{ID: first.place().ID(), Place: first.place()}) {
		t.Errorf("%+v", a.Place)
	}
	want := "\nplace: HOME=" + second.home + ", configuration " + second.home + "/.config/groat, state " + second.home +
		"/.local/state/groat\n"
	if s := second.groat("", "status"); !strings.Contains(s, want) {
		t.Errorf("it does not say %q: %s", want, s)
	}
	// A program that knows no places finds the first one, until it ends.
	if pid := serving(first.link()); pid != a.PID {
		t.Errorf("process %d serves the plain path, not %d", pid, a.PID)
	}
	if _, err := stopServing(a.Socket); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(first.link()); err == nil {
		t.Error("the link is still there")
	}
	if pid := serving(b.Socket); pid != b.PID {
		t.Errorf("process %d serves the second place", pid)
	}
}

// A socket that is named alone is served, whatever the caller's home. With a configuration or a state directory of
// another place than its groatd's the caller is refused, with both places, and nothing is done.
func TestH13AnotherPlace(t *testing.T) {
	t.Parallel()
	r, guest := newUserEnv(t, stranger), newUserEnv(t, stranger)
	r.start()
	guest.vars = []string{"GROAT_SOCKET=" + r.socket()}
	guest.groat("", "list")
	guest.vars = append(guest.vars, "GROAT_CONFIG="+filepath.Join(guest.home, ".config/groat"))
	for _, args := range [][]string{{"list"}, {"get", "work"}, {"logout", "work", "--yes"}} {
		guest.refused(guest.run("", "groat", args...), 78, "is another place's (HOME="+r.home+", ",
			"env -u GROAT_SOCKET groat status")
	}
	s := guest.run("", "groat", "list")
	if !strings.Contains(s.stderr, "this is HOME="+guest.home) {
		t.Error(s.stderr)
	}
}

// Two runtime directories on one home (a job's, cron's) have one groatd: the one that holds the state's lock.
func TestH14OneHomeInTwoRuntimeDirectories(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	s := r.fallsBack(filepath.Dir(r.link()))
	job := filepath.Join(r.home, "job")
	r.dir(job, 0o700, r.uid)
	for name, vars := range map[string][]string{
		"a job's":              {"XDG_RUNTIME_DIR=" + job, "TMPDIR=" + job},
		"cron's":               {"XDG_RUNTIME_DIR=", "TMPDIR=" + job},
		"one that is too long": {"XDG_RUNTIME_DIR=" + job + strings.Repeat("/.", 60), "TMPDIR=" + job},
		"one that is gone":     {"XDG_RUNTIME_DIR=" + job + "/none", "TMPDIR=" + job + "/none"},
	} {
		for _, start := range []string{"", "1"} {
			r.vars = append([]string{"GROAT_NO_AUTOSTART=" + start}, vars...)
			begun := time.Now()
			if again := r.status(); again.PID != s.PID {
				t.Errorf("%s: process %d answers, not %d", name, again.PID, s.PID)
			}
			if took := time.Since(begun); took > patience/2 {
				t.Errorf("%s: it took %v", name, took)
			}
		}
	}
}

// groatd was killed: what its lock says misleads nobody, whatever runtime directory the next caller has.
func TestH15KilledWithARecord(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	p := r.start()
	if _, err := p.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.env.daemon = nil
	job := filepath.Join(r.home, "job")
	r.dir(job, 0o700, r.uid)
	r.vars = []string{"XDG_RUNTIME_DIR=" + job, "TMPDIR=" + job}
	r.fallsBack(filepath.Join(job, "groat"))
}

// What both sides pass over: a directory of somebody else's, one that others may write, a path that is too long.
func TestH16BothSidesFindTheFallback(t *testing.T) {
	for name, c := range map[string]func(r *userEnv, tmp string) (vars []string, want string){
		"somebody else's XDG_RUNTIME_DIR": func(r *userEnv, tmp string) ([]string, string) {
			r.own(r.runtime, 0)
			return nil, filepath.Join(tmp, "groat-4242")
		},
		"an open XDG_RUNTIME_DIR": func(r *userEnv, tmp string) ([]string, string) {
			if err := os.Chmod(r.runtime, 0o777); err != nil {
				r.t.Fatal(err)
			}
			return nil, filepath.Join(tmp, "groat-4242")
		},
		"an XDG_RUNTIME_DIR that is too long": func(r *userEnv, tmp string) ([]string, string) {
			long := filepath.Join(r.runtime, strings.Repeat("x", 60))
			r.dir(long, 0o700, r.uid)
			return []string{"XDG_RUNTIME_DIR=" + long}, filepath.Join(tmp, "groat-4242")
		},
		"an XDG_RUNTIME_DIR that is a link of somebody else's": func(r *userEnv, tmp string) ([]string, string) {
			link := filepath.Join(tmp, "link")
			if err := os.Symlink(r.runtime, link); err != nil {
				r.t.Fatal(err)
			}
			return []string{"XDG_RUNTIME_DIR=" + link}, filepath.Join(tmp, "groat-4242")
		},
		"somebody else's groat in it": func(r *userEnv, tmp string) ([]string, string) {
			r.dir(filepath.Join(r.runtime, "groat"), 0o777, stranger+1)
			return nil, filepath.Join(tmp, "groat-4242")
		},
		"the directory in /tmp is squatted": func(r *userEnv, tmp string) ([]string, string) {
			squat := filepath.Join(tmp, "groat-4242")
			if err := os.Mkdir(squat, 0o700); err != nil {
				r.t.Fatal(err)
			}
			r.own(squat, stranger+1)
			return []string{"XDG_RUNTIME_DIR="}, filepath.Join(r.home, ".local", "state", "groat")
		},
		"/tmp is somebody else's": func(r *userEnv, tmp string) ([]string, string) {
			r.own(tmp, stranger+1)
			return []string{"XDG_RUNTIME_DIR="}, filepath.Join(r.home, ".local", "state", "groat")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newUserEnv(t, stranger)
			tmp, err := os.MkdirTemp("", "groat-tmp-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(tmp) })
			if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
			vars, want := c(r, tmp)
			r.vars = append([]string{"TMPDIR=" + tmp}, vars...)
			before := owners(t, r.runtime)
			r.fallsBack(want)
			// Long paths are no hindrance to what is no socket: a copy of what a full disk does not take may be in one.
			if after := owners(t, r.runtime); after != before && !strings.Contains(name, "too long") {
				t.Errorf("it was\n%sand is\n%s", before, after)
			}
		})
	}
}

// Root with a person's variables, as after "sudo -E" or "su" without "-", makes nothing of root's where the person
// works.
func TestH17RootWithAPersonsVariables(t *testing.T) {
	for name, vars := range map[string][]string{
		"the runtime directory": {"HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "TMPDIR"}, // are root's own
		"the home":              {"XDG_RUNTIME_DIR", "TMPDIR"},
		"all of them":           {"TMPDIR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			person, root := newUserEnv(t, stranger), newUserEnv(t, 0)
			env := map[string]string{
				"HOME": root.home, "XDG_CONFIG_HOME": root.home + "/.config",
				"XDG_STATE_HOME":  root.home + "/.local/state",
				"XDG_RUNTIME_DIR": root.runtime, "TMPDIR": root.runtime,
			}
			for _, v := range person.variables() {
				name, value, _ := strings.Cut(v, "=")
				if _, ok := env[name]; ok && !contains(vars, name) {
					env[name] = value
				}
			}
			root.vars = []string{"GROAT_NO_AUTOSTART="}
			for name, value := range env {
				root.vars = append(root.vars, name+"="+value)
			}
			before := owners(t, person.home, person.runtime)
			if contains(vars, "HOME") {
				root.status()
			} else {
				root.refused(root.run("", "groat", "status"), 78,
					"HOME="+person.home+" belongs to uid 4242, and you are root (uid 0)", "HOME=")
				root.refused(root.run("", "groatd"), 78,
					"HOME="+person.home+" belongs to uid 4242, and you are root (uid 0)", "HOME=")
			}
			if after := owners(t, person.home, person.runtime); after != before {
				t.Errorf("it was\n%sand is\n%s", before, after)
			}
			person.vars = []string{"GROAT_NO_AUTOSTART="}
			person.status()
		})
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// A hundred first calls in each of two places start one groatd in each.
func TestH18OneGroatdForEachPlace(t *testing.T) {
	t.Parallel()
	first, second := newUserEnv(t, os.Getuid()), newUserEnv(t, os.Getuid())
	os.RemoveAll(second.runtime)
	second.runtime = first.runtime
	all := make(chan []string, 2)
	for _, r := range []*userEnv{first, second} {
		r.vars = []string{"GROAT_NO_AUTOSTART="}
		go func() {
			out, err := runCrowd(50, r.environ(), os.DevNull, filepath.Join(bin, "groat"), "status", "--json")
			if err != nil {
				t.Error(err)
			}
			all <- out
		}()
	}
	pids := map[int]bool{}
	for range 2 {
		for _, out := range <-all {
			var s protocol.StatusResult
			if err := json.Unmarshal([]byte(out), &s); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			pids[s.PID] = true
		}
	}
	first.status()
	second.status()
	if len(pids) != 2 {
		t.Errorf("%d processes answered", len(pids))
	}
}

// A program that knows no places speaks to the plain path; nothing but a link of groatd's own is ever replaced there.
func TestH19PlainPath(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	r.start()
	target, err := os.Readlink(r.link())
	if err != nil || target != "d."+r.place().ID()+"/agent.sock" {
		t.Fatalf("%q, %v", target, err)
	}
	c, err := net.DialTimeout("unix", r.link(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	lines := bufio.NewScanner(c)
	for request, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"hello"}`:                                  `"server":"groatd"`,
		`{"jsonrpc":"2.0","id":1,"method":"hello","place":"` + r.place().ID() + `"}`: `"server":"groatd"`,
		`{"jsonrpc":"2.0","id":1,"method":"hello","place":"0123456789abcdef"}`:       `"code":-32006`,
		`{"jsonrpc":"2.0","id":1,"method":"token","place":"0123456789abcdef"}`: `"place":{"home":"` +
			r.home + `"`,
		`{"jsonrpc":"2.0","id":1,"method":"hello","place":7}`:                               `"code":-32600`,
		`{"jsonrpc":"2.0","id":1,"method":"hello","Place":"0123456789abcdef"}`:              `"code":-32600`,
		`{"jsonrpc":"2.0","id":1,"method":"logout","place":"","params":{"profile":"work"}}`: `"code":-32006`,
	} {
		if _, err := c.Write([]byte(request + "\n")); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Errorf("%s: %s, %v", request, lines.Text(), lines.Err())
		}
	}
	if err := r.stopDaemon(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(r.runtime, "groat", "d."+r.place().ID())); err == nil {
		t.Error("the place's directory is still there")
	}
	// A socket of somebody who listens there stays.
	l, err := net.Listen("unix", r.link())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r.start()
	if info, err := os.Lstat(r.link()); err != nil || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("%v, %v", info, err)
	}
}

// A file system that does not lock, and a lock that cannot be taken, are two things. The second one's holder is named.
func TestH20LockOfAnotherHost(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	state := r.place().State
	r.dir(state, 0o700, r.uid)
	lock := filepath.Join(state, "lock")
	text := `{"pid":7,"host":"node17","boot":"b",` +
		`"place":{"home":"/h","configuration":"/c","state":"/s"},"socket":"/run/x"}`
	if err := os.WriteFile(lock, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	held := exec.Command("flock", lock, "sh", "-c", "echo held; read x")
	in, err := held.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := held.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); held.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatal(line, err)
	}
	r.refused(r.run("", "groatd"), 73, `another groatd runs on host "node17" (pid 7, socket "/run/x")`,
		frame.LocalState()+" groat login")
	r.vars = []string{"GROAT_NO_AUTOSTART="}
	r.refused(r.run("", "groat", "status"), 69,
		"groatd of host node17 (pid 7, socket /run/x) holds the state directory", frame.LocalState()+" groat login")
	// The way out works.
	local := filepath.Join(r.home, "local")
	r.vars = append(r.vars, "GROAT_STATE_DIR="+local)
	if s := r.status(); s.Place.State != local {
		t.Errorf("%+v", s.Place)
	}
}

// Whatever variable leads root into a person's directories, nothing is made there.
func TestH25NothingIsMadeInAPersonsDirectory(t *testing.T) {
	for _, name := range []string{
		"XDG_RUNTIME_DIR", "TMPDIR", "XDG_CONFIG_HOME", "GROAT_CONFIG", "XDG_STATE_HOME", "GROAT_STATE_DIR",
		"XDG_CACHE_HOME", "GROAT_SOCKET",
	} {
		for where, path := range map[string]string{"itself": "", "below": "/below", "far below": "/a/b/c"} {
			t.Run(name+", "+where, func(t *testing.T) {
				t.Parallel()
				person, root := newUserEnv(t, stranger), newUserEnv(t, 0)
				dir := filepath.Join(person.home, "d")
				person.dir(dir, 0o700, stranger)
				value := dir + path
				switch name {
				case "GROAT_SOCKET":
					value += "/agent.sock"
				case "GROAT_CONFIG":
					value += "/config.toml"
				}
				server, err := root.addServer("AUTH")
				if err != nil {
					t.Fatal(err)
				}
				// The runtime directory comes last: it is short enough for a socket's path where the others lead
				// nowhere.
				root.vars = []string{"GROAT_NO_AUTOSTART=", "GROAT_KEYSTORE=memory",
					"XDG_CACHE_HOME=" + root.home + "/.cache", name + "=" + value}
				before := owners(t, person.home)
				for _, args := range [][]string{
					{"status"}, {"login", "work", "--provider", "spatiafi", "--username", "alice@example.com",
						"--auth-server", server.URL(), "--secret-stdin"},
				} {
					if s := root.run(root.password+"\n", "groat", args...); s.code != 0 &&
						!twoLines.MatchString(s.stderr) {
						t.Errorf("groat %s: %d, %s", args[0], s.code, s.stderr)
					}
				}
				root.run("", "groatd", "--check")
				if after := owners(t, person.home); after != before {
					t.Errorf("it was\n%sand is\n%s", before, after)
				}
				// What groat has started is where its lock says.
				if h, err := frame.ReadHolder(root.place().State); err == nil && h.Socket != "" {
					if _, err := stopServing(h.Socket); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// First calls in two runtime directories of one home, all at once, end at one groatd: whoever came second reads its
// lock.
func TestH27FirstCallsInTwoRuntimeDirectories(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	job := filepath.Join(r.home, "job")
	r.dir(job, 0o700, r.uid)
	all := make(chan []string, 2)
	for _, dir := range []string{r.runtime, job} {
		env := append(r.environ(), "GROAT_NO_AUTOSTART=", "XDG_RUNTIME_DIR="+dir)
		go func() {
			out, err := runCrowd(20, env, os.DevNull, filepath.Join(bin, "groat"), "status", "--json")
			if err != nil {
				t.Error(err)
			}
			all <- out
		}()
	}
	pids := map[int]bool{}
	for range 2 {
		for _, out := range <-all {
			var s protocol.StatusResult
			if err := json.Unmarshal([]byte(out), &s); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			pids[s.PID] = true
		}
	}
	r.status()
	if len(pids) != 1 {
		t.Errorf("%d processes answered", len(pids))
	}
}

// A home that a link leads to is one place by both names, and another configuration on one state is told so, with a
// command that works when it is typed.
func TestH28OneStateByOtherNames(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	r.dir(filepath.Join(r.home, ".config", "groat"), 0o700, r.uid)
	pid := r.start().pid()
	link := filepath.Join(r.runtime, "home")
	if err := os.Symlink(r.home, link); err != nil {
		t.Fatal(err)
	}
	r.vars = []string{"GROAT_NO_AUTOSTART=", "HOME=" + link, "XDG_CONFIG_HOME=", "XDG_STATE_HOME="}
	var s protocol.StatusResult
	if err := json.Unmarshal([]byte(r.groat("", "status", "--json")), &s); err != nil || s.PID != pid {
		t.Errorf("%+v, %v", s, err)
	}
	r.vars = []string{"GROAT_NO_AUTOSTART=", "GROAT_CONFIG=/dev/null"}
	refused := r.run("", "groat", "list")
	r.refused(refused, 78, "holds the state directory for another place (HOME="+r.home+", ",
		"HOME="+r.home+" GROAT_CONFIG=")
	hint := twoLines.FindStringSubmatch(refused.stderr)[2]
	if s := r.run("", "/bin/sh", "-c", hint); s.code != 0 ||
		!strings.Contains(s.stdout, fmt.Sprintf("process %d,", pid)) {
		t.Errorf("%s: %d, %s", hint, s.code, s.stderr)
	}
}

// A home that a link leads to is one place by both names also before there is a configuration in it.
func TestH76OneHomeByOtherNamesWithoutAConfiguration(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	pid := r.start().pid()
	if _, err := os.Lstat(filepath.Join(r.home, ".config")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("there is a configuration:", err)
	}
	link := filepath.Join(r.runtime, "home")
	if err := os.Symlink(r.home, link); err != nil {
		t.Fatal(err)
	}
	r.vars = []string{"GROAT_NO_AUTOSTART=", "HOME=" + link, "XDG_CONFIG_HOME=", "XDG_STATE_HOME="}
	var s protocol.StatusResult
	if err := json.Unmarshal([]byte(r.groat("", "status", "--json")), &s); err != nil || s.PID != pid {
		t.Errorf("%+v, %v", s, err)
	}
}

// Another user takes the directory of a socket whose groatd runs: that one goes where clients look next, and is found
// there.
func TestH77SquattedWhileItRuns(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	d := r.start()
	pid, dir := d.pid(), filepath.Join(r.runtime, "groat")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r.dir(dir, 0o755, stranger+1)
	r.vars = append(r.vars, "GROAT_NO_AUTOSTART=")
	refused := r.run("", "groat", "status")
	r.refused(refused, 69, "its socket cannot be reached from here", fmt.Sprintf("kill -HUP %d && groat status", pid))
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var s protocol.StatusResult // the hint has been typed
	if err := json.Unmarshal([]byte(r.groat("", "status", "--json")), &s); err != nil || s.PID != pid ||
		strings.HasPrefix(s.Socket, dir+"/") {
		t.Errorf("%+v, %v", s, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

// What groatd refuses at its start, groatd --check names, and makes nothing: it is the hint of groat.
func TestH78CheckNamesWhatIsRefused(t *testing.T) {
	for name, plant := range map[string]func(r *userEnv) (env, says string){
		"an open directory above the state": func(r *userEnv) (string, string) {
			r.dir(filepath.Join(r.runtime, "open"), 0o777, r.uid)
			if err := os.Chmod(filepath.Join(r.runtime, "open"), 0o777); err != nil {
				r.t.Fatal(err)
			}
			return "GROAT_STATE_DIR=" + filepath.Join(r.runtime, "open", "a", "state"),
				filepath.Join(r.runtime, "open") + " may be written by others"
		},
		"a file above the state": func(r *userEnv) (string, string) {
			file := filepath.Join(r.runtime, "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				r.t.Fatal(err)
			}
			return "GROAT_STATE_DIR=" + filepath.Join(file, "state"), "not a directory"
		},
		"an open state": func(r *userEnv) (string, string) {
			state := filepath.Join(r.runtime, "state")
			r.dir(state, 0o755, r.uid)
			return "GROAT_STATE_DIR=" + state, "the state directory " + state + " is open to others (mode 0755)"
		},
		"a directory in the lock's place": func(r *userEnv) (string, string) {
			state := filepath.Join(r.runtime, "state")
			r.dir(state, 0o700, r.uid)
			r.dir(filepath.Join(state, "lock"), 0o700, r.uid)
			return "GROAT_STATE_DIR=" + state, "the lock " + state + "/lock cannot be opened: is a directory"
		},
		"a pipe in the lock's place": func(r *userEnv) (string, string) {
			state := filepath.Join(r.runtime, "state")
			r.dir(state, 0o700, r.uid)
			if err := syscall.Mkfifo(filepath.Join(state, "lock"), 0o600); err != nil {
				r.t.Fatal(err)
			}
			r.own(filepath.Join(state, "lock"), r.uid)
			return "GROAT_STATE_DIR=" + state, "the lock " + state + "/lock is no file of this user's"
		},
		"somebody else's lock": func(r *userEnv) (string, string) {
			state, lock := filepath.Join(r.runtime, "state"), filepath.Join(r.runtime, "state", "lock")
			r.dir(state, 0o700, r.uid)
			if err := errors.Join(os.WriteFile(lock, nil, 0o600), os.Chmod(lock, 0o666)); err != nil {
				r.t.Fatal(err)
			}
			return "GROAT_STATE_DIR=" + state, "the lock " + lock + " is no file of this user's"
		},
		"no such keystore": func(r *userEnv) (string, string) {
			return "GROAT_KEYSTORE=gold",
				`GROAT_KEYSTORE is "gold"`
		},
		"a file in the socket's place": func(r *userEnv) (string, string) {
			file := filepath.Join(r.runtime, "agent.sock")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				r.t.Fatal(err)
			}
			r.own(file, r.uid)
			return "GROAT_SOCKET=" + file, "no socket of this user's"
		},
		"an open directory of the socket": func(r *userEnv) (string, string) {
			dir := filepath.Join(r.runtime, "d")
			r.dir(dir, 0o755, r.uid)
			return "GROAT_SOCKET=" + filepath.Join(dir, "s"),
				"the socket's directory " + dir + " is open to others (mode 0755)"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newUserEnv(t, stranger)
			env, says := plant(r)
			r.vars = []string{env}
			before := owners(t, r.runtime) + owners(t, r.home)
			for _, args := range [][]string{{"--check"}, {}} {
				got := r.run("", "groatd", args...)
				r.refused(got, 78, says, "")
				if after := owners(t, r.runtime) + owners(t, r.home); len(args) > 0 && after != before {
					t.Errorf("it was\n%sand is\n%s", before, after)
				}
			}
		})
	}
}

// The groatd of a place that has gone ends, as a test suite's home does. Nobody has told it to.
func TestH85APlaceThatHasGone(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	d := r.start()
	if err := os.RemoveAll(filepath.Join(r.home, ".local")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(d.pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.ended:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	r.daemon = nil
	if _, err := os.Lstat(filepath.Join(r.runtime, "groat", "d."+r.place().ID())); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the socket's directory stays:", err)
	}
}
