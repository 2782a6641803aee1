package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

var helpSetup = help{
	short: "Make another program ask groat for tokens: write its configuration",
	long: `Write the configuration of TOOL so that it asks groat for the tokens of PROFILE,
for the APIs that the profile lists (--api of "groat login") and for no other
server.

groat shows what it would write, and asks. It keeps a copy of each file, and
adds nothing twice; --undo takes back what it has written, and leaves what was
changed since. No token is written.

For gdal groatd also keeps a file with the header, which GDAL is told of, until
--undo. It is there while a groatd runs: "groat service install" starts one with
the machine.

Without TOOL, list the tools, which of them are installed, and which profiles
they are set up for.`,
	example: `  groat setup
  groat setup git work
  groat setup git work --dry-run
  groat setup git work --undo`,
}

const (
	useSetup = "setup [TOOL [PROFILE]] [flags]"

	flagSetupAPI     = "an `ORIGIN` that the profile lists, if not all of them are meant; may be repeated"
	flagSetupIDToken = "give kubectl the ID token instead of the access token"
	flagUndo         = "take back what was written for the profile"
	flagDryRunSetup  = "show what would be written, and change nothing"

	msgSetupTool = "say which tool is meant"
	msgUndoAPI   = "--undo takes back everything that was written for the profile: leave --api and --id-token out"
)

func questionSetup(undo bool) string {
	if undo {
		return "groat: take this back? [y/N] "
	}
	return "groat: write this? [y/N] "
}

// typedSetup is the command for a tool and a profile.
func typedSetup(tool, profile string, flags ...string) string {
	words := []string{"groat setup", tool}
	if profile != "" {
		words = append(words, visible.Word(profile))
	}
	return strings.Join(append(words, flags...), " ")
}

func errSetupUnasked(typed string) *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: "there is no terminal to ask on, so nothing was changed",
		Hint: typed}
}

func errSetupDeclined(tool, profile string) *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Message: "not confirmed, so nothing was changed",
		Hint: typedSetup(tool, profile, "--dry-run")}
}

func errUnknownTool(name string) *report.Failure {
	hint, ok := otherTools[strings.ToLower(name)]
	if !ok {
		hint = "groat setup"
	}
	return &report.Failure{Code: report.ExitUsage, Hint: hint,
		Message: "groat cannot set up " + visible.Name(name) + ", only " + strings.Join(setup.Names(), ", ")}
}

// otherTools are commands for programs that ask groat and are set up by hand, or by another name.
var otherTools = map[string]string{
	"keyring": "groat helper keyring --help",
	"pip":     "groat helper keyring --help",
	"uv":      "groat helper keyring --help", "podman": "groat setup docker", "skopeo": "groat setup docker",
	"rasterio": "groat setup gdal", "qgis": "groat setup gdal",
}

func errNoGroat() *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Hint: "command -v groat",
		Message: "groat is not on PATH, so no program could run it"}
}

func errNoHome() *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Hint: `eval "HOME=~$(id -un)" && export HOME`,
		Message: "there is no home directory, so there is no configuration to write"}
}

// errSetupProfile takes the name that does not exist, or "" where none was given and nothing chooses.
func errSetupProfile(tool, name string, profiles []protocol.ProfileInfo) *report.Failure {
	f := &report.Failure{Code: report.ExitConfig, Hint: "groat list",
		Message: "there is no profile " + visible.Name(name)}
	switch {
	case len(profiles) == 0:
		f.Message, f.Hint = "no profile exists yet", "groat login"
	case name == "":
		var names []string
		for _, p := range profiles {
			names = append(names, nameOf(p.Profile))
		}
		f.Message = "say which profile is meant: " + strings.Join(names, ", ")
		f.Hint = typedSetup(tool, profiles[0].Profile)
	}
	return f
}

// errSetupBroken takes a profile that cannot be used.
func errSetupBroken(p protocol.ProfileInfo) *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Message: sentence(p.Message), Hint: sentence(p.Hint)}
}

func errSetupAPI(profile, api string, apis []string) *report.Failure {
	list := "none"
	if len(apis) > 0 {
		list = strings.Join(apis, ", ")
	}
	return &report.Failure{Code: report.ExitConfig, Hint: "groat profile show " + visible.Word(profile),
		Message: fmt.Sprintf("profile %s does not list %s as an API, but %s", nameOf(profile), visible.Name(api), list)}
}

func errNotSetUp(tool, profile string, there []string) *report.Failure {
	f := &report.Failure{Code: report.ExitConfig, Hint: "groat setup",
		Message: fmt.Sprintf("%s was not set up for profile %s, so there is nothing to take back", tool,
			nameOf(profile))}
	switch {
	case profile == "" && len(there) > 0:
		f.Message = "say which profile is meant: " + strings.Join(there, ", ")
		f.Hint = typedSetup(tool, there[0], "--undo")
	case profile == "":
		f.Message = tool + " was not set up by groat, so there is nothing to take back"
	case len(there) > 0:
		f.Hint = typedSetup(tool, there[0], "--undo")
	}
	return f
}

