package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// setupFlags are what "groat setup" is called with.
type setupFlags struct {
	apis                 []string
	undo, dry, yes, json bool
	idToken              bool
}

func (a *app) setupCommand() *cobra.Command {
	var f setupFlags
	cmd := command("setup", helpSetup, cobra.MaximumNArgs(2),
		func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && f.undo:
				return a.undoSetup(cmd.Context(), &f, args)
			case len(args) > 0:
				return a.setup(cmd.Context(), &f, args)
			case f.undo || f.dry || f.yes || f.idToken || f.apis != nil:
				return errUsage(msgSetupTool, "groat setup")
			}
			return a.listSetups(f.json)
		})
	cmd.Use = useSetup
	fs := cmd.Flags()
	fs.StringArrayVar(&f.apis, "api", nil, flagSetupAPI)
	fs.BoolVar(&f.idToken, "id-token", false, flagSetupIDToken)
	fs.BoolVar(&f.undo, "undo", false, flagUndo)
	fs.BoolVar(&f.dry, "dry-run", false, flagDryRunSetup)
	fs.BoolVarP(&f.yes, "yes", "y", false, flagYes)
	fs.BoolVar(&f.json, "json", false, flagJSON)
	cmd.ValidArgsFunction = a.completeSetup
	return cmd
}

// typed are the flags that say what is meant.
func (f *setupFlags) typed() (flags []string) {
	for _, api := range f.apis {
		flags = append(flags, "--api "+visible.Word(api))
	}
	if f.idToken {
		flags = append(flags, "--id-token")
	}
	if f.undo {
		flags = append(flags, "--undo")
	}
	return flags
}

// setupJSON is what "groat setup TOOL --json" prints.
type setupJSON struct {
	Tool    string          `json:"tool"`
	Profile string          `json:"profile"`
	Done    bool            `json:"done"` // the files are so now
	Files   []setupFileJSON `json:"files"`
	Left    []setup.Left    `json:"left,omitempty"`
	Stays   []setup.Left    `json:"stays,omitempty"`
	// Undecided are APIs that another profile lists too, where the tool says of neither that it is meant.
	Undecided []string `json:"undecided,omitempty"`
}

type setupFileJSON struct {
	Path string   `json:"path"`
	Copy string   `json:"copy,omitempty"`
	Adds []string `json:"adds,omitempty"`
}

// setup makes a tool ask groat for the tokens of a profile.
func (a *app) setup(ctx context.Context, f *setupFlags, args []string) error {
	tool, m, err := a.tool(args[0])
	if err != nil {
		return err
	}
	if m.Groat = a.findGroat(); m.Groat == "" {
		return errNoGroat()
	}
	p, err := a.setupProfile(ctx, args[0], args[1:], f.apis)
	if err != nil {
		return err
	}
	p.IDToken = f.idToken
	keep := func() error { return nil }
	if tool.HeaderFile {
		dir, err := a.runtimeDir()
		if err != nil {
			return err
		}
		p.HeaderFile = besideSocket(dir, setupUse, p.Name, "header")
		keep = func() error {
			_, err := a.keepHeader(ctx, p.Name, setupUse, 0)
			return err
		}
	}
	return a.change(ctx, f, tool, m, p.Name, func() (*setup.Plan, error) { return m.Setup(ctx, tool, p) }, keep)
}

// setupUse is in the names of the files that tools are set up with.
const setupUse = "setup"

// stopHeader ends what setup has groatd keep for a profile. Where none runs, a person is told how.
func (a *app) stopHeader(ctx context.Context, profile string) error {
	dir, err := a.runtimeDir()
	if err != nil {
		return err
	}
	path := besideSocket(dir, setupUse, profile, "header")
	told := false
	a.callRunning(ctx, func(ctx context.Context, c *protocol.Client) {
		err := c.Call(ctx, protocol.MethodExport, protocol.ExportParams{Stop: path}, nil)
		e, refused := errors.AsType[*protocol.Error](err)
		told = err == nil || refused && e.Kind() == protocol.Config // it is stopped already
	})
	if !told {
		a.printNote(textStillKept(path))
	}
	return nil
}

// undoSetup takes back what setup has written. It needs no groatd, and no profile that still exists.
func (a *app) undoSetup(ctx context.Context, f *setupFlags, args []string) error {
	tool, m, err := a.tool(args[0])
	if err != nil {
		return err
	}
	if f.apis != nil || f.idToken {
		return errUsage(msgUndoAPI, "groat setup")
	}
	profile := a.profile(args[1:])
	if there := m.Profiles(tool.Name); profile == "" && len(there) == 1 {
		profile = there[0]
	} else if !slices.Contains(there, profile) {
		return errNotSetUp(tool.Name, profile, there)
	}
	err = a.change(ctx, f, tool, m, profile, func() (*setup.Plan, error) { return m.Undo(tool, profile) },
		func() error { return nil })
	if err == nil && !f.dry && tool.HeaderFile {
		err = a.stopHeader(ctx, profile)
	}
	return err
}

