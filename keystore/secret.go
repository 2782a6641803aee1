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
	// Behind two pointers: in an unexported field, where it may not call Format, package fmt walks by reflection, and
	// for a verb that does not fit a pointer (%s, %d) it follows one pointer, but never the second.
	p *handle
}

type handle *[]byte

// errSecret is what every encoder gets.
var errSecret = errors.New("a secret cannot be marshalled")

const redacted = "[secret]"

// NewSecret takes ownership of b: the caller must neither read nor write it afterwards.
func NewSecret(b []byte) Secret {
	if len(b) == 0 {
		return Secret{}
	}
	h := handle(&b)
	return Secret{&h}
}

// SecretString copies s, which the garbage collector and not the caller will forget.
func SecretString(s string) Secret { return NewSecret([]byte(s)) }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.Len() == 0 }

// Len returns the length in bytes.
func (s Secret) Len() int { return len(s.bytes()) }

// Reveal returns a copy that cannot be wiped. Call it only where the credential leaves for the place it belongs to.
func (s Secret) Reveal() string { return string(s.bytes()) }

// AppendTo appends the bytes to dst; the caller owns, and wipes, the result.
func (s Secret) AppendTo(dst []byte) []byte { return append(dst, s.bytes()...) }

// Clone returns a copy that is wiped on its own.
func (s Secret) Clone() Secret { return NewSecret(s.AppendTo(nil)) }

// bytes lends the bytes to this package; they are neither kept nor changed.
func (s Secret) bytes() []byte {
	if s.p == nil {
		return nil
	}
	return **s.p
}

// Equal compares in constant time.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare(s.bytes(), t.bytes()) == 1
}

// Wipe overwrites the bytes, for every copy of this Secret. Go may have copied them before (a grown slice, a string
// made by Reveal): wiping shortens how long a secret stays in memory, it cannot promise that none is left.
func (s Secret) Wipe() {
	if s.p != nil {
		clear(**s.p)
		**s.p = nil
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
