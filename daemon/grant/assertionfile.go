package grant

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

// errAssertionFile means that a file has no assertion to send now; the program that keeps it fresh may write one.
var errAssertionFile = errors.New("there is no assertion to send")

const maxAssertion = 64 << 10

// readAssertion reads the assertion that another program keeps in a file. What is no JWT (RFC 7519 §3) is not sent, so
// that no other file can be. The error wraps [errAssertionFile] and quotes nothing of the file.
func readAssertion(path string) (keystore.Secret, error) {
	fail := func(why string) (keystore.Secret, error) {
		return keystore.Secret{}, fmt.Errorf("%w: %s %s", errAssertionFile, visible.Name(path), why)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its writer
	if err != nil {
		return fail("cannot be opened")
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil || !info.Mode().IsRegular():
		return fail("is no file")
	case info.Mode().Perm()&0o002 != 0: // with another assertion groat would sign in as somebody else
		return fail(fmt.Sprintf("can be written by every user (mode %04o)", info.Mode().Perm()))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxAssertion+1))
	defer clear(text)
	switch {
	case err != nil:
		return fail("cannot be read")
	case len(text) > maxAssertion:
		return fail("is too long")
	}
	jwt := bytes.TrimSpace(text)
	parts := bytes.Split(jwt, []byte("."))
	if len(parts) != 3 {
		return fail("holds no JWT")
	}
	for i, part := range parts {
		decoded, err := base64.RawURLEncoding.DecodeString(string(part))
		if err != nil || len(decoded) == 0 || i == 0 && decoded[0] != '{' {
			return fail("holds no JWT")
		}
	}
	return keystore.NewSecret(bytes.Clone(jwt)), nil
}

// fileAssertion returns the assertion in the file that an item is sealed for.
func (s Server) fileAssertion(item keystore.Item) (keystore.Secret, error) {
	if item.AssertionFile != s.AssertionFile {
		return keystore.Secret{}, fmt.Errorf("%w: its assertion is in %s, not in %s", ErrEndpointChanged,
			shown(item.AssertionFile), shown(s.AssertionFile))
	}
	return readAssertion(s.AssertionFile)
}

// dates reports whether an assertion of this method is dated here.
func (e *Endpoint) dates(by Method) bool { return by.Signs() && e.server.AssertionFile == "" }

// unsendable is the error where a credential cannot be sent to an address. A file may be right in a minute.
func unsendable(url string, err error) *Error {
	class := Misconfigured
	if errors.Is(err, errAssertionFile) {
		class = TransientSlow
	}
	return &Error{Class: class, Where: host(url), Reason: "cannot be sent the credential: " + err.Error(), Err: err}
}
