package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/protocol"
)

// exportFlags are what "groat export" is called with.
type exportFlags struct {
	header, bare    string // the paths of files with the header, and with the token alone
	file, as        string // the path of a file in another form, and the form
	netrc, npmrc    string // the paths of files in those
	params          protocol.ExportParams
	during          get.Seconds
	stop, all, json bool
}

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	var cmd *cobra.Command
	cmd = command("export [PROFILE] [flags]", helpExport, cobra.MaximumNArgs(1),
		func(_ *cobra.Command, args []string) error {
			params, err := a.exportParams(&f, cmd.Flags().Changed("while"), args)
			if err != nil {
				return err
			}
			return a.export(cmd.Context(), params, f.json)
		})
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if f.stop {
			return a.completeExports(cmd, args)
		}
		return a.completeProfiles(cmd, args, word)
	}
	fs := cmd.Flags()
	fs.StringVar(&f.header, "header-file", "", flagHeaderFile)
	fs.StringVar(&f.bare, "token-file", "", flagTokenFile)
	fs.StringVar(&f.as, "as", "", flagAs)
	fs.StringVar(&f.file, "file", "", flagFileAs)
	fs.StringVar(&f.netrc, "netrc", "", flagNetrc)
	fs.StringVar(&f.npmrc, "npmrc", "", flagNpmrc)
	fs.StringVar(&f.params.Scope, "scope", "", flagScope)
	fs.StringVar(&f.params.Audience, "audience", "", flagAudience)
	fs.StringVar(&f.params.OnChange, "on-change", "", flagOnChange)
	fs.IntVar(&f.params.WhilePID, "while", 0, flagWhile)
	fs.Var(seconds{&f.during, protocol.MaxExportFor * time.Second}, "for", flagFor)
	fs.BoolVar(&f.stop, "stop", false, flagStop)
	fs.BoolVar(&f.all, "all", false, flagAllExports)
	fs.BoolVar(&f.json, "json", false, flagJSON)
	return cmd
}

// forms are the forms of --file. A netrc and an npmrc have a flag of their own, and are taken here too.
var forms = []string{protocol.FormPlanet, protocol.FormEarthScope, protocol.FormEarthScope02, protocol.FormNetrc,
	protocol.FormNpmrc}

// exportParams is the request that the flags and arguments stand for.
func (a *app) exportParams(f *exportFlags, while bool, args []string) (p protocol.ExportParams, err error) {
	p = f.params
	files := 0
	for _, to := range []struct {
		given string
		path  *string
		as    string
	}{
		{f.header, &p.HeaderFile, ""}, {f.bare, &p.TokenFile, ""}, {f.file, &p.File, f.as},
		{f.netrc, &p.File, protocol.FormNetrc}, {f.npmrc, &p.File, protocol.FormNpmrc},
	} {
		if to.given == "" {
			continue
		}
		files, p.As = files+1, to.as
		if *to.path, err = absolute(to.given); err != nil {
			return p, err
		}
	}
	if f.during.N != nil {
		p.For = *f.during.N
	}
	how := f.as != "" || p.OnChange != "" || p.Scope != "" || p.Audience != "" || while || f.during.N != nil
	switch {
	case files > 1:
		return p, errUsage(msgTwoForms, "groat export")
	case f.stop && (files > 0 || how), f.all && !f.stop:
		return p, errUsage(msgStopAlone, "groat export")
	case f.stop && f.all == (len(args) > 0):
		return p, errUsage(msgStopWhat, "groat export")
	case (f.file == "") != (f.as == ""):
		return p, errUsage(msgFileAs, "groat export")
	case f.as != "" && !slices.Contains(forms, f.as):
		return p, errUsage(msgNoForm(f.as), "groat export")
	case !f.stop && files == 0 && (how || len(args) > 0):
		return p, errUsage(msgExportWhat, "groat export")
	case while && f.during.N != nil:
		return p, errUsage(msgTwoEnds, "groat export")
	case while && p.WhilePID <= 0, f.during.N != nil && p.For == 0:
		return p, errUsage(msgNoEnd, "groat export")
	case f.stop && f.all:
		p.All = true
	case f.stop:
		p.Stop, err = absolute(args[0])
	case files > 0:
		p.Profile = a.profile(args)
	}
	return p, err
}

// absolute is a path as groatd, which is in another directory, knows it.
func absolute(path string) (string, error) {
	if !utf8.ValidString(path) {
		return "", errUsage(msgPathText, "groat export")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", errWorkingDirectory(err)
	}
	return path, nil
}

// export makes the request. groatd writes the file: no token passes through this process.
func (a *app) export(ctx context.Context, params protocol.ExportParams, json bool) error {
	var result protocol.ExportResult
	if err := a.call(ctx, providerTime, protocol.MethodExport, params, &result); err != nil {
		return err
	}
	return printResult(a, &result, json, func(r *protocol.ExportResult) []byte {
		switch {
		case params.Stop != "" || params.All:
			return textExportsStopped(a.screen(), r)
		case params != protocol.ExportParams{}:
			return textExportStarted(a.screen(), r)
		}
		return textExports(a.screen(), r.Exports, time.Now())
	})
}

// statusJSON is what "groat status --json" prints: groatd's state, and the files that it keeps.
type statusJSON struct {
	protocol.StatusResult
	Exports []protocol.Export `json:"exports,omitempty"`
}

// exports are the files that groatd keeps; an older groatd keeps none.
func exports(ctx context.Context, c *protocol.Client) ([]protocol.Export, error) {
	var r protocol.ExportResult
	err := c.Call(ctx, protocol.MethodExport, nil, &r)
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Code == protocol.CodeMethodNotFound {
		err = nil
	}
	return r.Exports, err
}

// completeExports offers the files that groat keeps.
func (a *app) completeExports(cmd *cobra.Command, args []string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var files []string
	a.callRunning(cmd.Context(), func(ctx context.Context, c *protocol.Client) {
		var result protocol.ExportResult
		c.Call(ctx, protocol.MethodExport, protocol.ExportParams{}, &result)
		for _, e := range result.Exports {
			files = append(files, clean(e.Path))
		}
	})
	return files, cobra.ShellCompDirectiveNoFileComp
}
