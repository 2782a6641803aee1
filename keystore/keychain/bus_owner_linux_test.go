package keychain_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// stranger is a uid that owns nothing on the machine.
const stranger = 4242

// openDir is a directory that the stranger can use too.
func openDir(t *testing.T) string {
	t.Helper()
	tier.NeedsRoot(t)
	dir, err := os.MkdirTemp("", "groat-bus-") // t.TempDir's parents are closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// last is the last thing that is sent to a bus.
const last = "the end of the test"

// foreignBus listens as the stranger and returns all that was sent to it, once no more is sent.
func foreignBus(t *testing.T, name string) (received func() string) {
	t.Helper()
	type result struct {
		l   *net.UnixListener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: this thread has another user and ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), stranger, ^uintptr(0)); errno != 0 {
			done <- result{err: errno}
			return
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		done <- result{l, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	heard := make(chan string, 64)
	go func() {
		defer close(heard)
		for {
			c, err := r.l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			b, _ := io.ReadAll(c) // until the caller has hung up
			c.Close()
			if string(b) == last {
				return
			}
			heard <- string(b)
		}
	}()
	t.Cleanup(func() { r.l.Close() })
	return func() string {
		end, err := net.Dial("unix", name) // behind all that have connected
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(end, last)
		end.Close()
		var all strings.Builder
		connections := 0
		for b := range heard {
			all.WriteString(b)
			connections++
		}
		if connections == 0 {
			t.Error("nobody has connected: the test proves nothing")
		}
		return all.String()
	}
}

// everyCall makes every call there is and returns their errors.
func everyCall(t *testing.T) map[string]error {
	t.Helper()
	var s keychain.Store
	_, get := s.Get(t.Context(), "work")
	key, create := s.Key(t.Context(), true)
	key.Wipe()
	return map[string]error{
		"get": get, "set": s.Set(t.Context(), "work", item("work")), "delete": s.Delete(t.Context(), "work"),
		"probe": s.Probe(t.Context()), "ready": s.Ready(t.Context()), "unlock": s.Unlock(t.Context()), "key": create,
	}
}

// wantForeign wants every call refused, with the address and its owner.
func wantForeign(t *testing.T, address string) {
	t.Helper()
	for name, err := range everyCall(t) {
		if !errors.Is(err, keystore.ErrForeignBus) || !errors.Is(err, keystore.ErrUnavailable) ||
			!strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "uid 4242") {
			t.Errorf("%s: %v, want ErrForeignBus with %s and uid 4242", name, err, address)
		}
	}
}

// setBusAddress makes the next call dial an address.
func setBusAddress(t *testing.T, address string) {
	t.Helper()
	keychain.HangUp(t.Context())
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
}

func TestH50ABusOfAnotherUserIsSentNothing(t *testing.T) {
	dir := openDir(t)
	abstract := fmt.Sprintf("groat-test-%d", os.Getpid())
	for name, c := range map[string]struct{ socket, address string }{
		"path":     {filepath.Join(dir, "bus"), "unix:path=" + filepath.Join(dir, "bus")},
		"abstract": {"@" + abstract, "unix:abstract=" + abstract},
		"guid": {filepath.Join(dir, "guid"),
			"unix:guid=0123456789abcdef0123456789abcdef,path=" + filepath.Join(dir, "guid")},
		"escaped": {filepath.Join(dir, "e e"), "unix:path=" + filepath.Join(dir, "e%20e")},
	} {
		t.Run(name, func(t *testing.T) {
			received := foreignBus(t, c.socket)
			setBusAddress(t, c.address)
			wantForeign(t, c.address)
			if got := received(); got != "" {
				t.Errorf("it was sent %q", got)
			}
		})
	}
}

// Whichever address of a list is foreign, no other one is tried instead.
func TestH51AListOfBusesWithAForeignOne(t *testing.T) {
	dir, own := openDir(t), startService(t)
	foreign := "unix:path=" + filepath.Join(dir, "bus")
	received := foreignBus(t, filepath.Join(dir, "bus"))
	for _, list := range []string{foreign + ";" + own.Address, "unix:path=/nonexistent/bus;" + foreign} {
		setBusAddress(t, list)
		wantForeign(t, foreign)
	}
	if got := received(); got != "" {
		t.Errorf("it was sent %q", got)
	}
	setBusAddress(t, "unix:path=/nonexistent/bus;"+own.Address+";")
	for name, err := range everyCall(t) {
		if err != nil && !(name == "get" && errors.Is(err, keystore.ErrNotFound)) { // it comes before set
			t.Errorf("%s on the bus that is ours: %v", name, err)
		}
	}
}

// The connection that is used is the one that was checked: a bus that is replaced in between is a new connection.
func TestH52ABusThatBecomesForeign(t *testing.T) {
	dir := openDir(t)
	own := startService(t)
	socket := filepath.Join(dir, "bus")
	link := func() error { return os.Symlink(strings.TrimPrefix(own.Address, "unix:path="), socket) }
	if err := link(); err != nil {
		t.Fatal(err)
	}
	setBusAddress(t, "unix:path="+socket)
	var s keychain.Store
	if err := s.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	received := foreignBus(t, socket)
	// The connection that there is goes on.
	if got, err := s.Get(t.Context(), "work"); err != nil || !got.Equal(item("work")) {
		t.Errorf("on the old connection: %v", err)
	}
	own.KillBus(t)
	wantForeignSoon(t, "unix:path="+socket)
	if got := received(); got != "" {
		t.Errorf("it was sent %q", got)
	}
}

// wantForeignSoon makes calls until the end of the old connection is noticed.
func wantForeignSoon(t *testing.T, address string) {
	t.Helper()
	var s keychain.Store
	for range 100 {
		if errors.Is(s.Ready(t.Context()), keystore.ErrForeignBus) {
			break
		}
	}
	wantForeign(t, address)
}

// A real bus of another user that would let us in.
func TestH53ARealBusOfAnotherUser(t *testing.T) {
	tier.Needs(t, "dbus-daemon")
	dir := openDir(t)
	socket := filepath.Join(dir, "real")
	conf := filepath.Join(dir, "bus.conf")
	text := `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=` + socket + `</listen>
<auth>EXTERNAL</auth><auth>ANONYMOUS</auth><allow_anonymous/>
<policy context="default"><allow user="*"/><allow send_destination="*"/><allow receive_sender="*"/>
<allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+conf, "--nofork", "--nopidfile", "--nosyslog",
		"--print-address=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger},
		Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := out.Read(make([]byte, 256)); err != nil { // it says its address when it listens
		t.Fatal(err)
	}
	setBusAddress(t, "unix:path="+socket)
	wantForeign(t, "unix:path="+socket)
}

// Secrets cross a bus in clear: only a Unix socket will do, and no address starts a program.
func TestH54AddressesThatAreNoSocket(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "started")
	program := filepath.Join(t.TempDir(), "program")
	parts.WriteProgram(t, program, "#!/bin/sh\necho started >"+mark+"\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for _, address := range []string{
		fmt.Sprintf("tcp:host=127.0.0.1,port=%d", port),
		fmt.Sprintf("nonce-tcp:host=127.0.0.1,port=%d,noncefile=%s", port, program),
		"unixexec:path=" + program, "launchd:env=DBUS_LAUNCHD_SESSION_BUS_SOCKET",
		"autolaunch:;unixexec:path=" + program,
		"unix:path=/nonexistent;autolaunch:", "unix:tmpdir=/tmp", "unix:runtime=yes", "unix:path=relative",
		"unix:path=",
		"unix:path=/a,abstract=b", "unix:path=/a,path=/b", "unix:path=%zz", ";", "unix", ":", "UNIX:path=/x",
	} {
		setBusAddress(t, address)
		for name, err := range everyCall(t) {
			if !errors.Is(err, keystore.ErrUnavailable) || !strings.Contains(err.Error(), "DBUS_SESSION_BUS_ADDRESS") {
				t.Errorf("%s with %s: %v", name, address, err)
			}
		}
	}
	if err := l.(*net.TCPListener).SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Accept(); err == nil {
		c.Close()
		t.Error("the network was asked")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program was started")
	}
}
