package parts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// SecretService is a real one, gnome-keyring, on a session bus of its own, without a display.
type SecretService struct {
	// Address is for DBUS_SESSION_BUS_ADDRESS.
	Address string

	dir string
	env []string
}

// StartSecretService starts one for as long as the test runs; its collection exists and is unlocked. PROMPTER=program
// in env is the program that asks a person for the password, in place of none; with BLANK=1 the collection has no
// password, and is locked until a program unlocks it.
func StartSecretService(t testing.TB, env ...string) *SecretService {
	t.Helper()
	return startBus(t, "start", env...)
}

// Link makes path another name of the bus's socket.
func (s *SecretService) Link(t testing.TB, path string) {
	t.Helper()
	if err := os.Link(filepath.Join(s.dir, "bus.sock"), path); err != nil {
		t.Fatal(err)
	}
}

// StartSecretServiceOnDisk starts one whose files are on a file system of their own, of 64 KiB, for Fill and ReadOnly.
// It needs root.
func StartSecretServiceOnDisk(t testing.TB) *SecretService {
	t.Helper()
	return startBus(t, "start", "DISK=64k")
}

// StartBus starts a session bus without a Secret Service, as on a server.
func StartBus(t testing.TB) *SecretService { t.Helper(); return startBus(t, "start-bus") }

func startBus(t testing.TB, how string, env ...string) *SecretService {
	t.Helper()
	tier.Needs(t, "dbus-daemon", "gnome-keyring")
	dir := publicDir(t)
	s := &SecretService{Address: "unix:path=" + filepath.Join(dir, "bus.sock"), dir: dir, env: env}
	t.Cleanup(func() { s.do(t, "stop") })
	s.script(t, env, how, strconv.Itoa(os.Getpid())) // ends with us, whatever happens
	return s
}

// Lock locks the collection: reading and writing now takes a person.
func (s *SecretService) Lock(t testing.TB) { t.Helper(); s.do(t, "lock") }

// Unlock unlocks it as a login does, without a prompt.
func (s *SecretService) Unlock(t testing.TB) { t.Helper(); s.do(t, "unlock") }

// Pause makes the service stop answering; Resume ends that.
func (s *SecretService) Pause(t testing.TB) { t.Helper(); s.do(t, "pause") }

// Resume is the end of Pause.
func (s *SecretService) Resume(t testing.TB) { t.Helper(); s.do(t, "resume") }

// Kill ends the service, not the bus, without a chance to say so.
func (s *SecretService) Kill(t testing.TB) { t.Helper(); s.do(t, "kill-keyring") }

// Restart starts it again after Kill, with what it had stored.
func (s *SecretService) Restart(t testing.TB) { t.Helper(); s.do(t, "start-keyring") }

// KillBus ends the bus, and the service with it.
func (s *SecretService) KillBus(t testing.TB) { t.Helper(); s.do(t, "kill-bus") }

// RestartBus starts both again after KillBus, at the same address, with what was stored.
func (s *SecretService) RestartBus(t testing.TB) { t.Helper(); s.do(t, "start-again") }

// Fill leaves no room on the service's disk; Free ends that.
func (s *SecretService) Fill(t testing.TB) { t.Helper(); s.do(t, "fill") }

// Free is the end of Fill.
func (s *SecretService) Free(t testing.TB) { t.Helper(); s.do(t, "free") }

// ReadOnly makes the service's disk read-only; ReadWrite ends that.
func (s *SecretService) ReadOnly(t testing.TB) { t.Helper(); s.do(t, "read-only") }

// ReadWrite is the end of ReadOnly.
func (s *SecretService) ReadWrite(t testing.TB) { t.Helper(); s.do(t, "read-write") }

// Files is the directory of the service's files. Their modes bind it even where root runs it.
func (s *SecretService) Files() string { return filepath.Join(s.dir, "data", "keyrings") }

// Tool runs libsecret's client on the service, and returns what it prints and whether it succeeded.
func (s *SecretService) Tool(t testing.TB, stdin string, args ...string) (string, bool) {
	t.Helper()
	cmd := command(t, "secret-tool", args...)
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+s.Address)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if _, ran := err.(*exec.ExitError); err != nil && !ran {
		t.Fatalf("secret-tool is missing: run %s (%v)", installer, err)
	}
	return string(out), err == nil
}

func (s *SecretService) do(t testing.TB, what string) { t.Helper(); s.script(t, s.env, what) }

func (s *SecretService) script(t testing.TB, env []string, what string, args ...string) {
	t.Helper()
	cmd := command(t, path("secret-service.sh"), append([]string{what, s.dir}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	// What it starts lives on, so its output goes to a file and not to a pipe that nobody would close.
	log, err := os.CreateTemp(s.dir, "log-")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("secret-service.sh %s: %v\n%s(if a part is missing, run %s)", what, err, text, installer)
	}
}
