package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

// importTime is how long groatd may take to look around, or to try out what it takes over.
const importTime = 2*time.Minute + answerTime

// importOptions are the flags of "groat import".
type importOptions struct {
	from, provider    string
	trust             []string // origins
	dryRun, yes, json bool
}

func (a *app) importCommand() *cobra.Command {
	var o importOptions
	cmd := command("import [flags]", helpImport, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if o.json && !o.yes && !o.dryRun {
			return errUsage(msgImportJSON, "groat import")
		}
		return a.importForeign(cmd.Context(), &o)
	})
	fs := cmd.Flags()
	fs.StringVar(&o.from, "from", "", flagFrom)
	fs.BoolVar(&o.dryRun, "dry-run", false, flagDryRun)
	fs.BoolVarP(&o.yes, "yes", "y", false, flagYesImport)
	fs.StringVar(&o.provider, "provider", "", flagImportProvider)
	fs.StringArrayVar(&o.trust, "trust", nil, flagImportTrust)
	fs.BoolVar(&o.json, "json", false, flagJSON)
	return cmd
}

// importForeign shows what other programs keep, asks, and has groatd take over what the person wants.
func (a *app) importForeign(ctx context.Context, o *importOptions) error {
	ctx, stop := interruptible(ctx) // between two questions, too, Ctrl-C means all of it
	defer stop()
	l := &importSource{app: a}
	defer l.wipe()
	if err := l.load(ctx, o.from); err != nil {
		return err
	}
	found, err := l.find(ctx)
	switch {
	case err != nil:
		return err
	case o.dryRun && o.json:
		return a.printJSON(found)
	case !o.json:
		if err := a.write(textFound(&found)); err != nil || o.dryRun {
			return err
		}
	}
	if len(o.trust) > 0 && !slices.ContainsFunc(found.Found, func(f protocol.ImportFound) bool { return f.Unusual }) {
		return errUsage(msgNothingToTrust, "groat import")
	}
	if o.provider != "" && !slices.ContainsFunc(found.Found,
		func(f protocol.ImportFound) bool { return f.Reason == "" && len(f.Either) > 0 }) {
		return errUsage(msgNothingToChoose, "groat import")
	}
	take, agreed, untrusted, err := a.chooseImports(ctx, o, found.Found)
	if err != nil {
		return err
	}
	if len(take) > 0 {
		if found, err = l.take(ctx, take, o.trust); err != nil {
			return err
		}
	}
	for _, one := range agreed { // each by itself: a yes is about one credential
		r, err := l.take(ctx, []string{one.id}, append(slices.Clone(o.trust), one.origin))
		if err != nil {
			return err
		}
		merge(found.Found, r.Found, one.id)
	}
	if o.json {
		if err := a.printJSON(found); err != nil {
			return err
		}
	} else if err := a.write(textImported(&found, len(take)+len(agreed))); err != nil {
		return err
	}
	if err := failedImports(found.Found); err != nil || untrusted == "" {
		return err
	}
	return errUntrusted(untrusted, o)
}

// agreement is a person's yes to one credential and the unusual server that it is sent to.
type agreement struct{ id, origin string }

// chooseImports asks which of the credentials that were found to take over. One that goes to an unusual server is asked
// about even after a yes to all; if no person can be asked it is left out, and untrusted is such a server. agreed are
// those to take that go to such a server.
func (a *app) chooseImports(ctx context.Context, o *importOptions, found []protocol.ImportFound) (
	take []string, agreed []agreement, untrusted string, err error,
) {
	all := o.yes
	for _, f := range found {
		if f.Reason != "" {
			continue
		}
		ok, unusual := all, ""
		if f.Unusual && !slices.Contains(o.trust, f.Destination) { // a yes is about one credential
			if !a.interactive() {
				a.printNote(textUntrusted(f))
				untrusted = f.Destination
				continue
			}
			yes, err := a.confirm(ctx, questionTrust(f), "trust "+f.Destination)
			if err != nil {
				return nil, nil, "", err
			}
			if !yes {
				continue
			}
			unusual, ok = f.Destination, true
		}
		switch {
		case f.Confirm != "" && o.yes:
			a.printNote(textLeftOut(f))
			continue
		case f.Confirm != "" || !ok:
			answer, err := a.askWord(ctx, questionImport(f), "yes")
			if err != nil {
				return nil, nil, "", err
			}
			all = all || f.Confirm == "" && (answer == "a" || answer == "all")
			ok = answer == "y" || answer == "yes" || f.Confirm == "" && all
		}
		if !ok {
			continue
		}
		id, err := a.chooseProvider(ctx, o, f)
		if err != nil {
			return nil, nil, "", err
		}
		switch {
		case id == "":
		case unusual != "":
			agreed = append(agreed, agreement{id, unusual})
		default:
			take = append(take, id)
		}
	}
	return take, agreed, untrusted, nil
}

