package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/systemd"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// serviceHome is a home with units, and a systemctl and a journalctl that write down how they are called.
type serviceHome struct {
	t        *testing.T
	dir, bin string
	sockets  frame.Sockets
}

// subStates are what systemd shows as SubState for an ActiveState of groatd.service.
var subStates = map[string]string{"active": "running", "inactive": "dead", "failed": "failed"}

// newServiceHome returns one whose units are of the text and in the state that systemd shows for groatd.service. Its
// socket is active, but where that is "off": then neither is.
func newServiceHome(t *testing.T, unitText, load, active string, pid int) *serviceHome {
	t.Helper()
	h := &serviceHome{t: t, dir: t.TempDir()}
	h.bin = filepath.Join(h.dir, "bin")
	units := filepath.Join(h.dir, ".config", "systemd", "user")
	for _, dir := range []string{h.bin, units} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{systemd.SocketName, systemd.ServiceName} {
		if err := os.WriteFile(filepath.Join(units, name), []byte(unitText), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	socket := "ActiveState=active\nSubState=listening\n"
	if active == "off" {
		active, socket = "inactive", "ActiveState=inactive\nSubState=dead\n"
	}
	show := fmt.Sprintf("MainPID=%[1]d\nId=groatd.service\nLoadState=%[2]s\nActiveState=%[3]s\n"+
		"SubState=%[5]s\nFragmentPath=%[4]s/groatd.service\n"+
		"ExecMainStartTimestamp=Sun 2026-11-29 20:00:00 UTC\n\n"+
		"Id=groatd.socket\nLoadState=%[2]s\n%[6]sFragmentPath=%[4]s/groatd.socket\n",
		pid, load, active, units, subStates[active], socket)
	if err := os.WriteFile(filepath.Join(h.dir, "show"), []byte(show), 0o600); err != nil {
		t.Fatal(err)
	}
	parts.WriteProgram(t, filepath.Join(h.bin, "systemctl"), "#!/bin/sh\ncase \"$*\" in\n"+
		"*'show --property=Version') test ! -e "+h.dir+"/none || { echo 'Failed to connect to bus'; exit 1; };;\n"+
		"*show*) cat "+h.dir+"/show;;\n*) echo systemctl \"$@\" >>"+h.dir+"/ran;;\nesac\n")
	parts.WriteProgram(t, filepath.Join(h.bin, "journalctl"), "#!/bin/sh\necho journalctl \"$@\" >>"+h.dir+
		"/ran\necho a line\n")
	return h
}

// run runs groat, and returns what it has had systemd do too.
func (h *serviceHome) run(args ...string) (outcome, string) {
	h.t.Helper()
	place := frame.UsualPlace(h.dir)
	env := map[string]string{"PATH": h.bin, "HOME": h.dir, "GROAT_NO_AUTOSTART": "1"}
	var out, errs bytes.Buffer
	a := &app{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(name string) string { return env[name] },
		tty:    func() (*os.File, error) { return nil, os.ErrNotExist },
		route:  func() (*frame.Route, error) { return &frame.Route{Place: &place, Sockets: h.sockets}, nil },
		usual:  func(p frame.Place) bool { return p == place },
	}
	code := a.main("groat", args)
	ran, _ := os.ReadFile(filepath.Join(h.dir, "ran"))
	os.Remove(filepath.Join(h.dir, "ran"))
	return outcome{code, out.String(), errs.String()}, string(ran)
}

// serviceDaemon answers as groatd, process 4711, of an older release.
func serviceDaemon(t *testing.T, unsaved string) frame.Sockets {
	t.Helper()
	old := release
	release = "v1.3.0"
	t.Cleanup(func() { release = old })
	f := newFakeDaemon(t, func(r request) string {
		if r.Method == "hello" {
			return `"result":{"server":"groatd","release":"v1.2.0","protocol":1,"methods":[]}`
		}
		return `"result":{"release":"v1.2.0","pid":4711,"started_at":1790000000,"socket":"/s","unsaved":[` + unsaved +
			`],"keystore":{"use":"sealed","state":"ok"},"profiles":[]}`
	})
	return frame.Sockets{Own: f.socket, Plain: f.socket}
}

const (
	forgetsFailures = "systemctl --user reset-failed groatd.socket groatd.service\n"
	startsService   = "systemctl --user start groatd.socket groatd.service\n"
	stopsService    = "systemctl --user stop groatd.service\n"
	disablesService = "systemctl --user disable --now groatd.socket groatd.service\n"
	restartsService = "systemctl --user restart groatd.service\n"
)

// handedOver stands for nothing unsaved, and something that another groatd would get.
const handedOver = `],"handed_over":["it keeps y"`

// The verbs do what they say to the units that groat has written or a package has, and say what they have done. "groat
// stop" and its kin are the same there.
func TestServiceVerbs(t *testing.T) {
	for name, c := range map[string]struct {
		args    string
		active  string
		unsaved string
		code    int
		ran     string
		says    string // on stdout or stderr
	}{
		"start, it runs": {"service start", "active", "", 0, "", "groatd runs already (pid 4711)"},
		"start": {"service start", "inactive", "", 0, forgetsFailures + startsService,
			"groatd runs (pid 4711)"},
		"start, dry": {"service start --dry-run", "inactive", "", 0, "",
			"would run " + forgetsFailures + "would run " + startsService},
		"stop": {"service stop", "active", "", 0, stopsService,
			"groatd (pid 4711) has ended; groatd.socket starts it again"},
		"stop, nothing runs":       {"service stop", "inactive", "", 0, "", "No groatd runs."},
		"stop, another runs":       {"stop --dry-run", "off", "", 0, "", "would end groatd (pid 4711)\n"},
		"stop, another's loss":     {"stop", "off", `"it keeps x"`, report.ExitTemporary, "", "hint: groat stop --force\n"},
		"restart, another runs":    {"restart --dry-run", "off", "", 0, "", "would start groatd\n"},
		"restart, another's loss":  {"restart", "off", `"it keeps x"`, report.ExitTemporary, "", "groat restart --force\n"},
		"restart, dry, and a loss": {"restart --dry-run", "off", `"it keeps x"`, report.ExitTemporary, "", "--force\n"},
		"stop, dry":                {"stop --dry-run", "active", "", 0, "", "would run " + stopsService},
		"stop, a loss": {"service stop", "active", `"it keeps x"`, report.ExitTemporary, "",
			"would lose what is nowhere else: it keeps x\ngroat: hint: groat service stop --force\n"},
		"uninstall, a loss": {"service uninstall", "active", `"it keeps x"`, report.ExitTemporary, "",
			"would lose what is nowhere else: it keeps x\ngroat: hint: groat service uninstall --force\n"},
		"uninstall, dry": {"service uninstall --dry-run", "active", "", 0, "", "would run " + disablesService},
		"uninstall": {"service uninstall", "active", "", 0, disablesService + "systemctl --user daemon-reload\n",
			"groatd is no service any more"},
		"uninstall, a loss wanted": {"service uninstall --force", "active", `"it keeps x"`, 0,
			disablesService + "systemctl --user daemon-reload\n", "groatd is no service any more"},
		"stop, a sign-in ends": {"service stop", "active", handedOver, report.ExitTemporary, "",
			"would lose what is nowhere else: it keeps y\ngroat: hint: groat service stop --force\n"},
		"stop, another's sign-in ends": {"stop", "off", handedOver, report.ExitTemporary, "", "groat stop --force\n"},
		"restart, a sign-in ends":      {"restart", "active", handedOver, report.ExitTemporary, "", "groat restart --force\n"},
		"stop, a loss wanted":          {"stop --force", "active", `"it keeps x"`, 0, stopsService, "has ended"},
		"restart":                      {"restart", "active", "", 0, restartsService, "groatd v1.2.0 runs now (pid 4711);"},
		"restart, stopped":             {"service restart", "inactive", `"it keeps x"`, 0, restartsService, "runs now"},
		"restart, a loss": {"restart", "active", `"it keeps x"`, report.ExitTemporary, "",
			"hint: groat restart --force\n"},
		"status": {"service status", "active", "", 0, "",
			"groatd   active (running), pid 4711, since Sun 2026-11-29 20:00:00 UTC\n" +
				"release  v1.2.0\ngroatd v1.2.0 runs, groat is v1.3.0: groat restart\n"},
		"status, not running": {"service status", "inactive", "", 0, "", "groatd   inactive (dead)\n"},
		"status, JSON": {"service status --json", "active", "", 0, "",
			`"pid":4711,"since":"Sun 2026-11-29 20:00:00 UTC","release":"v1.2.0","older":true}`},
		"status, failed": {"service status", "failed", "", report.ExitUnavailable, "",
			"groat: error: groatd has failed\ngroat: hint: groat service logs\n"},
		"logs": {"service logs -f -n 7", "active", "", 0,
			"journalctl --no-pager --user-unit groatd.service -n 7 -f\n", "a line\n"},
		"all logs": {"logs -n 0", "inactive", "", 0,
			"journalctl --no-pager --user-unit groatd.service -n all\n", "a line\n"},
		"logs, nothing answers": {"logs", "failed", "", 0,
			"journalctl --no-pager --user-unit groatd.service -n 100\n", "a line\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pid := 4711
			if c.active == "inactive" || c.active == "off" {
				pid = 0
			}
			h := newServiceHome(t, systemd.Socket(), "loaded", c.active, pid)
			h.sockets = serviceDaemon(t, c.unsaved)
			got, ran := h.run(strings.Fields(c.args)...)
			if got.code != c.code || ran != c.ran || !strings.Contains(got.stdout+got.stderr, c.says) {
				t.Errorf("%+v\nran %q", got, ran)
			}
		})
	}
}

// Nothing is done to units of others, or where there are none. The hint is a command that works.
func TestServiceVerbsRefuse(t *testing.T) {
	const foreign = "[Service]\nExecStart=/bin/true\n"
	for name, c := range map[string]struct {
		text, load string
		none       bool // no user manager
		hints      map[string]string
	}{
		"none": {systemd.Socket(), "not-found", false, map[string]string{"start": "groat service install",
			"status": "groat service install", "stop": "groat stop", "restart": "groat restart", "logs": "groat logs"}},
		"a foreign unit": {foreign, "loaded", false, map[string]string{"stop": "systemctl --user stop groatd.service",
			"logs": "journalctl --user -u groatd.service"}},
		"a masked unit": {systemd.Socket(), "masked", false,
			map[string]string{"start": "systemctl --user unmask groatd.socket groatd.service"}},
		"no user manager": {systemd.Socket(), "loaded", true, map[string]string{"start": "groat status",
			"stop": "groat stop", "logs": "groat logs"}},
	} {
		for verb, hint := range c.hints {
			t.Run(name+", "+verb, func(t *testing.T) {
				h := newServiceHome(t, c.text, c.load, "active", 4711)
				if c.none {
					if err := os.WriteFile(filepath.Join(h.dir, "none"), nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				got, ran := h.run("service", verb)
				if got.code == 0 || ran != "" || got.stdout != "" ||
					!strings.HasSuffix(got.stderr, "groat: hint: "+hint+"\n") {
					t.Errorf("%+v\nran %q", got, ran)
				}
			})
		}
	}
	none := newServiceHome(t, systemd.Socket(), "loaded", "active", 4711)
	os.Remove(filepath.Join(none.bin, "systemctl"))
	for verb, hint := range map[string]string{"start": "groat status", "restart": "groat restart"} {
		if got, _ := none.run("service", verb); got.code != report.ExitUnavailable ||
			!strings.HasSuffix(got.stderr, "groat: hint: "+hint+"\n") {
			t.Errorf("%s without systemctl: %+v", verb, got)
		}
	}
	// A person's own unit is no service of groat's: nothing is done to it.
	h := newServiceHome(t, foreign, "loaded", "active", 4711)
	h.sockets = frame.Sockets{Own: filepath.Join(h.dir, "none"), Plain: filepath.Join(h.dir, "none")}
	if got, ran := h.run("stop"); got != (outcome{0, "No groatd runs.\n", ""}) || ran != "" {
		t.Errorf("%+v\nran %q", got, ran)
	}
}

func TestOlderRelease(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		older bool
	}{
		{"v1.2.0", "v1.3.0", true}, {"v1.3.0", "v1.2.9", false}, {"v1.2.0", "v1.2.0", false},
		{"v1.9.0", "v1.10.0", true}, {"v1.2.0", "v1.2.0-3-gabc123", true}, {"v1.2.0-10-gabc", "v1.2.0-9-gdef", false},
		{"v1.2.0-dirty", "v1.2.1", true}, {"1.2.0", "v2.0.0", true}, {"dev", "v1.3.0", false},
		{"v1.2.0", "abc1234", false}, {"v1.2.99999999999999999999", "v1.3.0", false}, {"", "", false},
		{"abc1234", "def5678", true}, {"abc1234", "abc1234-dirty", true}, {"abc1234", "abc1234", false},
		{"dev", "abc1234", false}, {"abc1234", "dev", false},
	} {
		if older(c.a, c.b) != c.older {
			t.Errorf("%s before %s: %v", c.a, c.b, !c.older)
		}
	}
}

// After an upgrade one line says that an older groatd runs, and how it is replaced.
func TestAnOlderGroatdIsNamed(t *testing.T) {
	sockets := serviceDaemon(t, "")
	for of, want := range map[string]string{"v1.3.0": "groatd v1.2.0 runs, groat is v1.3.0: groat restart\n",
		"v1.2.0": "", "dev": ""} {
		release = of
		c, err := protocol.Dial(t.Context(), sockets.Own)
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		(&app{stderr: &errs}).tellOlder(t.Context(), c)
		c.Close()
		if errs.String() != want {
			t.Errorf("groat %s: %q", of, errs.String())
		}
	}
}

// A dry run shows what would be written, and refuses what the command would refuse.
func TestServiceInstallDryRunRefuses(t *testing.T) {
	h := newServiceHome(t, systemd.Written, "loaded", "inactive", 0)
	parts.WriteProgram(t, filepath.Join(h.bin, "groatd"), "#!/bin/sh\n")
	if err := os.WriteFile(filepath.Join(h.dir, "none"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	real, _ := h.run("service", "install")
	dry, ran := h.run("service", "install", "--dry-run")
	if real.code != report.ExitUnavailable || dry.code != real.code || dry.stderr != real.stderr || ran != "" {
		t.Errorf("%+v, want %+v; ran %s", dry, real, ran)
	}
	for _, want := range []string{"\nExecStart=" + h.bin + "/groatd\n", "\nListenStream=",
		"would run systemctl --user enable --now groatd.socket\n"} {
		if !strings.Contains(dry.stdout, want) || real.stdout != "" {
			t.Errorf("without %q: %s\n%s", want, dry.stdout, real.stdout)
		}
	}
}

// Of a unit that a package has brought it is said that groat's own stands in its place.
func TestServiceInstallNamesThePackagesUnit(t *testing.T) {
	h := newServiceHome(t, systemd.Written, "loaded", "inactive", 0)
	for _, packaged := range []bool{false, true} {
		path := filepath.Join(h.dir, ".local", "share", "systemd", "user", systemd.ServiceName)
		if packaged {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("[Service]\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		parts.WriteProgram(t, filepath.Join(h.bin, "groatd"), "#!/bin/sh\n")
		got, ran := h.run("service", "install", "--dry-run")
		if got.code != 0 || ran != "" || strings.Contains(got.stderr, "in the place of "+path) != packaged {
			t.Errorf("packaged %t: %+v", packaged, got)
		}
	}
}
