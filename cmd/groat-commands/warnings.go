package main

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/groat-dev/groat/protocol"
)

// warns are the commands after which a person is told which sign-ins end soon.
var warns = []string{"get", "list", "status", "whoami"}

// showWarnings tells a person which sign-ins end soon, once for each: groatd counts them as told. Nothing is asked
// where no person would see it.
func (a *app) showWarnings(cmd *cobra.Command) {
	if !slices.Contains(warns, cmd.Name()) || !a.aPersonSees() {
		return
	}
	a.callRunning(cmd.Context(), func(ctx context.Context, c *protocol.Client) {
		var r protocol.WarningsResult
		if c.Call(ctx, protocol.MethodWarnings, struct{}{}, &r) != nil { // an older groatd has them in its log only
			return
		}
		for _, w := range r.Sessions {
			a.printNote(textSessionEnds(w, time.Now()))
		}
	})
}

// aPersonSees reports whether a sentence on stderr is read by a person and by nothing else: stderr is a terminal, and
// what is printed goes into no pipe.
func (a *app) aPersonSees() bool {
	shown, ok := a.stderr.(*os.File)
	out, isFile := a.stdout.(*os.File)
	if !ok || !isFile || !term.IsTerminal(int(shown.Fd())) {
		return false
	}
	info, err := out.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0
}
