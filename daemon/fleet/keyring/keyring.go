// Package keyring has the keys of a fleet: with them a machine seals what it writes to the engine, and names its keys
// there. The engine sees sizes and times, and nothing of what is written or of whom it is about.
//
// Each epoch has a key of its own. A machine that is removed has no key of the epochs after that. The naming key stays
// the same in all epochs: it hides profile names from the engine, and protects nothing from a former member.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/groat-dev/groat/keystore"
)

// Errors of Open, Add and Decode.
var (
	// ErrEpoch: there is no key of the epoch, or none any more. The error says which in an [*EpochError].
	ErrEpoch = errors.New("the fleet's key of this epoch is not on this machine")
	// ErrDamaged: a value is not what a member sealed for this place.
	ErrDamaged = errors.New("a value in the fleet's engine was not sealed by this fleet for its place")
	// ErrOtherKey: an epoch has another key already.
	ErrOtherKey = errors.New("the fleet's epoch has another key already")
	// ErrFull: the keyring has as many keys of older epochs as it may, and something is sealed with each.
	ErrFull = errors.New("the fleet has begun more keys than it has sealed its credentials with: try again later")
	// ErrEncoding: what should be a keyring is none.
	ErrEncoding = errors.New("the stored keys of the fleet are damaged")
)

// EpochError is an [ErrEpoch].
type EpochError struct {
	Epoch uint32
	// Past is set where the epoch is older than all that are in use, and its key forgotten.
	Past bool
}

func (e *EpochError) Error() string { return fmt.Sprintf("%s: epoch %d", ErrEpoch, e.Epoch) }

// Is reports that an EpochError is an [ErrEpoch].
func (e *EpochError) Is(target error) bool { return target == ErrEpoch }

const (
	keySize   = 32 // AES-256
	nonceSize = 12 // NIST SP 800-38D §8.2
	tagSize   = 16
	format    = 1
	headSize  = 1 + 4 // format, epoch
	// Overhead is by how many bytes a sealed value is longer than the plain one.
	Overhead = headSize + nonceSize + tagSize

	nameSize = 16
	maxKeys  = 64
)

// Keyring is a fleet's keys. It is safe for concurrent use until [Keyring.Wipe].
type Keyring struct {
	fleet  string
	naming keystore.Secret

	mu    sync.RWMutex
	keys  map[uint32]keystore.Secret // :: epoch → key
	epoch uint32                     // the newest
}

// New returns the keyring of a new fleet, in epoch 1.
func New() *Keyring {
	var id [nameSize]byte
	rand.Read(id[:]) // does not fail
	return &Keyring{
		fleet: hex.EncodeToString(id[:]), naming: NewKey(), keys: map[uint32]keystore.Secret{1: NewKey()}, epoch: 1,
	}
}

// NewKey returns the key of an epoch that begins.
func NewKey() keystore.Secret {
	key := make([]byte, keySize)
	rand.Read(key)
	return keystore.NewSecret(key)
}

// Fleet returns the fleet's id, which is no secret: 32 hexadecimal digits.
func (k *Keyring) Fleet() string { return k.fleet }

// Epoch returns the newest epoch, which all is sealed in.
func (k *Keyring) Epoch() uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.epoch
}

// Oldest returns the oldest epoch that there is a key of.
func (k *Keyring) Oldest() uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Min(slices.Collect(maps.Keys(k.keys)))
}

// Key returns a copy of an epoch's key, which the caller wipes. The error is an [*EpochError].
func (k *Keyring) Key(epoch uint32) (keystore.Secret, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.keys[epoch]
	if !ok {
		return keystore.Secret{}, &EpochError{Epoch: epoch, Past: epoch < k.epoch}
	}
	return key.Clone(), nil
}

// Add adds the key of an epoch, of which the keyring keeps a copy. The newest epoch never goes back: what has been
// forgotten is not added again. The error is [ErrOtherKey], [ErrEncoding], [ErrFull] or an [*EpochError].
func (k *Keyring) Add(epoch uint32, key keystore.Secret) error {
	if key.Len() != keySize {
		return ErrEncoding
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	old, ok := k.keys[epoch]
	switch {
	case ok && old.Equal(key):
		return nil
	case ok:
		return ErrOtherKey
	case epoch < k.epoch:
		return &EpochError{Epoch: epoch, Past: true}
	case len(k.keys) >= maxKeys:
		return ErrFull
	}
	k.keys[epoch], k.epoch = key.Clone(), epoch
	return nil
}

// Retire forgets the keys of all epochs before one: nothing is sealed with them any more. The newest key stays.
func (k *Keyring) Retire(before uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for epoch, key := range k.keys {
		if epoch < min(before, k.epoch) {
			key.Wipe()
			delete(k.keys, epoch)
		}
	}
}

// Wipe overwrites all keys. The keyring must not be used afterwards.
func (k *Keyring) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.naming.Wipe()
	for _, key := range k.keys {
		key.Wipe()
	}
	clear(k.keys)
}

