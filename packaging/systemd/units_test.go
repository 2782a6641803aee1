package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// installed is where the units expect groatd.
const installed = "/usr/bin/groatd"

// unit returns the text of a unit of this directory with groatd elsewhere.
func unit(t *testing.T, name, groatd string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "ExecStart="+installed+"\n", "ExecStart="+groatd+"\n")
}

// write makes a file that every user can read.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// verify returns what systemd-analyze has to say about the units; its exit code says nothing of unknown keys.
func verify(t *testing.T, change func(service string) string) string {
	t.Helper()
	tier.Needs(t, "systemd-analyze")
	dir := t.TempDir()
	service := write(t, filepath.Join(dir, "groatd.service"), change(unit(t, "groatd.service", "/bin/true")))
	socket := write(t, filepath.Join(dir, "groatd.socket"), unit(t, "groatd.socket", ""))
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no",
		socket, service)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir) // it refuses to work without one
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("systemd-analyze: %v; if it is missing, run packaging/testing/install.sh", err)
	}
	return string(out)
}

func TestUnitsAreValid(t *testing.T) {
	if out := verify(t, func(s string) string { return s }); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	for name, test := range map[string]struct{ old, new, want string }{
		"unknown key":   {"Type=notify\n", "Type=notify\nNoSuchKey=yes\n", "NoSuchKey"},
		"unknown value": {"WatchdogSec=30", "WatchdogSec=soon", "soon"},
		"no program":    {"/bin/true", "/no/such/program", "/no/such/program"},
	} {
		got := verify(t, func(s string) string { return strings.Replace(s, test.old, test.new, 1) })
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: this test would not notice; systemd-analyze verify says %q", name, got)
		}
	}
}

// TestConfinement runs a probe in the place of groatd, under the same directives, as an ordinary user: what a directive
// is worth shows only when something tries what it forbids, and is not forbidden anyway.
func TestConfinement(t *testing.T) {
	m := parts.StartUserManager(t)
	service := strings.NewReplacer(
		"Type=notify", "Type=oneshot\nStandardOutput=file:%h/report",
		"Requires=groatd.socket", "", "After=groatd.socket", "",
		"Restart=on-failure", "Restart=no",
		"ExecStart="+installed, "ExecStart=/usr/bin/python3 "+write(t, filepath.Join(m.Dir, "probe.py"), probe),
	).Replace(unit(t, "groatd.service", installed))
	confining := regexp.MustCompile(
		`(?m)^(LimitCORE|UnsetEnvironment|UMask|NoNewPrivileges|LockPersonality|Memory|Restrict[A-Z]|SystemCall).*\n`)
	report := func(name, service string) string {
		m.Install(t, write(t, filepath.Join(m.Dir, name), service), name)
		m.Run(t, "systemctl", "--user", "daemon-reload")
		m.Run(t, "systemctl", "--user", "start", name)
		return m.Run(t, "cat", parts.TesterHome+"/report")
	}
	m.Run(t, "systemctl", "--user", "set-environment", "GODEBUG=http2debug=2", "GOTRACEBACK=crash")

	free, confined := report("free.service", confining.ReplaceAllString(service, "")), report("confined.service",
		service)
	// Newer kernels refuse it themselves, which systemd asks them to since 253 (PR_SET_MDWE).
	confined = strings.Replace(confined, "executable memory: EACCES", "executable memory: EPERM", 1)
	for what, want := range map[string][2]string{ // without the directives (* is the machine's business), with them
		"a packet socket":                {"EPERM", "EAFNOSUPPORT"},
		"a netlink socket":               {"allowed", "EAFNOSUPPORT"},
		"a namespace of its own":         {"*", "EPERM"},
		"writable and executable memory": {"allowed", "EPERM"},
		"being traced":                   {"allowed", "EPERM"},
		"a set-user-id file":             {"allowed", "EPERM"},
		"another personality":            {"allowed", "EPERM"},
		"giving a file away":             {"allowed", "EPERM"},
		"the longest core file":          {"*", "0"},
		"the umask":                      {"*", "0o77"},
		"Go's debug variables":           {"GODEBUG GOTRACEBACK", ""},
		"a loopback connection":          {"allowed", "allowed"},
		"a child process":                {"allowed", "allowed"},
	} {
		for i, report := range []string{free, confined} {
			if line := what + ": " + want[i]; want[i] != "*" && !slices.Contains(strings.Split(report, "\n"), line) {
				t.Errorf("%s service: want %q in its report:\n%s", []string{"free", "confined"}[i], line, report)
			}
		}
	}
}

// probe tries what groatd's unit forbids, and what groatd needs.
const probe = `
import ctypes, errno, mmap, os, resource, socket, subprocess

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)

def attempt(what, f, *args):
    try:
        f(*args)
    except OSError as e:
        print(f"{what}: {errno.errorcode[e.errno]}", flush=True)
    else:
        print(f"{what}: allowed", flush=True)

def file():
    path = os.path.expanduser("~/file")
    open(path, "w").close()
    return path

def loopback():
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname()).close()

CLONE_NEWUSER, PTRACE_TRACEME, ADDR_NO_RANDOMIZE = 0x10000000, 0, 0x0040000
core, umask = resource.getrlimit(resource.RLIMIT_CORE)[1], os.umask(0)
print("the longest core file:", "unlimited" if core == resource.RLIM_INFINITY else core)
print("the umask:", oct(umask))
print("Go's debug variables:", " ".join(sorted(k for k in os.environ if k.startswith("GO"))), flush=True)
attempt("a packet socket", socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM)
attempt("a netlink socket", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)
attempt("writable and executable memory", mmap.mmap, -1, 4096, mmap.MAP_PRIVATE, 7)
attempt("a set-user-id file", os.chmod, file(), 0o4755)
attempt("giving a file away", os.chown, file(), -1, os.getgid())
attempt("a loopback connection", loopback)
attempt("a child process", subprocess.run, ["/bin/true"])
attempt("another personality", call, "personality", ADDR_NO_RANDOMIZE)
attempt("a namespace of its own", call, "unshare", CLONE_NEWUSER)
attempt("being traced", call, "ptrace", PTRACE_TRACEME, 0, 0, 0)
`
