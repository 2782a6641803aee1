package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// placeDaemon answers as a groatd of the place with home "/b": the process pid, whose status is the n-th with unsaved(n).
func placeDaemon(t *testing.T, pid int, unsaved func(n int32) string) *fakeDaemon {
	t.Helper()
	var asked atomic.Int32
	place := frame.Place{Home: "/b", Configuration: "/b/c", State: "/b/s"}
	return newFakeDaemon(t, func(r request) string {
		if r.Method != protocol.MethodStatus {
			return `"result":{"server":"groatd","release":"v1","protocol":1,"methods":[]}`
		}
		return fmt.Sprintf(`"result":{"release":"v1","pid":%d,"started_at":1790000000,"socket":"/s","unsaved":[%s],`+
			`"place":{"id":%q,"home":%q,"configuration":%q,"state":%q,"usual":true},"keystore":{"use":"sealed",`+
			`"state":"ok"},"profiles":[]}`, pid, unsaved(asked.Add(1)), place.ID(), place.Home, place.Configuration,
			place.State)
	})
}

func nothingUnsaved(int32) string { return "" }

// atSocket returns a groat in the place with a home whose GROAT_SOCKET names a socket.
func atSocket(t *testing.T, home, socket string) (a *app, r *frame.Route, out, errs *bytes.Buffer) {
	t.Helper()
	bin := t.TempDir()
	parts.WriteProgram(t, filepath.Join(bin, "groatd"), "#!/bin/sh\nexit 1\n")
	env := map[string]string{"PATH": bin, "HOME": home, "GROAT_SOCKET": socket, "GROAT_NO_AUTOSTART": "1"}
	r, err := frame.FindRoute(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	return &app{
		stdin: strings.NewReader(""), stdout: out, stderr: errs, path: "groat stop",
		getenv: func(name string) string { return env[name] },
		tty:    func() (*os.File, error) { return nil, os.ErrNotExist },
		route:  func() (*frame.Route, error) { return r, nil },
	}, r, out, errs
}

// A groatd of another place is not replaced by one of this place, nor is this place's log shown for it. It can be ended:
// it is the one that GROAT_SOCKET names.
func TestAnotherPlacesGroatdIsNotReplaced(t *testing.T) {
	const hint = "groat: hint: HOME=/b GROAT_CONFIG=/b/c GROAT_STATE_DIR=/b/s groat "
	f := placeDaemon(t, 4711, nothingUnsaved)
	for _, command := range []string{"restart", "restart --dry-run", "restart --force", "logs"} {
		a, _, out, errs := atSocket(t, t.TempDir(), f.socket)
		code := a.main("groat", strings.Fields(command))
		verb, _, _ := strings.Cut(command, " ")
		if code != report.ExitConfig || out.Len() > 0 || !strings.HasSuffix(errs.String(), hint+verb+"\n") ||
			!strings.Contains(errs.String(), "groatd (pid 4711) at "+f.socket+" is another place's (") {
			t.Errorf("%s: %d\n%s%s", command, code, out, errs)
		}
	}
	a, _, out, errs := atSocket(t, t.TempDir(), f.socket)
	if code := a.main("groat", []string{"stop", "--dry-run"}); code != 0 || out.String() != "would end groatd (pid 4711)\n" {
		t.Errorf("stop: %d\n%s%s", code, out, errs)
	}
}

// What a groatd has begun since it was first asked keeps it from being ended.
func TestASignInBeginsBeforeTheEnd(t *testing.T) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM) // which this process, that answers as groatd, must not get
	defer signal.Stop(told)
	f := placeDaemon(t, os.Getpid(), func(n int32) string {
		if n > 1 {
			return `"a sign-in is under way there"`
		}
		return ""
	})
	a, _, out, errs := atSocket(t, t.TempDir(), f.socket)
	if code := a.main("groat", []string{"stop"}); code != report.ExitTemporary || len(told) > 0 ||
		!strings.HasSuffix(errs.String(), "a sign-in is under way there\ngroat: hint: groat stop --force\n") {
		t.Errorf("%d, %d signals\n%s%s", code, len(told), out, errs)
	}
}

