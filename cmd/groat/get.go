package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// getOptions are the flags of "groat get".
type getOptions struct {
	minTTL, wait    seconds
	scope, audience string
	output          string
	json, refused   bool
}

// addTo is the one definition of the flags, for the command tree and for the way around it.
func (o *getOptions) addTo(fs *pflag.FlagSet) {
	o.minTTL.max = protocol.MaxMinTTL
	o.wait.max = protocol.MaxWait
	fs.Var(&o.minTTL, "min-ttl", flagMinTTL)
	fs.Var(&o.wait, "wait", flagWait)
	fs.StringVar(&o.scope, "scope", "", flagScope)
	fs.StringVar(&o.audience, "audience", "", flagAudience)
	fs.StringVarP(&o.output, "output", "o", "", flagOutput)
	fs.BoolVar(&o.json, "json", false, flagGetJSON)
	fs.BoolVar(&o.refused, "refused", false, flagRefused)
}

func (a *app) getCommand() *cobra.Command {
	var o getOptions
	cmd := command("get [PROFILE] [flags]", helpGet, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return a.get(cmd.Context(), &o, args)
		})
	cmd.ValidArgsFunction = a.completeProfiles
	o.addTo(cmd.Flags())
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// get prints an access token that is good for at least what was asked.
func (a *app) get(ctx context.Context, o *getOptions, args []string) error {
	format, err := o.format()
	if err != nil {
		return err
	}
	params := frame.TokenParams{
		Profile:  a.profile(args),
		MinTTL:   o.minTTL.n,
		Scope:    o.scope,
		Audience: o.audience,
		Wait:     o.wait.n,
	}
	ask := func(c *frame.Conn) (frame.Token, error) { return c.Token(params) }
	if o.refused {
		refused, err := a.readRefused(ctx)
		if err != nil {
			return err
		}
		ask = func(c *frame.Conn) (frame.Token, error) { return c.Reject(params, refused) }
	}
	// groatd answers within the time it was given; the rest is for the machine to be busy.
	token, err := a.fetchToken(ctx, o.wait.or(protocol.DefaultWait)+answerTime, ask)
	if err != nil {
		return err
	}
	return a.printToken(format, token)
}

// format returns the output format that the flags ask for.
func (o *getOptions) format() (string, error) {
	switch {
	case o.json && o.output != "" && o.output != "json":
		return "", errUsage(msgJSONAndOutput(o.output), "groat get")
	case o.json:
		return "json", nil
	case o.output == "":
		return "token", nil
	}
	for _, f := range outputs {
		if f == o.output {
			return f, nil
		}
	}
	return "", errUsage(msgOutput(o.output), "groat get")
}

// profile returns the profile that the arguments or the environment name; empty leaves the choice of the only one to
// groatd.
func (a *app) profile(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return a.getenv("GROAT_PROFILE")
}

// readRefused reads the one token that an API refused.
func (a *app) readRefused(ctx context.Context) (string, error) {
	b, err := a.readInput(ctx, maxInput)
	if err != nil {
		return "", errStdin(err)
	}
	if !frame.ValidToken(string(b)) {
		return "", errRefusedInput()
	}
	return string(b), nil
}

// seconds is a flag that takes a Go duration or a plain number of seconds.
type seconds struct {
	n   *int64 // nil if the flag was not given
	max time.Duration
}

// or returns the flag's value, or d if it was not given.
func (s *seconds) or(d time.Duration) time.Duration {
	if s.n == nil {
		return d
	}
	return time.Duration(*s.n) * time.Second
}

// Set implements [pflag.Value]. A fraction of a second counts as a whole one, since both flags ask for "at least".
func (s *seconds) Set(v string) error {
	d, err := time.ParseDuration(v)
	if !strings.ContainsFunc(v, func(r rune) bool { return r < '0' || r > '9' }) {
		d, err = time.ParseDuration(v + "s")
	}
	if err != nil || d < 0 || d > s.max {
		return errDuration(s.max)
	}
	n := int64((d + time.Second - 1) / time.Second)
	s.n = &n
	return nil
}

func (s *seconds) String() string {
	if s.n == nil {
		return ""
	}
	return strconv.FormatInt(*s.n, 10) + "s"
}

// Type implements [pflag.Value]; it is the word for the value in the help text.
func (s *seconds) Type() string { return "duration" }