// failSetup words an error of package setup. What was typed may be typed again.
func failSetup(err error, typed string) error {
	e, ok := errors.AsType[*setup.Error](err)
	if !ok {
		return err
	}
	f := &report.Failure{Code: report.ExitConfig, Cause: err}
	name, word := visible.Name(e.Path), visible.Word(e.Path)
	look := "ls -l " + word
	if of, ok := errors.AsType[*ownpath.Error](e.Err); ok {
		f.Message, f.Hint = of.Error(), of.Hint
		return f
	}
	switch e.Reason {
	case setup.NotInstalled:
		f.Message, f.Hint = visible.Name(e.Tool)+" is not on PATH, so it is not set up", "groat setup"
	case setup.TooOld:
		since, helper := "sends a header to some addresses only since GDAL 3.10", "gdal"
		if e.Tool == "cargo" {
			since, helper = "has credential providers since 1.74", "cargo"
		}
		is := cmp.Or(clean(e.Err.Error()), "one that does not say its version")
		f.Message = fmt.Sprintf("%s %s, and here is %s: nothing was changed", e.Tool, since, is)
		f.Hint = "groat helper " + helper + " --help"
	case setup.NoAPI:
		f.Message = fmt.Sprintf("profile %s lists no API that %s could use, so there is nothing to write",
			nameOf(e.Profile), e.Tool)
		f.Hint = "groat login " + visible.Word(e.Profile) + " --api https://HOST"
	case setup.NoContext:
		f.Message = "no context of the kubeconfig has a cluster at an API of profile " + nameOf(e.Profile)
		f.Hint = "kubectl config view"
	case setup.NoEntry:
		f.Message = "no registry of cargo's own file has its index at an API of profile " + nameOf(e.Profile)
		f.Hint = "groat helper cargo --help"
		if e.Tool == "rclone" {
			f.Message = "no WebDAV remote of rclone's is at an API of profile " + nameOf(e.Profile)
			f.Hint = "rclone config create data webdav url=" + visible.Word(e.API) + " vendor=other"
		}
	case setup.NoFile:
		url := visible.Word(e.API + "/")
		f.Code, f.Hint = report.ExitUsage, "groat helper curl "+url+" | curl -K - "+url
		f.Message = e.Tool + " has no configuration for one server alone, so there is nothing to write"
	case setup.NoSettings:
		f.Message = e.Tool + " reads no file of settings here (GOENV is off), so there is nothing to write"
		f.Hint = "go env GOENV"
		if e.Tool == "rclone" {
			f.Message, f.Hint = "rclone does not say where its configuration is", "rclone config file"
		}
	case setup.NoIDToken:
		f.Code, f.Hint = report.ExitUsage, strings.Replace(typed, " --id-token", "", 1)
		f.Message = "only kubectl can be given the ID token, and not " + e.Tool
	case setup.NotRegular:
		f.Message, f.Hint = name+" is not a file, so nothing was changed", look
	case setup.ReadOnly:
		f.Message, f.Hint = name+" is read-only, so nothing was changed", "chmod u+w "+word
	case setup.NotYours:
		f.Message, f.Hint = name+" belongs to another user, so nothing was changed", look
	case setup.OtherNames:
		f.Message = name + " has another name too (a hard link), which would not be changed with it"
		own := visible.Word(e.Path + ".own")
		f.Hint = "cp -p " + word + " " + own + " && mv " + own + " " + word
	case setup.TooLarge:
		f.Message, f.Hint = name+" is larger than a configuration is, so nothing was changed", look
	case setup.BadLine:
		if e.Tool == "" {
			e.Tool = "groat"
		}
		f.Message, f.Hint = badLine(e, name), "${EDITOR:-vi} "+word
		if e.Line > 0 {
			f.Hint = fmt.Sprintf("${EDITOR:-vi} +%d %s", e.Line, word)
		}
	case setup.Unreadable:
		f.Message, f.Hint = "cannot read "+name+": "+e.Err.Error(), look
	case setup.BeingSetUp:
		f.Code = report.ExitTemporary
		f.Message, f.Hint = "another groat is setting something up", typed
	case setup.Busy:
		f.Code = report.ExitTemporary
		f.Message = "another program is changing " + name + ", or was stopped while it did: " + visible.Name(e.Lock) +
			" is there"
		f.Hint = "ls -l " + visible.Word(e.Lock)
	case setup.Changed:
		f.Code = report.ExitTemporary
		f.Message, f.Hint = name+" was changed meanwhile, so groat did not write it; try again", typed
	case setup.NotWritten:
		f.Message = "cannot write " + name + ": " + e.Err.Error()
		f.Hint = ownpath.DirHint(filepath.Dir(e.Path))
	case setup.NoLink:
		f.Message = "no directory of PATH is yours to make " + e.Tool + " in, which is to be another name of groat"
		f.Hint = "sudo ln -s " + visible.Word(e.Program) + " " + visible.Word("/usr/local/bin/"+e.Tool)
	case setup.BadRecord:
		f.Message = name + " is no record of what groat has set up: " + e.Err.Error()
		f.Hint = "mv " + word + " " + visible.Word(e.Path+".bad")
	case setup.NotSetUp:
		return errNotSetUp(e.Tool, e.Profile, nil)
	default:
		return err
	}
	return f
}

