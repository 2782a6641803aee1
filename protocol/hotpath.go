package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// What groat does thousands of times in a build, asking for a token, is encoded and decoded here by hand. Not for speed as
// such: the first use of encoding/json for a type costs a process some 70 µs, three times in a life of two milliseconds.

// marshalParams is [json.Marshal] for a request's parameters.
func marshalParams(params any) ([]byte, error) {
	if p, ok := params.(TokenParams); ok {
		return p.appendTo(nil), nil
	}
	return json.Marshal(params)
}

// unmarshalResult is [json.Unmarshal] for a result that strict.Check has passed.
func unmarshalResult(raw []byte, into any) error {
	if t, ok := into.(*TokenResult); ok {
		return t.decode(raw)
	}
	return json.Unmarshal(raw, into)
}

func (p TokenParams) appendTo(dst []byte) []byte {
	dst = append(dst, '{')
	first := len(dst)
	name := func(n string) {
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, n...)
		dst = append(dst, '"', ':')
	}
	words := func(n, value string) {
		if value != "" {
			name(n)
			dst = strictjson.AppendString(dst, strings.ToValidUTF8(value, "\ufffd"))
		}
	}
	number := func(n string, value *int64) {
		if value != nil {
			name(n)
			dst = strconv.AppendInt(dst, *value, 10)
		}
	}
	words("profile", p.Profile)
	words("target", p.Target)
	number("min_ttl", p.MinTTL)
	words("scope", p.Scope)
	words("audience", p.Audience)
	number("wait", p.Wait)
	return append(dst, '}')
}

var errNoObject = errors.New("it is no object")

// decode reads a line of the daemon's that strict.Check has passed. The raw members are part of line.
func (m *message) decode(line []byte) error {
	if !strictjson.IsObject(line) {
		return errNoObject
	}
	for name, raw := range strictjson.Members(line) {
		if raw[0] == 'n' && string(name) != "id" {
			continue // null
		}
		switch string(name) {
		case "id":
			m.ID = raw
		case "method":
			method, ok := strictjson.Text(raw)
			if !ok {
				return errors.New("method is no string")
			}
			m.Method = method
		case "params":
			m.Params = raw
		case "result":
			m.Result = raw
		case "error":
			m.Error = new(Error)
			if err := json.Unmarshal(raw, m.Error); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *TokenResult) decode(raw []byte) error {
	if !strictjson.IsObject(raw) {
		return errNoObject
	}
	for name, raw := range strictjson.Members(raw) {
		var words *string
		var number *int64
		var truth *bool
		switch string(name) {
		case "access_token":
			words = &t.AccessToken
		case "token_type":
			words = &t.TokenType
		case "expires_at":
			number = &t.ExpiresAt
		case "expires_in":
			number = &t.ExpiresIn
		case "scope":
			words = &t.Scope
		case "profile":
			words = &t.Profile
		case "header":
			words = &t.Header
		case "static":
			truth = &t.Static
		default:
			continue
		}
		if raw[0] == 'n' {
			continue // null
		}
		ok := false
		switch {
		case words != nil:
			*words, ok = strictjson.Text(raw)
		case number != nil:
			n, err := strconv.ParseInt(string(raw), 10, 64)
			*number, ok = n, err == nil
		default:
			*truth = raw[0] == 't'
			ok = *truth || raw[0] == 'f'
		}
		if !ok {
			return fmt.Errorf("%s is of another type", name)
		}
	}
	return nil
}
