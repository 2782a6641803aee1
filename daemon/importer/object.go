package importer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// object is a JSON object whose values are not decoded yet. Its owner wipes it.
type object map[string]json.RawMessage

// parseObject parses one JSON object that every parser reads alike.
func parseObject(text []byte) (object, error) {
	if err := strictjson.Check(text); err != nil {
		return nil, flawed("", "%v", err) // which never quotes the input
	}
	var o object
	if json.Unmarshal(text, &o) != nil || o == nil {
		return nil, flawed("", "it is no JSON object")
	}
	return o, nil
}

// wipe overwrites the values.
func (o object) wipe() {
	for _, raw := range o {
		clear(raw)
	}
}

// has reports whether a member is there and not null.
func (o object) has(names ...string) bool {
	for _, name := range names {
		if raw, ok := o[name]; !ok || string(raw) == "null" {
			return false
		}
	}
	return true
}

// text returns a member that is a string and no secret, or "".
func (o object) text(name string) string {
	var text string
	if json.Unmarshal(o[name], &text) != nil {
		return ""
	}
	return text
}

// list returns a member that is a string or a list of strings, and whether it is well-formed; a missing one is.
func (o object) list(name string) (all []string, ok bool) {
	if !o.has(name) {
		return nil, true
	}
	if text := o.text(name); text != "" {
		return []string{text}, true
	}
	return all, json.Unmarshal(o[name], &all) == nil
}

// object returns a member that is an object, or nil.
func (o object) object(name string) object {
	var inner object
	if json.Unmarshal(o[name], &inner) != nil {
		return nil
	}
	return inner
}

// secret returns a member that is a string of printable ASCII (RFC 6749 appendix A, VSCHAR), and whether it is
// well-formed; a missing, null or empty one is, and gives the zero Secret.
func (o object) secret(name string) (secret keystore.Secret, ok bool) {
	raw := o[name]
	if !o.has(name) || string(raw) == `""` {
		return keystore.Secret{}, true
	}
	text, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	if err != nil || !isPrintableASCII(text) {
		clear(text)
		return keystore.Secret{}, false
	}
	return keystore.NewSecret(text), true
}

// pem is secret for text of several lines.
func (o object) pem(name string) keystore.Secret {
	raw := o[name]
	text, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	if err != nil {
		return keystore.Secret{}
	}
	return keystore.NewSecret(text)
}

// time returns a member that is a number of seconds since 1970, or a string of digits.
func (o object) time(name string) time.Time {
	text := string(o[name])
	if quoted := o.text(name); quoted != "" {
		text = quoted
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0 && seconds < math.MaxInt32*64) {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

func isPrintableASCII(text []byte) bool {
	return len(text) > 0 && !slices.ContainsFunc(text, func(c byte) bool { return c < ' ' || c > '~' })
}

// asSecret returns a string of a TOML file or a variable as a secret, and whether it is well-formed.
func asSecret(text string) (secret keystore.Secret, ok bool) {
	if text == "" {
		return keystore.Secret{}, true
	}
	if !isPrintableASCII([]byte(text)) {
		return keystore.Secret{}, false
	}
	return keystore.SecretString(text), true
}

// claims returns the claims of a JWT, or nil for any other token. They are not verified, and need not be: a claim only
// chooses among known providers, names the public client, dates a copy, or is itself the credential (Planet's API key),
// and the provider must accept the result before it is stored. Padding and both alphabets are accepted, since other
// programs' files have them.
func claims(token keystore.Secret) object {
	text := token.AppendTo(nil)
	defer clear(text)
	parts := bytes.Split(text, []byte{'.'})
	if len(parts) != 3 {
		return nil
	}
	payload := bytes.TrimRight(parts[1], "=")
	for i, c := range payload {
		switch c {
		case '+':
			payload[i] = '-'
		case '/':
			payload[i] = '_'
		}
	}
	decoded, err := base64.RawURLEncoding.AppendDecode(nil, payload)
	defer clear(decoded)
	if err != nil {
		return nil
	}
	o, err := parseObject(decoded)
	if err != nil {
		return nil
	}
	return o
}

// issuedTo returns the client that a token was issued to (RFC 9068 §2.2; azp at older servers).
func (o object) issuedTo() string {
	for _, name := range []string{"azp", "client_id"} {
		if id := o.text(name); isPrintableASCII([]byte(id)) {
			return id
		}
	}
	return ""
}
