package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/keystore/sealed"
)

// lazySealed opens its file when it is first needed: its key may be in a keychain that is still locked, or in a person's
// head, and neither shall keep the daemon from starting. Only a write, or a person who chooses it, makes a file that is not
// there: its key is made anew, and the key of a file that was only moved away would be lost by looking.
type lazySealed struct {
	files   sealed.Files
	key     string
	options Options
	listed  func() []string // whose items it should hold
	storing func() bool     // a change is under way: a name may be on the list before the file is there
	turn    chan struct{}   // holds a token while somebody opens
	making  atomic.Bool     // a file that was not there is being opened, and is empty at first
	opened  atomic.Pointer[sealed.Store]
	closed  bool // for good; guarded by turn
}

func newSealed(o Options, key, file string, listed func() []string, storing func() bool) *lazySealed {
	return &lazySealed{files: o.files(file), key: key, options: o, listed: listed, storing: storing, turn: make(chan struct{}, 1)}
}

// files are those of the sealed file with this name.
func (o Options) files(name string) sealed.Files {
	return sealed.Files{Path: filepath.Join(o.StateDir, name), Spare: o.Spare, Seen: o.Seen}
}

func (s *lazySealed) source(passphrase keystore.Secret) sealed.KeySource {
	switch s.key {
	case KeyCredential:
		return sealed.Credential{Dir: s.options.Credentials}
	case KeyFile:
		return s.files.KeyFile()
	case KeyPassphrase:
		return s.files.Passphrase(passphrase)
	}
	return &keychain.Store{}
}

// open opens a file that there is; where there is none, and it held nothing that anybody knows of, it is ErrNotFound.
func (s *lazySealed) open(ctx context.Context, passphrase keystore.Secret) (*sealed.Store, error) {
	if s.absent() {
		if err := s.missing(); err != nil {
			return nil, err
		}
		return nil, keystore.ErrNotFound
	}
	return s.openOrMake(ctx, passphrase)
}

// openOrMake is open for who may make the file.
func (s *lazySealed) openOrMake(ctx context.Context, passphrase keystore.Secret) (*sealed.Store, error) {
	if store := s.opened.Load(); store != nil {
		return store, nil
	}
	if err := s.emptied(); err != nil {
		return nil, err
	}
	if err := s.missing(); err != nil && s.key == KeyPassphrase && passphrase.IsZero() {
		return nil, err
	}
	if s.key == KeyPassphrase && passphrase.IsZero() {
		return nil, fmt.Errorf("%w: the sealed file waits for its passphrase", keystore.ErrLocked)
	}
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: the sealed file is still being opened", keystore.ErrUnavailable)
	}
	if store := s.opened.Load(); store != nil {
		return store, nil
	}
	if s.closed {
		return nil, fmt.Errorf("%w: the sealed file is closed", keystore.ErrUnavailable)
	}
	if err := s.emptied(); err != nil { // looked at again, now that nobody is making it
		return nil, err
	}
	s.making.Store(s.absent())
	defer s.making.Store(false)
	store, err := s.files.OpenWith(ctx, s.source(passphrase))
	if err != nil {
		return nil, s.explain(err)
	}
	s.opened.Store(store)
	return store, nil
}

// explain says of the key or the file what would else sound like one profile's item: a login would not help, nor would the
// keychain's password help against another key.
func (s *lazySealed) explain(err error) error {
	remedy := "bring it back, or remove that file to give up what it holds"
	for _, path := range []string{s.files.KeyFile().Path, s.files.Passphrase(keystore.Secret{}).Params} {
		if errors.Is(err, sealed.ErrWrongKey) && sealed.Exists(path+".old") {
			remedy = fmt.Sprintf("bring it back (what was in the place of %s before is %s.old), or remove that file to give up what it holds",
				filepath.Base(path), filepath.Base(path))
		}
	}
	switch {
	case errors.Is(err, keystore.ErrNotFound):
		return fmt.Errorf("%w: the key of the sealed file %s is not where it was (%s): %s", keystore.ErrUnavailable, s.files.Path, s.key, remedy)
	case errors.Is(err, sealed.ErrWrongKey) && s.key != KeyPassphrase:
		return fmt.Errorf("%w: the sealed file %s was sealed with another key than there is now (%s): %s", keystore.ErrUnavailable, s.files.Path, s.key, remedy)
	case errors.Is(err, keystore.ErrCorrupt):
		return fmt.Errorf("%w: the sealed file %s or its key: %v", keystore.ErrUnavailable, s.files.Path, err)
	}
	return err
}

func (s *lazySealed) Get(ctx context.Context, profile string) (keystore.Item, error) {
	if s.absent() {
		return keystore.Item{}, keystore.ErrNotFound
	}
	store, err := s.open(ctx, keystore.Secret{})
	if err != nil {
		return keystore.Item{}, err
	}
	return store.Get(ctx, profile)
}

