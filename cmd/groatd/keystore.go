package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon"
	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// closer is a keystore that must be closed before another groatd may open it.
type closer interface {
	daemon.Keystore
	Close() error
}

// state is what a groatd has of its state directory.
type state struct {
	keystore closer
	// lock is nil where the directory was refused, or is another groatd's.
	lock *stateLock
	// tokens are those of the groatd that has handed over.
	tokens []handover.Token
	// waits is set where another groatd holds the lock.
	waits bool
}

// openState takes the lock of the state directory, which makes this the only groatd, and opens the keystore in it.
//
// Where either is refused and a service manager has passed the socket, ending would only mean to be started again for each
// client, until the manager gives up: then every request for a credential is answered with the refusal.
func openState(s site, log *zap.Logger) (*state, error) {
	st, err := lockedState(s)
	r, refused := errors.AsType[*refusal](err)
	if !refused || !activated() {
		return st, err
	}
	log.Error("no credential can be used", zap.Error(err))
	if r.code == exitCantCreate {
		return &state{keystore: noStore{protocol.KeystoreUnavailable, err.Error(), r.hint}, waits: true}, nil
	}
	return &state{keystore: noStore{protocol.Config, err.Error(), r.hint + ", then: systemctl --user restart groatd"}}, nil
}

func lockedState(s site) (*state, error) {
	if err := privateDir(s.State, "the state directory"); err != nil {
		return nil, err
	}
	st := new(state)
	var err error
	st.lock, err = lockState(s)
	if r, ok := errors.AsType[*refusal](err); ok && r.code == exitCantCreate && managed() {
		st.lock, st.tokens, err = takeOver(s)
	}
	if err != nil {
		return nil, err
	}
	st.keystore, err = backend.Open(backend.Options{
		StateDir: s.State, FallbackDir: spareDir(), RollbackDir: seenDir(), Env: os.Getenv("GROAT_KEYSTORE"),
	})
	if err != nil {
		st.lock.Close()
		return nil, badChoice(err, s.State)
	}
	return st, nil
}

func badChoice(err error, state string) error {
	return &refusal{exitConfig, err, "unset GROAT_KEYSTORE, or look into " + state}
}

// spareDir is where a rotated refresh token goes that the state directory's disk does not take. The runtime directory is in
// memory, so it works when a disk does not, and outlives a crash, but not the session. macOS has nothing of the kind:
// whatever a process may write to there shares the disk, and its fate, with the state directory.
func spareDir() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	run := frame.RuntimeDir(os.Getenv)
	if run == "" {
		return ""
	}
	return optionalDir(run, "groat")
}

// seenDir is where a restored backup leaves things as they are: $XDG_CACHE_HOME, or ~/Library/Caches.
func seenDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return optionalDir(filepath.Dir(cache), filepath.Base(cache), "groat")
}

// optionalDir makes a private directory in one that exists, or does without.
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

// noStore stands for a keystore that was refused: it holds and takes nothing, and says why.
type noStore struct {
	kind      protocol.Kind
	why, hint string
}

func (n noStore) err() error { return protocol.NewError(n.kind, n.why, n.hint) }

func (n noStore) Get(context.Context, string) (keystore.Item, error) { return keystore.Item{}, n.err() }

func (n noStore) Set(context.Context, string, keystore.Item) error { return n.err() }

func (n noStore) Delete(context.Context, string) error { return n.err() }

func (n noStore) Probe(context.Context) error { return n.err() }

func (n noStore) MarkSent(context.Context, string) (doubt, err error) { return nil, n.err() }

func (n noStore) MarkAnswered(context.Context, string) error { return n.err() }

func (n noStore) InDoubt(context.Context) ([]string, error) { return nil, n.err() }

func (n noStore) Use(context.Context, string, string, keystore.Secret) error { return n.err() }

func (n noStore) Move(context.Context, string, string, keystore.Secret) error { return n.err() }

func (n noStore) Passphrase(context.Context, keystore.Secret, keystore.Secret) error { return n.err() }

func (n noStore) Unlock(context.Context, keystore.Secret) error { return n.err() }

func (n noStore) Status(context.Context) keystore.Status {
	return keystore.Status{Use: backend.Auto, State: "unavailable", Message: n.why}
}

func (n noStore) Close() error { return nil }
