package member

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/keystore"
)

// Code is an invitation as a person carries it to the machine that joins. It is good for one machine, and for
// [CodeLife].
type Code struct {
	// Endpoints are the engine's, "https://host:port" each.
	Endpoints []string
	// CA is the begin of the SHA-256 digest of the file with the engine's certificate authorities; nil where the
	// system's are used.
	CA []byte
	// Fleet is the fleet's id.
	Fleet string
	// Secret is what the invitation is sealed with and found by: 16 random bytes.
	Secret keystore.Secret
}

const (
	codeFormat = 1
	secretSize = 16
	fleetSize  = 16
	caSize     = 16 // a file of the same begin of a digest is as hard to make as a key is to guess
	sumSize    = 4

	groupData = 7 // characters of a group before its check character
	maxCode   = 1024

	// alphabet has no I, L, O and U, which are taken for others (Crockford's base 32).
	alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	// usualPort is the port that etcd's documentation gives to clients.
	usualPort = "2379"
)

// newSecret returns the secret of a new invitation.
func newSecret() keystore.Secret {
	b := make([]byte, secretSize)
	rand.Read(b) // does not fail
	return keystore.NewSecret(b)
}

// CAHash returns what [Code].CA is for the content of a file; nil for none.
func CAHash(file []byte) []byte {
	if len(file) == 0 {
		return nil
	}
	sum := sha256.Sum256(file)
	return sum[:caSize]
}

// derive returns the key for one use of the invitation's secret: 32 bytes.
func (c Code) derive(use string) []byte {
	secret := c.Secret.AppendTo(nil)
	defer clear(secret)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("groat fleet invitation " + c.Fleet + " " + use))
	return mac.Sum(nil)
}

// id is the name of the invitation in the engine. It says nothing of the secret.
func (c Code) id() string { return hex.EncodeToString(c.derive("id")[:8]) }

// Text returns the code in groups of eight characters, of which the last is a check character. The caller wipes it.
func (c Code) Text() (keystore.Secret, error) {
	fleet, err := hex.DecodeString(c.Fleet)
	if err != nil || len(fleet) != fleetSize || c.Secret.Len() != secretSize || len(c.CA) != 0 && len(c.CA) != caSize {
		return keystore.Secret{}, errors.New("this is no invitation")
	}
	b := append([]byte{codeFormat, byte(len(c.CA))}, c.CA...)
	b = append(b, fleet...)
	b = c.Secret.AppendTo(b)
	for i, e := range c.Endpoints {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, shortEndpoint(e)...)
	}
	sum := sha256.Sum256(b)
	b = append(b, sum[:sumSize]...)
	defer clear(b)
	if len(b) > maxCode/2 {
		return keystore.Secret{}, errors.New("the engine's endpoints are too long for a code")
	}
	return keystore.NewSecret(grouped(b)), nil
}

// CheckEndpoints returns why no code can name an engine's endpoints, with a file of authorities of its own or without.
func CheckEndpoints(endpoints []string, ca bool) error {
	c := Code{Endpoints: endpoints, Fleet: strings.Repeat("0", 2*fleetSize), Secret: newSecret()}
	if ca {
		c.CA = make([]byte, caSize)
	}
	text, err := c.Text()
	text.Wipe()
	c.Secret.Wipe()
	return err
}

// grouped writes bytes in base 32, seven characters and a check character a group.
func grouped(b []byte) []byte {
	var text []byte
	var group []byte
	end := func() {
		if len(text) > 0 {
			text = append(text, '-')
		}
		check := checkOf(len(text)/(groupData+2), group)
		for _, v := range append(group, check) {
			text = append(text, alphabet[v])
		}
		group = group[:0]
	}
	bits, n := uint32(0), 0
	for _, v := range b {
		bits, n = bits<<8|uint32(v), n+8
		for n >= 5 {
			n -= 5
			group = append(group, byte(bits>>n&31))
			if len(group) == groupData {
				end()
			}
		}
	}
	if n > 0 {
		group = append(group, byte(bits<<(5-n)&31))
	}
	if len(group) > 0 {
		end()
	}
	return text
}

// checkOf is the check character of a group: a weighted sum in the field of 32 elements, so that one wrong character,
// two that change places, and a group in another's place are noticed.
func checkOf(index int, group []byte) byte {
	sum := byte(index*11+7) & 31
	weight := byte(1)
	for _, v := range group {
		weight = times(weight, 2)
		sum ^= times(weight, v)
	}
	return sum
}

