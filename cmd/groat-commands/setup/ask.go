package setup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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
	return askWith(ctx, nil, content, program, args...)
}

// askWith is ask with further environment variables.
func askWith(ctx context.Context, env []string, content []byte, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Dir, cmd.WaitDelay = bytes.NewReader(content), "/", lingerTime
	return cmd.Output()
}

// privatePrefix begins the name of a directory with a copy. [Machine.Lock] removes those of a groat that was killed.
const privatePrefix = "setup-"

// privateCopy makes a directory with a copy of a content, for a tool that reads files only. The caller removes it.
func privateCopy(parent, name string, content []byte) (dir string, err error) {
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	if dir, err = os.MkdirTemp(parent, privatePrefix); err != nil {
		return "", &Error{Reason: NotWritten, Path: parent, Err: err}
	}
	copied := filepath.Join(dir, name)
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		os.RemoveAll(dir)
		return "", &Error{Reason: NotWritten, Path: copied, Err: err}
	}
	return dir, nil
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
