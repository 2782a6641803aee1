// Package choice is the keystore that this person uses: the keychain, the sealed file or this process's memory.
//
// The invariant: the choice is made once, when something is first stored, and remembered in the state directory; nothing
// but [Keystore.Use] changes it, least of all a keychain that is locked or does not answer. What it is not: a way to carry
// items from one store to another.
package choice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/keystore/sealed"
)

// What there is to choose from; Auto means that nothing is chosen.
const (
	Auto     = "auto"
	Keychain = "keychain"
	Sealed   = "sealed"
	Memory   = "memory"
)

// Where a sealed store's key comes from.
const (
	KeyKeychain   = "keychain"   // an item in the keychain
	KeyCredential = "credential" // a systemd credential, groat.key
	KeyFile       = "file"       // a 0600 file in the state directory
	KeyPassphrase = "passphrase" // what a person types after each start
)

// Options say where the choice is remembered and what the environment wants.
type Options struct {
	// StateDir is the daemon's own directory, which exists and which it has locked.
	StateDir string
	// Env is $GROAT_KEYSTORE: empty, "auto", or what must be used. Only "memory" is not remembered, for what was stored
	// under it is gone with the process.
	Env string
	// Credentials is systemd's directory of credentials; empty means $CREDENTIALS_DIRECTORY.
	Credentials string
}

// Keystore is a [keystore.Store] by delegation. Safe for concurrent use: one profile's caller waits for another's only
// while a choice is being made or a new profile's name is written down, and both within a deadline.
type Keystore struct {
	options Options
	turn    chan struct{}           // holds a token while somebody decides or writes the choice down
	current atomic.Pointer[backend] // nil while nothing is chosen

	remembered choice       // guarded by turn
	storing    atomic.Int32 // Sets that are under way; raised only with the turn

	mu      sync.Mutex
	checked time.Time // when health was found
	health  error     // of the keychain
}

var _ keystore.Store = (*Keystore)(nil)

// backend is a store that was chosen.
type backend struct {
	use, key string
	keystore.Store
	sealed *lazySealed // nil but for Sealed
}

// Open reads what is remembered. Its errors name what a person has to correct: a file, or GROAT_KEYSTORE.
func Open(o Options) (*Keystore, error) {
	if o.Credentials == "" {
		o.Credentials = os.Getenv("CREDENTIALS_DIRECTORY")
	}
	if o.Env == "" {
		o.Env = Auto
	}
	if !slices.Contains([]string{Auto, Keychain, Sealed, Memory}, o.Env) {
		return nil, fmt.Errorf("%w: GROAT_KEYSTORE is %q, want keychain, sealed, memory or auto", keystore.ErrConflict, o.Env)
	}
	remembered, err := load(o.StateDir)
	if err != nil {
		return nil, err
	}
	k := &Keystore{options: o, turn: make(chan struct{}, 1), remembered: remembered}
	switch {
	case remembered.Use == "" && o.Env == Memory:
		k.current.Store(k.backend(Memory, ""))
	case remembered.Use == "":
	case o.Env != Auto && o.Env != remembered.Use:
		return nil, fmt.Errorf("%w: GROAT_KEYSTORE is %q, but the credentials are in %q (%s)",
			keystore.ErrConflict, o.Env, remembered.Use, filepath.Join(o.StateDir, fileName))
	default:
		k.current.Store(k.backend(remembered.Use, remembered.Key))
	}
	return k, nil
}

func (k *Keystore) backend(use, key string) *backend {
	switch use {
	case Keychain:
		return &backend{use: use, Store: &keychain.Store{}}
	case Sealed:
		s := newSealed(k.options, key)
		return &backend{use, key, s, s}
	}
	return &backend{use: Memory, Store: &keystore.Memory{}}
}

// Get delegates; while nothing is chosen nothing is stored either, and that is ErrNotFound.
func (k *Keystore) Get(ctx context.Context, profile string) (keystore.Item, error) {
	b := k.current.Load()
	if b == nil {
		return keystore.Item{}, keystore.ErrNotFound
	}
	return b.Get(ctx, profile)
}

// Set makes the choice if none is made, and delegates; ErrUndecided where no keystore works by itself.
func (k *Keystore) Set(ctx context.Context, profile string, item keystore.Item) error {
	if _, err := k.decide(ctx); err != nil {
		return err
	}
	b, err := k.begin(ctx, profile)
	if err != nil {
		return err
	}
	defer k.storing.Add(-1)
	return b.Set(ctx, profile, item)
}

