package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"golang.org/x/crypto/argon2"

	"github.com/groat-dev/groat/keystore"
)

// What is wrapped begins with a magic line and the parameters of its passphrase; FORMAT.md, "The backup file".
const (
	saltSize   = 16
	paramsSize = 4 + 4 + 1 + saltSize // time, memory, threads, salt
)

// Wrap seals content with a passphrase, for a file of its own that begins with the line magic. Both stay the caller's.
// It takes about a tenth of a second and 64 MiB, on purpose.
func Wrap(magic string, passphrase, content keystore.Secret) ([]byte, error) {
	if passphrase.IsZero() {
		return nil, fmt.Errorf("%w: it needs a passphrase", keystore.ErrLocked)
	}
	p := newKDF()
	b := make([]byte, 0, len(magic)+paramsSize+overhead+content.Len()+4)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, p.Time)
	b = binary.BigEndian.AppendUint32(b, p.Memory)
	b = append(append(b, p.Threads), p.Salt...)
	aead, err := wrapper(magic, p, passphrase)
	if err != nil {
		return nil, err
	}
	plain := content.AppendTo(make([]byte, 0, content.Len()))
	defer clear(plain)
	b = aead.Seal(b, nil, plain, bytes.Clone(b))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// Unwrap opens what Wrap made. What was cut, changed or is something else is [keystore.ErrCorrupt], and parameters that
// are weaker than those of Wrap are too. [keystore.ErrLocked]: the passphrase does not fit, or the file was changed
// together with its checksum.
func Unwrap(magic string, passphrase keystore.Secret, data []byte) (keystore.Secret, error) {
	head := len(magic) + paramsSize
	switch {
	case !bytes.HasPrefix(data, []byte(magic)):
		return keystore.Secret{}, fmt.Errorf("%w: it does not begin with %q", keystore.ErrCorrupt, magic)
	case len(data) < head+overhead+4:
		return keystore.Secret{}, fmt.Errorf("%w: it is cut off", keystore.ErrCorrupt)
	}
	sum := len(data) - 4
	if crc32.Checksum(data[:sum], castagnoli) != binary.BigEndian.Uint32(data[sum:]) {
		return keystore.Secret{}, fmt.Errorf("%w: its checksum is wrong", keystore.ErrCorrupt)
	}
	at := data[len(magic):]
	p := kdf{
		V: 1, Name: "argon2id", Time: binary.BigEndian.Uint32(at), Memory: binary.BigEndian.Uint32(at[4:]),
		Threads: at[8],
		Salt:    at[9:paramsSize],
	}
	if err := p.check(); err != nil {
		return keystore.Secret{}, err
	}
	if p.weaker() {
		return keystore.Secret{}, fmt.Errorf("%w: its parameters are weaker than those that groat writes",
			keystore.ErrCorrupt)
	}
	if passphrase.IsZero() {
		return keystore.Secret{}, fmt.Errorf("%w: it needs a passphrase", keystore.ErrLocked)
	}
	aead, err := wrapper(magic, p, passphrase)
	if err != nil {
		return keystore.Secret{}, err
	}
	plain, err := aead.Open(nil, nil, data[head:sum], data[:head])
	if err != nil {
		return keystore.Secret{}, fmt.Errorf("%w: the passphrase does not fit", keystore.ErrLocked)
	}
	return keystore.NewSecret(plain), nil
}

// wrapper is AES-256-GCM with a random nonce before each text, its key made of the passphrase and of the file's kind.
func wrapper(magic string, p kdf, passphrase keystore.Secret) (cipher.AEAD, error) {
	pass := passphrase.AppendTo(make([]byte, 0, passphrase.Len()))
	defer clear(pass)
	secret := argon2.IDKey(pass, p.Salt, p.Time, p.Memory, p.Threads, keySize)
	defer clear(secret)
	key, err := hkdf.Key(sha256.New, secret, nil, magic, keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
