package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// watchInterval is the time between two checks. A SIGHUP causes one at once.
	watchInterval = 30 * time.Second
	// takenInterval is the same while another process serves the path. A service manager that gives the path up removes
	// its socket, and this groatd then takes the path back.
	takenInterval = 200 * time.Millisecond
)

// watch checks the sockets of l and o until ctx ends: at intervals, and for each value on asked. It calls over and
// returns when the directory that a socket could be in has been removed.
func (l *listener) watch(ctx context.Context, o *offer, log *zap.Logger, asked <-chan struct{}, over func()) {
	tick, soon := time.NewTicker(watchInterval), time.NewTicker(takenInterval)
	defer tick.Stop()
	defer soon.Stop()
	for {
		var left <-chan time.Time
		if l.taken != nil {
			left = soon.C
		}
		select {
		case <-ctx.Done():
			return
		case <-left:
			if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.taken) {
				continue
			}
		case <-tick.C:
		case <-asked:
		}
		if l.check(log) || o.check(log) {
			over()
			return
		}
	}
}

// check binds the socket again if its path has no socket or another one, as when a person or a program has removed it.
// Connections that exist stay open. If a directory is refused that would be refused at the start, check logs that once,
// and the next check tries again. It reports whether the session that the socket belonged to is over.
func (l *listener) check(log *zap.Logger) (over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.bound == nil {
		return false
	}
	if l.state != "" {
		if _, err := os.Lstat(l.state); errors.Is(err, fs.ErrNotExist) {
			log.Info("the state directory has been removed, and with it the place", zap.String("directory", l.state))
			return true
		}
	}
	if l.inPlace() {
		l.linkAlias(log)
		return false
	}
	if dir := runtimeDir(l.path); dir != "" {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			log.Info("the runtime directory has gone: the session is over", zap.String("directory", dir))
			return true
		}
	}
	if l.usual {
		dropForeignAlias(l.path)
	}
	next, err := bind(l.path)
	if err != nil {
		if elsewhere := l.elsewhere(); elsewhere != nil {
			next, err = elsewhere, nil
		}
	}
	l.taken = nil
	if r, ok := errors.AsType[*refusal](err); ok && r.code == exitCantCreate {
		l.taken, _ = os.Lstat(l.path)
	}
	if err != nil {
		if why := err.Error(); why != l.said {
			l.said = why
			log.Error(l.what+" has gone and is not made anew: no further client can connect",
				zap.String("socket", l.path), zap.Error(err))
		}
		return false
	}
	l.socket.Close()
	l.socket, l.bound, l.said = next.socket, next.bound, ""
	if l.path != next.path {
		l.path, l.alias = next.path, next.alias
		if l.says != nil {
			l.says(l.path)
		}
	}
	l.linkAlias(log)
	log.Warn(l.what+" had gone and was made anew", zap.String("socket", l.path))
	return false
}

// elsewhere binds at the path where a client looks for the socket now: another user may have taken the directory of the
// first. The result is nil if that is the same path, or if it cannot be used either.
func (l *listener) elsewhere() *listener {
	if l.origin == nil {
		return nil
	}
	s := *l.origin
	if s.findSockets("") != nil || s.socket() == l.path {
		return nil
	}
	if l.usual {
		dropForeignAlias(s.socket())
	}
	next, err := bind(s.socket())
	if err != nil {
		return nil
	}
	next.alias = s.alias()
	return next
}

// runtimeDir returns the directory above path that lives only as long as the person is signed in to this machine, or
// "".
func runtimeDir(path string) string {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(os.Getuid())} {
		if filepath.IsAbs(dir) && strings.HasPrefix(path, filepath.Clean(dir)+"/") {
			return dir
		}
	}
	return ""
}
