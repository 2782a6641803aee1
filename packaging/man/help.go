package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// groat runs groat-commands, which is groat for all that is not done thousands of times.
func (g *generator) groat(args ...string) (string, error) {
	return run(filepath.Join(g.bin, "groat-commands"), args...)
}

func run(program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// about returns what groat says of itself.
func (g *generator) about() (string, error) {
	said, err := g.groat("--help")
	return prose(split(said).text), err
}

// commands returns a section for each command, in the order of the help.
func (g *generator) commands() (string, error) {
	var b strings.Builder
	err := g.command(&b)
	return b.String(), err
}

var (
	subcommand = regexp.MustCompile(`(?m)^  (\S+) +(\S.*)$`)
	flagLine   = regexp.MustCompile(`^ +((?:-\w, )?--\S+(?: [^ ]+)?) {2,}(\S.*)$`)
	goFlag     = regexp.MustCompile(`(?m)^  (-\S+(?: \S+)?)\n +\t(.*)$`)
)

func (g *generator) command(b *strings.Builder, path ...string) error {
	said, err := g.groat(append(append([]string{}, path...), "--help")...)
	if err != nil {
		return err
	}
	h := split(said)
	if len(path) > 0 {
		fmt.Fprintf(b, "## groat %s\n\n%s\n", strings.Join(path, " "), prose(h.text))
		b.WriteString("```\n" + unindent(h.usage) + "```\n\n")
		for l := range strings.Lines(unwrapped(h.flags)) {
			m := flagLine.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
			if m == nil {
				return fmt.Errorf("groat %s --help: this is no flag: %q", strings.Join(path, " "), l)
			}
			if !strings.Contains(m[1], "--help") {
				fmt.Fprintf(b, "`%s`\n: %s\n\n", m[1], escaped(oneLine(m[2])))
			}
		}
		if h.examples != "" {
			b.WriteString("For example:\n\n```\n" + unindent(h.examples) + "```\n\n")
		}
	}
	for _, m := range subcommand.FindAllStringSubmatch(h.commands, -1) {
		if m[1] == "help" { // it shows what stands here
			continue
		}
		if err := g.command(b, append(append([]string{}, path...), m[1])...); err != nil {
			return err
		}
	}
	return nil
}

// continued is where a description of the help, which has lines of 80 columns, goes on below itself.
var continued = regexp.MustCompile(`\n {8,}(\S)`)

// unwrapped returns a list of the help with a line for each element.
func unwrapped(list string) string { return continued.ReplaceAllString(list, "  $1") }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// helpText is what --help prints, by its parts.
type helpText struct{ text, usage, examples, commands, flags string }

func split(said string) helpText {
	p := helpText{}
	at := &p.text
	for l := range strings.Lines(said) {
		switch strings.TrimSpace(l) {
		case "Usage:":
			at = &p.usage
		case "Examples:":
			at = &p.examples
		case "Available Commands:":
			at = &p.commands
		case "Flags:":
			at = &p.flags
		default:
			if strings.TrimSpace(l) == "" && at != &p.text {
				if at != &p.examples {
					at = new(string) // what follows a list is for people at a prompt
				}
				continue
			}
			*at += l
		}
	}
	return p
}

// daemonFlags returns the flags of groatd.
func (g *generator) daemonFlags() (string, error) {
	said, err := run(filepath.Join(g.bin, "groatd"), "-h")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range goFlag.FindAllStringSubmatch(said, -1) {
		fmt.Fprintf(&b, "`%s`\n: %s\n\n", m[1], escaped(m[2]))
	}
	if b.Len() == 0 {
		err = errors.New("groatd -h names no flags")
	}
	return b.String(), err
}

// networkKeys returns what the help says of the keys of [network].
func (g *generator) networkKeys() (string, error) {
	said, err := g.groat("network", "set", "--help")
	var b strings.Builder
	for _, m := range subcommand.FindAllStringSubmatch(unwrapped(split(said).text), -1) {
		fmt.Fprintf(&b, "`%s`\n: %s\n\n", m[1], escaped(oneLine(m[2])))
	}
	if err == nil && b.Len() == 0 {
		err = errors.New("groat network set --help names no keys")
	}
	return b.String(), err
}

// prose makes Markdown of a help text: an indented line is a list, and is shown as it stands.
func prose(text string) string {
	var b strings.Builder
	fenced := false
	for l := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		if in := strings.HasPrefix(l, "  "); in != fenced {
			b.WriteString("```\n")
			fenced = in
		}
		if fenced {
			b.WriteString(strings.TrimPrefix(l, "  "))
		} else {
			b.WriteString(escaped(l))
		}
	}
	if fenced {
		b.WriteString("```\n")
	}
	return b.String() + "\n"
}

// escaped keeps Markdown from giving a meaning to a text that is not.
func escaped(text string) string {
	return regexp.MustCompile("[\\\\`*_\\[\\]<>#|~]").ReplaceAllString(text, `\$0`)
}

func unindent(text string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		b.WriteString(strings.TrimPrefix(l, "  "))
	}
	return b.String()
}
