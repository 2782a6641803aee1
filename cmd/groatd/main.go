// Groatd keeps access tokens fresh for one user and hands them out over a Unix socket; groat is its client.
//
// This package has the flags, the paths, the lock of the state directory, the listener, the logger, the messages to a
// service manager and the hand-over to its groatd. What the daemon does for its clients is in package daemon.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// release is set by the linker.
var release = "dev"

// Exit codes (sysexits.h).
const (
	exitCantCreate = 73 // another groatd runs
	exitTempFail   = 75 // another groatd ran and has ended: started again, this one takes its place
	exitConfig     = 78 // the configuration or a path is refused
)

type flags struct {
	socket, config string
	check, version bool
	replace, carry bool
}

func main() {
	harden()
	var f flags
	flag.StringVar(&f.socket, "socket", "",
		"listen on this `path` (default $GROAT_SOCKET, else in the runtime directory)")
	flag.StringVar(&f.config, "config", os.Getenv("GROAT_CONFIG"),
		"configuration `file` (default $GROAT_CONFIG, else in $XDG_CONFIG_HOME/groat)")
	flag.BoolVar(&f.check, "check", false, "check the configuration and exit")
	flag.BoolVar(&f.replace, "replace", false, "take the place of the groatd that runs, with its access tokens")
	flag.BoolVar(&f.carry, "carry", false,
		"serve no client: take over from the groatd of a service and hand over to the next one, for groat restart")
	flag.BoolVar(&f.version, "version", false, "print the version and exit")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "groatd: error: groatd takes flags only\ngroatd: hint: groatd -h")
		os.Exit(2)
	}
	os.Exit(report(run(f)))
}

// refusal is an error with groatd's exit code and the command to type next.
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
	fmt.Fprintln(os.Stderr, "groatd: error:", visible.Text(err.Error()))
	if hint != "" {
		fmt.Fprintln(os.Stderr, "groatd: hint:", visible.Text(typed(hint, os.Args[0])))
	}
	return code
}

// typed returns a hint as it has to be typed: by the path by which groatd was called, if it was called by one.
func typed(hint, called string) string {
	if rest, ok := strings.CutPrefix(hint, "groatd"); ok && strings.Contains(called, "/") {
		return visible.Word(called) + rest
	}
	return hint
}

func run(f flags) error {
	if f.version {
		fmt.Printf("groatd %s (protocol %d)\n", release, protocol.Version)
		return nil
	}
	where, err := findLocation(f)
	if err != nil {
		return err
	}
	path := cmp.Or(f.config, os.Getenv("GROAT_CONFIG"))
	if path == "" {
		path = where.Place.Configuration + "/"
	}
	dir, err := config.At(path)
	if err != nil {
		return &refusal{exitConfig, err, "groatd -h"}
	}
	if f.check {
		return check(f, where, dir)
	}
	return serve(f, where, dir)
}

// serve runs the daemon until a signal ends it.
func serve(f flags, where location, dir config.Dir) error {
	if err := where.checkHome(); err != nil {
		return err
	}
	if err := where.findSockets(f.socket); err != nil {
		return err
	}
	log, file := newLogger()
	defer log.Sync()
	err := error(nil)
	if f.replace || f.carry { // the groatd that runs is not ended for one that cannot start
		if _, err = dir.Load(); err == nil {
			err = checkSite(f, where)
		}
	}
	switch {
	case err != nil:
	case f.carry:
		err = carry(where, log, file)
	default:
		err = work(f.replace, where, dir, log, file)
	}
	// Of a hundred that start at once all but one find another groatd, whose log this is.
	r, ok := errors.AsType[*refusal](err)
	if file != nil && err != nil && (f.replace || f.carry || !ok || r.code != exitCantCreate) {
		log.Error("cannot go on", zap.Error(err))
		file.open(where.State)
	}
	if err == nil {
		log.Info("ended")
	}
	return err
}

