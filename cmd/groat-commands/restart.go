package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

func (a *app) restartCommand() *cobra.Command {
	var f stopFlags
	cmd := command("restart [flags]", helpRestart, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if s := a.installedService(); s != nil {
			return a.restartService(cmd.Context(), s, &f)
		}
		return a.restart(cmd.Context(), &f)
	})
	return f.add(cmd)
}

// restart replaces the groatd that runs, or starts one.
func (a *app) restart(ctx context.Context, f *stopFlags) error {
	d, err := a.findRunning(ctx)
	if err != nil {
		return err
	}
	if f.dry {
		return a.write(textWouldRestart(d))
	}
	if d != nil {
		defer d.c.Close()
		if err := a.mayEnd(&d.status, f); err != nil {
			return err
		}
		if err := a.end(ctx, d); err != nil {
			return err
		}
	}
	var status protocol.StatusResult
	if err := a.call(ctx, providerTime, protocol.MethodStatus, struct{}{}, &status); err != nil {
		return err
	}
	return a.write(textRestarted(&status))
}
