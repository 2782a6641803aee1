package autostart

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol/frame"
)

// TestMain is the tests, or a stand-in for groatd if it is called as that.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == daemonName {
		groatd()
	}
	os.Exit(m.Run())
}

// groatd behaves as the file "mode" in its state directory says: the code of its exit, "deaf", or else it listens. Each
// start is a line of the file "starts".
func groatd() {
	state := os.Getenv("GROAT_STATE_DIR")
	f, err := os.OpenFile(filepath.Join(state, "starts"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		os.Exit(1)
	}
	fmt.Fprintln(f, os.Getpid())
	f.Close()
	mode, _ := os.ReadFile(filepath.Join(state, "mode"))
	if code := 0; len(mode) > 0 {
		if _, err := fmt.Sscan(string(mode), &code); err == nil {
			os.Exit(code)
		}
	}
	time.AfterFunc(2*time.Minute, func() { os.Exit(0) }) // in case the test that ends it is killed
	if string(mode) == "deaf" {
		select {}
	}
	r, err := frame.FindRoute(os.Getenv)
	if err != nil {
		os.Exit(1)
	}
	os.MkdirAll(filepath.Dir(r.OwnSocket()), 0o700)
	l, err := net.Listen("unix", r.OwnSocket())
	if err != nil {
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			for lines := bufio.NewScanner(c); lines.Scan(); {
				var q struct{ ID json.RawMessage }
				json.Unmarshal(lines.Bytes(), &q)
				fmt.Fprintf(c, `{"id":%s,"result":{"access_token":"t"}}`+"\n", q.ID)
			}
		}()
	}
}

// home is a place, with a groatd on its PATH.
type home struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newHome(t *testing.T, mode string) *home {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "gr") // a path that leaves room for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t: t, dir: dir, env: map[string]string{
		"HOME": dir, "XDG_RUNTIME_DIR": dir, "GROAT_STATE_DIR": dir, "PATH": filepath.Join(dir, "bin"),
	}}
	err = errors.Join(os.Mkdir(h.env["PATH"], 0o700), os.Symlink(self, filepath.Join(h.env["PATH"], daemonName)),
		os.WriteFile(filepath.Join(dir, "mode"), []byte(mode), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	// Spawn gives groatd the variables of this process.
	for _, name := range append([]string{"XDG_CONFIG_HOME", "GROAT_CONFIG", "GROAT_SOCKET"}, daemonVars[:8]...) {
		t.Setenv(name, h.env[name])
	}
	t.Cleanup(func() {
		for _, pid := range h.started() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		os.RemoveAll(dir)
	})
	return h
}

func (h *home) getenv(name string) string { return h.env[name] }

func (h *home) route() *frame.Route {
	h.t.Helper()
	r, err := frame.FindRoute(h.getenv)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// quick is a start's time for tests in which it passes.
const quick = 3 * time.Second

// start is Start with less time, and returns the reason if it fails.
func (h *home) start(ctx context.Context) (*frame.Conn, Reason) {
	h.t.Helper()
	s := &starter{route: h.route(), getenv: h.getenv, deadline: time.Now().Add(time.Minute), limit: quick}
	c, err := s.start(ctx)
	if err == nil {
		return c, 0
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Error() == "" {
		h.t.Errorf("%v", err)
		return nil, -1
	}
	return nil, e.Reason
}

// started returns the ids of the processes that were started.
func (h *home) started() (pids []int) {
	text, _ := os.ReadFile(filepath.Join(h.dir, "starts"))
	for line := range strings.Lines(string(text)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// A hundred callers that come at one moment start one groatd, and each of them is answered by it.
func TestAHundredCallersStartOne(t *testing.T) {
	h := newHome(t, "")
	var all sync.WaitGroup
	gate := make(chan struct{})
	for range 100 {
		route := h.route()
		all.Go(func() {
			<-gate
			c, err := Start(t.Context(), route, h.getenv, time.Now().Add(time.Minute))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if token, err := c.Token(frame.TokenParams{}); err != nil || token.AccessToken != "t" {
				t.Errorf("%+v, %v", token, err)
			}
		})
	}
	close(gate)
	all.Wait()
	if n := len(h.started()); n != 1 {
		t.Errorf("%d were started", n)
	}
}

func TestWhatIsNotStarted(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(h *home)
		want    Reason
	}{
		"forbidden":            {func(h *home) { h.env["GROAT_NO_AUTOSTART"] = "1" }, Forbidden},
		"no program":           {func(h *home) { h.env["PATH"] = "relative::/nonexistent" }, NoProgram},
		"an open directory":    {func(h *home) { os.Mkdir(filepath.Join(h.dir, "groat"), 0o755) }, BadDirectory},
		"a lock that is a dir": {func(h *home) { h.mkdirs("groat/" + h.lock()) }, BadDirectory},
		"a lock that is a pipe": {func(h *home) {
			h.mkdirs("groat")
			unix.Mkfifo(filepath.Join(h.dir, "groat", h.lock()), 0o600)
		}, BadDirectory},
		"not a program": {func(h *home) {
			os.Remove(filepath.Join(h.env["PATH"], daemonName))
			os.WriteFile(filepath.Join(h.env["PATH"], daemonName), []byte("\x7fELF"), 0o700)
		}, NotSpawned},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, "")
			test.prepare(h)
			if _, got := h.start(t.Context()); got != test.want || len(h.started()) > 0 {
				t.Errorf("reason %d, want %d; %d were started", got, test.want, len(h.started()))
			}
		})
	}
}

func (h *home) mkdirs(path string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Join(h.dir, path), 0o700); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) lock() string {
	_, name := lockName(h.route())
	return name
}

