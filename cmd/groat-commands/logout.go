package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/protocol"
)

func (a *app) logoutCommand() *cobra.Command {
	var params protocol.LogoutParams
	var json bool
	cmd := command("logout PROFILE [flags]", helpLogout, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			params.Profile = args[0]
			return a.logout(cmd.Context(), params, json)
		})
	cmd.ValidArgsFunction = a.completeProfiles
	cmd.Flags().BoolVarP(&params.Yes, "yes", "y", false, flagYes)
	cmd.Flags().BoolVar(&params.KeepRemote, "keep-remote", false, flagKeepRemote)
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

// logout ends a session and forgets its profile. If a client stays at the provider for ever, the person is
// told before.
func (a *app) logout(ctx context.Context, params protocol.LogoutParams, json bool) error {
	var result protocol.LogoutResult
	if err := a.call(ctx, providerTime, protocol.MethodLogout, params, &result); err != nil {
		return err
	}
	if result.Permanent && !result.Forgotten {
		a.printNote(textLogoutWarning(result))
		ok, err := a.confirm(ctx, questionLogout, "yes")
		if err != nil {
			return err
		}
		if !ok {
			return errNotConfirmed()
		}
		params.Yes = true
		result = protocol.LogoutResult{}
		if err := a.call(ctx, providerTime, protocol.MethodLogout, params, &result); err != nil {
			return err
		}
	}
	r := logoutJSON{result, a.setUpFor(params.Profile), a.exportsOf(ctx, params.Profile)}
	return printResult(a, &r, json, func(r *logoutJSON) []byte { return textLoggedOut(r, params.KeepRemote) })
}

// logoutJSON is what "groat logout --json" prints: groatd's answer, and what goes on using the profile's name.
type logoutJSON struct {
	protocol.LogoutResult
	Setups  []string `json:"setups,omitempty"`  // the tools that are set up for the profile
	Exports []string `json:"exports,omitempty"` // the files that are kept of it
}

// setUpFor returns the tools that groat has set up for a profile.
func (a *app) setUpFor(profile string) (tools []string) {
	m, err := a.machine()
	if err != nil {
		return nil
	}
	for _, name := range setup.Names() {
		if slices.Contains(m.Profiles(name), profile) {
			tools = append(tools, name)
		}
	}
	return tools
}

// exportsOf returns the files that groatd keeps of a profile. What cannot be listed is not named: the logout is done.
func (a *app) exportsOf(ctx context.Context, profile string) (files []string) {
	a.withClientRetried(ctx, answerTime, func(ctx context.Context, c *protocol.Client) error {
		all, err := exports(ctx, c)
		for _, e := range all {
			if e.Profile == profile {
				files = append(files, e.Path)
			}
		}
		return err
	})
	return files
}