// begin writes the profile's name down, before anything is stored under it, and keeps the choice from changing until
// storing is lowered.
func (k *Keystore) begin(ctx context.Context, profile string) (*backend, error) {
	release, err := k.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	b := k.current.Load()
	if !slices.Contains(k.remembered.Profiles, profile) {
		next := k.remembered
		next.Profiles = append(slices.Clone(next.Profiles), profile)
		slices.Sort(next.Profiles)
		if err := k.remember(next); err != nil {
			return nil, err
		}
	}
	k.storing.Add(1)
	return b, nil
}

// Delete delegates.
func (k *Keystore) Delete(ctx context.Context, profile string) error {
	b := k.current.Load()
	if b == nil {
		return nil
	}
	if err := b.Delete(ctx, profile); err != nil {
		return err
	}
	release, err := k.acquire(ctx)
	if err != nil {
		return nil // the item is gone; a name too many is found out when it matters
	}
	defer release()
	next := k.remembered
	next.Profiles = slices.DeleteFunc(slices.Clone(next.Profiles), func(p string) bool { return p == profile })
	if len(next.Profiles) < len(k.remembered.Profiles) {
		k.remember(next) // the same holds for a write that fails
	}
	return nil
}

// Probe makes the choice if none is made: what follows a probe is a login.
func (k *Keystore) Probe(ctx context.Context) error {
	probed, err := k.decide(ctx)
	if err != nil || probed {
		return err
	}
	return k.current.Load().Probe(ctx)
}

// Close releases the sealed file.
func (k *Keystore) Close() error {
	if b := k.current.Load(); b != nil {
		return b.close()
	}
	return nil
}

// turnLimit is how long anybody waits for a decision that another caller is making.
const turnLimit = 10 * time.Second

func (k *Keystore) acquire(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: another caller is still choosing a keystore", keystore.ErrUnavailable)
	}
}

// remember writes the choice down, unless it is one that ends with the process; the caller has the turn.
func (k *Keystore) remember(next choice) error {
	if b := k.current.Load(); next.Use != "" && (b == nil || b.use != Memory) {
		if err := save(k.options.StateDir, next); err != nil {
			return fmt.Errorf("%w: the choice of keystore cannot be written down: %w", keystore.ErrUnavailable, err)
		}
	}
	k.remembered = next
	return nil
}

// decide makes the choice; probed says that it did, and that the store has just passed a probe.
func (k *Keystore) decide(ctx context.Context) (probed bool, err error) {
	if k.current.Load() != nil {
		return false, nil
	}
	release, err := k.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if k.current.Load() != nil {
		return false, nil
	}
	b, err := k.pick(ctx)
	if err != nil {
		return false, err
	}
	next := k.remembered
	next.Use, next.Key = b.use, b.key
	if err := k.remember(next); err != nil {
		return false, errors.Join(err, b.close())
	}
	k.current.Store(b)
	return true, nil
}

// pick returns a store that has passed a probe.
func (k *Keystore) pick(ctx context.Context) (*backend, error) {
	if k.options.Env == Sealed {
		return k.probed(ctx, k.backend(Sealed, k.defaultKey()))
	}
	b, err := k.probed(ctx, k.backend(Keychain, ""))
	if err == nil || k.options.Env == Keychain {
		return b, err
	}
	if k.defaultKey() == KeyCredential {
		return k.probed(ctx, k.backend(Sealed, KeyCredential))
	}
	// The cause is for people: a keychain that is locked now is not what programs shall branch on here.
	return nil, fmt.Errorf("%w, and the keychain cannot be used: %v", keystore.ErrUndecided, err)
}

func (k *Keystore) probed(ctx context.Context, b *backend) (*backend, error) {
	if err := b.Probe(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// defaultKey is where a sealed store's key comes from unless somebody says otherwise.
func (k *Keystore) defaultKey() string {
	if k.options.Credentials != "" && sealed.Exists(filepath.Join(k.options.Credentials, sealed.CredentialFile)) {
		return KeyCredential
	}
	return KeyKeychain
}

func (b *backend) close() error {
	if b.sealed == nil {
		return nil
	}
	return b.sealed.close()
}
