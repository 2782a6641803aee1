// Package jsonrpc is the server's side of the protocol's lines: it reads requests strictly, decodes their parameters,
// and writes replies and notifications.
//
// The invariants: a request that is accepted means the same to every JSON parser; no error quotes a value of a request;
// a secret parameter is decoded into bytes that the caller can wipe. What is not here: methods, and connections.
package jsonrpc

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// Request is one request of a client's. Its slices point into the line it was parsed from.
type Request struct {
	// ID as it stands in the line, to be sent back byte for byte; nil for a notification.
	ID     []byte
	Method string
	// Params is an object, or nil if there were none.
	Params []byte
	// Place is the id of the caller's place ([Place.ID]) between quotes, as it stands in the line, or nil.
	Place []byte
}

var requestNames = []string{"jsonrpc", "id", "method", "params", "place"}

// ParseRequest reads one line. Its error is a [*protocol.Error] to be sent as the reply, with the request's ID if
// that could be read. fatal says that nothing sensible can follow on this connection: the line was not JSON. It is safe
// for concurrent use.
func ParseRequest(line []byte) (r Request, fatal bool, err error) {
	if err := strictjson.Check(line); err != nil {
		if errors.Is(err, strictjson.ErrRefused) {
			return r, false, invalidRequest("the request is refused: " + err.Error())
		}
		return r, true, &protocol.Error{Code: protocol.CodeParse, Message: "the line cannot be read: " + err.Error()}
	}
	if !strictjson.IsObject(line) {
		return r, false, invalidRequest("a request is one JSON object; batches are not spoken here")
	}
	var version, method []byte
	variant := ""
	for name, value := range strictjson.Members(line) {
		switch string(name) {
		case "jsonrpc":
			version = value
		case "id":
			r.ID = value
		case "method":
			method = value
		case "params":
			r.Params = value
		case "place":
			r.Place = value
		default:
			if v := variantOf(name, requestNames); v != "" {
				variant = v
			}
		}
	}
	if r.ID != nil && !validID(r.ID) {
		r.ID = nil
		return r, false, invalidRequest("id must be an integer or a string of at most 128 bytes")
	}
	switch {
	case variant != "":
		return r, false, misspelled(variant)
	case string(version) != `"2.0"`:
		return r, false, invalidRequest(`jsonrpc must be "2.0"`)
	case method == nil || method[0] != '"':
		return r, false, invalidRequest("method must be a string")
	case r.ID == nil:
		return Request{}, false, nil // JSON-RPC 2.0 §4.1: a notification is never answered, however wrong it is
	case r.Place != nil && r.Place[0] != '"':
		return r, false, invalidRequest("place must be a string")
	case r.Params != nil && r.Params[0] != '{':
		return r, false, protocol.InvalidParams("params must be an object with named members")
	}
	r.Method = methodName(method)
	return r, false, nil
}

// methodName unquotes a method. The most frequent one costs no allocation.
func methodName(raw []byte) string {
	if bytes.Equal(raw, []byte(`"`+protocol.MethodToken+`"`)) {
		return protocol.MethodToken
	}
	name, _ := strictjson.Text(raw)
	return name
}

func invalidRequest(message string) *protocol.Error {
	return &protocol.Error{Code: protocol.CodeInvalidRequest, Message: message}
}

// validID reports whether an id is one that is echoed: a bounded string, or an integer of 64 bits.
func validID(id []byte) bool {
	if id[0] == '"' {
		return len(id) <= protocol.MaxID+len(`""`)
	}
	_, err := strconv.ParseInt(string(id), 10, 64)
	return err == nil
}

// variantOf returns the known name that differs from name only in case, or "" if name is known or there is none.
// encoding/json would take such a member for the known one, and other readers would not.
func variantOf(name []byte, known []string) string {
	variant := ""
	for _, k := range known {
		if string(name) == k {
			return ""
		}
		if len(name) >= len(k) && strings.EqualFold(string(name), k) {
			variant = k
		}
	}
	return variant
}

func misspelled(name string) *protocol.Error {
	return invalidRequest("the member " + name + " is misspelled")
}

// OtherPlace returns the error for a caller whose place has another id than the daemon's.
func OtherPlace(daemon frame.Place, caller string) *protocol.Error {
	e := protocol.NewError(protocol.Config,
		"this groatd is another place's: it serves "+daemon.String()+" (place "+daemon.ID()+
			"), and the request comes from place "+caller, "env -u GROAT_SOCKET groat status")
	e.Data.Place = &daemon
	return e
}

// PlaceID returns what a request's place says, for people: a JSON string as it stands in the line.
func PlaceID(raw []byte) string {
	id, ok := strictjson.Text(raw)
	if !ok || len(id) > 64 {
		return "of an unknown form"
	}
	return strconv.Quote(id)
}
