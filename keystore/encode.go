package keystore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// formatVersion is the "v" of a stored item. A member that an older groat must not lose when it writes the item back
// raises it; any other member may be added under the same v, and is ignored by who does not know it.
const formatVersion = 1

// newerError is a stored item whose format came after this program.
type newerError struct{ v int }

func (e newerError) Error() string {
	return fmt.Sprintf("the stored credential has format %d, which this groat does not know: upgrade groat", e.v)
}

func (e newerError) Unwrap() error { return ErrCorrupt }

// Equal compares two items, the secrets in constant time.
func (i Item) Equal(j Item) bool {
	same := i.ClientSecret.Equal(j.ClientSecret)
	return same && i.Issuer == j.Issuer && i.TokenEndpoint == j.TokenEndpoint &&
		i.ClientAuth == j.ClientAuth && i.ClientID == j.ClientID
}

// Clone returns an item whose secret can be wiped without wiping i's.
func (i Item) Clone() Item {
	i.ClientSecret = i.ClientSecret.Clone()
	return i
}

// EncodeItem returns the item as the JSON object {v, issuer, token_endpoint, client_auth, client_id, client_secret}. The
// caller owns the result and wipes it. An item without a client id or a secret is refused.
func EncodeItem(i Item) (Secret, error) {
	if i.ClientID == "" || i.ClientSecret.IsZero() {
		return Secret{}, errors.New("a credential needs a client id and a client secret")
	}
	head, err := json.Marshal(struct {
		V             int    `json:"v"`
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
		ClientAuth    string `json:"client_auth"`
		ClientID      string `json:"client_id"`
	}{formatVersion, i.Issuer, i.TokenEndpoint, i.ClientAuth, i.ClientID})
	if err != nil {
		return Secret{}, err
	}
	const member = `,"client_secret":`
	// Room for the worst case, so that append never leaves a copy of the secret in a buffer it has outgrown.
	b := make([]byte, 0, len(head)+len(member)+6*i.ClientSecret.Len()+3)
	b = append(append(b, head[:len(head)-1]...), member...)
	b, ok := appendQuoted(b, i.ClientSecret.bytes())
	if !ok {
		clear(b)
		return Secret{}, errors.New("the client secret is not valid UTF-8")
	}
	return NewSecret(append(b, '}')), nil
}

// appendQuoted appends s as a JSON string (RFC 8259 §7), escaping no more than it must.
func appendQuoted(b, s []byte) ([]byte, bool) {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"'), utf8.Valid(s)
}

// DecodeItem reads what [EncodeItem] wrote; every error wraps [ErrCorrupt], and none quotes what was read. The caller
// keeps b and owns the item's secret.
func DecodeItem(b Secret) (Item, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(b.bytes(), &members) != nil || members == nil {
		return Item{}, fmt.Errorf("%w: it is no JSON object", ErrCorrupt)
	}
	defer func() {
		for _, raw := range members {
			clear(raw)
		}
	}()
	if err := checkVersion(members["v"]); err != nil {
		return Item{}, err
	}
	var i Item
	for name, to := range map[string]*string{
		"issuer": &i.Issuer, "token_endpoint": &i.TokenEndpoint, "client_auth": &i.ClientAuth, "client_id": &i.ClientID,
	} {
		if !isString(members[name]) || json.Unmarshal(members[name], to) != nil {
			return Item{}, fmt.Errorf("%w: its %s is missing or no string", ErrCorrupt, name)
		}
	}
	secret, ok := unquote(members["client_secret"])
	if !ok || secret.IsZero() || i.ClientID == "" {
		return Item{}, fmt.Errorf("%w: its client id or client secret is missing", ErrCorrupt)
	}
	i.ClientSecret = secret
	return i, nil
}

func checkVersion(raw json.RawMessage) error {
	var v int
	// Unmarshal takes null for any type and changes nothing, so v stays 0 and is refused below.
	if err := json.Unmarshal(raw, &v); err != nil || v < 1 {
		return fmt.Errorf("%w: its version is missing or no number", ErrCorrupt)
	}
	if v > formatVersion {
		return newerError{v}
	}
	return nil
}

// isString tells a string from null, which Unmarshal would take for one.
func isString(raw json.RawMessage) bool { return len(raw) >= 2 && raw[0] == '"' }

func unquote(raw json.RawMessage) (Secret, bool) {
	if !isString(raw) {
		return Secret{}, false
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return NewSecret(bytes.Clone(inner)), utf8.Valid(inner)
	}
	// A secret with escapes is rare; the string made here is one copy that only the garbage collector clears.
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return Secret{}, false
	}
	return SecretString(s), true
}
