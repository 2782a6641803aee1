package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// loginOptions are the flags of "groat login".
type loginOptions struct {
	params      protocol.LoginParams
	prefix      string
	set         []string
	secretStdin bool
	resources   []string // of --resource, the older name of --api
	keptIn      string   // one of chooseKeystore's words
	json        bool
	cancel      bool
}

func (a *app) loginCommand() *cobra.Command {
	var o loginOptions
	cmd := command("login [PROFILE] [flags]", helpLogin, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if o.cancel {
				return a.cancelLogin(cmd, args, o.json)
			}
			if len(args) == 0 {
				return a.guide(cmd, &o)
			}
			o.params.Profile = args[0]
			if cmd.Flags().Changed("prefix") {
				o.params.Prefix = &o.prefix // none is one too
			}
			if len(o.resources) > 0 {
				a.printNote(textResource)
				o.params.Resources = append(o.params.Resources, o.resources...)
			}
			for _, word := range o.set {
				if err := o.setKey(word); err != nil {
					return err
				}
			}
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
	fs.BoolVar(&p.Replace, "replace", false, flagReplace)
	fs.StringVar(&p.Grant, "grant", "", flagGrant)
	fs.BoolVar(&p.NoBrowser, "no-browser", false, flagNoBrowser)
	fs.StringVar(&p.Issuer, "issuer", "", flagIssuer)
	fs.StringVar(&p.TokenURL, "token-url", "", flagTokenURL)
	fs.StringVar(&p.AuthServer, "auth-server", "", flagAuthServer)
	fs.StringVar(&p.Backend, "backend", "", flagBackend)
	fs.StringVar(&p.AuthorizationEndpoint, "authorization-endpoint", "", flagAuthorizationEndpoint)
	fs.StringVar(&p.DeviceEndpoint, "device-endpoint", "", flagDeviceEndpoint)
	fs.StringVar(&p.PAREndpoint, "par-endpoint", "", flagPAREndpoint)
	fs.StringVar(&p.RevocationEndpoint, "revocation-endpoint", "", flagRevocationEndpoint)
	fs.StringVar(&p.UserinfoEndpoint, "userinfo-endpoint", "", flagUserinfoEndpoint)
	fs.StringVar(&p.PAR, "par", "", flagPAR)
	fs.StringVar(&p.ClientAuth, "client-auth", "", flagClientAuth)
	fs.StringVar(&p.Basic, "basic", "", flagBasic)
	fs.StringVar(&p.Key, "key", "", flagKey)
	fs.StringVar(&p.KeyAlg, "key-alg", "", flagKeyAlg)
	fs.StringVar(&p.KeyID, "key-id", "", flagKeyID)
	fs.StringVar(&p.AssertionAudience, "assertion-audience", "", flagAssertionAudience)
	fs.StringVar(&p.AssertionFile, "assertion-file", "", flagAssertionFile)
	fs.StringVar(&p.Certificate, "certificate", "", flagCertificate)
	fs.StringVar(&p.Subject, "subject", "", flagSubject)
	fs.StringVar(&p.Redirect, "redirect", "", flagRedirect)
	fs.StringVar(&p.Scope, "scope", "", flagScope)
	fs.StringVar(&p.Audience, "audience", "", flagAudience)
	fs.StringVar(&p.TargetAudience, "target-audience", "", flagTargetAudience)
	fs.StringVar(&p.ResourceIndicator, "resource-indicator", "", flagResourceIndicator)
	fs.BoolVar(&p.WiderScope, "wider-scope", false, flagWiderScope)
	fs.BoolVar(&p.StrictScope, "strict-scope", false, flagStrictScope)
	fs.StringArrayVar(&o.set, "set", nil, flagSet)
	fs.StringArrayVar(&p.Resources, "api", nil, flagAPI)
	fs.StringArrayVar(&o.resources, "resource", nil, flagResource)
	fs.StringArrayVar(&p.Trust, "trust", nil, flagTrust)
	fs.StringVar(&p.Header, "header", "", flagHeader)
	fs.StringVar(&o.prefix, "prefix", "", flagPrefix)
	fs.BoolVar(&p.Ephemeral, "ephemeral", false, flagEphemeral)
	fs.BoolVar(&p.Fleet, "fleet", false, flagFleet)
	fs.StringVar(&o.keptIn, "keystore", "", flagKeystore)
	fs.BoolVar(&o.cancel, "cancel", false, flagCancel)
	fs.BoolVar(&o.json, "json", false, flagJSON)
	cmd.RegisterFlagCompletionFunc("provider", a.completeProviders)
	cmd.RegisterFlagCompletionFunc("grant", cobra.FixedCompletions(grants(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("set", a.completeSet)
	cmd.RegisterFlagCompletionFunc("keystore", cobra.FixedCompletions([]string{"keychain", "passphrase", "key-file",
		"memory"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("par", cobra.FixedCompletions([]string{"always", "never"},
		cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("basic", cobra.FixedCompletions([]string{"raw", "form"},
		cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("assertion-audience", cobra.FixedCompletions([]string{"issuer", "endpoint",
		"called"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// cancelLogin ends the login of a profile that is under way. No other flag goes with that.
func (a *app) cancelLogin(cmd *cobra.Command, args []string, json bool) error {
	if len(args) == 0 {
		return errUsage(msgCancelWhat, "groat login")
	}
	params := protocol.LoginCancelParams{Profile: args[0]}
	alone := true
	cmd.Flags().Visit(func(f *pflag.Flag) { alone = alone && (f.Name == "cancel" || f.Name == "json") })
	if !alone {
		return errCancelAlone(params.Profile)
	}
	var result protocol.LoginCancelResult
	if err := a.call(cmd.Context(), providerTime, protocol.MethodLoginCancel, params, &result); err != nil {
		return err
	}
	if json {
		return a.printJSON(result)
	}
	return a.write(textLoginCancelled(result))
}

// setKey takes in one KEY=VALUE.
func (o *loginOptions) setKey(word string) error {
	key, value, ok := strings.Cut(word, "=")
	if _, twice := o.params.Set[key]; twice || !ok || key == "" || value == "" {
		return errUsage(msgSetKey(word), "groat profile show")
	}
	if o.params.Set == nil {
		o.params.Set = map[string]string{}
	}
	o.params.Set[key] = value
	return nil
}

// login signs in: groatd asks, the person answers, groatd proves and stores.
func (a *app) login(ctx context.Context, o *loginOptions) error {
	for _, file := range []*string{&o.params.Key, &o.params.Certificate, &o.params.AssertionFile} {
		if *file == "" {
			continue
		}
		var err error
		if *file, err = filepath.Abs(*file); err != nil { // groatd is in another directory
			return errWorkingDirectory(err)
		}
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o.params.Confirm, o.params.Secret = a.interactive(), o.secretStdin
	secrets := a.secretSource(o.secretStdin, "secret-stdin")
	v := &loginUI{app: a, secrets: secrets, noBrowser: o.params.NoBrowser}
	v.patience = time.AfterFunc(providerTime, func() { cancel(context.DeadlineExceeded) })
	defer v.patience.Stop()
	if o.keptIn != "" {
		if err := a.chooseKeystore(ctx, o.keptIn); err != nil {
			return err
		}
	}
	result, err := a.loginAsking(ctx, o, v)
	if !o.secretStdin && !errors.Is(err, errStdinWaits) && a.stdinWaits() {
		a.printNote(textStdinUnread)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return a.completeHint(o, err)
	}
	if o.json {
		err = a.printJSON(result)
	} else {
		err = a.write(textSignedIn(result, o.params.Ephemeral))
	}
	// by an older groatd, or another participant has answered
	if err == nil && o.secretStdin && (!secrets.spent || len(secrets.rest) > 0) {
		return errSecretUnused(o.params.Profile)
	}
	return err
}

// completeHint says how a client without a secret signs in, where none was typed. It adds --secret-stdin to the command
// of groatd's hint, if it was typed: groatd does not know how the secret comes.
func (a *app) completeHint(o *loginOptions, err error) error {
	if f, ok := errors.AsType[*report.Failure](err); ok && errors.Is(f, errNoAnswer) && o.maybePublic() {
		f.Hint = hintPublicClient(a.again(o.asked(a.typed)...))
	}
	const flag = " --secret-stdin"
	e, ok := errors.AsType[*protocol.Error](err)
	if ok && o.secretStdin && strings.Contains(e.Hint(), " --trust ") && !strings.Contains(e.Hint(), flag) {
		e.Data.Hint += flag
	}
	return err
}

// maybePublic reports whether a client was named that may have no secret.
func (o *loginOptions) maybePublic() bool {
	p := &o.params
	return p.ClientID != "" && p.Issuer != "" && p.ClientAuth == "" && p.Provider == "" && p.Username == ""
}

// asked are the words of a login that a person was asked for, and did not type with the command.
func (o *loginOptions) asked(typed []string) (words []string) {
	for _, w := range []struct{ flag, value string }{
		{"", o.params.Profile}, {"--issuer ", o.params.Issuer}, {"--client-id ", o.params.ClientID},
	} {
		given := func(s string) bool { return s == w.value || strings.HasSuffix(s, "="+w.value) }
		if !slices.ContainsFunc(typed, given) {
			words = append(words, w.flag+visible.Word(w.value))
		}
	}
	return words
}

// providers shows what "login" knows by name, and returns it.
func (a *app) providers(cmd *cobra.Command, json bool) (result protocol.ProvidersResult, err error) {
	said := cmd.Flags().NFlag()
	if json {
		said--
	}
	if said > 0 {
		return result, errUsage(msgNoProfile, "groat login")
	}
	err = show(a, cmd.Context(), answerTime, protocol.MethodProviders, struct{}{}, &result, json, textProviders)
	return result, err
}
