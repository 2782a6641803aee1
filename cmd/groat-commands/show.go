package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

// The commands of this file ask one question and show the answer.

func (a *app) listCommand() *cobra.Command {
	var json bool
	cmd := command("list [flags]", helpList, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		var result protocol.ProfilesResult
		err := a.withClientRetried(cmd.Context(), answerTime,
			func(ctx context.Context, c *protocol.Client) (err error) {
				result, err = c.Profiles(ctx)
				return err
			})
		if err != nil {
			return err
		}
		return printResult(a, &result, json,
			func(r *protocol.ProfilesResult) []byte { return textProfiles(a.screen(), r) })
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	var json bool
	cmd := command("status [PROFILE] [flags]", helpStatus, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			var profile string
			if len(args) > 0 {
				profile = args[0]
			}
			var result statusJSON
			err := a.withClientRetried(cmd.Context(), answerTime,
				func(ctx context.Context, c *protocol.Client) (err error) {
					if result.StatusResult, err = c.Status(ctx, profile); err == nil && profile == "" {
						result.Exports, err = exports(ctx, c)
					}
					return err
				})
			if err != nil {
				return err
			}
			return printResult(a, &result, json, func(r *statusJSON) []byte {
				return textStatus(a.screen(), r, time.Now())
			})
		})
	cmd.ValidArgsFunction = a.completeProfiles
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

func (a *app) whoamiCommand() *cobra.Command {
	var json bool
	cmd := command("whoami [PROFILE] [flags]", helpWhoami, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			var result protocol.WhoamiResult
			params := protocol.WhoamiParams{Profile: a.profile(args)}
			return show(a, cmd.Context(), providerTime, protocol.MethodWhoami, params, &result, json, textWhoami)
		})
	cmd.ValidArgsFunction = a.completeProfiles
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

func (a *app) reloadCommand() *cobra.Command {
	var json bool
	cmd := command("reload [flags]", helpReload, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		var result protocol.ReloadResult
		return show(a, cmd.Context(), answerTime, protocol.MethodReload, struct{}{}, &result, json, textReloaded)
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

// show makes a request and prints its result, as JSON or as text.
func show[R any](a *app, ctx context.Context, limit time.Duration, method string, params any, result *R, json bool,
	text func(*R) []byte) error {
	if err := a.call(ctx, limit, method, params, result); err != nil {
		return err
	}
	return printResult(a, result, json, text)
}

// printResult prints a result.
func printResult[R any](a *app, result *R, json bool, text func(*R) []byte) error {
	if json {
		return a.printJSON(result)
	}
	return a.write(text(result))
}

// completeProviders offers what "login" knows by name.
func (a *app) completeProviders(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	const stop = cobra.ShellCompDirectiveNoFileComp
	var names []string
	a.callRunning(cmd.Context(), func(ctx context.Context, c *protocol.Client) {
		var result protocol.ProvidersResult
		c.Call(ctx, protocol.MethodProviders, struct{}{}, &result)
		for _, p := range result.Providers {
			names = append(names, clean(p.Provider)+"\t"+clean(p.Title))
		}
	})
	return names, stop
}

// completeProfiles offers the names of the profiles to a shell, which evaluates the line that is typed. The name of a
// file that describes none, such as "$(x).toml", is listed by groatd and not offered.
func (a *app) completeProfiles(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const stop = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, stop
	}
	var names []string
	a.callRunning(cmd.Context(), func(ctx context.Context, c *protocol.Client) {
		result, _ := c.Profiles(ctx)
		for _, p := range result.Profiles {
			if validName(p.Profile) {
				names = append(names, p.Profile)
			}
		}
	})
	return names, stop
}

// completeSet offers the keys of a profile that "login" sets by their name: those without a flag of their own.
func (a *app) completeSet(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, k := range a.profileKeys(cmd.Context()) {
		byName := k.Login == "" || strings.HasPrefix(k.Login, "--set ")
		if byName && cmd.Flags().Lookup(strings.ReplaceAll(k.Key, "_", "-")) == nil {
			words = append(words, clean(k.Key)+"=\t"+clean(k.About))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeKeys offers the names of the profiles, and behind one the keys that may be changed.
func (a *app) completeKeys(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeProfiles(cmd, args, word)
	}
	var words []string
	for _, k := range a.profileKeys(cmd.Context()) {
		if k.Login == "" {
			words = append(words, clean(k.Key)+"\t"+clean(k.About))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// profileKeys are the keys of a profile, for a shell.
func (a *app) profileKeys(ctx context.Context) []protocol.ProfileKey {
	var result protocol.ProfileResult
	a.callRunning(ctx, func(ctx context.Context, c *protocol.Client) {
		c.Call(ctx, protocol.MethodProfile, protocol.ProfileParams{}, &result)
	})
	return result.Keys
}

// callRunning runs f on a connection to a groatd that runs already, within a second: a shell waits for the names, or a
// person for the prompt.
func (a *app) callRunning(ctx context.Context, f func(context.Context, *protocol.Client)) {
	r, err := a.route()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := r.Reach(time.Now().Add(time.Second), false)
	if conn == nil || err != nil {
		return
	}
	c, err := protocol.FromConn(conn)
	if err != nil {
		return
	}
	defer c.Close()
	f(ctx, c)
}
