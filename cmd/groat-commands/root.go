package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

// execute runs args.
func (a *app) execute(ctx context.Context, args []string) error {
	running := false
	a.typed = args
	root := a.rootCommand()
	// Whatever fails before this hook is about how the command was called.
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { running, a.path = true, cmd.CommandPath() }
	if len(args) == 1 && (args[0] == "--version" || args[0] == "-v") {
		args = []string{"version"}
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	a.json, a.path = wantsJSON(cmd, args), cmd.CommandPath()
	if err != nil && !running {
		return usageError(cmd, args, err)
	}
	return err
}

// rootCommand builds the command tree.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:               "groat",
		Short:             helpRoot.short,
		Long:              helpRoot.long,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPostRun: func(cmd *cobra.Command, _ []string) { a.showWarnings(cmd) },
	}
	root.DisableSuggestions = true // tui.go words the suggestion
	root.Flags().BoolP("version", "v", false, flagVersion)
	root.AddCommand(
		a.getCommand(), a.loginCommand(), a.logoutCommand(), a.importCommand(), a.listCommand(), a.statusCommand(),
		a.whoamiCommand(), a.watchCommand(), a.exportCommand(), a.runCommand(), a.profileCommand(), a.keystoreCommand(),
		a.networkCommand(), a.unlockCommand(),
		a.fleetCommand(), a.backupCommand(), a.restoreCommand(),
		a.reloadCommand(), a.stopCommand(), a.restartCommand(), a.logsCommand(),
		a.serviceCommand(), a.setupCommand(), a.helperCommand(), a.completionCommand(), a.versionCommand(),
	)
	refuseUnknownHelp(root)
	root.SetUsageFunc(printUsage)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	return root
}

// refuseUnknownHelp has "groat help NAME" fail where there is no such command, as "groat NAME" does.
func refuseUnknownHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Args = func(_ *cobra.Command, args []string) error {
			of, rest, err := root.Find(args)
			if err == nil && len(rest) > 0 && of.HasSubCommands() {
				err = errUsage(textNoCommand(args), of.CommandPath())
			} else if err != nil {
				err = errUnknownCommand(args[0], similarTo(root, args[0]))
			}
			return err
		}
	}
}

// wantsJSON reports whether a command was asked for JSON, also by arguments that it did not come to read.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	if f := cmd.Flags().Lookup("output"); f != nil && f.Value.String() == "json" {
		return true
	}
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return cmd.Flags().Lookup("json") != nil && slices.Contains(args, "--json")
}

// usageError turns an error of the argument parser into a usage error with the hint that helps.
func usageError(cmd *cobra.Command, args []string, err error) error {
	if f, ok := errors.AsType[*report.Failure](err); ok {
		return f
	}
	if cmd.HasParent() || len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return errUsage(plainUsage(cmd, args, err), cmd.CommandPath())
	}
	return errUnknownCommand(args[0], similarTo(cmd, args[0]))
}

// similarTo returns the commands that a name may be a slip of, the nearest first.
func similarTo(cmd *cobra.Command, name string) (similar []string) {
	for cmd.SuggestionsMinimumDistance = 1; cmd.SuggestionsMinimumDistance <= 2; cmd.SuggestionsMinimumDistance++ {
		similar = append(similar, cmd.SuggestionsFor(name)...)
	}
	return similar
}

// command returns a command with what all of them have in common.
func command(use string, h help, args cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{
		Use:                   use,
		Short:                 h.short,
		Long:                  h.long,
		Example:               h.example,
		Args:                  args,
		RunE:                  run,
		DisableFlagsInUseLine: true,
	}
}

// release is set by the linker: -X main.release=1.2.3.
var release = "dev"

// versionJSON is what "groat version --json" prints.
type versionJSON struct {
	Release  string `json:"release"`
	Protocol int    `json:"protocol"`
}

func (a *app) versionCommand() *cobra.Command {
	var json bool
	cmd := command("version [flags]", helpVersion, cobra.NoArgs, func(*cobra.Command, []string) error {
		v := versionJSON{Release: release, Protocol: protocol.Version}
		if json {
			return a.printJSON(v)
		}
		return a.write(textVersion(v))
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}
