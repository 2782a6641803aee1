package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

func (a *app) logoutCommand() *cobra.Command {
	var yes, json bool
	cmd := command("logout PROFILE [flags]", helpLogout, cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return a.logout(cmd.Context(), args[0], yes, json)
	})
	cmd.ValidArgsFunction = a.completeProfiles
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, flagYes)
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

// logout forgets a profile. Where its client stays behind at the provider for ever, the person is told before.
func (a *app) logout(ctx context.Context, profile string, yes, json bool) error {
	params := protocol.LogoutParams{Profile: profile, Yes: yes}
	var result protocol.LogoutResult
	if err := a.call(ctx, providerTime, protocol.MethodLogout, params, &result); err != nil {
		return err
	}
	if result.Permanent && !result.Forgotten {
		a.say(textLogoutWarning(result))
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
	return a.write(textLoggedOut(result))
}
