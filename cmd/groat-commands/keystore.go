package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

// keystoreTime is how long groatd may take for a change of the keystore: it may copy many credentials.
const keystoreTime = 2*time.Minute + answerTime

func (a *app) keystoreCommand() *cobra.Command {
	var json bool
	cmd := command("keystore [flags]", helpKeystore, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		var result protocol.KeystoreResult
		err := a.call(cmd.Context(), providerTime, protocol.MethodKeystore, protocol.KeystoreParams{}, &result)
		if err != nil {
			return err
		}
		if here := a.getenv("GROAT_KEYSTORE"); here != "" && here != "auto" && here != result.Use {
			a.printNote(textOtherKeystore(here, result.Use))
		}
		return printResult(a, &result, json, textKeystore)
	})
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	cmd.AddCommand(a.keystoreUseCommand(), a.keystoreMoveCommand(), a.keystorePassphraseCommand())
	return cmd
}

// keystoreOptions are the flags of "groat keystore use" and "groat keystore move".
type keystoreOptions struct {
	passphrase, passphraseStdin, keyFile bool
	json                                 bool
}

func (a *app) keystoreUseCommand() *cobra.Command {
	var o keystoreOptions
	kinds := []string{"keychain", "sealed", "memory"}
	cmd := command("use keychain|sealed|memory [flags]", helpKeystoreUse,
		keystoreKind("use"),
		func(cmd *cobra.Command, args []string) error {
			return a.changeKeystore(cmd.Context(), protocol.KeystoreParams{Use: args[0]}, &o)
		})
	cmd.ValidArgs = kinds
	o.addTo(cmd)
	return cmd
}

func (a *app) keystoreMoveCommand() *cobra.Command {
	var o keystoreOptions
	cmd := command("move keychain|sealed [flags]", helpKeystoreMove,
		keystoreKind("move"),
		func(cmd *cobra.Command, args []string) error {
			return a.changeKeystore(cmd.Context(), protocol.KeystoreParams{Move: args[0]}, &o)
		})
	cmd.ValidArgs = []string{"keychain", "sealed"}
	o.addTo(cmd)
	return cmd
}

// keystoreKind refuses what is no keystore; the words of "login --keystore" are answered with what they are here.
func keystoreKind(verb string) cobra.PositionalArgs {
	return cobra.MatchAll(cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		if word := args[0]; word == "passphrase" || word == "key-file" {
			return errKeyNotKind(verb, word)
		}
		return cobra.OnlyValidArgs(cmd, args)
	})
}

// addTo adds the flags to a command.
func (o *keystoreOptions) addTo(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&o.passphrase, "passphrase", false, flagPassphrase)
	fs.BoolVar(&o.passphraseStdin, "passphrase-stdin", false, flagPassphraseStdin)
	fs.BoolVar(&o.keyFile, "key-file", false, flagKeyFile)
	fs.BoolVar(&o.json, "json", false, flagJSON)
}

// changeKeystore chooses where credentials are kept, or moves them.
func (a *app) changeKeystore(ctx context.Context, params protocol.KeystoreParams, o *keystoreOptions) error {
	withPassphrase := o.passphrase || o.passphraseStdin
	command := "groat keystore use"
	if params.Move != "" {
		command = "groat keystore move"
	}
	if (withPassphrase || o.keyFile) && params.Use+params.Move != "sealed" || withPassphrase && o.keyFile {
		return errUsage(msgSealedFlags, command)
	}
	var result protocol.KeystoreResult
	switch {
	case withPassphrase:
		params.Key = "passphrase"
		secret, err := a.newPassphrase(ctx, promptNewPassphrase, o.passphraseStdin)
		if err != nil {
			return err
		}
		return a.showSecret(ctx, protocol.MethodKeystore, params, secret, &result, o.json)
	case o.keyFile:
		params.Key = "file"
	}
	return show(a, ctx, keystoreTime, protocol.MethodKeystore, params, &result, o.json, textKeystore)
}

// newPassphrase reads a passphrase; at a terminal twice, since a slip would lock the person out. Where the two differ,
// both are asked for again, a few times.
func (a *app) newPassphrase(ctx context.Context, prompt string, stdin bool) (protocol.LoginSecret, error) {
	if stdin {
		return a.secretSource(true, "").read(ctx, "")
	}
	for range maxSlips {
		first, err := a.askHidden(ctx, prompt, "passphrase-stdin", false)
		if err != nil {
			return protocol.LoginSecret{}, err
		}
		second, err := a.askHidden(ctx, promptRepeat, "passphrase-stdin", false)
		same := bytes.Equal(first, second)
		clear(second)
		if err == nil && same {
			return protocol.NewLoginSecret(first), nil
		}
		clear(first)
		if err != nil {
			return protocol.LoginSecret{}, err
		}
		a.printNote(textPassphrasesDiffer)
	}
	return protocol.LoginSecret{}, a.errPassphrasesDiffer()
}

// maxSlips bounds how often a new passphrase is asked for.
const maxSlips = 3

func (a *app) keystorePassphraseCommand() *cobra.Command {
	var stdin, json bool
	cmd := command("passphrase [flags]", helpKeystorePassphrase, cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			return a.changePassphrase(cmd.Context(), stdin, json)
		})
	cmd.Flags().BoolVar(&stdin, "passphrase-stdin", false, flagTwoPassphrases)
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