// A home of another user is not a place to start a groatd in.
func TestAnothersHome(t *testing.T) {
	tier.NeedsRoot(t)
	h := newHome(t, "")
	home := filepath.Join(h.dir, "home")
	if err := errors.Join(os.Mkdir(home, 0o755), os.Chown(home, 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	h.env["HOME"] = home
	if _, got := h.start(t.Context()); got != ForeignHome || len(h.started()) > 0 {
		t.Errorf("reason %d", got)
	}
}

// What becomes of the groatd that was started decides what is said.
func TestHowItEnds(t *testing.T) {
	for mode, want := range map[string]Reason{"1": Ended, "78": Refused, "73": LockHeld, "deaf": NotReady} {
		t.Run(mode, func(t *testing.T) {
			h := newHome(t, mode)
			begun := time.Now()
			if _, got := h.start(t.Context()); got != want || len(h.started()) != 1 {
				t.Errorf("reason %d, want %d; %d were started", got, want, len(h.started()))
			}
			if took := time.Since(begun); (took >= quick) != (mode == "deaf") {
				t.Errorf("it took %v", took)
			}
		})
	}
	h := newHome(t, "deaf")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, got := h.start(ctx); got != NotReady {
		t.Errorf("reason %d after the end of the context", got)
	}
}

// A process that holds the start's lock and starts nothing is waited for, as long as a start takes.
func TestTheLockIsHeld(t *testing.T) {
	h := newHome(t, "")
	lock, err := openLock(lockName(h.route()))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if mine, err := tryLock(lock); !mine || err != nil {
		t.Fatal(mine, err)
	}
	if _, got := h.start(t.Context()); got != NotReady || len(h.started()) > 0 {
		t.Errorf("reason %d", got)
	}
}

// The record in the lock of the state directory says why the groatd that was started has ended, or where another one
// listens.
func TestAnotherOneIsAtWork(t *testing.T) {
	host, boot := frame.ThisHost()
	for name, test := range map[string]struct {
		change func(h *home, r *frame.Holder)
		want   Reason
	}{
		"another host":      {func(_ *home, r *frame.Holder) { r.Host = "node17" }, HeldByHost},
		"another place":     {func(_ *home, r *frame.Holder) { r.Place.Home = "/" }, HeldByPlace},
		"it is unreachable": {func(*home, *frame.Holder) {}, HeldUnreachable},
		"it has ended":      {func(_ *home, r *frame.Holder) { r.PID = 1 << 30 }, HeldOutOfReach},
		"another socket": {func(h *home, _ *frame.Holder) { h.env["GROAT_SOCKET"] = filepath.Join(h.dir, "named") },
			HeldElsewhere},
		"it does not listen": {func(_ *home, r *frame.Holder) { r.Socket = "" }, HeldSilent},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, "73")
			record := frame.Holder{PID: 1, Host: host, Boot: boot, Place: *h.route().Place,
				Socket: filepath.Join(h.dir, "none")}
			test.change(h, &record)
			if socket := h.env["GROAT_SOCKET"]; socket != "" {
				t.Setenv("GROAT_SOCKET", socket)
			}
			text, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(h.dir, frame.LockFile), text, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, got := h.start(t.Context()); got != test.want {
				t.Errorf("reason %d, want %d", got, test.want)
			}
			if n, most := len(h.started()), 1+maxRestarts; n == 0 || n > most {
				t.Errorf("%d were started", n)
			}
		})
	}
}

// The lock's holder is named if the system knows it.
func TestFlockHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if pid := flockHolder(path); pid != 0 {
		t.Errorf("nobody holds it, and %d is named", pid)
	}
	if mine, err := tryLock(f); !mine || err != nil {
		t.Fatal(mine, err)
	}
	if pid := flockHolder(path); pid != os.Getpid() {
		t.Errorf("%d is named, not %d", pid, os.Getpid())
	}
	if pid := flockHolder(path + "x"); pid != 0 {
		t.Errorf("%d holds a file that is not there", pid)
	}
}

// The lock goes from one caller to the next, and a caller that has left its file does not keep it.
func TestTheLockWakesTheNext(t *testing.T) {
	h := newHome(t, "")
	open := func() *os.File {
		lock, err := openLock(lockName(h.route()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { lock.Close() })
		return lock
	}
	first, left, next := open(), open(), open()
	if mine, err := tryLock(first); !mine || err != nil {
		t.Fatal(mine, err)
	}
	hasLeft, err1 := waitForLock(left)
	hasStayed, err2 := waitForLock(next)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	left.Close()
	if mine, err := tryLock(open()); mine || err != nil {
		t.Fatal("the lock is had twice:", err)
	}
	first.Close()
	if err := <-hasStayed; err != nil { // whichever of the two was first
		t.Fatal(err)
	}
	if mine, err := tryLock(open()); mine || err != nil {
		t.Fatal("the one that waited has not got it:", err)
	}
	next.Close()
	if err := <-hasLeft; err != nil {
		t.Fatal(err)
	}
}
