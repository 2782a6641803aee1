package autostart

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/unit"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// A unit of systemd serves the usual place: it is no way to another one, or to a socket somewhere else.
func TestUnitServes(t *testing.T) {
	dir := t.TempDir()
	units := filepath.Join(dir, ".config", "systemd", "user")
	if err := os.MkdirAll(units, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(units, "groatd.socket"), []byte("[Socket]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, ok := ownpath.LocalUser(os.Geteuid())
	if !ok {
		t.Fatal("this user is not in /etc/passwd")
	}
	getenv := func(name string) string { return map[string]string{"HOME": dir}[name] }
	of := func(place frame.Place) *frame.Route {
		return &frame.Route{Place: &place, Sockets: frame.Sockets{Dir: dir, Own: dir + "/own", Plain: dir + "/plain"}}
	}
	route := of(frame.UsualPlace(u.Home))
	if !unitServes(route, getenv) {
		t.Error("the usual place is not the unit's")
	}
	if unitServes(of(frame.UsualPlace(dir)), getenv) {
		t.Error("another home is the unit's")
	}
	route.Sockets.Explicit = dir + "/s"
	if unitServes(route, getenv) {
		t.Error("another socket is the unit's")
	}
	getenv = func(name string) string { return map[string]string{"XDG_CONFIG_HOME": dir + "/.config"}[name] }
	if !unit.Installed(getenv) {
		t.Error("XDG_CONFIG_HOME is not looked at")
	}
}

// What the shell of the first caller gives to the groatd that serves every later one: this and nothing else.
func TestH8DaemonEnv(t *testing.T) {
	taken := []string{
		"HOME=/h", "XDG_CONFIG_HOME=/c", "XDG_STATE_HOME=/s", "GROAT_CONFIG=/g", "GROAT_STATE_DIR=/d",
		"XDG_RUNTIME_DIR=/r", "TMPDIR=/t", "GROAT_SOCKET=/s", "XDG_CACHE_HOME=/k",
		"DBUS_SESSION_BUS_ADDRESS=b", "GROAT_KEYSTORE=memory",
		"HTTPS_PROXY=p", "NO_PROXY=n", "https_proxy=p", "no_proxy=n",
		"LANG=C", "TZ=UTC", "LC_ALL=C", "LC_MESSAGES=C",
	}
	left := []string{
		"SSL_CERT_FILE=f", "SSL_CERT_DIR=d", "NIX_SSL_CERT_FILE=f", "HTTP_PROXY=p", "http_proxy=p", "ALL_PROXY=p",
		"all_proxy=p",
		"PATH=/evil", "USER=u", "LOGNAME=l", "SHELL=s", "PWD=/", "XDG_DATA_HOME=/x", "XDG_CONFIG_DIRS=/x",
		"XDG_SESSION_ID=1",
		"GODEBUG=x", "GOTRACEBACK=crash", "GOMAXPROCS=1", "SSLKEYLOGFILE=k", "LD_PRELOAD=l", "LD_LIBRARY_PATH=l",
		"DYLD_INSERT_LIBRARIES=l",
		"AWS_SECRET_ACCESS_KEY=s", "GROAT_PROFILE=p", "GROAT_NO_AUTOSTART=", "GROAT_PASSPHRASE=p",
		"LISTEN_FDS=1", "LISTEN_PID=1", "NOTIFY_SOCKET=n", "WATCHDOG_USEC=1", "CREDENTIALS_DIRECTORY=c",
		"JOURNAL_STREAM=j",
		"HOMER=x", "home=/h", "LC=x", "odd", "=",
	}
	if got := daemonEnv(slices.Concat(left, taken, left)); !slices.Equal(got, taken) {
		t.Errorf("got %v", got)
	}
	// A new variable is a decision, made beside the list and here.
	if len(daemonVars) != len(taken)-2 {
		t.Errorf("the list has %d names, this test %d", len(daemonVars), len(taken)-2)
	}
}
