package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

// loginOptions are the flags of "groat login".
type loginOptions struct {
	params      protocol.LoginParams
	secretStdin bool
	json        bool
}

func (a *app) loginCommand() *cobra.Command {
	var o loginOptions
	cmd := command("login PROFILE [flags]", helpLogin, cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		o.params.Profile = args[0]
		return a.login(cmd.Context(), &o)
	})
	cmd.ValidArgsFunction = a.completeProfiles
	fs, p := cmd.Flags(), &o.params
	fs.SortFlags = false
	fs.StringVar(&p.Provider, "provider", "", flagProvider)
	fs.StringVar(&p.Username, "username", "", flagUsername)
	fs.StringVar(&p.ClientID, "client-id", "", flagClientID)
	fs.BoolVar(&o.secretStdin, "secret-stdin", false, flagSecretStdin)
	fs.BoolVar(&p.NewClient, "new-client", false, flagNewClient)
	fs.StringVar(&p.Issuer, "issuer", "", flagIssuer)
	fs.StringVar(&p.TokenURL, "token-url", "", flagTokenURL)
	fs.StringVar(&p.AuthServer, "auth-server", "", flagAuthServer)
	fs.StringVar(&p.ClientAuth, "client-auth", "", flagClientAuth)
	fs.StringVar(&p.Scope, "scope", "", flagScope)
	fs.StringVar(&p.Audience, "audience", "", flagAudience)
	fs.StringArrayVar(&p.Resources, "resource", nil, flagResource)
	fs.BoolVar(&o.json, "json", false, flagJSON)
	return cmd
}

// login signs in: groatd asks, the person answers, groatd proves and stores.
func (a *app) login(ctx context.Context, o *loginOptions) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	// groatd has a minute for each of its own steps; a person at a prompt has all the time there is.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(providerTime, func() { cancel(context.DeadlineExceeded) })
	defer patience.Stop()
	source := a.secretSource(o.secretStdin, "secret-stdin")
	var unanswered error
	result, err := c.Login(ctx, o.params, func(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
		patience.Stop()
		defer patience.Reset(providerTime)
		if p.Kind != protocol.PromptSecret {
			a.notice(p.Text)
			return protocol.LoginSecret{}, nil
		}
		var secret protocol.LoginSecret
		secret, unanswered = source.read(ctx, p.Text)
		return secret, unanswered
	})
	switch {
	case unanswered != nil:
		return unanswered
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	if o.json {
		return a.printJSON(result)
	}
	return a.write(textSignedIn(result))
}
