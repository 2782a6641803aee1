package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/autostart"
	"github.com/groat-dev/groat/protocol"
)

// networkKeys are what "groat network set" knows.
var networkKeys = []string{"proxy", "no_proxy", "ca_file"}

func (a *app) networkCommand() *cobra.Command {
	var json bool
	ask := func(cmd *cobra.Command, params protocol.NetworkParams) error {
		var result protocol.NetworkResult
		return show(a, cmd.Context(), answerTime, protocol.MethodNetwork, params, &result, json, textNetwork)
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

// explain is describe. Beside a connection's error it says if groatd's way to servers is not this shell's.
func (a *app) explain(err error) *failure {
	f := describe(err)
	e := refusal(err)
	if e == nil || e.Network == nil {
		return f
	}
	n := e.Network
	proxyVariable, proxy := a.variable("https_proxy", "HTTPS_PROXY")
	fileVariable, file := a.variable("SSL_CERT_FILE")
	here, secret := withoutUserinfo(proxy)
	otherProxy, otherFile := proxy != "" && here != n.Proxy, file != "" && file != n.CAFile
	switch untrusted := strings.HasPrefix(f.hint, hintCAFile); {
	case otherFile && untrusted: // a file of authorities matters to nothing but a certificate
		f.msg += textOtherEnvironment(fileVariable, n.CAFile, n)
		f.hint = hintCAFile + `"$` + fileVariable + `"`
	case otherProxy:
		f.msg += textOtherEnvironment(proxyVariable, n.Proxy, n)
		switch {
		case untrusted: // a file is what is missing, whichever way
		case !secret:
			f.hint = hintProxy + "$" + proxyVariable
		case autostart.HasUnit(a.getenv):
			f.hint = hintImportEnvironment(proxyVariable)
		default:
			f.hint = hintStartAnew(n.PID)
		}
	}
	return f
}

// variable returns the first variable that is set and not empty.
func (a *app) variable(names ...string) (name, value string) {
	for _, name := range names {
		if value := a.getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// withoutUserinfo returns a proxy's URL as groatd shows it, and whether it held a user name or password.
func withoutUserinfo(proxy string) (shown string, secret bool) {
	scheme, rest, ok := strings.Cut(proxy, "://")
	if !ok {
		scheme, rest = "http", proxy
	}
	rest = strings.TrimSuffix(rest, "/")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest, secret = rest[at+1:], true
	}
	return strings.ToLower(scheme) + "://" + rest, secret
}
