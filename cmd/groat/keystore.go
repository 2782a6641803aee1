package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

func (a *app) keystoreCommand() *cobra.Command {
	var json bool
	cmd := command("keystore [flags]", helpKeystore, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		var result protocol.KeystoreResult
		return show(a, cmd.Context(), providerTime, protocol.MethodKeystore, protocol.KeystoreParams{}, &result, json, textKeystore)
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	cmd.AddCommand(a.keystoreUseCommand())
	return cmd
}

// keystoreOptions are the flags of "groat keystore use".
type keystoreOptions struct {
	passphrase, passphraseStdin, keyFile bool
	json                                 bool
}

func (a *app) keystoreUseCommand() *cobra.Command {
	var o keystoreOptions
	kinds := []string{"keychain", "sealed", "memory"}
	cmd := command("use keychain|sealed|memory [flags]", helpKeystoreUse, cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		func(cmd *cobra.Command, args []string) error { return a.keystoreUse(cmd.Context(), args[0], &o) })
	cmd.ValidArgs = kinds
	fs := cmd.Flags()
	fs.BoolVar(&o.passphrase, "passphrase", false, flagPassphrase)
	fs.BoolVar(&o.passphraseStdin, "passphrase-stdin", false, flagPassphraseStdin)
	fs.BoolVar(&o.keyFile, "key-file", false, flagKeyFile)
	fs.BoolVar(&o.json, "json", false, flagJSON)
	return cmd
}

// keystoreUse chooses where credentials are kept.
func (a *app) keystoreUse(ctx context.Context, use string, o *keystoreOptions) error {
	withPassphrase := o.passphrase || o.passphraseStdin
	if (withPassphrase || o.keyFile) && use != "sealed" || withPassphrase && o.keyFile {
		return errUsage(msgSealedFlags, "groat keystore use")
	}
	params := protocol.KeystoreParams{Use: use}
	var result protocol.KeystoreResult
	switch {
	case withPassphrase:
		params.Key = "passphrase"
		secret, err := a.newPassphrase(ctx, o.passphraseStdin)
		if err != nil {
			return err
		}
		return a.showSecret(ctx, protocol.MethodKeystore, params, secret, &result, o.json)
	case o.keyFile:
		params.Key = "file"
	}
	return show(a, ctx, providerTime, protocol.MethodKeystore, params, &result, o.json, textKeystore)
}

// newPassphrase reads a passphrase; at a terminal twice, since a slip would lock the person out.
func (a *app) newPassphrase(ctx context.Context, stdin bool) (protocol.LoginSecret, error) {
	if stdin {
		return a.secretSource(true, "").read(ctx, "")
	}
	first, err := a.askHidden(ctx, promptNewPassphrase, "passphrase-stdin")
	if err != nil {
		return protocol.LoginSecret{}, err
	}
	second, err := a.askHidden(ctx, promptRepeat, "passphrase-stdin")
	defer clear(second)
	if err != nil {
		clear(first)
		return protocol.LoginSecret{}, err
	}
	if string(first) != string(second) {
		clear(first)
		return protocol.LoginSecret{}, errPassphrasesDiffer()
	}
	return protocol.NewLoginSecret(first), nil
}

func (a *app) unlockCommand() *cobra.Command {
	var stdin, json bool
	cmd := command("unlock [flags]", helpUnlock, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.unlock(cmd.Context(), stdin, json)
	})
	cmd.Flags().BoolVar(&stdin, "passphrase-stdin", false, flagPassphraseStdin)
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

// unlock opens the keystore: with a passphrase where it has one, and else by asking groatd, for which the desktop asks the person.
func (a *app) unlock(ctx context.Context, stdin, json bool) error {
	var state protocol.KeystoreResult
	if err := a.call(ctx, providerTime, protocol.MethodKeystore, protocol.KeystoreParams{}, &state); err != nil {
		return err
	}
	var secret protocol.LoginSecret
	if byPassphrase := state.Use == "sealed" && state.Key == "passphrase"; byPassphrase || stdin {
		var err error
		if secret, err = a.secretSource(stdin, "passphrase-stdin").read(ctx, promptPassphrase); err != nil {
			return err
		}
	} else if state.State == "locked" {
		a.say(textDesktopAsks)
	}
	return a.showSecret(ctx, protocol.MethodUnlock, struct{}{}, secret, &protocol.KeystoreResult{}, json)
}

// showSecret makes a request that carries a passphrase and shows the keystore's state after it.
func (a *app) showSecret(ctx context.Context, method string, params any, secret protocol.LoginSecret, result *protocol.KeystoreResult, json bool) error {
	defer secret.Wipe()
	err := a.talk(ctx, providerTime, func(ctx context.Context, c *protocol.Client) error {
		return c.CallSecret(ctx, method, params, "passphrase", secret, result)
	})
	if err != nil {
		return err
	}
	if json {
		return a.printJSON(result)
	}
	return a.write(textKeystore(result))
}
