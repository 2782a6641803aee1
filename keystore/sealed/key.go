package sealed

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// KeySource brings the 32-byte data key, which the caller then owns.
type KeySource interface {
	// Key returns the key. With create the store is new: where the key is made here a new one is made, whatever there
	// was in its place. It is false wherever a sealed file exists, which no new key could open.
	Key(ctx context.Context, create bool) (keystore.Secret, error)
}

// Exists reports whether something stands at path that a new key must not be made for. What is no regular file may
// stand in the place of one that comes back.
func Exists(path string) bool {
	info, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist) && (err != nil || !info.Mode().IsRegular() || info.Size() > 0)
}

// KeyFile and Passphrase are the sources whose files stand beside the store's, and go with them.
func (f Files) KeyFile() KeyFile { return KeyFile{f.Path + ".key"} }

// Passphrase does not copy the passphrase.
func (f Files) Passphrase(passphrase keystore.Secret) Passphrase {
	return Passphrase{f.Path + ".kdf", passphrase}
}

// CredentialFile is the name of the systemd credential that holds the data key (systemd.exec(5), LoadCredential=).
const CredentialFile = "groat.key"

// Credential is the data key as a systemd credential: 32 bytes, or Base64 of them, in Dir/groat.key.
type Credential struct{ Dir string }

// Key reads it; it is never made here.
func (c Credential) Key(context.Context, bool) (keystore.Secret, error) {
	path := filepath.Join(c.Dir, CredentialFile)
	f, err := os.Open(path)
	if err != nil {
		return keystore.Secret{}, fmt.Errorf("%w: the systemd credential: %w", keystore.ErrUnavailable, err)
	}
	defer f.Close()
	// Who may read it is the service manager's business: with an ACL on it the mode bits say nothing.
	return readKey(f, path)
}

// KeyFile is the data key in a file that only its owner can read: what protects the sealed file is then that file's
// mode, and nothing protects a backup that holds both.
type KeyFile struct{ Path string }

// Key reads the file, or for a new store makes it anew.
func (k KeyFile) Key(_ context.Context, create bool) (keystore.Secret, error) {
	if create {
		return k.create()
	}
	f, err := ownpath.OpenFile(k.Path, os.O_RDONLY, ownpath.OwnSecret)
	if err != nil {
		return keystore.Secret{}, fmt.Errorf("%w: the key file: %w", keystore.ErrUnavailable, err)
	}
	defer f.Close()
	return readKey(f, k.Path)
}

func (k KeyFile) create() (keystore.Secret, error) {
	key := make([]byte, keySize)
	rand.Read(key)
	text := append(base64.StdEncoding.AppendEncode(nil, key), '\n')
	defer clear(text)
	if err := replaceFile(k.Path, text); err != nil {
		return keystore.Secret{}, err
	}
	return keystore.NewSecret(key), nil
}

const maxKeyFile = 64 // bytes, Base64 and a newline

// readKey takes 32 bytes as they are, or one line of Base64.
func readKey(r io.Reader, path string) (keystore.Secret, error) {
	b := make([]byte, 0, maxKeyFile)
	defer func() { clear(b[:cap(b)]) }()
	n, err := io.ReadFull(r, b[:cap(b)])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return keystore.Secret{}, fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
	}
	b = b[:n]
	if n == keySize {
		return keystore.NewSecret(append([]byte(nil), b...)), nil
	}
	if n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	key, err := base64.StdEncoding.Strict().AppendDecode(make([]byte, 0, 48), b)
	if err != nil || len(key) != keySize {
		clear(key)
		return keystore.Secret{}, fmt.Errorf("%w: %s holds no key: want %d bytes, or Base64 of them",
			keystore.ErrCorrupt, path, keySize)
	}
	return keystore.NewSecret(key), nil
}

// restoreKey puts back what a new key of source has replaced, after the file that it was for could not be made: with
// the next attempt it would be lost, and with it a file that was only moved away.
func restoreKey(source KeySource) {
	var path string
	switch source := source.(type) {
	case KeyFile:
		path = source.Path
	case Passphrase:
		path = source.Params
	default:
		return
	}
	os.Rename(path+".old", path) // if there is none, the new key stays, and is replaced by the next one
}

// replaceFile makes a durable 0600 file, in the place of what may be there. That is kept as .old until the store is
// removed: the file that it opens may have been moved away, and come back.
func replaceFile(path string, data []byte) error {
	if err := checkDirectory(path); err != nil {
		return err
	}
	d, err := ownfile.Create(ownfile.System, path, ownfile.Beside(path), ownpath.OwnSecret, data)
	if err != nil {
		return unavailable(err)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if err := os.Rename(path, path+".old"); err != nil {
			return unavailable(errors.Join(err, d.Discard()))
		}
	}
	if err := d.Rename(); err != nil {
		return unavailable(err)
	}
	if err := errors.Join(d.Close(), d.SyncName()); err != nil {
		os.Rename(path+".old", path)
		return unavailable(err)
	}
	return nil
}
