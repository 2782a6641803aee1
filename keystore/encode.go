package keystore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// formatVersion is the "v" of a stored item. A member that an older groat must not lose when it writes the item back
// raises it; any other member may be added under the same v, and is ignored by a groat that does not know it.
const formatVersion = 1

// newerError is a stored item whose format came after this program.
type newerError struct{ v int }

func (e newerError) Error() string {
	return fmt.Sprintf("the stored credential has format %d, which this groat does not know: upgrade groat", e.v)
}

func (e newerError) Unwrap() []error { return []error{ErrNewer, ErrCorrupt} }

// member is one member of a stored item, by the name it has there.
type member[T any] struct {
	name string
	of   func(*Item) *T
}

// texts are the members that are no secrets; the first four are always there, the others only where they say something.
var texts = []member[string]{
	{"issuer", func(i *Item) *string { return &i.Issuer }},
	{"token_endpoint", func(i *Item) *string { return &i.TokenEndpoint }},
	{"client_auth", func(i *Item) *string { return &i.ClientAuth }},
	{"client_id", func(i *Item) *string { return &i.ClientID }},
	{"grant", func(i *Item) *string { return &i.Grant }},
	{"revocation_endpoint", func(i *Item) *string { return &i.RevocationEndpoint }},
	{"key_id", func(i *Item) *string { return &i.KeyID }},
	{"key_alg", func(i *Item) *string { return &i.KeyAlg }},
	{"subject", func(i *Item) *string { return &i.Subject }},
	{"assertion_file", func(i *Item) *string { return &i.AssertionFile }},
	{"refresh_auth", func(i *Item) *string { return &i.RefreshAuth }},
	{"assertion_audience", func(i *Item) *string { return &i.AssertionAudience }},
	{"certificate", func(i *Item) *string { return &i.Certificate }},
	{"username", func(i *Item) *string { return &i.Username }},
	{"id_subject", func(i *Item) *string { return &i.IDSubject }},
	{"account", func(i *Item) *string { return &i.Account }},
	{"key_ends", func(i *Item) *string { return &i.KeyEnds }},
}

const always = 4 // of texts

// secrets are the others, each only where there is one.
var secrets = []member[Secret]{
	{"client_secret", func(i *Item) *Secret { return &i.ClientSecret }},
	{"refresh_token", func(i *Item) *Secret { return &i.RefreshToken }},
	{"private_key", func(i *Item) *Secret { return &i.PrivateKey }},
	{"private_key_password", func(i *Item) *Secret { return &i.PrivateKeyPassword }},
	{"api_key", func(i *Item) *Secret { return &i.APIKey }},
}

// lists are lists of texts, each only where it says something.
var lists = []member[[]string]{
	{"origins", func(i *Item) *[]string { return &i.Origins }},
	{"token_origins", func(i *Item) *[]string { return &i.TokenOrigins }},
	{"page_origins", func(i *Item) *[]string { return &i.PageOrigins }},
	{"apis", func(i *Item) *[]string { return &i.APIs }},
}

// Equal compares two items, the secrets in constant time.
func (i Item) Equal(j Item) bool {
	same := true
	for _, s := range secrets {
		same = s.of(&i).Equal(*s.of(&j)) && same
	}
	for _, t := range texts {
		same = same && *t.of(&i) == *t.of(&j)
	}
	for _, l := range lists {
		same = same && slices.Equal(*l.of(&i), *l.of(&j))
	}
	return same
}

// Clone returns an item whose secrets can be wiped without wiping i's.
func (i Item) Clone() Item {
	for _, s := range secrets {
		*s.of(&i) = s.of(&i).Clone()
	}
	return i
}

// CheckOrigins says why a list is too long for an item's [Item.Origins] or [Item.APIs].
func CheckOrigins(list []string) error {
	if len(list) > MaxOrigins || slices.ContainsFunc(list, func(o string) bool { return len(o) > maxOrigin }) {
		return fmt.Errorf("a credential is for at most %d hosts and %d APIs, of at most %d bytes each", MaxOrigins,
			MaxOrigins, maxOrigin)
	}
	return nil
}

