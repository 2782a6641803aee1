package keystore

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
)

// Secret is a credential in memory: a client secret, a refresh token, an access token, a passphrase.
//
// It cannot be formatted, logged or marshalled: every verb of package fmt prints "[secret]" and every encoder gets an
// error. The only ways out are [Secret.Reveal] and [Secret.AppendTo], so that a reader can find each of them. The zero
// Secret is empty. A Secret is safe for concurrent use until [Secret.Wipe].
type Secret struct {
	// Behind a pointer, so that even a printer that walks unexported fields by reflection meets an address, not the bytes.
	p *sealedBytes
}

type sealedBytes struct{ b []byte }

// errSecret is what every encoder gets.
var errSecret = errors.New("a secret cannot be marshalled")

const redacted = "[secret]"

// NewSecret takes ownership of b: the caller must neither read nor write it afterwards.
func NewSecret(b []byte) Secret {
	if len(b) == 0 {
		return Secret{}
	}
	return Secret{&sealedBytes{b}}
}

// SecretString copies s, which the garbage collector and not the caller will forget.
func SecretString(s string) Secret { return NewSecret([]byte(s)) }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.Len() == 0 }

// Len returns the length in bytes.
func (s Secret) Len() int {
	if s.p == nil {
		return 0
	}
	return len(s.p.b)
}

// Reveal returns a copy that cannot be wiped. Call it only where the credential leaves for the place it belongs to.
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return string(s.p.b)
}

// AppendTo appends the bytes to dst; the caller owns, and wipes, the result.
func (s Secret) AppendTo(dst []byte) []byte {
	if s.p == nil {
		return dst
	}
	return append(dst, s.p.b...)
}

// Equal compares in constant time.
func (s Secret) Equal(t Secret) bool {
	if s.p == nil || t.p == nil {
		return s.Len() == t.Len()
	}
	return subtle.ConstantTimeCompare(s.p.b, t.p.b) == 1
}

// Wipe overwrites the bytes, for every copy of this Secret. Go may have copied them before (a grown slice, a string made
// by Reveal): wiping shortens how long a secret stays in memory, it cannot promise that none is left.
func (s Secret) Wipe() {
	if s.p != nil {
		clear(s.p.b)
		s.p.b = nil
	}
}

// Format implements [fmt.Formatter] for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String returns "[secret]".
func (s Secret) String() string { return redacted }

// GoString returns "[secret]".
func (s Secret) GoString() string { return redacted }

// MarshalText refuses.
func (s Secret) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalJSON refuses.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalBinary refuses.
func (s Secret) MarshalBinary() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (s Secret) GobEncode() ([]byte, error) { return nil, errSecret }