// Name returns the name by which the engine knows something, such as a profile: 32 hexadecimal digits that say nothing
// of it to who has no key. Different parts have different names, and so have different kinds.
func (k *Keyring) Name(kind string, parts ...string) string {
	k.mu.RLock()
	key := k.naming.AppendTo(nil)
	k.mu.RUnlock()
	defer clear(key)
	mac := hmac.New(sha256.New, key)
	mac.Write(joined(append([]string{kind}, parts...)...))
	return hex.EncodeToString(mac.Sum(nil)[:nameSize])
}

// Seal encrypts a value for one key of the engine (AES-256-GCM): with another fleet, key, kind or epoch it cannot be
// opened. The plain value stays the caller's, who wipes it.
func (k *Keyring) Seal(key, kind string, plain []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	head := binary.BigEndian.AppendUint32([]byte{format}, k.epoch)
	aead, err := k.aead(k.epoch)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, headSize+nonceSize, len(plain)+Overhead)
	copy(sealed, head)
	nonce := sealed[headSize:]
	rand.Read(nonce)
	return aead.Seal(sealed, nonce, plain, k.additional(head, key, kind)), nil
}

// Open returns the value that Seal was given, and the epoch in which it was sealed. The caller owns and wipes it. The
// error is [ErrDamaged] or an [*EpochError].
func (k *Keyring) Open(key, kind string, sealed []byte) (plain keystore.Secret, epoch uint32, err error) {
	epoch, ok := EpochOf(sealed)
	if !ok {
		return keystore.Secret{}, 0, ErrDamaged
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	head, rest := sealed[:headSize], sealed[headSize:]
	aead, err := k.aead(epoch)
	if err != nil {
		return keystore.Secret{}, epoch, err
	}
	text, err := aead.Open(nil, rest[:nonceSize], rest[nonceSize:], k.additional(head, key, kind))
	if err != nil {
		return keystore.Secret{}, epoch, ErrDamaged
	}
	return keystore.NewSecret(text), epoch, nil
}

// EpochOf returns the epoch that a sealed value says it is of, and whether it has the form of one. Only
// [Keyring.Open] shows whether that is true.
func EpochOf(sealed []byte) (epoch uint32, ok bool) {
	if len(sealed) < Overhead || sealed[0] != format {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:headSize]), true
}

// aead is the cipher of an epoch. k.mu is held.
func (k *Keyring) aead(epoch uint32) (cipher.AEAD, error) {
	secret, ok := k.keys[epoch]
	if !ok {
		return nil, &EpochError{Epoch: epoch, Past: epoch < k.epoch}
	}
	key := secret.AppendTo(nil)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// additional is what a sealed value is bound to beside its key.
func (k *Keyring) additional(head []byte, key, kind string) []byte {
	return append(joined("groat fleet", k.fleet, key, kind), head...)
}

// joined returns the parts, each with its length before it, so that no two lists come to the same bytes.
func joined(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

// encoding is the first word of an encoded keyring.
const encoding = "groat-keyring-1"

// Encode returns the keyring as text, for the keystore or for a machine that joins. The caller wipes it.
func (k *Keyring) Encode() keystore.Secret {
	k.mu.RLock()
	defer k.mu.RUnlock()
	const keyText = 43 + 12 // base64 of a key; a space, an epoch and a colon
	text := make([]byte, 0, len(encoding)+len(k.fleet)+(1+len(k.keys))*keyText+2)
	text = append(text, encoding+" "+k.fleet+" "...)
	text = appendKey(text, k.naming)
	for _, epoch := range slices.Sorted(maps.Keys(k.keys)) {
		text = strconv.AppendUint(append(text, ' '), uint64(epoch), 10)
		text = appendKey(append(text, ':'), k.keys[epoch])
	}
	return keystore.NewSecret(text)
}

func appendKey(text []byte, key keystore.Secret) []byte {
	b := key.AppendTo(nil)
	defer clear(b)
	return base64.RawURLEncoding.AppendEncode(text, b)
}

// Decode reads what Encode wrote. The error is [ErrEncoding], and quotes nothing. The text stays the caller's.
func Decode(text keystore.Secret) (*Keyring, error) {
	words := strings.Split(text.Reveal(), " ")
	if len(words) < 4 || words[0] != encoding || len(words) > 3+maxKeys {
		return nil, ErrEncoding
	}
	if id, err := hex.DecodeString(words[1]); err != nil || len(id) != nameSize {
		return nil, ErrEncoding
	}
	k := &Keyring{fleet: words[1], keys: map[uint32]keystore.Secret{}}
	var ok bool
	if k.naming, ok = decodeKey(words[2]); !ok {
		return nil, ErrEncoding
	}
	for _, word := range words[3:] {
		number, encoded, _ := strings.Cut(word, ":")
		epoch, err := strconv.ParseUint(number, 10, 32)
		key, ok := decodeKey(encoded)
		if err != nil || !ok || uint32(epoch) <= k.epoch { // in order, each once
			key.Wipe()
			k.Wipe()
			return nil, ErrEncoding
		}
		k.keys[uint32(epoch)], k.epoch = key, uint32(epoch)
	}
	return k, nil
}

func decodeKey(text string) (keystore.Secret, bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != keySize {
		clear(b)
		return keystore.Secret{}, false
	}
	return keystore.NewSecret(b), true
}
