package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

// networkKeys are what "groat network set" knows.
var networkKeys = []string{"proxy", "no_proxy", "ca_file"}

func (a *app) networkCommand() *cobra.Command {
	var json bool
	ask := func(cmd *cobra.Command, params protocol.NetworkParams) error {
		var result protocol.NetworkResult
		return show(a, cmd.Context(), answerTime, protocol.MethodNetwork, params, &result, json,
			func(r *protocol.NetworkResult) []byte { return textNetwork(a.screen(), r) })
	}
	cmd := command("network [flags]", helpNetwork, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return ask(cmd, protocol.NetworkParams{})
	})
	set := command("set proxy|no_proxy|ca_file VALUE", helpNetworkSet, cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string) error {
			key, value := args[0], args[1]
			if err := checkNetworkKey(key, "groat network set"); err != nil {
				return err
			}
			if value == "" {
				return errUsage(msgNoValue(key), "groat network set")
			}
			if key == "ca_file" {
				var err error
				if value, err = filepath.Abs(value); err != nil { // groatd is in another directory
					return errWorkingDirectory(err)
				}
			}
			return ask(cmd, protocol.NetworkParams{Setting: key, Value: value})
		})
	unset := command("unset proxy|no_proxy|ca_file", helpNetworkUnset, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if err := checkNetworkKey(args[0], "groat network unset"); err != nil {
				return err
			}
			return ask(cmd, protocol.NetworkParams{Setting: args[0]})
		})
	for _, c := range []*cobra.Command{cmd, set, unset} {
		c.Flags().BoolVar(&json, "json", false, flagJSON)
	}
	set.ValidArgsFunction, unset.ValidArgsFunction = completeNetworkKeys, completeNetworkKeys
	cmd.AddCommand(set, unset)
	return cmd
}

func checkNetworkKey(key, command string) error {
	for _, k := range networkKeys {
		if k == key {
			return nil
		}
	}
	return errUsage(msgNetworkKey, command) // which repeats nothing: a proxy's URL may have been typed here
}

func completeNetworkKeys(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return networkKeys, cobra.ShellCompDirectiveNoFileComp
	case args[0] == "ca_file" && len(args) == 1:
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