// A service that does not answer is stopped with --force, which the error says.
func TestAServiceThatHangs(t *testing.T) {
	f := newScriptedDaemon(t, func(_ request, _ func(string), hear func() request) { hear() })
	a, r, _, _ := atSocket(t, t.TempDir(), f.socket)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s := &service{route: r, active: "active", socket: "active", pid: 4711}
	for _, err := range []error{a.stopService(ctx, s, &stopFlags{}), a.restartService(ctx, s, &stopFlags{})} {
		if e := report.Describe(err); err == nil || e.Hint != "groat stop --force" || e.Code != report.ExitTemporary {
			t.Errorf("%v", err)
		}
	}
	if err := a.serviceMayEnd(ctx, s, &stopFlags{force: true}); err != nil {
		t.Errorf("with --force: %v", err)
	}
}

// A groatd that says where it hands over is asked to, but not with --force, nor where it would lose something.
func TestWhoIsAskedToHandOver(t *testing.T) {
	home := t.TempDir()
	_, r, _, _ := atSocket(t, home, filepath.Join(home, "s"))
	if err := os.MkdirAll(r.Place.State, 0o700); err != nil {
		t.Fatal(err)
	}
	host, boot := frame.ThisHost()
	holdLock(t, r.Place.State, frame.Holder{PID: 7, Host: host, Boot: boot, Place: *r.Place, Handover: "/h"})
	for name, c := range map[string]struct {
		pid     int
		unsaved []string
		force   bool
		want    bool
	}{
		"the holder":              {7, nil, false, true},
		"another one":             {8, nil, false, false},
		"it would lose something": {7, []string{"it keeps x"}, false, false},
		"--force":                 {7, nil, true, false},
	} {
		d := &running{status: protocol.StatusResult{PID: c.pid, Unsaved: c.unsaved}}
		if got := handsOver(r, d, &stopFlags{force: c.force}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A sign-in without a refresh token ends with groatd: "stop" refuses, and "restart" where nothing is handed over.
func TestASignInThatEndsWithGroatdKeepsItRunning(t *testing.T) {
	const lost = "it keeps sign-ins without a refresh token in memory only: lab"
	s := &protocol.StatusResult{PID: 7, HandedOver: []string{lost}}
	for name, c := range map[string]struct {
		force, hands, ends bool
	}{
		"it ends":      {false, false, false},
		"hands over":   {false, true, true},
		"with --force": {true, false, true},
	} {
		a := &app{path: "groat stop"}
		err := a.mayEnd(s, &stopFlags{force: c.force}, c.hands)
		if c.ends || err == nil {
			if !c.ends || err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if e := report.Describe(err); e.Hint != "groat stop --force" || e.Code != report.ExitTemporary ||
			e.Message != "groatd (pid 7) would lose what is nowhere else: "+lost {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// Whether a groatd was replaced is found out by who answers, also where the one that was started has ended.
func TestWhoAnswersAfterAReplacement(t *testing.T) {
	for name, c := range map[string]struct {
		pid, exits int
		says, hint string
	}{
		"the one before": {1, 1, "no groatd has taken the place of the one that runs (pid 1)", "tail "},
		"it refuses": {1, 78, "no groatd has taken the place of the one that runs (pid 1): groatd refuses its " +
			"configuration or one of its directories", "groatd --check"},
		"another one": {2, 1, "", ""},
		"none":        {0, 1, "groatd (pid 1) does not answer any more, and no other one does", "tail "},
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "none")
			if c.pid != 0 {
				socket = placeDaemon(t, c.pid, nothingUnsaved).socket
			}
			a, r, out, _ := atSocket(t, t.TempDir(), socket)
			parts.WriteProgram(t, filepath.Join(a.getenv("PATH"), "groatd"),
				fmt.Sprintf("#!/bin/sh\nexit %d\n", c.exits))
			err := a.replace(t.Context(), r, &running{status: protocol.StatusResult{PID: 1}}, autostart.Replacing)
			if c.says == "" && (err != nil || !strings.HasPrefix(out.String(), "groatd v1 runs now (pid 2)")) ||
				c.says != "" && (err == nil || err.Error() != c.says ||
					!strings.HasPrefix(report.Describe(err).Hint, c.hint)) {
				t.Errorf("%v, %q", err, out)
			}
		})
	}
}