// change shows a plan, asks, and makes it true, after it has called first.
func (a *app) change(ctx context.Context, f *setupFlags, tool *setup.Tool, m *setup.Machine, profile string,
	plan func() (*setup.Plan, error), first func() error) error {
	again := typedSetup(tool.Name, profile, f.typed()...)
	if !f.dry {
		if !f.yes && !a.interactive() {
			if _, err := plan(); err != nil {
				return failSetup(err, again)
			}
			return errSetupUnasked(again + " --yes")
		}
		unlock, err := m.Lock()
		if err != nil {
			return failSetup(err, again)
		}
		defer unlock()
	}
	p, err := plan()
	if err != nil {
		return failSetup(err, again)
	}
	if len(p.Changes) > 0 && !f.json {
		if err := a.write(textPlan(p, f.dry)); err != nil {
			return err
		}
	}
	if f.dry {
		return a.showPlan(f, p, false)
	}
	if len(p.Changes) > 0 && !f.yes {
		if yes, err := a.confirm(ctx, questionSetup(f.undo), "yes"); err != nil || !yes {
			if err == nil {
				err = errSetupDeclined(tool.Name, profile)
			}
			return err
		}
	}
	if err := first(); err != nil {
		return err
	}
	if err := p.Apply(); err != nil {
		return failSetup(err, again)
	}
	return a.showPlan(f, p, true)
}

// showPlan prints what has become of a plan.
func (a *app) showPlan(f *setupFlags, p *setup.Plan, done bool) error {
	if !f.json {
		return a.write(textPlanned(p, f.undo, done))
	}
	r := setupJSON{Tool: p.Tool, Profile: p.Profile, Done: done, Files: []setupFileJSON{}, Left: p.Left,
		Stays: p.Stays, Undecided: p.Undecided}
	for i := range p.Changes {
		file := setupFileJSON{Path: p.Changes[i].Path, Copy: p.Changes[i].Copy}
		for _, l := range p.Changes[i].Lines() {
			if l.Added {
				file.Adds = append(file.Adds, l.Text)
			}
		}
		r.Files = append(r.Files, file)
	}
	return a.printJSON(r)
}

// toolJSON is one tool of "groat setup --json".
type toolJSON struct {
	Tool      string   `json:"tool"`
	Installed bool     `json:"installed"`
	Profiles  []string `json:"profiles"`
}

func (a *app) listSetups(json bool) error {
	m, err := a.machine()
	if err != nil {
		return err
	}
	list := []toolJSON{}
	for _, t := range setup.Tools {
		list = append(list, toolJSON{t.Name, m.Installed(t), append([]string{}, m.Profiles(t.Name)...)})
	}
	return printResult(a, &list, json, func(list *[]toolJSON) []byte { return textTools(a.screen(), list) })
}

// tool returns the tool that a person has named, and the machine that it is on.
func (a *app) tool(name string) (*setup.Tool, *setup.Machine, error) {
	tool := setup.Find(name)
	if tool == nil {
		return nil, nil, errUnknownTool(name)
	}
	m, err := a.machine()
	return tool, m, err
}

func (a *app) machine() (*setup.Machine, error) {
	r, err := a.route()
	if err != nil {
		return nil, report.NoRoute(err)
	}
	if r.Place == nil {
		return nil, errNoHome()
	}
	return &setup.Machine{Getenv: a.getenv, Home: r.Place.Home, State: r.Place.State,
		Find: func(name string) string { return autostart.OnPath(a.getenv("PATH"), name) }}, nil
}

// findGroat returns the path of groat, by which it is found after an upgrade too, or "".
func (a *app) findGroat() string {
	path := a.getenv("PATH")
	if self, err := os.Executable(); err == nil {
		if beside := autostart.OnPath(filepath.Dir(self), "groat"); beside != "" {
			return nameOnPath(beside, path)
		}
	}
	return autostart.OnPath(path, "groat")
}

// setupProfile returns the profile that a person has named, or the only one there is, with the APIs of it that are
// meant: all, or those that --api names.
func (a *app) setupProfile(ctx context.Context, tool string, args, apis []string) (setup.Profile, error) {
	var result protocol.ProfilesResult
	err := a.withClientRetried(ctx, answerTime, func(ctx context.Context, c *protocol.Client) (err error) {
		result, err = c.Profiles(ctx)
		return err
	})
	if err != nil {
		return setup.Profile{}, err
	}
	name := a.profile(args)
	info, ok := meant(result.Profiles, name)
	if !ok {
		return setup.Profile{}, errSetupProfile(tool, name, result.Profiles)
	}
	if info.Broken && len(info.Resources) == 0 {
		return setup.Profile{}, errSetupBroken(info)
	}
	name = info.Profile
	listed := apisOf(info)
	p := setup.Profile{Name: name, APIs: listed}
	for _, other := range result.Profiles {
		for _, api := range apisOf(other) {
			if other.Profile != name && slices.Contains(listed, api) {
				p.Shared = append(p.Shared, api)
			}
		}
	}
	if apis != nil {
		p.APIs = nil
	}
	for _, api := range apis {
		if !slices.Contains(listed, setup.API(api)) {
			return p, errSetupAPI(name, api, listed)
		}
		if !slices.Contains(p.APIs, setup.API(api)) {
			p.APIs = append(p.APIs, setup.API(api))
		}
	}
	return p, nil
}

// meant returns the profile of a name, or without a name the only one there is.
func meant(profiles []protocol.ProfileInfo, name string) (p protocol.ProfileInfo, ok bool) {
	for _, p := range profiles {
		if p.Profile == name || name == "" && len(profiles) == 1 {
			return p, true
		}
	}
	return p, false
}

// apisOf returns the APIs that a profile lists, as tools write them: groatd adds the port that is the scheme's own.
func apisOf(p protocol.ProfileInfo) (apis []string) {
	for _, api := range p.Resources {
		apis = append(apis, setup.API(api))
	}
	return apis
}

// completeSetup offers the tools, and behind one the names of the profiles.
func (a *app) completeSetup(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	const stop = cobra.ShellCompDirectiveNoFileComp
	switch len(args) {
	case 0:
		return setup.Names(), stop
	case 1:
		return a.completeProfiles(cmd, nil, word)
	}
	return nil, stop
}
