package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// program is one invocation. Its functions are replaced by its tests.
type program struct {
	root, pages string
	short       bool
	out         io.Writer
	parts       []part
	commit      func(ctx context.Context, root string) (string, error)
	now         func() time.Time
}

// run runs all parts, or the one that only names, and writes the page of each that succeeds. It goes on after one that
// fails, whose page stays as it was.
func (p *program) run(ctx context.Context, only string) error {
	if only != "" && !slices.ContainsFunc(p.parts, func(of part) bool { return of.name == only }) {
		return fmt.Errorf("there is no part %q", only)
	}
	at, err := p.commit(ctx, p.root)
	if err != nil {
		return err
	}
	var failed []error
	for _, of := range p.parts {
		if only != "" && of.name != only {
			continue
		}
		if err := p.runPart(ctx, of, at); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", of.name, err))
		}
	}
	return errors.Join(failed...)
}

func (p *program) runPart(ctx context.Context, of part, at string) error {
	hash, err := of.hash(ctx, p.root, lists{})
	if err != nil {
		return err
	}
	env, command := of.env, of.command
	if p.short && of.shortEnv != nil {
		env = of.shortEnv
	}
	if p.short && of.shortCommand != nil {
		command = of.shortCommand
	}
	began := p.now()
	fmt.Fprintf(p.out, "proof: %s began at %s\n", of.name, began.Format(time.TimeOnly))
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = p.root, append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, ending(text))
	}
	matches := of.result.FindAllSubmatch(text, -1)
	if len(matches) == 0 {
		return fmt.Errorf("it did not say what came of it:\n%s", ending(text))
	}
	result := strings.Join(strings.Fields(string(matches[len(matches)-1][1])), " ")
	g := page{ran: began, commit: at, took: p.now().Sub(began), hash: hash, result: result, listed: of.listed(text)}
	fmt.Fprintf(p.out, "proof: %s: %s\n", of.name, g.result)
	return p.write(of, g)
}

// listed returns what the part lists of what its command printed, sorted.
func (of part) listed(text []byte) (all []string) {
	if of.lists == nil {
		return nil
	}
	for _, m := range of.lists.FindAllSubmatch(text, -1) {
		all = append(all, string(m[1]))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ending returns the end of what a command printed: enough to see why it failed.
func ending(text []byte) []byte { return text[max(0, len(text)-16<<10):] }

// check reports each page that is stale. It fails where one is missing or cannot be read.
func (p *program) check(ctx context.Context) error {
	var failed []error
	known := lists{}
	for _, of := range p.parts {
		g, err := p.read(of)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if g.ran.IsZero() {
			fmt.Fprintf(p.out, "proof: %s has not run yet: make proof PART=%s\n", of.name, of.name)
			continue
		}
		hash, err := of.hash(ctx, p.root, known)
		if err != nil {
			failed = append(failed, err)
		} else if hash != g.hash {
			fmt.Fprintf(p.out, "proof: %s is stale, changed since %s (commit %s): make proof PART=%s\n",
				of.name, g.ran.Format(time.DateOnly), g.commit, of.name)
		}
	}
	return errors.Join(failed...)
}

// commit returns the commit that is checked out. A file that differs from it, other than a page or what figures writes,
// is an error: the page would name a commit that was not what ran.
func commit(ctx context.Context, root string) (string, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir, cmd.Stderr = root, os.Stderr
		out, err := cmd.Output()
		return string(bytes.TrimSpace(out)), err
	}
	changed, err := git("status", "--porcelain", "--untracked-files=no", "--", ".",
		":!packaging/proof/*.md", ":!packaging/figures/FIGURES.md", ":!README.md")
	if err != nil {
		return "", err
	}
	if changed != "" {
		return "", fmt.Errorf("commit first: a page names the commit that ran\n%s", changed)
	}
	return git("rev-parse", "--short=12", "HEAD")
}