func badLine(e *setup.Error, name string) string {
	where := name
	if e.Line > 0 {
		where = fmt.Sprintf("line %d of %s", e.Line, name)
	}
	return fmt.Sprintf("%s cannot read %s, so nothing was changed: %s", e.Tool, where, visible.Line(e.Err.Error(), 200))
}

// textPlan shows the lines that a plan takes away and adds.
func textPlan(p *setup.Plan, dry bool) []byte {
	var b bytes.Buffer
	for i := range p.Changes {
		c := &p.Changes[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		verb := "change"
		switch {
		case c.Created:
			verb = "make"
		case c.Removed:
			verb = "remove"
		}
		if dry {
			verb = "would " + verb
		} else {
			verb += "s"
		}
		fmt.Fprintf(&b, "groat %s %s\n", verb, visible.Name(c.Path))
		if c.Link != "" {
			fmt.Fprintf(&b, "      a link to %s\n", visible.Name(c.Link))
		}
		for _, l := range c.Lines() {
			sign, text := '-', showLine(l.Text)
			if l.Added {
				sign = '+'
			}
			if l.Cut {
				text = "… " + text + " …"
			}
			fmt.Fprintf(&b, "%5d %c %s\n", l.Number, sign, text)
		}
	}
	return b.Bytes()
}

// showLine is a line of a file with its indentation.
func showLine(text string) string {
	bare := strings.TrimLeft(text, " \t")
	return strings.ReplaceAll(text[:len(text)-len(bare)], "\t", "    ") + clean(bare)
}

// textPlanned says what has become of a plan.
func textPlanned(p *setup.Plan, undo, done bool) []byte {
	var b bytes.Buffer
	switch {
	case len(p.Changes) == 0 && undo && !done:
		b.WriteString("nothing would be changed\n")
	case len(p.Changes) == 0 && undo:
		fmt.Fprintf(&b, "%s has nothing of profile %s any more\n", p.Tool, nameOf(p.Profile))
	case len(p.Changes) == 0:
		fmt.Fprintf(&b, "nothing to change: %s asks groat for the tokens of profile %s\n", p.Tool, nameOf(p.Profile))
	case !done:
		b.WriteString("nothing was changed\n")
	case undo:
		fmt.Fprintf(&b, "taken back: %s has nothing of profile %s any more\n", p.Tool, nameOf(p.Profile))
	default:
		fmt.Fprintf(&b, "done: %s asks groat for the tokens of profile %s (take it back: %s)\n", p.Tool,
			nameOf(p.Profile), typedSetup(p.Tool, p.Profile, "--undo"))
		for _, c := range p.Changes {
			if c.Copy != "" {
				fmt.Fprintf(&b, "%s is kept as it was in %s\n", visible.Name(c.Path), visible.Name(c.Copy))
			}
		}
	}
	for _, l := range p.Stays {
		fmt.Fprintf(&b, "note: %s in %s stays, since another profile needs it\n", visible.Name(l.Name),
			visible.Name(l.Path))
	}
	for _, api := range p.Undecided {
		fmt.Fprintf(&b, "note: another profile lists %s too, and %s names none: there it gets a token only with "+
			"GROAT_PROFILE=%s\n", visible.Name(api), p.Tool, nameOf(p.Profile))
	}
	for _, l := range p.Left {
		fmt.Fprintf(&b, "note: %s in %s was changed since, and is left as it is\n", visible.Name(l.Name),
			visible.Name(l.Path))
	}
	return b.Bytes()
}

func textStillKept(path string) string {
	return "groat: no groatd runs, and the next one keeps a file on: groat export --stop " + visible.Word(path) + "\n"
}

func textTools(s screen, tools *[]toolJSON) []byte {
	var rows [][]string
	for _, t := range *tools {
		installed := "no"
		if t.Installed {
			installed = "yes"
		}
		rows = append(rows, []string{t.Tool, installed, strings.Join(t.Profiles, ", ")})
	}
	return s.table([]string{"TOOL", "INSTALLED", "SET UP FOR"}, rows)
}
