package protocol

import (
	"encoding/json"
	"errors"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// What groat does thousands of times in a build, asking for a token, is encoded and decoded here by hand. Not for speed as
// such: the first use of encoding/json for a type costs a process some 70 µs, three times in a life of two milliseconds.

// marshalParams is [json.Marshal] for a request's parameters.
func marshalParams(params any) ([]byte, error) {
	if p, ok := params.(TokenParams); ok {
		return frame.TokenParams(p).AppendJSON(nil), nil
	}
	return json.Marshal(params)
}

// unmarshalResult is [json.Unmarshal] for a result that strict.Check has passed.
func unmarshalResult(raw []byte, into any) error {
	if t, ok := into.(*TokenResult); ok {
		return (*frame.Token)(t).DecodeJSON(raw)
	}
	return json.Unmarshal(raw, into)
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
