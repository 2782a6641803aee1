package protocol

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// LoginSecret is a password, client secret or passphrase on its way to the daemon. It exists in the client from the
// prompt to the end of one write, which wipes it, and cannot be formatted or marshalled any other way. The zero
// LoginSecret is empty. Not safe for concurrent use.
type LoginSecret struct {
	// Behind two pointers: package fmt, walking a struct by reflection, follows one for a verb that does not fit it.
	p *handle
}

type handle *[]byte

const redacted = "[secret]"

// errSecret is what every encoder gets: the frame is written by hand, so that none keeps a copy.
var errSecret = errors.New("a secret cannot be marshalled")

// NewLoginSecret takes ownership of b.
func NewLoginSecret(b []byte) LoginSecret {
	h := handle(&b)
	return LoginSecret{&h}
}

// Wipe overwrites the bytes, for every copy of this LoginSecret. Sending does it; call it if a secret is not sent
// after all.
func (s LoginSecret) Wipe() {
	if s.p != nil {
		clear(**s.p)
		**s.p = nil
	}
}

// Clone returns a copy that is wiped on its own, for a second request.
func (s LoginSecret) Clone() LoginSecret { return NewLoginSecret(append([]byte(nil), s.bytes()...)) }

func (s LoginSecret) bytes() []byte {
	if s.p == nil {
		return nil
	}
	return **s.p
}

// Format implements [fmt.Formatter] for every verb.
func (s LoginSecret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String returns "[secret]".
func (s LoginSecret) String() string { return redacted }

// GoString returns "[secret]".
func (s LoginSecret) GoString() string { return redacted }

// MarshalJSON refuses.
func (s LoginSecret) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText refuses.
func (s LoginSecret) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalBinary refuses.
func (s LoginSecret) MarshalBinary() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (s LoginSecret) GobEncode() ([]byte, error) { return nil, errSecret }

// withSecret adds a member to the JSON object p, or to an empty one if p is empty, in one buffer that never grows,
// so that no copy is left behind.
func withSecret(p []byte, member string, secret LoginSecret) ([]byte, error) {
	if len(p) == 0 {
		p = []byte("{}")
	}
	value := secret.bytes()
	if !utf8.Valid(value) {
		return nil, errors.New("the secret is not UTF-8 text")
	}
	out := make([]byte, 0, len(p)+len(member)+6*len(value)+8) // an escaped byte takes six
	out = append(out, p[:len(p)-1]...)
	if len(p) > len("{}") {
		out = append(out, ',')
	}
	out = append(out, '"')
	out = append(out, member...)
	out = append(out, '"', ':')
	out = strictjson.AppendString(out, value)
	return append(out, '}'), nil
}