// chooseProvider returns what takes f: if it could be for more than one provider, the person says which, by name or
// number. It is empty if they do not.
func (a *app) chooseProvider(ctx context.Context, o *importOptions, f protocol.ImportFound) (string, error) {
	if len(f.Either) == 0 {
		return f.ID, nil
	}
	answer := o.provider
	if answer == "" && !o.yes {
		var err error
		if answer, err = a.askWord(ctx, questionEither(f), "provider PROVIDER"); err != nil {
			return "", err
		}
	}
	if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(f.Either) {
		answer = f.Either[n-1]
	}
	if !slices.Contains(f.Either, answer) {
		a.printNote(textNoProvider(f))
		return "", nil
	}
	return f.ID + "=" + answer, nil
}

// merge takes over what came of one credential; id may have a provider behind it.
func merge(all, one []protocol.ImportFound, id string) {
	id, _, _ = strings.Cut(id, "=")
	is := func(f protocol.ImportFound) bool { return f.ID == id }
	if i, j := slices.IndexFunc(all, is), slices.IndexFunc(one, is); i >= 0 && j >= 0 {
		all[i] = one[j]
	}
}

// failedImports is the error of an import that did not take over all it should, or nil.
func failedImports(found []protocol.ImportFound) error {
	var first *protocol.Error
	failed, imported := 0, 0
	for _, f := range found {
		switch {
		case f.Imported:
			imported++
		case f.Error != nil:
			failed++
			if first == nil {
				first = f.Error
			}
		}
	}
	if failed == 0 {
		return nil
	}
	return errImports(failed, failed+imported, report.Refused(flatten(first)))
}

// importSource says where groatd looks for credentials: everywhere, in one file, or in what was piped in, which it
// keeps for every request.
type importSource struct {
	app     *app
	from    string
	content []byte
	names   []string // of the variables that groatd would like to see
}

// load reads or names the source.
func (l *importSource) load(ctx context.Context, from string) (err error) {
	switch from {
	case "":
	case "-":
		if l.content, err = l.app.readInput(ctx, maxContent); err != nil {
			return l.app.errStdin(err)
		}
	default:
		if l.from, err = filepath.Abs(from); err != nil {
			return errWorkingDirectory(err)
		}
	}
	return nil
}

func (l *importSource) wipe() { clear(l.content) }

// find returns what there is. The first request is for the names of the variables.
func (l *importSource) find(ctx context.Context) (protocol.ImportResult, error) {
	found, err := l.take(ctx, nil, nil)
	if err != nil || len(found.Variables) == 0 {
		return found, err
	}
	l.names = found.Variables
	return l.take(ctx, nil, nil)
}

// take has groatd take over what the ids say, or only look.
func (l *importSource) take(ctx context.Context, ids, trust []string) (protocol.ImportResult, error) {
	var result protocol.ImportResult
	params := protocol.ImportParams{From: l.from, Take: ids, Trust: trust}
	err := l.app.withClient(ctx, importTime, func(ctx context.Context, c *protocol.Client) error {
		var secrets []protocol.Member
		if l.content != nil {
			secrets = append(secrets, protocol.Member{Name: "content",
				Value: protocol.NewLoginSecret(slices.Clone(l.content))})
		}
		if text := l.environment(); text != nil {
			secrets = append(secrets, protocol.Member{Name: "environment", Value: protocol.NewLoginSecret(text)})
		}
		return c.CallSecrets(ctx, protocol.MethodImport, params, secrets, &result)
	})
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case l.content != nil && errors.Is(err, protocol.ErrLineTooLong):
		err = l.app.errStdin(errInputNoFit)
	}
	return result, err
}

// environment returns, as a JSON object, the variables that groatd asked for and that are set.
func (l *importSource) environment() []byte {
	set := map[string]string{}
	for _, name := range l.names {
		if value := l.app.getenv(name); value != "" {
			set[name] = value
		}
	}
	if len(set) == 0 {
		return nil
	}
	text, err := json.Marshal(set)
	if err != nil { // it cannot: encoding/json replaces what is not UTF-8
		return nil
	}
	return text
}
