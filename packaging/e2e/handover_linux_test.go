package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// successor has systemd's own activator take the path of the socket, as a socket unit does.
func (r *userEnv) successor() *process {
	r.t.Helper()
	return r.activate()
}

// A groatd that a client has started hands over to the service manager's: the same token is served, no server is asked for
// another, one process is left.
func TestM1TheServiceManagersTakesOver(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	first := r.start()
	server := r.signIn("work")
	tokens := map[string]string{"": r.groat("", "get", "work")}
	for _, scope := range []string{"read", "read write"} {
		tokens[scope] = r.groat("", "get", "work", "--scope", scope)
	}
	asked := server.Count(sandbox.SpatiafiTokenPath)
	second := r.successor()
	for scope, want := range tokens {
		args := []string{"get", "work"}
		if scope != "" {
			args = append(args, "--scope", scope)
		}
		if got := r.groat("", args...); got != want {
			t.Errorf("scope %q: another token", scope)
		}
	}
	if n := server.Count(sandbox.SpatiafiTokenPath); n != asked {
		t.Errorf("%d token requests after the hand-over", n-asked)
	}
	if state, err := first.wait(); err != nil || !state.Success() {
		t.Errorf("the first groatd: %v, %v", state, err)
	}
	r.daemon = nil // the successor is its activator's
	if pid := serving(r.socket()); pid != second.pid() {
		t.Errorf("process %d serves, want %d", pid, second.pid())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(r.socket()), "handover*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	lock, err := os.ReadFile(filepath.Join(r.home, ".local", "state", "groat", "lock"))
	if err != nil || strings.Contains(string(lock), "handover") {
		t.Errorf("%s, %v", lock, err)
	}
}
