package main

import (
	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

func (a *app) profileCommand() *cobra.Command {
	var json bool
	ask := func(cmd *cobra.Command, params protocol.ProfileParams) error {
		var result protocol.ProfileResult
		return show(a, cmd.Context(), answerTime, protocol.MethodProfile, params, &result, json, textProfileKeys)
	}
	list := command("show [NAME] [flags]", helpProfileShow, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			var params protocol.ProfileParams
			if len(args) > 0 {
				params.Profile = args[0]
			}
			return ask(cmd, params)
		})
	set := command("set", helpProfileSet, cobra.ExactArgs(3),
		func(cmd *cobra.Command, args []string) error {
			return ask(cmd, protocol.ProfileParams{Profile: args[0], Key: args[1], Value: &args[2]})
		})
	set.Use = useProfileSet
	unset := command("unset NAME KEY", helpProfileUnset, cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string) error {
			return ask(cmd, protocol.ProfileParams{Profile: args[0], Key: args[1]})
		})
	cmd := command("profile", helpProfile, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return cmd.Help()
	})
	for _, c := range []*cobra.Command{list, set, unset} {
		c.Flags().BoolVar(&json, "json", false, flagJSON)
		c.ValidArgsFunction = a.completeProfiles
	}
	set.ValidArgsFunction, unset.ValidArgsFunction = a.completeKeys, a.completeKeys
	cmd.AddCommand(list, set, unset)
	return cmd
}
