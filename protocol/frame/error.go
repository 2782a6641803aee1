package frame

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// Kind is the word for what went wrong, which programs test. PROTOCOL.md, "Errors".
type Kind string

// The kinds.
const (
	LoginRequired       Kind = "login_required"
	Temporary           Kind = "temporary"
	Denied              Kind = "denied"
	Locked              Kind = "locked"
	UnknownProfile      Kind = "unknown_profile"
	Config              Kind = "config"
	KeystoreUnavailable Kind = "keystore_unavailable"
	Internal            Kind = "internal"
)

// JSON-RPC 2.0's own codes, §5.1.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
)

// Error is groatd's refusal of a request. It is what [protocol.Error] is, without the layers of its JSON form.
type Error struct {
	Code int
	Kind Kind // empty for JSON-RPC's own errors
	// Message is a sentence for people, and Hint the command to type next, or empty.
	Message, Hint string
	// RetryAfter is seconds, or 0 if groatd does not say. MaxMinTTL is the greatest min_ttl, in seconds, that can be
	// met, if a greater one was asked for.
	RetryAfter, MaxMinTTL int64
	// Choices are the profiles that are meant, if more than one is; [protocol.ErrorData] explains them.
	Choices []Choice
	// Network is how groatd makes connections, if it did not reach a server.
	Network *Network
	// Place is groatd's, if the caller's is another. Nothing was done then.
	Place *Place
}

func (e *Error) Error() string { return e.Message }

// Choice is a profile and what it lists: an origin, or an origin with a path.
type Choice struct{ Profile, Resource string }

// HasChoice reports whether a profile is one of the choices.
func (e *Error) HasChoice(profile string) bool {
	for _, c := range e.Choices {
		if c.Profile == profile {
			return true
		}
	}
	return false
}

// Network is how groatd reaches servers; a setting that is empty is not set.
type Network struct {
	// Proxy is the URL of the proxy, without user name and password. CAFile is a file of certificate authorities.
	Proxy, CAFile string
	// PID is groatd's, and StartedAt, in Unix seconds, the age of its environment.
	PID, StartedAt int64
}

// decode reads the error object of a reply.
func (e *Error) decode(raw []byte) error {
	var code int64
	data := func(name string) any {
		switch name {
		case "kind":
			return (*string)(&e.Kind)
		case "hint":
			return &e.Hint
		case "retry_after":
			return &e.RetryAfter
		case "max_min_ttl":
			return &e.MaxMinTTL
		case "choices":
			return e.decodeChoices
		case "network":
			e.Network = new(Network)
			return e.Network.decode
		case "place":
			e.Place = new(Place)
			return e.Place.decode
		}
		return nil
	}
	err := decodeObject(raw, func(name string) any {
		switch name {
		case "code":
			return &code
		case "message":
			return &e.Message
		case "data":
			return func(raw []byte) error { return decodeObject(raw, data) }
		}
		return nil
	})
	e.Code = int(code)
	return err
}

func (e *Error) decodeChoices(raw []byte) error {
	return decodeObject(raw, func(name string) any {
		return func(value []byte) error {
			resource, ok := strictjson.Text(value)
			if !ok {
				return errNoText
			}
			e.Choices = append(e.Choices, Choice{name, resource})
			return nil
		}
	})
}

func (n *Network) decode(raw []byte) error {
	value := func(into *string) func([]byte) error {
		return func(raw []byte) error {
			return decodeObject(raw, func(name string) any {
				if name == "value" {
					return into
				}
				return nil
			})
		}
	}
	return decodeObject(raw, func(name string) any {
		switch name {
		case "proxy":
			return value(&n.Proxy)
		case "ca_file":
			return value(&n.CAFile)
		case "pid":
			return &n.PID
		case "started_at":
			return &n.StartedAt
		}
		return nil
	})
}

func (p *Place) decode(raw []byte) error {
	return decodeObject(raw, func(name string) any {
		switch name {
		case "home":
			return &p.Home
		case "configuration":
			return &p.Configuration
		case "state":
			return &p.State
		}
		return nil
	})
}

// What a reply can be instead of an answer.
var (
	errNoObject     = errors.New("it is no object")
	errNoText       = errors.New("it is no text")
	errOtherRequest = errors.New("it is for another request")
	errNoResult     = errors.New("neither a result nor an error")
)

// decodeObject reads an object that [strictjson.Check] has passed. For each member field returns where its value goes:
// a *string, *int64 or *bool, a *[]byte for the value as it stands, a func([]byte) error, or nil for a member that is
// ignored. A member that is null counts as missing.
func decodeObject(raw []byte, field func(name string) any) error {
	if !strictjson.IsObject(raw) {
		return errNoObject
	}
	for name, value := range strictjson.Members(raw) {
		if value[0] == 'n' {
			continue
		}
		ok := true
		switch into := field(string(name)).(type) {
		case *string:
			*into, ok = strictjson.Text(value)
		case *int64:
			n, err := strconv.ParseInt(string(value), 10, 64)
			*into, ok = n, err == nil
		case *bool:
			*into = value[0] == 't'
			ok = *into || value[0] == 'f'
		case *[]byte:
			*into = value
		case func([]byte) error:
			if err := into(value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if !ok {
			return fmt.Errorf("%s is of another type", name)
		}
	}
	return nil
}
