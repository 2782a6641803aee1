package parts

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// SecretService is a real one, gnome-keyring, on a session bus of its own, without a display.
type SecretService struct {
	// Address is for DBUS_SESSION_BUS_ADDRESS.
	Address string

	dir string
}

// StartSecretService starts one for as long as the test runs; its collection exists and is unlocked.
func StartSecretService(t testing.TB) *SecretService { t.Helper(); return startBus(t, "start") }

// StartBus starts a session bus without a Secret Service, as on a server.
func StartBus(t testing.TB) *SecretService { t.Helper(); return startBus(t, "start-bus") }

func startBus(t testing.TB, how string) *SecretService {
	t.Helper()
	dir := publicDir(t)
	s := &SecretService{Address: "unix:path=" + filepath.Join(dir, "bus.sock"), dir: dir}
	t.Cleanup(func() { s.do(t, "stop") })
	s.do(t, how, strconv.Itoa(os.Getpid())) // ends with us, whatever happens
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

func (s *SecretService) do(t testing.TB, what string, args ...string) {
	t.Helper()
	cmd := command(t, path("secret-service.sh"), append([]string{what, s.dir}, args...)...)
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
