package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

var (
	helpStop = help{
		short: "End groatd",
		long: `End the groatd that runs. It finishes what it has sent to a provider, and the
next command that needs it starts it again. What it keeps in memory only would
be lost, a sign-in that has no refresh token or is under way, and a profile that
is in use though its file is wrong by now: then groat says so and does nothing,
unless --force is given. Where GROAT_SOCKET names a groatd of another place,
that one ends. groat restart keeps a sign-in that has no refresh token.

Where groatd is a service, this is "groat service stop".`,
	}
	helpRestart = help{
		short: "Replace the groatd that runs by the one that is installed",
		long: `Start the groatd that is installed in the place of the one that runs. The old
one finishes what it has sent to a provider, and gives the new one its socket
and its access tokens: no provider is asked for others, and who asks meanwhile
waits. The new one has the environment of this shell. Where none runs, one is
started. A groatd of another place, which GROAT_SOCKET may name, stays.

What groatd keeps in memory only would be lost, a sign-in that is under way, and
a profile that is in use though its file is wrong by now: then groat says so and
does nothing, unless --force is given. With it, where GROAT_SOCKET names the
socket, and after a groatd that hands nothing over, each access token is asked
for again when it is needed.

Where groatd is a service, this is "groat service restart".`,
	}
	helpLogs = help{
		short: "Show what groatd has logged",
		long: `Show the last lines that groatd has logged. A groatd that groat has started logs
to groatd.log in its state directory, and keeps one older file; one that you
have started logs where you did.

Where groatd is a service, this is "groat service logs".`,
		example: `  groat logs -f
  groat logs -n 20`,
	}
)

const (
	flagForceStop  = "lose what groatd keeps in memory only, and a sign-in that is under way"
	flagDryRunStop = "show what would be done, and do nothing"
	flagFollow     = "go on with what is logged from now on"
	flagLines      = "show the last `number` of lines; 0 shows all"
)

// errWouldLose takes the command that was typed, without its flags.
func errWouldLose(pid int, lost []string, command string) *report.Failure {
	return &report.Failure{Code: report.ExitTemporary, Hint: command + " --force",
		Message: fmt.Sprintf("groatd (pid %d) would lose what is nowhere else: %s", pid, strings.Join(lost, "; "))}
}

func errNotReached(h frame.Holder) *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable, Hint: "groat status",
		Message: fmt.Sprintf("groatd (pid %d) runs, and its socket %s cannot be reached", h.PID,
			visible.Name(h.Socket))}
}

func errHangs(pid int, cause error) *report.Failure {
	return &report.Failure{Code: report.ExitTemporary, Hint: fmt.Sprintf("kill -KILL %d", pid), Cause: cause,
		Message: fmt.Sprintf("groatd (pid %d) does not answer; what is stored is not lost with it", pid)}
}

func errNotSeen(pid int) *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable, Hint: "groat status",
		Message: fmt.Sprintf("groatd (pid %d) belongs to a service manager or to another container, and is ended there",
			pid)}
}

func errNotTold(pid int, cause error) *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable, Hint: fmt.Sprintf("kill %d", pid), Cause: cause,
		Message: fmt.Sprintf("groatd (pid %d) cannot be told to end: %v", pid, cause)}
}

func errNotEnded(pid int) *report.Failure {
	return &report.Failure{Code: report.ExitTemporary, Hint: fmt.Sprintf("kill -KILL %d", pid),
		Message: fmt.Sprintf("groatd (pid %d) was told to end, and has not within %v", pid, stopTime)}
}

func errNoLogPlace() *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Hint: "HOME=" + ownpath.SpareHome() + " groat logs",
		Message: "the environment does not say which home directory is yours, so there is no log to find"}
}

func errLog(path string, cause error) *report.Failure {
	hint := ownpath.DirHint(filepath.Dir(path))
	if e, ok := errors.AsType[*ownpath.Error](cause); ok {
		hint = e.Hint
	}
	return &report.Failure{Code: report.ExitConfig, Hint: hint, Cause: cause,
		Message: "the log cannot be read: " + visible.Text(cause.Error())}
}

func textNoLog(path string) string {
	return fmt.Sprintf("There is no %s: a groatd that groat starts writes it.\n", visible.Name(path))
}

// textLogLine makes a line of the log safe for a terminal. groatd has made it so, and others may have changed it.
func textLogLine(line string) string {
	return visible.WithoutPrefixes(visible.Line(line, maxLogLine))
}

const textNextRefuses = "groat: the next groatd would not use its configuration as it is now: groatd --check\n"

func textNoneRuns() []byte { return []byte("No groatd runs.\n") }

func textWouldStop(pid int) []byte { return fmt.Appendf(nil, "would end groatd (pid %d)\n", pid) }

// textWouldRestart takes the groatd that runs, or nil.
func textWouldRestart(d *running) []byte {
	if d == nil {
		return []byte("would start groatd\n")
	}
	return append(textWouldStop(d.status.PID), "would start groatd\n"...)
}

func textStopped(pid int) []byte { return fmt.Appendf(nil, "groatd (pid %d) has ended.\n", pid) }

// textRestarted is for a groatd that has no access tokens; first says that there was none before it.
func textRestarted(s *protocol.StatusResult, first bool) []byte {
	out := fmt.Appendf(nil, "groatd %s runs now (pid %d)", nameOf(s.Release), s.PID)
	if !first {
		out = append(out, "; access tokens are asked for again when they are needed"...)
	}
	return append(append(out, ".\n"...), textLockedKeystore(s)...)
}

// textReplaced is for a groatd that has another one's access tokens.
func textReplaced(s *protocol.StatusResult) []byte {
	out := fmt.Appendf(nil, "groatd %s runs now (pid %d), with the access tokens of the one before.\n",
		nameOf(s.Release), s.PID)
	return append(out, textLockedKeystore(s)...)
}

// errNotReplaced takes whether the groatd that was to be replaced still answers, the file to which the one that was to
// take over logs (a service logs elsewhere), and why it refused to start, if it did.
func errNotReplaced(pid int, runs bool, log string, refused error) *report.Failure {
	f := &report.Failure{Code: report.ExitTemporary, Hint: "tail " + visible.Word(log),
		Message: fmt.Sprintf("no groatd has taken the place of the one that runs (pid %d)", pid)}
	if !runs {
		f.Message = fmt.Sprintf("groatd (pid %d) does not answer any more, and no other one does", pid)
	}
	if e, ok := errors.AsType[*autostart.Error](refused); ok {
		why := failStart(e)
		f.Code, f.Message, f.Hint = why.Code, f.Message+": "+why.Message, why.Hint
	}
	return f
}

// errForeignPlace takes the command that was typed, without its flags.
func errForeignPlace(r *frame.Route, pid int, theirs frame.Place, command string) *report.Failure {
	ours := "the environment names none"
	if r.Place != nil {
		ours = "this is " + r.Place.String()
	}
	return &report.Failure{Code: report.ExitConfig, Hint: placeEnv(theirs) + " " + command,
		Message: fmt.Sprintf("groatd (pid %d) at %s is another place's (%s); %s", pid, visible.Name(r.OwnSocket()),
			visible.Text(theirs.String()), ours)}
}
