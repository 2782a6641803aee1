package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/helper"
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
	ctx, cancel := context.WithTimeout(ctx, helper.GitTime)
	defer cancel()
	var in io.Reader
	if a.stdin != os.Stdin { // a test's
		in = a.stdin
	}
	read, err := get.Git(a.caller(ctx), args, a.getenv, in, a.stdout)
	if err != nil {
		a.explain(err).PrintLine(a.stderr)
	} else if passed := helper.PassedOn(args, read); passed != nil {
		a.tellOfStore(ctx, passed)
	}
	return nil
}
