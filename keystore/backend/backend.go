// Package backend is the keystore that this person uses: the keychain, the sealed file or this process's memory. The
// keychain has a sealed file beside it for what it is not made for: sessions, private keys and whatever is too long.
//
// The invariant: the choice is made once, when something is first stored, and remembered in the state directory;
// nothing but [Keystore.Use], [Keystore.Move] and [Keystore.Passphrase] changes it, least of all a keychain that is
// locked or does not answer.
package backend

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
	// FallbackDir is a directory that exists, on a file system that does not fill up or fail together with StateDir's:
	// what that one does not take is kept there until it does. Empty: then it is in memory only.
	FallbackDir string
	// RollbackDir is a directory that exists and that backups leave out, to know a restored sealed file by. Empty: it
	// is not known.
	RollbackDir string
	// Credentials is systemd's directory of credentials; empty means $CREDENTIALS_DIRECTORY.
	Credentials string
}

// Keystore is a [keystore.Store] by delegation. Safe for concurrent use: a call for one profile waits for another
// profile's only while a choice is being made or a new profile's name is written down, and both have a deadline. Writes
// of one profile must not overlap ([keystore.PendingStore]); a read waits for no write.
type Keystore struct {
	options    Options
	choiceLock chan struct{}           // holds a token while a call decides, moves, or saves the choice
	idle       chan struct{}           // holds a token when the last change has ended
	current    atomic.Pointer[backend] // nil while nothing is chosen

	remembered atomic.Pointer[choice] // never nil; replaced only under choiceLock; what it points to is never changed
	storing    atomic.Int32           // changes that are under way; raised only under choiceLock

	mu      sync.Mutex
	checked time.Time // when health was found
	health  error     // of the keychain
}

var _ keystore.Store = (*Keystore)(nil)

// backend is a store that was chosen.
type backend struct {
	store
	keystore.Store
	sealed *sealed.Store // nil for Memory
	hybrid *hybrid       // nil but for Keychain
}

// Check refuses what Open would refuse, and changes nothing.
func Check(o Options) error {
	_, err := loadAllowed(o)
	return err
}

// loadAllowed returns what is remembered, if that and GROAT_KEYSTORE agree.
func loadAllowed(o Options) (choice, error) {
	if o.Env == "" {
		o.Env = Auto
	}
	if !slices.Contains([]string{Auto, Keychain, Sealed, Memory}, o.Env) {
		return choice{}, &keystore.VariableError{Said: fmt.Sprintf("GROAT_KEYSTORE is %q, want keychain, sealed, "+
			"memory or auto", o.Env)}
	}
	remembered, err := load(o.StateDir)
	if err == nil && remembered.Use != "" && o.Env != Auto && o.Env != remembered.Use {
		err = &keystore.VariableError{Said: fmt.Sprintf("GROAT_KEYSTORE is %q, but the credentials are in %q (%s)",
			o.Env, remembered.Use, filepath.Join(o.StateDir, fileName))}
	}
	return remembered, err
}

// Open reads what is remembered. Its errors name what a person has to correct: a file, or GROAT_KEYSTORE.
func Open(o Options) (*Keystore, error) {
	if o.Credentials == "" {
		o.Credentials = os.Getenv("CREDENTIALS_DIRECTORY")
	}
	remembered, err := loadAllowed(o)
	if err != nil {
		return nil, err
	}
	if o.Env == "" {
		o.Env = Auto
	}
	k := &Keystore{options: o, choiceLock: make(chan struct{}, 1), idle: make(chan struct{}, 1)}
	k.remembered.Store(&remembered)
	k.removeLeftoverFiles()
	switch {
	case remembered.Use == "" && o.Env == Memory:
		k.current.Store(k.backend(store{Use: Memory}))
	case remembered.Use == "":
	default:
		k.current.Store(k.backend(remembered.store))
	}
	return k, nil
}

func (k *Keystore) backend(at store) *backend {
	listed := func(p location) func() []string {
		return func() []string {
			if c := k.remembered.Load(); c.store == at {
				return *c.list(p)
			}
			return nil // the names are another store's
		}
	}
	storing := func() bool { return k.storing.Load() > 0 }
	sealedFile := func(p location) *sealed.Store {
		return sealed.New(sealed.Options{
			Files: k.options.files(at.file()), Key: k.options.keySource(at, keystore.Secret{}), KeyName: at.keyName(),
			Expected: listed(p), Changing: storing,
		})
	}
	switch at.Use {
	case Keychain:
		h := &hybrid{names: k, sealed: sealedFile(inSealed)}
		return &backend{store: at, Store: h, sealed: h.sealed, hybrid: h}
	case Sealed:
		s := sealedFile(inStore)
		return &backend{store: at, Store: s, sealed: s}
	}
	return &backend{store: at, Store: &keystore.Memory{}}
}

// files are those of the sealed file with this name.
func (o Options) files(name string) sealed.Files {
	return sealed.Files{Path: filepath.Join(o.StateDir, name), FallbackDir: o.FallbackDir, RollbackDir: o.RollbackDir}
}

// keyName is where the key of the store's sealed file comes from; the file beside the keychain has its key in there.
func (s store) keyName() string {
	if s.Use == Keychain {
		return KeyKeychain
	}
	return s.Key
}

// keySource brings the key of a store's sealed file. The passphrase stays the caller's.
func (o Options) keySource(at store, passphrase keystore.Secret) sealed.KeySource {
	switch at.Key {
	case KeyCredential:
		return sealed.Credential{Dir: o.Credentials}
	case KeyFile:
		return o.files(at.file()).KeyFile()
	case KeyPassphrase:
		return o.files(at.file()).Passphrase(passphrase)
	}
	return &keychain.Store{}
}

