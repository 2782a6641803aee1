// Proof runs what takes too long for every change: whole matrices, a thousand kills, hours of fuzzing. Each part leaves
// a page beside this program that says when it ran, at which commit, what came of it, and which files it depends on.
//
//	proof [-part NAME] [-short -pages DIR]    runs all parts, or one
//	proof -check                              says which pages are stale
//
// A page is stale when a file that its part depends on has changed since. That is said and is no failure: a proof is
// repeated from time to time, not with each change. A page that is missing, or does not read as a page, is a failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	p := program{out: os.Stdout, parts: parts, commit: commit, now: time.Now}
	check := flag.Bool("check", false, "say which pages are stale, and run nothing")
	only := flag.String("part", "", "run this `part` alone")
	flag.BoolVar(&p.short, "short", false,
		"run a shortened version of each part, to try this program: its pages prove nothing, so it needs -pages")
	flag.StringVar(&p.root, "dir", ".", "the repository's `directory`")
	flag.StringVar(&p.pages, "pages", "", "the `directory` of the pages (default packaging/proof)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.main(ctx, *check, *only); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		os.Exit(1)
	}
}

func (p *program) main(ctx context.Context, check bool, only string) error {
	if p.short && p.pages == "" {
		return errors.New("-short needs -pages: a shortened run is no proof")
	}
	if p.pages == "" {
		p.pages = filepath.Join(p.root, "packaging", "proof")
	}
	if check {
		return p.check(ctx)
	}
	return p.run(ctx, only)
}
