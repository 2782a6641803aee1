package parts

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// The user of a [UserManager]: an ordinary one, who exists only inside it.
const (
	TesterUID  = 4242
	TesterHome = "/home/tester"
)

// treeVariable names a tree of Debian that is booted, in place of this machine's own user manager.
const treeVariable = "GROAT_SYSTEMD_TREE"

// UserManager is a real systemd user manager with its own journal and user bus, in namespaces of its own. The network
// is the machine's; /home and /run are empty at the start.
type UserManager struct {
	// Dir can be read from inside under the same path; put there what the manager's user needs.
	Dir string

	pid string
}

// StartUserManager starts one for as long as the test runs. It needs root.
func StartUserManager(t testing.TB) *UserManager {
	t.Helper()
	tier.Needs(t, "systemd", "root")
	if os.Getuid() != 0 {
		t.Fatal("a systemd user manager in namespaces of its own needs root: run make test as root")
	}
	m := &UserManager{Dir: publicDir(t)}
	m.pid = start(t, "the systemd user manager", exec.Command(path("systemd-user.sh"), m.Dir))
	return m
}

// Command returns a command that runs inside as the manager's user, with a login's environment and none of ours.
func (m *UserManager) Command(t testing.TB, args ...string) *exec.Cmd {
	return command(t, path("systemd-user.sh"), append([]string{"enter", m.pid}, args...)...)
}

// RootCommand returns a command that runs inside as root.
func (m *UserManager) RootCommand(t testing.TB, args ...string) *exec.Cmd {
	return command(t, path("systemd-user.sh"), append([]string{"enter-root", m.pid}, args...)...)
}

// Run runs a command inside as the manager's user, which must succeed, and returns what it printed.
func (m *UserManager) Run(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, m.Command(t, args...))
}

// Booted reports whether a whole system is booted around the manager, whose PID 1 is systemd.
func (m *UserManager) Booted() bool { return os.Getenv(treeVariable) != "" }

// StartAgain ends the manager and everything that its user runs, and returns once it has started anew: it reboots the
// system where there is one, and else does what a reboot would do to the user.
func (m *UserManager) StartAgain(t testing.TB) {
	t.Helper()
	run(t, command(t, path("systemd-user.sh"), "again", m.pid))
}

// Install puts the file at path into the user's unit directory under name (which may have a directory in it).
func (m *UserManager) Install(t testing.TB, path, name string) {
	t.Helper()
	m.Run(t, "install", "-D", "-m", "644", path, fmt.Sprintf("%s/.config/systemd/user/%s", TesterHome, name))
}

// Journal returns what the user's units wrote, and what the manager wrote about them.
func (m *UserManager) Journal(t testing.TB) string {
	t.Helper()
	return run(t, m.RootCommand(t, "journalctl", "--quiet", "--output=cat", fmt.Sprintf("_UID=%d", TesterUID)))
}