func (s *lazySealed) Set(ctx context.Context, profile string, item keystore.Item) error {
	store, err := s.openOrMake(ctx, keystore.Secret{})
	if err != nil {
		return err
	}
	return store.Set(ctx, profile, item)
}

func (s *lazySealed) Delete(ctx context.Context, profile string) error {
	if s.absent() {
		return nil
	}
	store, err := s.open(ctx, keystore.Secret{})
	if err != nil {
		return err
	}
	return store.Delete(ctx, profile)
}

func (s *lazySealed) Probe(ctx context.Context) error {
	store, err := s.openOrMake(ctx, keystore.Secret{})
	if err != nil {
		return err
	}
	return store.Probe(ctx)
}

func (s *lazySealed) MarkSent(ctx context.Context, profile string) (doubt, err error) {
	if s.absent() {
		return nil, keystore.ErrNotFound
	}
	store, err := s.open(ctx, keystore.Secret{})
	if err != nil {
		return nil, err
	}
	return store.MarkSent(ctx, profile)
}

func (s *lazySealed) MarkAnswered(ctx context.Context, profile string) error {
	if s.absent() {
		return nil
	}
	store, err := s.open(ctx, keystore.Secret{})
	if err != nil {
		return err
	}
	return store.MarkAnswered(ctx, profile)
}

func (s *lazySealed) InDoubt(ctx context.Context) ([]string, error) {
	if s.absent() {
		return nil, nil
	}
	store, err := s.open(ctx, keystore.Secret{})
	if err != nil {
		return nil, err
	}
	return store.InDoubt(ctx)
}

func (s *lazySealed) profiles(ctx context.Context) ([]string, error) {
	store, err := s.open(ctx, keystore.Secret{})
	if err != nil {
		return nil, err
	}
	return store.Profiles(), nil
}

// emptied says that the file has lost what it held. It is not a new one then, which any passphrase would fit.
func (s *lazySealed) emptied() error {
	held := s.held()
	info, err := os.Lstat(s.files.Path)
	if held == "" || s.making.Load() || err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
		return nil
	}
	return fmt.Errorf("%w: the sealed file %s is damaged: it is empty, and held the credentials of %s: bring it back from a backup, "+
		"or give up what it held (rm %s) and %s", keystore.ErrUnavailable, s.files.Path, held, s.files.Path, s.anew())
}

// missing says that the file is not there, and held something.
func (s *lazySealed) missing() error {
	held := s.held()
	if held == "" || s.storing() || s.making.Load() || !s.absent() {
		return nil
	}
	return fmt.Errorf("%w: the sealed file %s is not there, and held the credentials of %s: bring it back, or give up what it held and %s",
		keystore.ErrUnavailable, s.files.Path, held, s.anew())
}

// anew is how a person goes on with a new file.
func (s *lazySealed) anew() string {
	if s.key == KeyPassphrase {
		return "choose a passphrase for a new one: groat keystore use sealed --passphrase"
	}
	return "sign in again"
}

// held names those whose items should be in the file, the first of them; empty where there are none.
func (s *lazySealed) held() string {
	names, more := s.listed(), ""
	if n := len(names); n > 3 {
		names, more = names[:3], fmt.Sprintf(" and %d more", n-3)
	}
	return strings.Join(names, ", ") + more
}

// lost returns [keystore.ErrCorrupt] where a profile's item should be in the sealed file and nowhere else, was there, and is not
// in it anymore; else ErrNotFound.
func (k *Keystore) lost(b *backend, profile string) error {
	at := inStore
	if b.mixed != nil {
		at = inSealed
	}
	if b.sealed == nil || k.storing.Load() > 0 || k.remembered.Load().places(profile) != at {
		return keystore.ErrNotFound
	}
	if store := b.sealed.opened.Load(); store == nil || !store.Lost(profile) {
		return keystore.ErrNotFound
	}
	return fmt.Errorf("%w: it was in %s, which was cut since, or an older copy is in its place: bring the newest copy back while groatd is stopped",
		keystore.ErrCorrupt, b.sealed.files.Path)
}

// gone says that the file was removed, or never made.
func (s *lazySealed) gone() bool { return !sealed.Exists(s.files.Path) && s.emptied() == nil }

// absent says that there is nothing to look into. A file that was removed while we have it open is still there for us.
func (s *lazySealed) absent() bool { return s.opened.Load() == nil && s.gone() }

// close ends it for good: a caller who comes late must not open, and so make, the file again.
func (s *lazySealed) close() error {
	s.turn <- struct{}{} // held while a file is opened, which ends
	defer func() { <-s.turn }()
	s.closed = true
	if store := s.opened.Swap(nil); store != nil {
		return store.Close()
	}
	return nil
}
