package e2e_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/attack"
)

// A groatd that groat starts logs to a private file, which "groat logs" shows and follows; it is ended with what it has
// sent finished, and the next command starts another one. What only its memory has is lost by --force alone.
func TestTheGroatdThatGroatStarts(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	r.vars = []string{"GROAT_NO_AUTOSTART="}
	if got := r.groat("", "stop"); got != "No groatd runs.\n" {
		t.Errorf("before: %q", got)
	}
	server := r.signIn("work")
	token, first := r.groat("", "get", "work"), serving(r.socket())
	info, err := os.Lstat(filepath.Join(r.state(), "groatd.log"))
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	follow := r.command(t.Context(), "", "groat", "logs", "--follow")
	lines, err := follow.StdoutPipe()
	if err == nil {
		err = follow.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		follow.Process.Kill()
		follow.Wait()
	}()
	shown := bufio.NewScanner(lines)
	await := func(text string) {
		t.Helper()
		for shown.Scan() {
			if strings.Contains(shown.Text(), text) {
				return
			}
		}
		t.Errorf("the log ends without %q", text)
	}
	await("ready")

	// A restart changes nothing for who asks, before and meanwhile, and no server is asked.
	asked := server.Count(sandbox.SpatiafiTokenPath)
	r.vars = []string{"GROAT_NO_AUTOSTART=1"}
	files := attack.WatchOpenFiles(strings.TrimSpace(token), "groatd", "groat-commands")
	until, callers := make(chan struct{}), sync.WaitGroup{}
	for range 2 {
		callers.Go(func() {
			for done := false; !done; {
				select {
				case <-until:
					done = true
				default:
				}
				if got := r.run("", "groat", "get", "work"); got.stdout != token {
					t.Errorf("meanwhile: %+v", got)
				}
			}
		})
	}
	for range 3 {
		if got := r.groat("", "restart"); !strings.HasSuffix(got, " with the access tokens of the one before.\n") {
			t.Errorf("%q", got)
		}
		await("ready")
		if pid := serving(r.socket()); pid == first || pid == 0 {
			t.Errorf("process %d serves, as before", pid)
		} else {
			first = pid
		}
	}
	close(until)
	callers.Wait()
	if found, looked := files.Stop(); len(found) > 0 || looked == 0 {
		t.Errorf("of %d open files these have the token: %v", looked, found)
	}
	waits := r.underWay(server, sandbox.Fault{Delay: time.Second})
	asked++
	r.groat("", "restart")
	await("ready")
	if err := waits.Wait(); err != nil {
		t.Errorf("the request that was under way: %v", err)
	}
	first = serving(r.socket())
	r.vars = []string{"GROAT_NO_AUTOSTART="}
	if n := server.Count(sandbox.SpatiafiTokenPath); n != asked {
		t.Errorf("%d token requests", n-asked)
	}

	r.groat(r.password+"\n", "login", "brief", "--provider", "spatiafi", "--username", person, "--auth-server",
		server.URL(), "--secret-stdin", "--ephemeral")
	r.refused(r.run("", "groat", "stop"), 75, "it keeps profiles in memory only: brief", "groat stop --force")
	if pid := serving(r.socket()); pid != first {
		t.Errorf("process %d serves, want %d", pid, first)
	}
	r.groat("", "logout", "brief", "--yes")
	if got := r.groat("", "stop"); !strings.HasSuffix(got, " has ended.\n") {
		t.Errorf("%q", got)
	}
	if pid := serving(r.socket()); pid != 0 {
		t.Errorf("process %d serves", pid)
	}
	asked = server.Count(sandbox.SpatiafiTokenPath)
	if got := r.groat("", "get", "work"); got == token || server.Count(sandbox.SpatiafiTokenPath) != asked+1 {
		t.Error("the next groatd has the token of the one that was stopped")
	}
	await("ready")
	r.groat("", "stop")
	await("ended")
}
