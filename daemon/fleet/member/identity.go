package member

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"strings"

	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore"
)

const (
	signatureSize = ed25519.SignatureSize
	sealKeySize   = 32 // X25519
	maxName       = 64
)

// identity is a machine's own keys. They never leave it.
type identity struct {
	name string
	sign ed25519.PrivateKey
	seal *ecdh.PrivateKey
}

func newIdentity(name string) (identity, error) {
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return identity{}, err
	}
	seal, err := ecdh.X25519().GenerateKey(rand.Reader)
	return identity{name: Named(name), sign: sign, seal: seal}, err
}

// Named makes a machine's name of what a person or the system calls it: [a-z0-9._-], at most 64 bytes.
func Named(text string) string {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	if name = strings.Trim(name[:min(len(name), maxName)], "-._"); name == "" {
		return "machine"
	}
	return name
}

func validName(name string) bool { return name != "" && Named(name) == name }

func (i identity) public() *subject {
	s := &subject{Name: i.name, Sign: i.sign.Public().(ed25519.PublicKey), Seal: i.seal.PublicKey().Bytes()}
	s.ID = machineID(s.Sign, s.Seal)
	return s
}

func (i identity) id() string { return i.public().ID }

// machineID is the name of a machine's keys.
func machineID(sign, seal []byte) string {
	sum := sha256.Sum256(append(append([]byte("groat fleet machine "), sign...), seal...))
	return hex.EncodeToString(sum[:8])
}

// signed is what a signature is about.
func signed(fleet string, body []byte) []byte {
	return append([]byte("groat fleet log 1 "+fleet+" "), body...)
}

// signEntry returns the text of an entry.
func (i identity) signEntry(fleet string, e entry) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return append(ed25519.Sign(i.sign, signed(fleet, body)), body...), nil
}

// verifyKey is the public part of a signing key.
func verifyKey(b []byte) (ed25519.PublicKey, bool) {
	return ed25519.PublicKey(b), len(b) == ed25519.PublicKeySize
}

func verified(s *subject, fleet string, text []byte) bool {
	key, ok := verifyKey(s.Sign)
	return ok && ed25519.Verify(key, signed(fleet, text[signatureSize:]), text[:signatureSize])
}

// sealInfo binds a sealed key to its place (RFC 9180 §5.1).
func sealInfo(fleet, id, machine string) []byte {
	return []byte("groat fleet key " + fleet + " " + id + " " + machine)
}

// sealTo seals a fleet's keys so that only this machine can open them.
func (s *subject) sealTo(fleet, id string, keys keystore.Secret) ([]byte, error) {
	key, err := ecdh.X25519().NewPublicKey(s.Seal)
	if err != nil {
		return nil, err
	}
	to, err := hpke.NewDHKEMPublicKey(key)
	if err != nil {
		return nil, err
	}
	plain := keys.AppendTo(nil)
	defer clear(plain)
	return hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), sealInfo(fleet, id, s.ID), plain)
}

// open opens what sealTo has sealed to this machine.
func (i identity) open(fleet, id string, sealed []byte) (keystore.Secret, error) {
	key, err := hpke.NewDHKEMPrivateKey(i.seal)
	if err != nil {
		return keystore.Secret{}, err
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), sealInfo(fleet, id, i.id()), sealed)
	if err != nil {
		return keystore.Secret{}, errors.New("it is not sealed to this machine")
	}
	return keystore.NewSecret(plain), nil
}

// state is what a machine keeps of its membership, as JSON.
type state struct {
	Format  int      `json:"format"`
	Name    string   `json:"name"`
	Sign    []byte   `json:"sign"`
	Seal    []byte   `json:"seal"`
	Keyring []byte   `json:"keyring"`
	Seen    position `json:"seen"`
	// Fence is the revision of the epoch's key as it was seen, and Began that of the beginning of each epoch.
	Fence    int64            `json:"fence,omitempty"`
	Began    map[uint32]int64 `json:"began,omitempty"`
	Resealed uint32           `json:"resealed,omitempty"`
}

// State returns what the machine must keep to be a member again after a restart. The caller wipes it.
func (m *Member) State() (keystore.Secret, error) {
	ring := m.keys.Encode()
	defer ring.Wipe()
	m.mu.Lock()
	seen, name := m.pinned, m.name()
	if m.log.index > seen.Index {
		seen = position{m.log.index, m.log.hashes[m.log.index]}
	}
	fence, began, resealed := m.fence.Revision, maps.Clone(m.began), m.resealed
	m.mu.Unlock()
	s := state{Format: 1, Name: name, Sign: m.self.sign.Seed(), Seal: m.self.seal.Bytes(),
		Keyring: ring.AppendTo(nil), Seen: seen, Fence: fence, Began: began,
		Resealed: resealed}
	defer s.wipe()
	text, err := json.Marshal(s)
	return keystore.NewSecret(text), err
}

func (s *state) wipe() {
	clear(s.Sign)
	clear(s.Seal)
	clear(s.Keyring)
}

// ErrState: what was kept of a membership is none.
var ErrState = errors.New("what this machine keeps of its fleet is damaged")

// Open returns the member that [Member.State] was of. It does not ask the engine: [Member.Sync] does. The error is
// [ErrState].
func Open(o Options, kept keystore.Secret) (*Member, error) {
	text := kept.AppendTo(nil)
	defer clear(text)
	var s state
	defer s.wipe()
	if err := json.Unmarshal(text, &s); err != nil || s.Format != 1 || len(s.Sign) != ed25519.SeedSize {
		return nil, ErrState
	}
	seal, err := ecdh.X25519().NewPrivateKey(s.Seal)
	if err != nil {
		return nil, ErrState
	}
	ring := keystore.NewSecret(append([]byte(nil), s.Keyring...))
	defer ring.Wipe()
	keys, err := keyring.Decode(ring)
	if err != nil {
		return nil, ErrState
	}
	m := newMember(o, keys, identity{name: s.Name, sign: ed25519.NewKeyFromSeed(s.Sign), seal: seal})
	m.pinned, m.fence.Revision, m.resealed = s.Seen, s.Fence, s.Resealed
	maps.Copy(m.began, s.Began)
	m.readLog()
	return m, nil
}

// persist keeps the state.
func (m *Member) persist(ctx context.Context) error {
	if m.Keep == nil {
		return nil
	}
	s, err := m.State()
	if err != nil {
		return err
	}
	defer s.Wipe()
	return m.Keep(ctx, m.keys.Fleet(), s)
}
