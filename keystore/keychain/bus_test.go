//go:build linux

package keychain_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// withoutBus is an environment in which the D-Bus library would run dbus-launch; the file mark appears if it is run.
func withoutBus(t *testing.T) (env []string, mark string) {
	t.Helper()
	dir := t.TempDir()
	mark = filepath.Join(dir, "launched")
	for _, name := range []string{"dbus-launch", "dbus-daemon", "gnome-keyring-daemon"} {
		parts.WriteProgram(t, filepath.Join(dir, name), "#!/bin/sh\necho $0 >>"+mark+"\n")
	}
	if _, err := os.Stat("/run/user/0/bus"); err == nil && os.Geteuid() == 0 {
		t.Fatal("this machine has a bus at /run/user/0/bus, which the tests without a bus would find")
	}
	return []string{"PATH=" + dir, "XDG_RUNTIME_DIR=" + dir, "DISPLAY=:97"}, mark
}

func TestNoBus(t *testing.T) {
	for name, address := range map[string]string{
		"unset": "", "autolaunch": "DBUS_SESSION_BUS_ADDRESS=autolaunch:", "empty": "DBUS_SESSION_BUS_ADDRESS=",
		"scoped":   "DBUS_SESSION_BUS_ADDRESS=autolaunch:scope=*user",
		"gone":     "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/bus",
		"network":  "DBUS_SESSION_BUS_ADDRESS=tcp:host=127.0.0.1,port=1",
		"list":     "DBUS_SESSION_BUS_ADDRESS=unix:path=/x;tcp:host=localhost,port=1",
		"nonsense": "DBUS_SESSION_BUS_ADDRESS=nonsense",
	} {
		env, mark := withoutBus(t)
		if address != "" {
			env = append(env, address)
		}
		for _, op := range []string{"get", "set", "probe", "ready", "unlock"} {
			if got := child(t, env, op); got != "unavailable" {
				t.Errorf("%s: %s without a bus: %s, want unavailable", name, op, got)
			}
		}
		if b, err := os.ReadFile(mark); err == nil {
			t.Errorf("%s: started %s", name, b)
		}
	}
}

// Something that is called bus but is none, or is another user's, is no reason to start one.
func TestRuntimeBusIsNoSocket(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"file":      func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"symlink":   func(p string) error { return os.Symlink("/nonexistent", p) },
	} {
		env, mark := withoutBus(t)
		if err := make(filepath.Join(filepath.Dir(mark), "bus")); err != nil {
			t.Fatal(err)
		}
		if got := child(t, env, "probe"); got != "unavailable" {
			t.Errorf("%s: %s", name, got)
		}
		if b, err := os.ReadFile(mark); err == nil {
			t.Errorf("%s: started %s", name, b)
		}
	}
}

// A bus that goes after its socket was found leaves an address in the environment, and so no way to dbus-launch.
func TestRuntimeBus(t *testing.T) {
	svc := startService(t)
	env, mark := withoutBus(t)
	link := filepath.Join(filepath.Dir(mark), "bus")
	svc.Link(t, link)
	if got := child(t, env, "probe"); got != "ok" {
		t.Errorf("with only $XDG_RUNTIME_DIR/bus: %s", got)
	}
	if got := child(t, env, "address"); !strings.HasPrefix(got, "unix:path="+link) || !strings.HasSuffix(got, "ok") {
		t.Errorf("the library is told the address %q", got)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: link, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if got := child(t, env, "address"); !strings.HasSuffix(got, "unavailable") {
		t.Errorf("a bus that refuses connections: %q", got)
	}
	if b, err := os.ReadFile(mark); err == nil {
		t.Errorf("started %s", b)
	}
}

func TestBusWithoutKeyring(t *testing.T) {
	tier.Needs(t, "dbus-daemon")
	svc := parts.StartBus(t)
	for _, op := range []string{"get", "set", "probe", "unlock"} {
		if got := child(t, env(svc), op); got != "unavailable" {
			t.Errorf("%s on a bus without a keyring: %s", op, got)
		}
	}
}
