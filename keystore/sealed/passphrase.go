package sealed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// kdf is what makes a key of a passphrase, stored beside the sealed file: Argon2id, RFC 9106.
type kdf struct {
	V       int    `json:"v"`
	Name    string `json:"kdf"`
	Time    uint32 `json:"time"`       // passes
	Memory  uint32 `json:"memory_kib"` // KiB
	Threads uint8  `json:"threads"`
	Salt    []byte `json:"salt"` // Base64
}

// What a guess of a passphrase costs: RFC 9106 §4, the second recommended option. They are variables for the tests of
// package backend, which derive a key at each step of an operation.
var (
	argonPasses uint32 = 3
	argonMemory uint32 = 64 << 10 // KiB
)

func newKDF() kdf {
	p := kdf{V: 1, Name: "argon2id", Time: argonPasses, Memory: argonMemory, Threads: 4, Salt: make([]byte, 16)}
	rand.Read(p.Salt)
	return p
}

// check bounds what a file may make this process do: it is not sealed, and may have come from anywhere.
func (p kdf) check() error {
	switch {
	case p.V > 1:
		return fmt.Errorf("%w: it has format %d, which this groat does not know: upgrade groat", keystore.ErrCorrupt,
			p.V)
	case p.V != 1 || p.Name != "argon2id" || p.Time < 1 || p.Time > 16 || p.Memory < 8<<10 || p.Memory > 256<<10 ||
		p.Threads < 1 || p.Threads > 16 || len(p.Salt) < 16 || len(p.Salt) > 64:
		return fmt.Errorf("%w: its parameters are not those of argon2id, or out of bounds", keystore.ErrCorrupt)
	}
	return nil
}

// weaker reports whether a guess costs less than with the parameters that are made here.
func (p kdf) weaker() bool {
	least := newKDF()
	return p.Time < least.Time || p.Memory < least.Memory
}

// Passphrase makes the data key of a passphrase and the parameters in the file Params. The passphrase stays the
// caller's.
//
// Every parameter goes into the key (RFC 9106 §3.2, H_0), and the sealed file's header and records are made with it:
// with parameters that are not the file's no passphrase opens it. A new store never takes those that it finds.
type Passphrase struct {
	Params     string
	Passphrase keystore.Secret
}

// Key takes about a tenth of a second and 64 MiB, on purpose.
func (p Passphrase) Key(_ context.Context, create bool) (keystore.Secret, error) {
	if p.Passphrase.IsZero() {
		return keystore.Secret{}, fmt.Errorf("%w: it needs a passphrase", keystore.ErrLocked)
	}
	params, err := p.params(create)
	if err != nil {
		return keystore.Secret{}, err
	}
	pass := p.Passphrase.AppendTo(make([]byte, 0, p.Passphrase.Len()))
	defer clear(pass)
	return keystore.NewSecret(argon2.IDKey(pass, params.Salt, params.Time, params.Memory, params.Threads, keySize)), nil
}

// maxParams is the greatest size of the parameters' file, in bytes.
const maxParams = 4 << 10

// Weak reports whether the parameters in the file are weaker than those of a new store.
func (p Passphrase) Weak() bool {
	params, err := p.params(false)
	return err == nil && params.weaker()
}

func (p Passphrase) params(create bool) (kdf, error) {
	if create {
		params := newKDF()
		b, err := json.Marshal(params)
		if err != nil {
			return kdf{}, err
		}
		return params, replaceFile(p.Params, append(b, '\n'))
	}
	b, err := ownfile.Read(p.Params, ownpath.OwnSecret, maxParams)
	switch {
	case errors.Is(err, ownfile.ErrTooLarge):
		return kdf{}, fmt.Errorf("%w: the passphrase's parameters: %w", keystore.ErrCorrupt, err)
	case err != nil:
		return kdf{}, fmt.Errorf("%w: the passphrase's parameters: %w", keystore.ErrUnavailable, err)
	}
	var params kdf
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if d.Decode(&params) != nil || d.Decode(new(any)) != io.EOF {
		return kdf{}, fmt.Errorf("%w: %s cannot be read as the passphrase's parameters", keystore.ErrCorrupt, p.Params)
	}
	if err := params.check(); err != nil {
		return kdf{}, fmt.Errorf("%s: %w", p.Params, err)
	}
	return params, nil
}