// times multiplies in the field of 32 elements with the polynomial x⁵+x²+1.
func times(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		if a <<= 1; a&32 != 0 {
			a ^= 0b100101
		}
	}
	return product
}

// A TypoError says where a code was mistyped.
type TypoError struct {
	Group int    // counted from 1; 0 where it is not known
	Of    int    // how many groups were typed
	What  string // for a person
}

func (e *TypoError) Error() string { return e.What }

// ParseCode reads a code as a person types it: in small letters too, with spaces or hyphens or without, and with I, L
// and O for the digits that they look like. The error is a [*TypoError], which quotes nothing.
func ParseCode(typed keystore.Secret) (Code, error) {
	text := typed.AppendTo(nil)
	defer clear(text)
	values, err := codeValues(text)
	defer clear(values)
	if err != nil {
		return Code{}, err
	}
	b, err := ungrouped(values)
	defer clear(b)
	if err != nil {
		return Code{}, err
	}
	return decodeCode(b)
}

// codeValues returns the value of each character.
func codeValues(text []byte) ([]byte, error) {
	var values []byte
	for _, c := range bytes.ToUpper(text) {
		switch c {
		case '-', ' ', '\t', '\n', '\r':
			continue
		case 'I', 'L':
			c = '1'
		case 'O':
			c = '0'
		}
		v := strings.IndexByte(alphabet, c)
		if v < 0 {
			group := len(values)/(groupData+1) + 1
			return values, &TypoError{Group: group, What: fmt.Sprintf(
				"group %d of the code has a character that no code has", group)}
		}
		if values = append(values, byte(v)); len(values) > maxCode {
			return values, &TypoError{What: "what was typed is too long for a code"}
		}
	}
	if len(values) == 0 {
		return nil, &TypoError{What: "no code was typed"}
	}
	return values, nil
}

// ungrouped checks each group and returns the bytes.
func ungrouped(values []byte) ([]byte, error) {
	var b []byte
	groups := (len(values) + groupData) / (groupData + 1)
	bits, n := uint32(0), 0
	for i := range groups {
		group := values[i*(groupData+1) : min(len(values), (i+1)*(groupData+1))]
		last := len(group) - 1
		if last < 1 || checkOf(i, group[:last]) != group[last] {
			return b, &TypoError{Group: i + 1, Of: groups, What: fmt.Sprintf(
				"group %d of the %d of the code has a typing error, or one before it is missing", i+1, groups)}
		}
		for _, v := range group[:last] {
			if bits, n = bits<<5|uint32(v), n+5; n >= 8 {
				n -= 8
				b = append(b, byte(bits>>n))
			}
		}
	}
	return b, nil
}

func decodeCode(b []byte) (Code, error) {
	short := &TypoError{What: "the code is not whole: its end is missing, or a group has a typing error"}
	if len(b) < 2+sumSize {
		return Code{}, short
	}
	b, given := b[:len(b)-sumSize], b[len(b)-sumSize:]
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:sumSize], given) {
		return Code{}, short
	}
	if b[0] != codeFormat {
		return Code{}, &TypoError{What: "a later groat has made the code, and this one cannot read it"}
	}
	ca := int(b[1])
	if ca != 0 && ca != caSize || len(b) < 2+ca+fleetSize+secretSize+1 {
		return Code{}, short
	}
	c := Code{}
	if ca > 0 {
		c.CA = bytes.Clone(b[2 : 2+ca])
	}
	b = b[2+ca:]
	c.Fleet = hex.EncodeToString(b[:fleetSize])
	for e := range strings.SplitSeq(string(b[fleetSize+secretSize:]), ",") {
		c.Endpoints = append(c.Endpoints, longEndpoint(e))
	}
	c.Secret = keystore.NewSecret(bytes.Clone(b[fleetSize : fleetSize+secretSize]))
	return c, nil
}

// shortEndpoint leaves out of an endpoint what most have.
func shortEndpoint(e string) string {
	u, err := url.Parse(e)
	if err != nil || u.Scheme != "https" {
		return e
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err == nil && port == usualPort && !strings.Contains(host, ":") {
		return host
	}
	return u.Host
}

// longEndpoint undoes shortEndpoint.
func longEndpoint(e string) string {
	if strings.Contains(e, "://") {
		return e
	}
	if _, _, err := net.SplitHostPort(e); err != nil {
		e += ":" + usualPort
	}
	return "https://" + e
}
