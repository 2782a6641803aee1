package export

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// hookTime is how long a hook may run. It is killed then, with what it has started and is in its process group.
const hookTime = 30 * time.Second

// hook is a program that is run after each replacement of a file: one of a directory that is the person's, like git's
// hooks. A request and the list only name it: a program that can speak to groatd from a container, or can write in the
// state directory alone, has nothing run that is not there. One runs at a time for a file, and once more where the file
// was replaced meanwhile.
type hook struct {
	x       *Exports
	name    string // or empty: there is none
	file    string // what was replaced
	profile string

	mu      sync.Mutex
	running bool
	due     bool
	problem string // how it ended the last time, or empty
}

// path is where the hook is.
func (h *hook) path() string { return filepath.Join(h.x.Hooks, h.name) }

// check refuses a hook that is not there, or that another user could change.
func (h *hook) check() error {
	switch {
	case h.name == "":
		return nil
	case !config.ValidName(h.name):
		return protocol.InvalidParams("on_change must be the name of a hook: a-z, 0-9, '.', '_' and '-', 64 at most")
	case h.x.Hooks == "":
		return protocol.NewError(protocol.Config, "there are no hooks where the configuration is switched off",
			"groat status")
	}
	info, err := os.Stat(h.path())
	if err == nil {
		err = ownpath.Check(h.path()) // also over the links that lead to it
	}
	if err == nil {
		err = ownpath.CheckFile(h.path(), info, ownpath.GivenConfig)
	}
	if own, ok := errors.AsType[*ownpath.Error](err); ok {
		return protocol.NewError(protocol.Config, own.Error(), own.Hint)
	}
	if err != nil {
		return protocol.NewError(protocol.Config, fmt.Sprintf("there is no hook %s in %s", h.name, h.x.Hooks),
			"mkdir -p "+visible.Word(h.x.Hooks)+" && ${EDITOR:-vi} "+visible.Word(h.path()))
	}
	if info.Mode()&0o100 == 0 {
		return protocol.NewError(protocol.Config, h.path()+" cannot be run", "chmod u+x "+visible.Word(h.path()))
	}
	return nil
}

// fire has the hook run, in a goroutine of its own.
func (h *hook) fire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.name == "" || h.x.hooks.Err() != nil {
		return
	}
	if h.due = true; !h.running {
		h.running = true
		h.x.ending.Go(h.run)
	}
}

func (h *hook) run() {
	for h.next() {
		err := h.check()
		if err == nil {
			ctx, cancel := context.WithTimeout(h.x.hooks, hookTime)
			err = h.once(ctx)
			cancel()
		}
		h.mu.Lock()
		h.problem = ""
		if err != nil {
			h.problem = err.Error()
			h.x.Log.Warn("a hook has failed", zap.String("hook", h.path()), zap.String("file", h.file), zap.Error(err))
		}
		h.mu.Unlock()
	}
}

func (h *hook) next() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = h.due && h.x.hooks.Err() == nil
	h.due = false
	return h.running
}

// once runs the hook to its end. What it prints goes nowhere: it may be the token. It has no argument, and of groatd's
// environment only what finds the session's services.
func (h *hook) once(ctx context.Context) error {
	c := exec.CommandContext(ctx, h.path())
	c.Dir = "/"
	c.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "GROAT_PROFILE=" + h.profile, "GROAT_EXPORT_FILE=" + h.file}
	for _, name := range []string{"HOME", "USER", "LOGNAME", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if v, ok := os.LookupEnv(name); ok {
			c.Env = append(c.Env, name+"="+v)
		}
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // of a session of its own it cannot leave the process group
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	err := c.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errors.New("it took too long and was killed")
	case ctx.Err() != nil:
		return nil // groatd ends; the next one runs it
	}
	return err
}

// shown is what people are told of a hook that has failed.
func (h *hook) shown() (message, hint string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.problem == "" {
		return "", ""
	}
	return fmt.Sprintf("the hook %s failed after the last change: %s", h.name, h.problem), visible.Word(h.path())
}
