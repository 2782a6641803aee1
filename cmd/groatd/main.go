// Groatd keeps access tokens fresh for one user and hands them out over a Unix socket; groat is its client.
//
// This package is the daemon's outside: flags, paths, the lock that makes it the only one, the listener, the logger, and
// what a service manager wants to hear. Everything it does is in package daemon.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore/choice"
	"github.com/groat-dev/groat/protocol"
)

// release is set by the linker.
var release = "dev"

// Exit codes (sysexits.h).
const (
	exitCantCreate = 73 // another groatd runs
	exitConfig     = 78 // the configuration or a path is refused
)

type flags struct {
	socket, config string
	check, version bool
}

func main() {
	harden()
	var f flags
	flag.StringVar(&f.socket, "socket", "", "listen on this `path` (default $GROAT_SOCKET, else in the runtime directory)")
	flag.StringVar(&f.config, "config", os.Getenv("GROAT_CONFIG"), "configuration `file` (default $GROAT_CONFIG, else in $XDG_CONFIG_HOME/groat)")
	flag.BoolVar(&f.check, "check", false, "check the configuration and exit")
	flag.BoolVar(&f.version, "version", false, "print the version and exit")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "groatd: error: groatd takes flags only\ngroatd: hint: groatd -h")
		os.Exit(2)
	}
	os.Exit(report(run(f)))
}

// refusal is an error with the exit code and the next command.
type refusal struct {
	code int
	err  error
	hint string
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// report prints an error in two lines and returns the exit code.
func report(err error) int {
	if err == nil {
		return 0
	}
	code, hint := 1, ""
	if r, ok := errors.AsType[*refusal](err); ok {
		code, hint = r.code, r.hint
	}
	if c, ok := errors.AsType[*config.Error](err); ok {
		code, hint = exitConfig, c.Hint
	}
	fmt.Fprintln(os.Stderr, "groatd: error:", err)
	if hint != "" {
		fmt.Fprintln(os.Stderr, "groatd: hint:", hint)
	}
	return code
}

func run(f flags) error {
	if f.version {
		fmt.Printf("groatd %s (protocol %d)\n", release, protocol.Version)
		return nil
	}
	dir, err := config.Find(f.config)
	if err != nil {
		return &refusal{exitConfig, err, "groatd --config /path/to/config.toml"}
	}
	if f.check {
		return check(dir)
	}
	return serve(f, dir)
}

// check loads the configuration as the daemon would.
func check(dir config.Dir) error {
	c, err := dir.Load()
	if err != nil {
		return err
	}
	for _, name := range c.Names() {
		p := c.Profiles[name]
		if _, _, err := p.Server(); err != nil {
			return &config.Error{File: p.File, Line: p.Line, Message: err.Error()}
		}
	}
	fmt.Printf("the configuration is good: %d profiles\n", len(c.Profiles))
	return nil
}

// serve runs the daemon until a signal ends it.
func serve(f flags, dir config.Dir) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	if f.socket != "" {
		os.Setenv("GROAT_SOCKET", f.socket)
	}
	socket, err := protocol.SocketPath()
	if err != nil {
		return &refusal{exitConfig, err, "set GROAT_SOCKET to a shorter, absolute path"}
	}
	state, err := stateDir()
	if err != nil {
		return err
	}
	lock, err := lockState(state)
	if err != nil {
		return err
	}
	defer lock.Close()

	l, err := listen(socket)
	if err != nil {
		return err
	}
	defer l.release()

	log := newLogger()
	defer log.Sync()
	store, err := choice.Open(choice.Options{StateDir: state, Env: os.Getenv("GROAT_KEYSTORE")})
	if err != nil {
		return &refusal{exitConfig, err, "groatd --check; unset GROAT_KEYSTORE"}
	}
	defer store.Close()
	d, err := daemon.New(daemon.Options{
		Config: dir, Keystore: store, HTTP: grant.NewHTTPClient(), Now: clock.Now, Log: log, Release: release, Socket: l.path,
		Activated: l.bound == nil,
	})
	if err != nil {
		return err
	}
	return attend(ctx, d, l, log)
}

// attend serves, and keeps the service manager and the signals attended to meanwhile.
func attend(ctx context.Context, d *daemon.Daemon, l *listener, log *zap.Logger) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(hangups)
	m := newManager(log)
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, l.UnixListener) }()
	log.Info("ready", zap.String("release", release), zap.String("socket", l.path), zap.Int("profiles", d.Profiles()))
	m.ready(d)
	for {
		select {
		case s := <-hangups:
			if s == syscall.SIGQUIT { // the runtime would print every goroutine's stack
				log.Info("still here", zap.Int("profiles", d.Profiles()))
				continue
			}
			m.reload(d)
		case <-m.ticks():
			m.alive(d)
		case <-ctx.Done():
			m.stopping()
			return <-done
		case err := <-done:
			return err
		}
	}
}
