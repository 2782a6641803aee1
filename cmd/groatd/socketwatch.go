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
	// between is the longest time until groatd notices by itself that its socket has gone. A SIGHUP has it looked for at once.
	between = 30 * time.Second
	// whileTaken is the same where another process serves the path: a service manager that leaves it leaves it without a socket.
	whileTaken = 200 * time.Millisecond
)

// keep looks after the sockets until ctx ends: now and then, and when it is asked to. It calls over when there is no directory
// any more in which a socket could be.
func (l *listener) keep(ctx context.Context, o *offer, log *zap.Logger, asked <-chan struct{}, over func()) {
	tick, soon := time.NewTicker(between), time.NewTicker(whileTaken)
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
		if o != nil && o.look(log) || l.look(log) {
			over()
			return
		}
	}
}

// look binds the socket anew where something else stands at its path, or nothing (somebody has tidied up). Connections that
// there are stay. A place that would have been refused at the start is refused now: then groatd says so, serves whom it
// has, and looks again. It reports whether the session that the place belonged to is over.
func (l *listener) look(log *zap.Logger) (over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.bound == nil {
		return false
	}
	if l.state != "" {
		if _, err := os.Lstat(l.state); errors.Is(err, fs.ErrNotExist) {
			log.Info("the state directory has gone: so has the place", zap.String("directory", l.state))
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
			log.Error(l.what+" has gone and is not made anew: no further client can connect", zap.String("socket", l.path), zap.Error(err))
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

// elsewhere binds where a client looks for the socket now: another user may have taken the directory that it was in. The result
// is nil where that is no other path, or cannot be used either.
func (l *listener) elsewhere() *listener {
	if l.site == nil {
		return nil
	}
	s := *l.site
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

// runtimeDir returns the directory above path that lives only as long as the person is signed in to this machine, or "".
func runtimeDir(path string) string {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(os.Getuid())} {
		if filepath.IsAbs(dir) && strings.HasPrefix(path, filepath.Clean(dir)+"/") {
			return dir
		}
	}
	return ""
}
