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

// tellsOlder are the commands after which a person is told that the groatd that runs is of an older release.
var tellsOlder = []string{"login", "logout", "list", "status", "whoami", "import", "reload", "unlock", "setup"}

// showWarnings tells a person which sign-ins end soon, once for each: groatd counts them as told; and that an older
// groatd runs. Nothing is asked where no person would see it.
func (a *app) showWarnings(cmd *cobra.Command) {
	name, isService := cmd.Name(), cmd.Parent() != nil && cmd.Parent().Name() == "service"
	ends, old := slices.Contains(warns, name), slices.Contains(tellsOlder, name)
	if !ends && !old || isService || !a.aPersonSees() {
		return
	}
	a.callRunning(cmd.Context(), func(ctx context.Context, c *protocol.Client) {
		if old {
			a.tellOlder(ctx, c)
		}
		if !ends {
			return
		}
		var r protocol.WarningsResult
		if c.Call(ctx, protocol.MethodWarnings, struct{}{}, &r) != nil { // an older groatd has them in its log only
			return
		}
		for _, w := range r.Sessions {
			a.printNote(textSessionEnds(w, time.Now()))
		}
	})
}

// tellOlder says that an older groatd runs, if it does.
func (a *app) tellOlder(ctx context.Context, c *protocol.Client) {
	var h protocol.HelloResult
	if c.Call(ctx, protocol.MethodHello, struct{}{}, &h) == nil && older(h.Release, release) {
		a.printNote(textOlder(h.Release))
	}
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
