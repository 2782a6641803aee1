package main

import (
	"context"

	"github.com/spf13/cobra"

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
	if json {
		return a.printJSON(result)
	}
	return a.write(textLoggedOut(result, params.KeepRemote))
}
