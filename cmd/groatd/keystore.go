package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// closer is a keystore that must be closed before another groatd may open it.
type closer interface {
	keystore.Store
	daemon.Keystore
	Close() error
}

// state is what a groatd has of its state directory.
type state struct {
	keystore closer
	// lock is nil if the directory was refused or another groatd holds it.
	lock *stateLock
	// tokens are the access tokens of the groatd that has handed over.
	tokens []handover.Token
	// socket is its clients', where this one takes its place.
	socket *os.File
	bound  *handover.File // the socket's, or nil where that is not known
	// waits is set if another groatd holds the lock.
	waits bool
}

// openState takes the lock of the state directory, which makes this the only groatd, and opens the keystore in it.
//
// Where either is refused and a service manager has passed the socket, ending would only mean to be started again for
// each client, until the manager gives up: then every request for a credential is answered with the refusal.
func openState(s location, replace bool, log *zap.Logger) (*state, error) {
	st, err := lockedState(s, replace)
	r, refused := errors.AsType[*refusal](err)
	if !refused || !activated() {
		return st, err
	}
	log.Error("no credential can be used", zap.Error(err))
	if r.code == exitCantCreate {
		return &state{keystore: refusedStore{protocol.KeystoreUnavailable, err.Error(), r.hint}, waits: true}, nil
	}
	hint := "systemctl --user restart groatd"
	if variable, ok := strings.CutPrefix(r.hint, unset); ok {
		hint = "systemctl --user unset-environment " + visible.Word(variable) + " && " + hint
	} else if r.hint != "" {
		hint = r.hint + " && " + hint
	}
	return &state{keystore: refusedStore{protocol.Config, err.Error(), hint}}, nil
}

// lockedState opens the state directory. With replace set this groatd is to take the place of the one that runs.
func lockedState(s location, replace bool) (*state, error) {
	if err := privateDir(s.State, "the state directory"); err != nil {
		return nil, err
	}
	st := new(state)
	var err error
	st.lock, err = lockState(s)
	if r, ok := errors.AsType[*refusal](err); ok && r.code == exitCantCreate && (managed() || replace) {
		q := handover.ForService
		if replace {
			q = handover.ForRestart
		}
		st, err = takeOver(s, q)
	}
	if err != nil {
		return nil, err
	}
	st.keystore, err = backend.Open(backend.Options{
		StateDir: s.State, FallbackDir: fallbackDir(), RollbackDir: rollbackDir(), Env: os.Getenv("GROAT_KEYSTORE"),
	})
	if err != nil {
		st.lock.Close()
		if st.socket != nil {
			st.socket.Close()
		}
		return nil, errKeystore(err, s.State)
	}
	return st, nil
}

// unset begins the command that takes away a variable of a shell.
const unset = "unset "

func errKeystore(err error, state string) error {
	hint := cmp.Or(ownpath.HintFor(err), config.Edit(filepath.Join(state, "keystore.json")))
	if _, ok := errors.AsType[*keystore.VariableError](err); ok {
		hint = unset + "GROAT_KEYSTORE"
	}
	return &refusal{exitConfig, err, hint}
}

// fallbackDir returns the directory for a rotated refresh token that the disk of the state directory does not take, or
// "". The runtime directory is in memory: it works when a disk does not, and outlives a crash of groatd, but not the
// session. On macOS every directory that a user may write to is on the same disk as the state directory, so there is
// none.
func fallbackDir() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	run := frame.RuntimeDir(os.Getenv)
	if run == "" {
		return ""
	}
	return optionalDir(run, "groat")
}

// rollbackDir returns the directory for what a restored backup must not bring back, or "": $XDG_CACHE_HOME/groat, or
// ~/Library/Caches/groat.
func rollbackDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return optionalDir(filepath.Dir(cache), filepath.Base(cache), "groat")
}

// optionalDir makes a private directory in one that exists, and returns "" if that is not possible.
func optionalDir(exists string, below ...string) string {
	if info, err := os.Stat(exists); err != nil || !info.IsDir() {
		return ""
	}
	dir := filepath.Join(append([]string{exists}, below...)...)
	if privateDir(dir, "the directory") != nil {
		return ""
	}
	return dir
}

// refusedStore stands for a keystore that was refused. Each of its methods returns the refusal.
type refusedStore struct {
	kind      protocol.Kind
	why, hint string
}

func (n refusedStore) err() error { return protocol.NewError(n.kind, n.why, n.hint) }

func (n refusedStore) Get(context.Context, string) (keystore.Item, error) {
	return keystore.Item{}, n.err()
}

func (n refusedStore) Set(context.Context, string, keystore.Item) error { return n.err() }

func (n refusedStore) Delete(context.Context, string) error { return n.err() }

func (n refusedStore) Probe(context.Context) error { return n.err() }

func (n refusedStore) MarkSent(context.Context, string) (doubt, err error) { return nil, n.err() }

func (n refusedStore) MarkAnswered(context.Context, string) error { return n.err() }

func (n refusedStore) InDoubt(context.Context) ([]string, error) { return nil, n.err() }

func (n refusedStore) Use(context.Context, string, string, keystore.Secret) error { return n.err() }

func (n refusedStore) Move(context.Context, string, string, keystore.Secret) error { return n.err() }

func (n refusedStore) Passphrase(context.Context, keystore.Secret, keystore.Secret) error {
	return n.err()
}

func (n refusedStore) Unlock(context.Context, keystore.Secret) error { return n.err() }

func (n refusedStore) Status(context.Context) keystore.Status {
	return keystore.Status{Use: backend.Auto, State: "unavailable", Message: n.why}
}

func (n refusedStore) Close() error { return nil }
