package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
)

func (a *app) helperCommand() *cobra.Command {
	cmd := command("helper", helpHelper, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() })
	git := command("git get|store|erase", helpHelperGit, cobra.ArbitraryArgs,
		func(cmd *cobra.Command, args []string) error {
			if asksForHelp(args) {
				return cmd.Help()
			}
			return a.gitHelper(cmd.Context(), args)
		})
	git.DisableFlagParsing = true // git may put arguments of its own configuration before the operation
	docker := command("docker get|store|erase|list|version", helpHelperDocker, cobra.ArbitraryArgs,
		func(cmd *cobra.Command, args []string) error { return a.dockerHelper(cmd.Context(), args) })
	var idToken bool
	kubectl := command("kubectl [PROFILE] [flags]", helpHelperKubectl, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			profile := ""
			if len(args) > 0 {
				profile = args[0]
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), helper.Time)
			defer cancel()
			return get.Kubectl(a.caller(ctx), profile, idToken, a.getenv, a.stdout)
		})
	kubectl.Flags().BoolVar(&idToken, "id-token", false, flagKubectlIDToken)
	kubectl.ValidArgsFunction = a.completeProfiles
	curl := command("curl URL", helpHelperCurl, cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), helper.Time)
		defer cancel()
		t, err := a.caller(ctx).Do(get.Curl(args[0], a.getenv))
		if err != nil {
			return err
		}
		return get.Print(a.stdout, "curl", t)
	})
	goauth := command("go [URL]", helpHelperGo, cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
		url := ""
		if len(args) > 0 {
			url = args[0]
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), helper.Time)
		defer cancel()
		return get.Go(a.caller(ctx), url, a.getenv, a.stdout)
	})
	cargo := command("cargo", helpHelperCargo, cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error { return a.cargoHelper(cmd.Context()) })
	cargo.Flags().Bool(strings.TrimPrefix(helper.CargoPlugin, "--"), false, flagCargoPlugin)
	keyring := command("keyring get URL", helpHelperKeyring, cobra.ArbitraryArgs,
		func(cmd *cobra.Command, args []string) error {
			if asksForHelp(args) {
				return cmd.Help()
			}
			return a.keyringHelper(cmd.Context(), args)
		})
	keyring.DisableFlagParsing = true // keyring's own stand before its words or behind them
	cmd.AddCommand(git, docker, kubectl, curl, goauth, cargo, keyring, a.gdalHelperCommand())
	return cmd
}

// asksForHelp reports whether a helper that parses no flags is asked what it is.
func asksForHelp(args []string) bool {
	return len(args) == 1 && (args[0] == "--help" || args[0] == "-h")
}

// testInput returns the stdin of a test; nil leaves stdin to package get, which has a deadline for it.
func (a *app) testInput() io.Reader {
	if a.stdin == os.Stdin {
		return nil
	}
	return a.stdin
}

// gitHelper answers git, which ignores exit codes and shows stderr: every error is one line there.
func (a *app) gitHelper(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, helper.Time)
	defer cancel()
	read, err := get.Git(a.caller(ctx), args, a.getenv, a.testInput(), a.stdout)
	if err != nil {
		a.explain(err).PrintLine(a.stderr)
	} else if passed := helper.PassedOn(args, read); passed != nil {
		a.tellOfStore(ctx, passed)
	}
	return nil
}

// cargoHelper answers cargo, which is told in its own words what is wrong.
func (a *app) cargoHelper(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, helper.Time)
	defer cancel()
	if err := get.Cargo(a.caller(ctx), a.getenv, a.explain, a.testInput(), a.stdout); err != nil {
		return &report.Failure{Code: report.ExitInternal, Cause: err}
	}
	return nil
}

// keyringHelper answers pip and uv.
func (a *app) keyringHelper(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, helper.Time)
	defer cancel()
	return get.Keyring(a.caller(ctx), args, a.getenv, a.stdout)
}

// dockerHelper answers docker, which looks for errors on stdout. What version this is it alone knows.
func (a *app) dockerHelper(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "version" {
		return a.write(textDockerVersion())
	}
	ctx, cancel := context.WithTimeout(ctx, helper.Time)
	defer cancel()
	if _, err := get.Docker(a.caller(ctx), args, a.getenv, a.testInput(), a.stdout); err != nil {
		return &report.Failure{Code: get.FailDocker(err, a.explain, a.stdout, a.stderr), Cause: err}
	}
	return nil
}
