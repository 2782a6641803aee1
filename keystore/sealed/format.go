package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"sync"

	"github.com/groat-dev/groat/keystore"
)

const (
	magic      = "groat sealed 1\r\n"
	marker     = "\xf6groat\r\n"
	keyIDSize  = 16
	headerSize = len(magic) + keyIDSize + 4
	headSize   = len(marker) + 8 + tagSize + 4 + 4
	tagSize    = 8
	overhead   = 12 + 16 // nonce and GCM tag
	maxContent = 64 << 10
	maxBody    = maxContent + overhead

	keySize = 32
)

const (
	kindSet      = 1
	kindDelete   = 2
	kindSent     = 3 // an intent record: the item of this generation was sent to its server
	kindAnswered = 4 // an intent record: the answer came, and the item of this generation stays valid
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// tag stands for a profile in a record head: names are not readable without the key.
type tag [tagSize]byte

// keys are what the data key is spread into. Safe for concurrent use.
type keys struct {
	id    [keyIDSize]byte
	tags  *mac
	notes *mac
	seen  *mac
	aead  cipher.AEAD // prepends a fresh random nonce
}

func newKeys(key keystore.Secret) (*keys, error) {
	if key.Len() != keySize {
		return nil, fmt.Errorf("the data key has %d bytes, want %d", key.Len(), keySize)
	}
	secret := key.AppendTo(nil)
	defer clear(secret)
	// Once for all: each extraction leaves a copy of the key in a hash's buffer.
	extracted, err := hkdf.Extract(sha256.New, secret, nil)
	if err != nil {
		return nil, err
	}
	defer clear(extracted)
	derive := func(info string, n int) []byte {
		b, err := hkdf.Expand(sha256.New, extracted, "groat sealed 1 "+info, n)
		if err != nil {
			panic(err) // only for an output longer than the hash allows
		}
		return b
	}
	records := derive("records", 32)
	defer clear(records)
	block, err := aes.NewCipher(records)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &keys{
		id: [keyIDSize]byte(derive("key id", keyIDSize)), tags: newMAC(derive("tags", 32)),
		notes: newMAC(derive("notes", 32)), seen: newMAC(derive("seen", 32)), aead: aead,
	}, nil
}

// tag is that of a profile's items.
func (k *keys) tag(profile string) tag { return tagOf(k.tags, profile) }

// intentTag returns the tag of the intent records about them: an intent record can never stand for an item.
func (k *keys) intentTag(profile string) tag { return tagOf(k.notes, profile) }

func tagOf(m *mac, profile string) tag {
	sum := m.of(profile)
	return tag(sum[:tagSize])
}

// mac is HMAC-SHA256 (RFC 2104) with one key, whose set-up costs more than a short text and is done once. Safe for
// concurrent use.
type mac struct {
	mu   sync.Mutex
	hash hash.Hash
	// Buffers, so that a call allocates nothing.
	text []byte
	sum  [sha256.Size]byte
}

// newMAC wipes the key, of which the hash has what it needs.
func newMAC(key []byte) *mac {
	defer clear(key)
	return &mac{hash: hmac.New(sha256.New, key)}
}

func (m *mac) of(text string) [sha256.Size]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text = append(m.text[:0], text...)
	m.hash.Reset()
	m.hash.Write(m.text)
	m.hash.Sum(m.sum[:0])
	return m.sum
}

func (k *keys) header() []byte {
	b := append(append(make([]byte, 0, headerSize), magic...), k.id[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// head is the readable part of a record.
type head struct {
	generation uint64
	tag        tag
	length     int // of the body
}

func (h head) append(b []byte) []byte {
	start := len(b)
	b = append(b, marker...)
	b = binary.BigEndian.AppendUint64(b, h.generation)
	b = append(b, h.tag[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(h.length))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHead reads the head at the start of b, and says whether one stands there.
func parseHead(b []byte) (h head, ok bool) {
	if len(b) < headSize || !bytes.HasPrefix(b, []byte(marker)) {
		return h, false
	}
	if crc32.Checksum(b[:headSize-4], castagnoli) != binary.BigEndian.Uint32(b[headSize-4:]) {
		return h, false
	}
	b = b[len(marker):]
	h.generation = binary.BigEndian.Uint64(b)
	h.tag = tag(b[8:])
	length := binary.BigEndian.Uint32(b[8+tagSize:])
	h.length = int(length)
	return h, h.generation > 0 && length > overhead && length <= maxBody
}

// record is what a frame says once it is opened; its item is the encoded one and the caller of open owns it.
type record struct {
	kind    byte
	profile string
	item    keystore.Secret
}

func (r record) isIntent() bool { return r.kind == kindSent || r.kind == kindAnswered }

// tagFor is the tag that a record of this kind and profile must have.
func (k *keys) tagFor(r record) tag {
	if r.isIntent() {
		return k.intentTag(r.profile)
	}
	return k.tag(r.profile)
}

// seal returns a whole frame.
func (k *keys) seal(generation uint64, r record) ([]byte, error) {
	if len(r.profile) == 0 || len(r.profile) > 255 {
		return nil, fmt.Errorf("a profile's name has 1 to 255 bytes, not %d", len(r.profile))
	}
	content := make([]byte, 0, 2+len(r.profile)+r.item.Len())
	content = append(append(content, r.kind, byte(len(r.profile))), r.profile...)
	content = r.item.AppendTo(content)
	defer clear(content)
	if len(content) > maxContent {
		return nil, keystore.ErrTooBig
	}
	h := head{generation, k.tagFor(r), len(content) + overhead}
	frame := h.append(make([]byte, 0, headSize+h.length))
	for {
		if sealed := k.aead.Seal(frame, nil, content, frame); !overlaid(sealed) {
			return sealed, nil
		} // by chance, once in 2^48 records: another nonce makes another body
	}
}

// overlaid reports whether a marker stands in a frame's body, as in no record that seal makes. So forged heads
// cost no more attempts to open than fit into the file side by side.
func overlaid(frame []byte) bool { return bytes.Contains(frame[headSize:], []byte(marker)) }

var errUnreadable = errors.New("the record does not open")

// open opens the frame whose head is h.
func (k *keys) open(h head, frame []byte) (record, error) {
	r, item, err := k.openInto(nil, h, frame)
	r.item = keystore.NewSecret(bytes.Clone(item))
	clear(item)
	return r, err
}

// openInto opens the frame whose head is h. The encoded item is not in the record; it stands in buf, or in a new buffer
// where buf is too small, and the caller wipes it.
func (k *keys) openInto(buf []byte, h head, frame []byte) (r record, item []byte, err error) {
	if len(frame) != headSize+h.length || overlaid(frame) {
		return record{}, nil, errUnreadable
	}
	content, err := k.aead.Open(buf[:0], nil, frame[headSize:], frame[:headSize])
	if err != nil {
		return record{}, nil, errUnreadable
	}
	if len(content) < 2 || len(content) < 2+int(content[1]) {
		clear(content)
		return record{}, nil, errUnreadable
	}
	name, item := content[2:2+int(content[1])], content[2+int(content[1]):]
	r = record{kind: content[0], profile: string(name)}
	if k.tagFor(r) != h.tag || r.kind < kindSet || r.kind > kindAnswered || (r.kind != kindSet && len(item) > 0) {
		clear(content)
		return record{}, nil, errUnreadable
	}
	return r, item, nil
}
