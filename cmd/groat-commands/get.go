package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

func (a *app) getCommand() *cobra.Command {
	var o get.Options
	var refused bool
	cmd := command("get [PROFILE] [flags]", helpGet, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return a.get(cmd.Context(), &o, refused, args)
		})
	cmd.ValidArgsFunction = a.completeProfiles
	fs := cmd.Flags()
	fs.Var(seconds{&o.MinTTL, protocol.MaxMinTTL}, "min-ttl", flagMinTTL)
	fs.Var(seconds{&o.Wait, protocol.MaxWait}, "wait", flagWait)
	fs.StringVar(&o.Scope, "scope", "", flagScope)
	fs.StringVar(&o.Audience, "audience", "", flagAudience)
	fs.StringVar(&o.Target, "target", "", flagTarget)
	fs.StringVarP(&o.Output, "output", "o", "", flagOutput)
	fs.BoolVar(&o.JSON, "json", false, flagGetJSON)
	fs.BoolVar(&o.IDToken, "id-token", false, flagIDToken)
	fs.BoolVar(&refused, "refused", false, flagRefused)
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(get.Formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// get prints a token that is good for at least what was asked.
func (a *app) get(ctx context.Context, o *get.Options, refused bool, args []string) error {
	format, err := o.Format()
	switch {
	case errors.Is(err, get.ErrFormats):
		return errUsage(msgJSONAndOutput(o.Output), "groat get")
	case err != nil:
		return errUsage(msgOutput(o.Output), "groat get")
	}
	q := o.Request(strings.Join(args, ""), a.getenv) // one argument at most
	if refused {
		if q.Refused, err = a.readRefused(ctx); err != nil {
			return err
		}
	}
	token, err := a.caller(ctx).Do(q)
	if err != nil {
		return err
	}
	return get.Print(a.stdout, format, token)
}

// profile returns the profile that the arguments or the environment name; empty leaves the choice of the only one to
// groatd.
func (a *app) profile(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return a.getenv(get.EnvProfile)
}

// readRefused reads the one token that an API refused.
func (a *app) readRefused(ctx context.Context) (string, error) {
	b, err := a.readInput(ctx, maxInput)
	if err != nil {
		return "", a.errStdin(err)
	}
	if !frame.ValidVisible(string(b)) {
		return "", a.errRefusedInput()
	}
	return string(b), nil
}

// seconds is a [get.Seconds] as a flag.
type seconds struct {
	*get.Seconds
	max time.Duration
}

// Set implements [pflag.Value].
func (s seconds) Set(v string) error {
	if s.Seconds.Set(v, s.max) != nil {
		return errDuration(s.max)
	}
	return nil
}

// Type implements [pflag.Value]; it is the word for the value in the help text.
func (s seconds) Type() string { return "duration" }