// changePassphrase asks for the old passphrase and twice for the new one, or reads the two from two lines of stdin.
func (a *app) changePassphrase(ctx context.Context, stdin, json bool) error {
	old, fresh, err := a.twoPassphrases(ctx, stdin)
	defer old.Wipe()
	defer fresh.Wipe()
	if err != nil {
		return err
	}
	secrets := []protocol.Member{{Name: "passphrase", Value: old}, {Name: "new_passphrase", Value: fresh}}
	return a.showSecrets(ctx, protocol.MethodKeystore, protocol.KeystoreParams{Change: "passphrase"}, secrets,
		&protocol.KeystoreResult{}, json)
}

// checkPassphrase returns an error where the keystore has no passphrase that a person could be asked for.
func (a *app) checkPassphrase(ctx context.Context) error {
	var state protocol.KeystoreResult
	if err := a.call(ctx, providerTime, protocol.MethodKeystore, protocol.KeystoreParams{}, &state); err != nil {
		return err
	}
	if state.Use == "" || state.Use == "sealed" && state.Key == "passphrase" {
		return nil // where none is chosen yet, groatd says what to do
	}
	return errNoPassphrase()
}

// tryPassphrase returns an error where a passphrase is not the keystore's. It unlocks a keystore whose it is.
func (a *app) tryPassphrase(ctx context.Context, passphrase []byte) error {
	secret := passphraseOnly(protocol.NewLoginSecret(bytes.Clone(passphrase)))
	err := a.callSecrets(ctx, protocol.MethodUnlock, struct{}{}, secret, &protocol.KeystoreResult{})
	e, refused := errors.AsType[*protocol.Error](err)
	if refused && (e.Kind() == protocol.Locked || e.Kind() == protocol.Config) {
		return errOldPassphrase(e)
	}
	return err
}

func (a *app) twoPassphrases(ctx context.Context, stdin bool) (old, fresh protocol.LoginSecret, err error) {
	if !stdin {
		if err := a.checkPassphrase(ctx); err != nil {
			return old, fresh, err
		}
		first, err := a.askHidden(ctx, promptOldPassphrase, "passphrase-stdin", false)
		if err != nil {
			return old, fresh, err
		}
		old = protocol.NewLoginSecret(first)
		if err := a.tryPassphrase(ctx, first); err != nil { // before two more are typed
			return old, fresh, err
		}
		fresh, err = a.newPassphrase(ctx, promptNewPassphrase, false)
		return old, fresh, err
	}
	text, err := a.readInput(ctx, maxInput)
	if err != nil {
		return old, fresh, a.errStdin(err)
	}
	defer clear(text)
	first, second, both := bytes.Cut(text, []byte("\n"))
	first = bytes.TrimSuffix(first, []byte("\r"))
	if !both || len(first) == 0 || len(second) == 0 || bytes.ContainsRune(second, '\n') {
		return old, fresh, errTwoPassphrases()
	}
	return protocol.NewLoginSecret(bytes.Clone(first)), protocol.NewLoginSecret(bytes.Clone(second)), nil
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

// unlock opens the keystore: with a passphrase if it has one, and else by asking groatd, for which the desktop asks
// the person.
func (a *app) unlock(ctx context.Context, stdin, json bool) error {
	secret, err := a.unlockSecret(ctx, stdin)
	if err != nil {
		return err
	}
	return a.showSecret(ctx, protocol.MethodUnlock, struct{}{}, secret, &protocol.KeystoreResult{}, json)
}

// unlockSecret returns the passphrase of a locked keystore that has one, and says so where the desktop will ask or
// where there is nothing to ask.
func (a *app) unlockSecret(ctx context.Context, stdin bool) (protocol.LoginSecret, error) {
	var state protocol.KeystoreResult
	if err := a.call(ctx, providerTime, protocol.MethodKeystore, protocol.KeystoreParams{}, &state); err != nil {
		return protocol.LoginSecret{}, err
	}
	byPassphrase := state.Use == "sealed" && state.Key == "passphrase"
	if byPassphrase && !stdin && state.State == "ok" {
		a.printNote(textUnlockedAlready)
		return protocol.LoginSecret{}, nil
	}
	if byPassphrase || stdin {
		return a.secretSource(stdin, "passphrase-stdin").read(ctx, promptPassphrase)
	}
	if state.State == "locked" || state.State == "undecided" {
		a.printNote(textDesktopAsks)
	}
	return protocol.LoginSecret{}, nil
}

// showSecret makes a request that carries a passphrase and shows the keystore's state after it.
func (a *app) showSecret(ctx context.Context, method string, params any, secret protocol.LoginSecret,
	result *protocol.KeystoreResult, json bool) error {
	return a.showSecrets(ctx, method, params, passphraseOnly(secret), result, json)
}

func passphraseOnly(secret protocol.LoginSecret) []protocol.Member {
	return []protocol.Member{{Name: "passphrase", Value: secret}}
}

// showSecrets is showSecret for more than one.
func (a *app) showSecrets(ctx context.Context, method string, params any, secrets []protocol.Member,
	result *protocol.KeystoreResult, json bool) error {
	if err := a.callSecrets(ctx, method, params, secrets, result); err != nil {
		return err
	}
	if json {
		return a.printJSON(result)
	}
	return a.write(textKeystore(result))
}

// callSecrets makes a request about the keystore, wipes what it carries, and shows the warning of the answer.
func (a *app) callSecrets(ctx context.Context, method string, params any, secrets []protocol.Member,
	result *protocol.KeystoreResult) error {
	defer func() {
		for _, s := range secrets {
			s.Value.Wipe()
		}
	}()
	err := a.withClient(ctx, keystoreTime, func(ctx context.Context, c *protocol.Client) error {
		return c.CallSecrets(ctx, method, params, secrets, result)
	})
	if err == nil {
		a.warn(result.Warning)
	}
	return err
}
