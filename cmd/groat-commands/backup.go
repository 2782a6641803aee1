package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

func (a *app) backupCommand() *cobra.Command {
	var params protocol.BackupParams
	var stdin, json bool
	cmd := command("backup FILE [flags]", helpBackup, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			var err error
			if params.Path, err = filepath.Abs(args[0]); err != nil { // groatd is in another directory
				return errWorkingDirectory(err)
			}
			return a.backup(cmd.Context(), params, stdin, json)
		})
	cmd.Flags().BoolVar(&params.Force, "force", false, flagForce)
	cmd.Flags().BoolVar(&stdin, "passphrase-stdin", false, flagPassphraseStdin)
	cmd.Flags().BoolVar(&json, "json", false, flagJSON)
	return cmd
}

// backup has groatd write the file: no credential passes through this process.
func (a *app) backup(ctx context.Context, params protocol.BackupParams, stdin, json bool) error {
	if _, err := os.Lstat(params.Path); err == nil && !params.Force && !stdin { // before a person types it
		return errBackupExists(params.Path)
	}
	secret, err := a.newPassphrase(ctx, promptForBackup, stdin)
	if err != nil {
		return err
	}
	var result protocol.BackupResult
	err = a.withClient(ctx, keystoreTime, func(ctx context.Context, c *protocol.Client) error {
		return c.CallSecret(ctx, protocol.MethodBackup, params, "passphrase", secret, &result)
	})
	if err != nil {
		return err
	}
	a.warn(result.Warning)
	if json {
		err = a.printJSON(result)
	} else {
		err = a.write(textBackup(a.screen(), &result))
	}
	if err == nil && result.Incomplete != nil { // what was written is not all
		return report.Refused(flatten(result.Incomplete))
	}
	return err
}

// warn says why a passphrase is weak, or is empty.
func (a *app) warn(why string) {
	if why != "" {
		a.printNote(textWarning(why))
	}
}

// restoreOptions are the flags of "groat restore".
type restoreOptions struct {
	replace          []string
	yes, stdin, json bool
}

func (a *app) restoreCommand() *cobra.Command {
	var o restoreOptions
	cmd := command("restore FILE [flags]", helpRestore, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return errWorkingDirectory(err)
			}
			return a.restore(cmd.Context(), path, &o)
		})
	fs := cmd.Flags()
	fs.StringArrayVar(&o.replace, "replace", nil, flagReplaceHere)
	fs.BoolVarP(&o.yes, "yes", "y", false, flagYesRestore)
	fs.BoolVar(&o.stdin, "passphrase-stdin", false, flagPassphraseStdin)
	fs.BoolVar(&o.json, "json", false, flagJSON)
	return cmd
}

// restore shows what is in a backup, asks, and has groatd restore it.
func (a *app) restore(ctx context.Context, path string, o *restoreOptions) error {
	ctx, stop := interruptible(ctx) // between two questions, too, Ctrl-C means all of it
	defer stop()
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && !o.stdin { // before a person types it
		return errNoBackup(path, err)
	}
	if !o.stdin {
		if err := a.isBackup(ctx, path); err != nil {
			return err
		}
	}
	secret, err := a.secretSource(o.stdin, "passphrase-stdin").read(ctx, promptBackupPassphrase)
	defer secret.Wipe()
	if err != nil {
		return err
	}
	found, err := a.askRestore(ctx, protocol.RestoreParams{Path: path}, secret.Clone())
	if err != nil {
		return err
	}
	for _, name := range o.replace {
		if !slices.ContainsFunc(found.Profiles, func(i protocol.RestoreItem) bool { return i.Profile == name }) {
			return errNotInBackup(path, name)
		}
	}
	if !o.json {
		if err := a.write(textRestorable(a.screen(), &found)); err != nil {
			return err
		}
	}
	params := protocol.RestoreParams{Path: path}
	if params.Take, params.Replace, err = a.chooseRestore(ctx, o, found.Profiles); err != nil {
		return err
	}
	if len(params.Take) == 0 {
		if err := failedRestores(found.Profiles); err != nil {
			return err
		}
		a.printNote(textNothingRestored)
		return nil
	}
	result, err := a.askRestore(ctx, params, secret.Clone())
	if err != nil {
		return err
	}
	if o.json {
		err = a.printJSON(result)
	} else {
		err = a.write(textRestored(&result))
	}
	if err != nil {
		return err
	}
	return failedRestores(result.Profiles)
}

// isBackup returns an error where groatd knows without a passphrase that a file is no backup that it can read.
func (a *app) isBackup(ctx context.Context, path string) error {
	err := a.call(ctx, providerTime, protocol.MethodRestore, protocol.RestoreParams{Path: path},
		&protocol.RestoreResult{})
	if e, refused := errors.AsType[*protocol.Error](err); refused && e.Kind() != protocol.Config {
		return nil // it waits for its passphrase, or a groatd of before says so when it has it
	}
	return err
}

func (a *app) askRestore(ctx context.Context, params protocol.RestoreParams,
	secret protocol.LoginSecret) (result protocol.RestoreResult, err error) {
	err = a.withClient(ctx, keystoreTime, func(ctx context.Context, c *protocol.Client) error {
		return c.CallSecret(ctx, protocol.MethodRestore, params, "passphrase", secret, &result)
	})
	return result, err
}

// chooseRestore asks once for all that replaces nothing, and for each that does.
func (a *app) chooseRestore(ctx context.Context, o *restoreOptions, found []protocol.RestoreItem) (take,
	replace []string, err error) {
	for _, i := range found {
		if i.Error == nil && (i.Here == "" || i.Here == protocol.HereProfile) {
			take = append(take, i.Profile)
		}
	}
	if len(take) > 0 && !o.yes {
		ok, err := a.confirm(ctx, questionRestore, "yes")
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			take = nil
		}
	}
	for _, i := range found {
		if i.Error != nil || i.Here != protocol.HereOther {
			continue
		}
		ok := slices.Contains(o.replace, i.Profile)
		if !ok && !o.yes {
			if ok, err = a.confirm(ctx, questionReplace(i), "replace "+i.Profile); err != nil {
				return nil, nil, err
			}
		}
		if ok {
			take, replace = append(take, i.Profile), append(replace, i.Profile)
		} else {
			a.printNote(textLeftAsItIs(i))
		}
	}
	return take, replace, nil
}

// failedRestores is the error of a restore that did not restore all it should, or nil.
func failedRestores(all []protocol.RestoreItem) error {
	var first *protocol.Error
	failed := 0
	for _, i := range all {
		if i.Error != nil {
			failed++
			if first == nil {
				first = i.Error
			}
		}
	}
	if failed == 0 {
		return nil
	}
	return errRestores(failed, len(all), report.Refused(flatten(first)))
}
