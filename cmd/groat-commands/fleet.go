package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

// fleetTime is how long groatd may take for a change of the fleet: a machine that joins waits for another one.
const fleetTime = 90*time.Second + answerTime

func (a *app) fleetCommand() *cobra.Command {
	var json bool
	cmd := command("fleet [flags]", helpFleet, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.fleet(cmd.Context(), protocol.FleetParams{}, json)
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	cmd.AddCommand(a.fleetCreateCommand(), a.fleetInviteCommand(), a.fleetJoinCommand(), a.fleetStatusCommand(),
		a.fleetRemoveCommand(), a.fleetLeaveCommand())
	return cmd
}

// fleet makes a request that carries no secret, and shows its answer.
func (a *app) fleet(ctx context.Context, params protocol.FleetParams, json bool) error {
	var result protocol.FleetResult
	if err := a.call(ctx, fleetTime, protocol.MethodFleet, params, &result); err != nil {
		return err
	}
	return a.showFleet(params, &result, json)
}

func (a *app) showFleet(params protocol.FleetParams, result *protocol.FleetResult, json bool) error {
	if json {
		return a.printJSON(result)
	}
	return a.write(textFleet(a.screen(), params, result, time.Now()))
}

// fleetOptions are the flags of "groat fleet create" and "groat fleet join".
type fleetOptions struct {
	params                         protocol.FleetParams
	passwordStdin, codeStdin, json bool
}

// addTo adds the flags to a command.
func (o *fleetOptions) addTo(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&o.params.CAFile, "ca", "", flagFleetCA)
	fs.StringVar(&o.params.User, "user", "", flagFleetUser)
	fs.BoolVar(&o.passwordStdin, "password-stdin", false, flagPasswordStdin)
	fs.StringVar(&o.params.Certificate, "cert", "", flagFleetCert)
	fs.StringVar(&o.params.Key, "key", "", flagFleetKey)
	fs.StringVar(&o.params.Machine, "name", "", flagFleetName)
	fs.BoolVar(&o.json, "json", false, flagJSON)
}

func (a *app) fleetCreateCommand() *cobra.Command {
	var o fleetOptions
	cmd := command("create [flags]", helpFleetCreate, cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			o.params.Do = protocol.FleetCreate
			if len(o.params.Endpoints) == 0 {
				return errUsage(msgFleetEtcd, "groat fleet create")
			}
			return a.enterFleet(cmd.Context(), &o, "")
		})
	cmd.Flags().StringSliceVar(&o.params.Endpoints, "etcd", nil, flagFleetEtcd)
	o.addTo(cmd)
	return cmd
}

func (a *app) fleetJoinCommand() *cobra.Command {
	var o fleetOptions
	cmd := command("join [CODE] [flags]", helpFleetJoin, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			o.params.Do = protocol.FleetJoin
			if len(args) == 1 && o.codeStdin {
				return errUsage(msgFleetCodeTwice, "groat fleet join")
			}
			code := ""
			if len(args) == 1 {
				code = args[0]
			}
			return a.enterFleet(cmd.Context(), &o, code)
		})
	cmd.Flags().BoolVar(&o.codeStdin, "code-stdin", false, flagCodeStdin)
	o.addTo(cmd)
	return cmd
}

// enterFleet creates a fleet or joins one. What is secret is asked for, or read from stdin: the code on its first line,
// the password on the next.
func (a *app) enterFleet(ctx context.Context, o *fleetOptions, code string) error {
	if o.passwordStdin && o.params.User == "" {
		return errUsage(msgFleetPassword, "groat fleet "+o.params.Do)
	}
	for _, path := range []*string{&o.params.CAFile, &o.params.Certificate, &o.params.Key} {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil { // groatd is in another directory
			return errWorkingDirectory(err)
		}
	}
	secrets, err := a.fleetSecrets(ctx, o, code)
	defer func() {
		for _, s := range secrets {
			s.Value.Wipe()
		}
	}()
	if err != nil {
		return err
	}
	var result protocol.FleetResult
	err = a.withClient(ctx, fleetTime, func(ctx context.Context, c *protocol.Client) error {
		return c.CallSecrets(ctx, protocol.MethodFleet, o.params, secrets, &result)
	})
	if err != nil {
		return err
	}
	return a.showFleet(o.params, &result, o.json)
}

// fleetSecrets returns what the request carries.
func (a *app) fleetSecrets(ctx context.Context, o *fleetOptions, code string) (secrets []protocol.Member, err error) {
	stdin := a.secretSource(true, "")
	if o.params.Do == protocol.FleetJoin {
		secret := protocol.NewLoginSecret([]byte(code))
		switch {
		case code != "":
		case o.codeStdin:
			secret, err = stdin.answer(ctx, protocol.Prompt{Further: o.passwordStdin})
		default:
			secret, err = a.secretSource(false, "code-stdin").read(ctx, promptFleetCode)
		}
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, protocol.Member{Name: "code", Value: secret})
	}
	if o.params.User == "" {
		return secrets, nil
	}
	var password protocol.LoginSecret
	if o.passwordStdin {
		password, err = stdin.read(ctx, "")
	} else {
		password, err = a.secretSource(false, "password-stdin").read(ctx, promptFleetPassword)
	}
	return append(secrets, protocol.Member{Name: "password", Value: password}), err
}

func (a *app) fleetInviteCommand() *cobra.Command {
	var json bool
	cmd := command("invite [flags]", helpFleetInvite, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.fleet(cmd.Context(), protocol.FleetParams{Do: protocol.FleetInvite}, json)
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

func (a *app) fleetStatusCommand() *cobra.Command {
	var json bool
	cmd := command("status [flags]", helpFleetStatus, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.fleet(cmd.Context(), protocol.FleetParams{}, json)
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

func (a *app) fleetRemoveCommand() *cobra.Command {
	var json bool
	cmd := command("remove MACHINE [flags]", helpFleetRemove, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return a.fleet(cmd.Context(), protocol.FleetParams{Do: protocol.FleetRemove, Machine: args[0]}, json)
		})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

func (a *app) fleetLeaveCommand() *cobra.Command {
	var json bool
	params := protocol.FleetParams{Do: protocol.FleetLeave}
	cmd := command("leave [flags]", helpFleetLeave, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.fleet(cmd.Context(), params, json)
	})
	cmd.Flags().BoolVar(&params.Forget, "forget", false, flagFleetForget)
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}