// work is serve with a log, whose file it opens once it has the lock.
func work(replace bool, where location, dir config.Dir, log *zap.Logger, file *logFile) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	raiseDescriptors(log)
	readWithLittleGarbage()
	st, err := openState(where, replace, log)
	if err != nil {
		return err
	}
	// At the end, in this order: the sockets go, the keystore is closed, a successor gets the lock and the tokens, the
	// lock is closed. Another groatd may open the keystore once it has the lock.
	directory := ""
	var o *offer
	if st.lock != nil {
		directory = where.State
		file.open(directory)
		defer st.lock.Close()
		defer func() { o.give(st.lock) }()
	}
	defer st.keystore.Close()
	// The socket comes last: a client that can connect is answered, so all that could be refused is read before.
	network := new(grant.Network)
	d, err := daemon.New(daemon.Options{
		Config: dir, Store: st.keystore, Keystore: st.keystore, HTTP: grant.NewHTTPClient(network), Network: network,
		Now: clock.Now, Log: log, Release: release, Socket: where.socket(), StateDir: directory,
		Place: where.PlaceStatus, Activated: activated(),
	})
	if err != nil {
		return err
	}
	if adopted := d.Adopt(st.tokens); adopted > 0 {
		log.Info("took over from another groatd", zap.Int("tokens", adopted))
	}
	l, err := listen(where, st.socket, st.bound)
	if err != nil {
		return err
	}
	defer l.release()
	d.ListensAt(l.path)
	l.linkAlias(log)
	if st.lock != nil && l.origin != nil && !where.Usual {
		l.state = directory
	}
	offerPath := ""
	// systemd keeps the socket of a service, which it restarts by it; other activators become groatd and are gone.
	service := l.bound == nil && os.Getenv("NOTIFY_SOCKET") != ""
	if st.lock != nil && (service || l.origin != nil && !managed()) {
		if o = newOffer(where.State, where.ID, d, log); o != nil {
			defer o.release()
			o.clients, o.service = l, service
			offerPath = o.path
		}
	}
	l.says = func(path string) {
		if path != "" {
			d.ListensAt(path)
		}
		switch {
		case st.lock == nil:
		case path == "":
			st.lock.record("", "")
		default:
			st.lock.record(path, offerPath)
		}
	}
	l.says(l.path)
	await := func(ctx context.Context) bool { return st.waits && awaitLock(ctx, where) }
	lockIsFree, err := attend(ctx, d, l, o, await, log)
	if lockIsFree {
		return &refusal{exitTempFail, errors.New("the other groatd has ended, or hands over now"),
			"systemctl --user start groatd"}
	}
	return err
}

// fewDescriptors is a limit below which clients or the listener of a login may get no descriptor.
const fewDescriptors = 256

// raiseDescriptors makes the soft limit on descriptors the hard one: a shell sets its limit for its own programs. The
// Go runtime has raised it to one below already. However high the hard limit is, what a crowd may take is bounded
// (package daemon/descriptors). The one program that groatd starts, sops, inherits the limit, which it would raise by
// itself.
func raiseDescriptors(log *zap.Logger) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	if was := limit; limit.Cur < limit.Max {
		limit.Cur = limit.Max
		// macOS has a lower limit of its own, which the runtime knows.
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
			limit = was
		}
	}
	if limit.Cur < fewDescriptors {
		log.Warn("the limit on descriptors is low: ulimit -Hn", zap.Uint64("descriptors", limit.Cur))
	}
}

// attend serves until ctx ends, and handles signals, the service manager, the sockets and the offer meanwhile. It
// reports true if it ended because awaitLock returned true.
func attend(ctx context.Context, d *daemon.Daemon, l *listener, o *offer, awaitLock func(context.Context) bool,
	log *zap.Logger) (free bool, err error) {
	ctx, over := context.WithCancel(ctx)
	defer over()
	hangups, quits := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	// The runtime would print the stacks of all goroutines, or end the process.
	signal.Notify(quits, syscall.SIGQUIT, syscall.SIGUSR1)
	defer signal.Stop(quits)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a log without a reader must not end the process
	m := newNotifier(log)
	looks := make(chan struct{}, 1)
	socket := l.path // watch may change it
	go l.watch(ctx, o, log, looks, over)
	if o != nil {
		go o.serve(over, looks)
	}
	freed := make(chan struct{})
	go func() {
		if awaitLock(ctx) {
			close(freed)
		}
	}()
	// A reload may take long and must not hold up the watchdog, so it has a goroutine of its own. A SIGHUP during a
	// reload causes the next one.
	go func() {
		for range hangups {
			select {
			case looks <- struct{}{}:
			default: // a check is due already
			}
			m.reload(d)
		}
	}()
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, l) }()
	tuneCollector(d.Profiles())
	started := []zap.Field{zap.String("release", release), zap.String("socket", socket)}
	log.Info("ready", append(started, d.Counts()...)...)
	m.ready(d)
	for {
		select {
		case <-quits:
			log.Info("still here", zap.Int("profiles", d.Profiles()))
		case <-d.SummaryChanged():
			m.status(d.Summary())
		case <-m.ticks():
			m.alive(d)
		case <-freed:
			free, freed = true, nil
			over()
		case <-ctx.Done():
			log.Info("stopping")
			m.stopping()
			return free, <-done
		case err := <-done:
			return free, err
		}
	}
}
