package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
)

func (a *app) helperCommand() *cobra.Command {
	cmd := command("helper TOOL ...", helpHelper, cobra.NoArgs, nil)
	git := command("git get|store|erase", helpHelperGit, cobra.ArbitraryArgs,
		func(cmd *cobra.Command, args []string) error {
			return a.gitHelper(cmd.Context(), args)
		})
	git.DisableFlagParsing = true // git may put arguments of its own configuration before the operation
	cmd.AddCommand(git)
	return cmd
}

// gitHelper answers git, which ignores exit codes and shows stderr: every error is one line there.
func (a *app) gitHelper(ctx context.Context, args []string) error {
	end := time.Now().Add(helper.GitTime)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	tooSlow := time.AfterFunc(helper.GitTime+time.Second, func() {
		a.explain(helper.ErrGitSlow).PrintLine(a.stderr)
		os.Exit(report.ExitDone)
	})
	defer tooSlow.Stop()
	if err := helper.Git(get.Helper{Caller: a.caller(ctx), End: end}, args, a.stdin, a.stdout); err != nil {
		a.explain(err).PrintLine(a.stderr)
	}
	return nil
}
