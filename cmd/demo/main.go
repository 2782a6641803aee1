// Demo shows in half a minute what groat does. It starts an authorization server that behaves like SpatiaFi's and the
// real groatd, and drives the real groat.
//
// It needs no account, no keychain and no network but loopback. It says what it does at each step, ends by itself,
// and leaves nothing behind: all its files are in one temporary directory. groatd and groat do not know that it is a
// demo.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// limit ends a demo that hangs.
const limit = 55 * time.Second

func main() {
	bin := flag.String("bin", "bin", "the `directory` of groat and groatd")
	flag.Parse()
	if err := run(*bin); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
}

func run(bin string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %s", limit))
	defer cancel()
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	s, err := newStage(bin)
	if err != nil {
		return err
	}
	defer func() {
		if cleaning := s.close(); err == nil {
			err = cleaning
		}
	}()
	for i, step := range steps {
		if i == 0 {
			say("%s", step.title)
		} else {
			say("\n%d. %s", i, step.title)
		}
		if err := step.play(ctx, s); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
	return nil
}