// sealedPath is the path of a store's sealed file.
func (k *Keystore) sealedPath(b *backend) string { return k.options.files(b.file()).Path }

// Get delegates; while nothing is chosen nothing is stored either, and that is ErrNotFound.
func (k *Keystore) Get(ctx context.Context, profile string) (keystore.Item, error) {
	for {
		b := k.current.Load()
		if b == nil {
			return keystore.Item{}, keystore.ErrNotFound
		}
		item, err := b.Get(ctx, profile)
		if errors.Is(err, keystore.ErrNotFound) {
			err = k.lostOrNotFound(b, profile)
		}
		if err == nil || k.current.Load() == b { // else it was moved meanwhile
			return item, err
		}
	}
}

// lostOrNotFound returns [keystore.ErrCorrupt] where a profile's item should be in the sealed file and nowhere else,
// was there, and is not in it now; else ErrNotFound.
func (k *Keystore) lostOrNotFound(b *backend, profile string) error {
	at := inStore
	if b.hybrid != nil {
		at = inSealed
	}
	if b.sealed == nil || k.storing.Load() > 0 || k.remembered.Load().locations(profile) != at ||
		!b.sealed.Lost(profile) {
		return keystore.ErrNotFound
	}
	return fmt.Errorf("%w: it was in %s, which was cut since, or an older copy is in its place: "+
		"bring the newest copy back while groatd is stopped",
		keystore.ErrCorrupt, k.sealedPath(b))
}

// Set makes the choice if none is made, and delegates; ErrUndecided where no keystore works by itself.
func (k *Keystore) Set(ctx context.Context, profile string, item keystore.Item) error {
	if _, err := k.decide(ctx); err != nil {
		return err
	}
	b, err := k.beginSet(ctx, profile, item)
	if err != nil {
		return err
	}
	defer k.endChange()
	return b.Set(ctx, profile, item)
}

// beginChange returns the store that is in use, and keeps it in use until ended is called; nil while nothing is chosen.
func (k *Keystore) beginChange(ctx context.Context) (*backend, error) {
	if k.current.Load() == nil {
		return nil, nil
	}
	release, err := k.lockChoice(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	k.storing.Add(1)
	return k.current.Load(), nil
}

// endChange is the end of a change.
func (k *Keystore) endChange() {
	if k.storing.Add(-1) == 0 {
		select {
		case k.idle <- struct{}{}:
		default:
		}
	}
}

// Delete delegates.
func (k *Keystore) Delete(ctx context.Context, profile string) error {
	if k.current.Load() == nil {
		return nil
	}
	b, err := k.beginChange(ctx)
	if err != nil {
		return err
	}
	defer k.endChange()
	if err := b.Delete(ctx, profile); err != nil {
		return err
	}
	k.unlist(ctx, profile, inStore|inSealed)
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

// MarkSent delegates. A profile whose credential is in the keychain is no session, and nothing is recorded.
func (k *Keystore) MarkSent(ctx context.Context, profile string) (doubt, err error) {
	b, err := k.beginChange(ctx)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, keystore.ErrNotFound
	}
	defer k.endChange()
	return b.MarkSent(ctx, profile)
}

// MarkAnswered delegates.
func (k *Keystore) MarkAnswered(ctx context.Context, profile string) error {
	b, err := k.beginChange(ctx)
	if b == nil || err != nil {
		return err
	}
	defer k.endChange()
	return b.MarkAnswered(ctx, profile)
}

// InDoubt delegates. It may have to open the sealed file, and fails while that is locked.
func (k *Keystore) InDoubt(ctx context.Context) ([]string, error) {
	if b := k.current.Load(); b != nil {
		return b.InDoubt(ctx)
	}
	return nil, nil
}

// Close releases the sealed file.
func (k *Keystore) Close() error {
	if b := k.current.Load(); b != nil {
		return b.close()
	}
	return nil
}

// decide makes the choice; probed says that it did, and that the store has just passed a probe.
func (k *Keystore) decide(ctx context.Context) (probed bool, err error) {
	if k.current.Load() != nil {
		return false, nil
	}
	release, err := k.lockChoice(ctx)
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
	next := *k.remembered.Load()
	next.store = b.store
	if err := k.remember(next); err != nil {
		return false, errors.Join(err, b.close())
	}
	k.current.Store(b)
	return true, nil
}

// pick returns a store that has passed a probe.
func (k *Keystore) pick(ctx context.Context) (*backend, error) {
	if k.options.Env == Sealed {
		return k.probeOrClose(ctx, k.backend(store{Use: Sealed, Key: k.defaultKey()}))
	}
	b, err := k.probeOrClose(ctx, k.backend(store{Use: Keychain}))
	if err == nil || k.options.Env == Keychain {
		return b, err
	}
	if k.defaultKey() == KeyCredential {
		return k.probeOrClose(ctx, k.backend(store{Use: Sealed, Key: KeyCredential}))
	}
	if errors.Is(err, keystore.ErrLocked) {
		return nil, keystore.ErrUndecidedLocked
	}
	return nil, undecided(err)
}

// undecided is ErrUndecided because of the keychain's error, which is for people: programs must not take it for that of
// a keystore in use.
func undecided(err error) error {
	return fmt.Errorf("%w, and the keychain cannot be used: %v", keystore.ErrUndecided, err)
}

func (k *Keystore) probeOrClose(ctx context.Context, b *backend) (*backend, error) {
	if err := b.Probe(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// defaultKey is where a sealed store's key comes from where the person names no other place.
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
	return b.sealed.Close()
}
