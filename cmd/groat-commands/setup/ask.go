package setup

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// askTime is how long a tool may take to answer: kubectl and go need seconds on a busy machine.
const askTime = 20 * time.Second

// lingerTime is how long what a tool has started may hold its output open once it has ended itself.
const lingerTime = 2 * time.Second

// ask runs a tool on a content, in no directory of the person's, and returns what it prints. An [exec.ExitError] has
// what it says on stderr.
func ask(ctx context.Context, content []byte, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Dir, cmd.WaitDelay = bytes.NewReader(content), "/", lingerTime
	return cmd.Output()
}

// unreadBy returns the error of a content that a tool could not read: what the tool said behind a text, if it is there.
func unreadBy(tool string, err error, behind string) *Error {
	e := &Error{Reason: BadLine, Tool: tool, Err: err}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		said := string(bytes.TrimSpace(exit.Stderr))
		if _, after, ok := strings.Cut(said, behind); ok {
			said = after
		}
		e.Err, e.Line = errors.New(said), lineIn(said)
	}
	return e
}

// lineIn returns the number of the line that a program's complaint names, or 0.
func lineIn(said string) (line int) {
	if _, after, ok := strings.Cut(said, "line "); ok {
		number := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
		line, _ = strconv.Atoi(number)
	}
	return line
}
