package setup

import (
	"bytes"
	"context"
	"os/exec"
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
