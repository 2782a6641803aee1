package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/groat-dev/groat/protocol/strict"
)

// Request is one request of a client's. Its slices point into the line it was parsed from.
type Request struct {
	// ID as it stands in the line, to be sent back byte for byte; nil for a notification.
	ID     []byte
	Method string
	// Params is an object, or nil where there were none.
	Params []byte
}

// ParseRequest reads one line. Its error is a [*Error] to be sent as the reply, with the request's ID where that could be
// read. fatal says that nothing sensible can follow on this connection: the line was not JSON.
func ParseRequest(line []byte) (r Request, fatal bool, err error) {
	if err := strict.Check(line); err != nil {
		if errors.Is(err, strict.ErrRefused) {
			return r, false, invalidRequest("the request is refused: " + err.Error())
		}
		return r, true, &Error{Code: CodeParse, Message: "the line cannot be read: " + err.Error()}
	}
	var version, method []byte
	hasID := false
	isObject := members(line, func(name, value []byte) {
		switch string(name) {
		case "jsonrpc":
			version = value
		case "id":
			r.ID, hasID = value, true
		case "method":
			method = value
		case "params":
			r.Params = value
		}
	})
	switch {
	case !isObject:
		return r, false, invalidRequest("a request is one JSON object; batches are not spoken here")
	case hasID && !validID(r.ID):
		r.ID = nil
		return r, false, invalidRequest("id must be an integer or a string of at most 128 bytes")
	case !bytes.Equal(version, []byte(`"2.0"`)):
		return r, false, invalidRequest(`jsonrpc must be "2.0"`)
	case len(method) < 2 || method[0] != '"':
		return r, false, invalidRequest("method must be a string")
	case r.Params != nil && r.Params[0] != '{':
		return r, false, invalidParams("params must be an object with named members")
	}
	if variant := caseVariant(line, requestNames); variant != "" {
		return r, false, invalidRequest("the member " + variant + " is misspelled")
	}
	name, err := strict.AppendUnquoted(nil, method)
	if err != nil {
		return r, false, invalidRequest("method must be a string")
	}
	r.Method = string(name)
	return r, false, nil
}

func invalidRequest(message string) *Error { return &Error{Code: CodeInvalidRequest, Message: message} }
func invalidParams(message string) *Error  { return &Error{Code: CodeInvalidParams, Message: message} }

// validID reports whether an id is one that is echoed: a bounded string, or an integer that every language can hold.
func validID(id []byte) bool {
	if id[0] == '"' {
		return len(id) <= MaxID+len(`""`)
	}
	_, err := strconv.ParseInt(string(id), 10, 64)
	return err == nil
}

// DecodeParams reads a request's parameters into a struct. Members it does not know are ignored; one that differs from a
// known name only in case is refused, because encoding/json would take it and another reader would not. The error is a
// [*Error].
func DecodeParams(params []byte, into any) error {
	if params == nil {
		return nil
	}
	if variant := caseVariant(params, namesOf(into)); variant != "" {
		return &Error{Code: CodeInvalidRequest, Message: "the member " + variant + " is misspelled"}
	}
	err := json.Unmarshal(params, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return InvalidParams("%s must be %s", wrong.Field, kindOf(wrong.Type))
	}
	if err != nil {
		return invalidParams("the parameters cannot be read")
	}
	return nil
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int64, reflect.Int:
		return "an integer"
	case reflect.Bool:
		return "true or false"
	}
	return "of another type"
}

// SecretParam takes one string member out of params as bytes that the caller can wipe; nil where it is missing.
func SecretParam(params []byte, name string) ([]byte, error) {
	var raw []byte
	members(params, func(n, value []byte) {
		if string(n) == name {
			raw = value
		}
	})
	if raw == nil {
		return nil, nil
	}
	if raw[0] != '"' {
		return nil, InvalidParams("%s must be a string", name)
	}
	secret, err := strict.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	if err != nil {
		return nil, InvalidParams("%s cannot be read", name)
	}
	return secret, nil
}

var requestNames = map[string]bool{"jsonrpc": true, "id": true, "method": true, "params": true}

// caseVariant returns a member of the object that is a known name but for case, or "".
func caseVariant(object []byte, known map[string]bool) (variant string) {
	members(object, func(name, _ []byte) {
		if known[string(name)] {
			return
		}
		for k := range known {
			if strings.EqualFold(k, string(name)) {
				variant = k
			}
		}
	})
	return variant
}

var names sync.Map // :: reflect.Type → map[string]bool, the JSON names of its fields

func namesOf(v any) map[string]bool {
	t := reflect.TypeOf(v).Elem()
	if known, ok := names.Load(t); ok {
		return known.(map[string]bool)
	}
	known := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			known[name] = true
		}
	}
	names.Store(t, known)
	return known
}

// members calls f for each member of an object that [strict.Check] has passed, with its unescaped name and its raw
// value, and reports whether it was an object.
func members(b []byte, f func(name, value []byte)) bool {
	i := skipSpace(b, 0)
	if b[i] != '{' {
		return false
	}
	i = skipSpace(b, i+1)
	for b[i] != '}' {
		end := skipValue(b, i)
		name := b[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name, _ = strict.AppendUnquoted(nil, b[i:end])
		}
		i = skipSpace(b, skipSpace(b, end)+1) // past the colon
		end = skipValue(b, i)
		f(name, b[i:end])
		if i = skipSpace(b, end); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return true
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the index behind the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i // the end of the object around a bare literal
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return i
		}
	}
	return i
}

// AppendResult appends a reply line with a result that [json.Marshal] can encode.
func AppendResult(dst, id []byte, result any) ([]byte, error) {
	body, err := json.Marshal(result)
	if err != nil {
		return dst, err
	}
	dst = appendHead(dst, id, "result")
	dst = append(dst, body...)
	return append(dst, '}', '\n'), nil
}

// AppendError appends a reply line with an error; a nil id becomes null (JSON-RPC 2.0 §5).
func AppendError(dst, id []byte, e *Error) []byte {
	body, err := json.Marshal(e)
	if err != nil { // strings and integers only
		panic(err)
	}
	dst = appendHead(dst, id, "error")
	dst = append(dst, body...)
	return append(dst, '}', '\n')
}

// AppendNotification appends a line of the daemon's own.
func AppendNotification(dst []byte, method string, params any) ([]byte, error) {
	body, err := json.Marshal(params)
	if err != nil {
		return dst, err
	}
	dst = append(dst, `{"jsonrpc":"2.0","method":"`...)
	dst = append(dst, method...)
	dst = append(dst, `","params":`...)
	dst = append(dst, body...)
	return append(dst, '}', '\n'), nil
}

func appendHead(dst, id []byte, member string) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	if id == nil {
		dst = append(dst, "null"...)
	}
	dst = append(dst, id...)
	dst = append(dst, ',', '"')
	dst = append(dst, member...)
	return append(dst, '"', ':')
}
