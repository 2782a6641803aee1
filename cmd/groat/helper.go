package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/protocol/frame"
)

// gitHelperName is the name that git calls the program by for "credential.helper = groat".
const gitHelperName = "git-credential-groat"

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
	ctx, cancel := context.WithTimeout(ctx, helper.GitTime)
	defer cancel()
	if err := helper.Git(ctx, helperDaemon{a}, args, a.stdin, a.stdout); err != nil {
		a.printFailureLine(a.explain(err))
	}
	return nil
}

// helperDaemon makes the requests of a helper. Each connects to groatd, and starts it if none runs.
type helperDaemon struct{ app *app }

// Token implements [helper.Daemon].
func (d helperDaemon) Token(ctx context.Context, params frame.TokenParams) (frame.Token, error) {
	return d.app.fetchToken(ctx, helper.GitTime, func(c *frame.Conn) (frame.Token, error) { return c.Token(params) })
}

// Reject implements [helper.Daemon].
func (d helperDaemon) Reject(ctx context.Context, params frame.TokenParams, accessToken string) error {
	_, err := d.app.fetchToken(ctx, helper.GitTime, func(c *frame.Conn) (frame.Token, error) {
		return c.Reject(params, accessToken)
	})
	return err
}