// usable says what an item lacks to be a credential: something that proves the client or is the session, and the client
// it belongs to.
func (i Item) usable() error {
	for _, l := range lists {
		if err := CheckOrigins(*l.of(&i)); err != nil {
			return err
		}
	}
	switch {
	case !i.APIKey.IsZero():
		return nil
	case i.ClientID == "":
		return errors.New("a credential needs a client id")
	case i.Grant != "", i.AssertionFile != "":
		return nil // a session for which the server gave nothing to go on with: what it was, for the next sign-in
	case i.ClientSecret.IsZero() && i.RefreshToken.IsZero() && i.PrivateKey.IsZero():
		return errors.New("a credential needs a client secret, a refresh token, a private key or an API key")
	}
	return nil
}

// EncodeItem returns the item as the JSON object {v, issuer, token_endpoint, client_auth, client_id, …, client_secret,
// …}. The caller owns the result and wipes it. An item that is no credential is refused.
func EncodeItem(i Item) (Secret, error) {
	if err := i.usable(); err != nil {
		return Secret{}, err
	}
	head := fmt.Appendf(nil, `{"v":%d`, formatVersion)
	for n, t := range texts {
		if text := *t.of(&i); n < always || text != "" {
			quoted, err := json.Marshal(text)
			if err != nil {
				return Secret{}, err
			}
			head = fmt.Appendf(head, `,"%s":%s`, t.name, quoted)
		}
	}
	for _, l := range lists {
		if list := *l.of(&i); len(list) > 0 {
			quoted, err := json.Marshal(list)
			if err != nil {
				return Secret{}, err
			}
			head = fmt.Appendf(head, `,"%s":%s`, l.name, quoted)
		}
	}
	// Room for the worst case, so that append never leaves a copy of a secret in a buffer it has outgrown.
	room := len(head) + 1
	for _, s := range secrets {
		room += len(`,"":""`) + len(s.name) + 6*s.of(&i).Len()
	}
	b := append(make([]byte, 0, room), head...)
	for _, s := range secrets {
		secret := *s.of(&i)
		if secret.IsZero() {
			continue
		}
		b = fmt.Appendf(b, `,"%s":`, s.name)
		var ok bool
		if b, ok = appendQuoted(b, secret.bytes()); !ok {
			clear(b)
			return Secret{}, fmt.Errorf("the %s is not valid UTF-8", strings.ReplaceAll(s.name, "_", " "))
		}
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
// keeps b and owns the item's secrets.
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
	for n, t := range texts {
		raw, there := members[t.name]
		if !there && n >= always {
			continue
		}
		if !isString(raw) || json.Unmarshal(raw, t.of(&i)) != nil {
			return Item{}, fmt.Errorf("%w: its %s is missing or no string", ErrCorrupt, t.name)
		}
	}
	for _, l := range lists {
		raw, there := members[l.name]
		if there && !isList(raw, l.of(&i)) {
			return Item{}, fmt.Errorf("%w: its %s are no list of strings", ErrCorrupt, l.name)
		}
	}
	for _, s := range secrets {
		raw, there := members[s.name]
		if !there {
			continue
		}
		secret, ok := unquote(raw)
		if !ok {
			i.Wipe()
			return Item{}, fmt.Errorf("%w: its %s is no string", ErrCorrupt, s.name)
		}
		*s.of(&i) = secret
	}
	if err := i.usable(); err != nil {
		i.Wipe()
		return Item{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
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

// isList reads a list of strings. An empty one is as good as none.
func isList(raw json.RawMessage, to *[]string) bool {
	var members []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &members) != nil || len(members) > MaxOrigins {
		return false
	}
	for _, m := range members {
		var text string
		if !isString(m) || json.Unmarshal(m, &text) != nil {
			return false
		}
		*to = append(*to, text)
	}
	return true
}

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
