package helper

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// CargoName is the name of the program for cargo's configuration: credential-provider = ["cargo-credential-groat"].
// The protocol: https://doc.rust-lang.org/cargo/reference/credential-provider-protocol.html
const CargoName = "cargo-credential-groat"

// CargoPlugin is the argument that cargo calls it with.
const CargoPlugin = "--cargo-plugin"

// ErrCargoSlow means that cargo's request does not end.
var ErrCargoSlow = errors.New("cargo's request does not end")

var (
	errCargoTooLong = errors.New("cargo's request is longer than 64 KiB")
	errCargoRequest = errors.New("cargo's request is no object with v, kind and registry as of version 1")
	errCargoArgs    = errors.New("cargo's configuration has more arguments than a profile")
)

// maxCargoRequest bounds what is read of a request.
const maxCargoRequest = 64 << 10

// Cargo answers cargo's requests, a line of JSON each, until cargo closes in. What goes wrong with one is cargo's
// answer, worded by explain as a message and a hint; the error is for what ends the conversation.
func Cargo(d Daemon, in io.Reader, out io.Writer, explain func(error) (message, hint string)) error {
	if _, err := io.WriteString(out, `{"v":[1]}`+"\n"); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(in, maxCargoRequest)
	for answered := false; ; answered = true {
		line, end := lines.ReadSlice('\n')
		switch {
		case len(line) == 0 && (end == io.EOF || end != nil && answered): // there is no further request
			return nil
		case end == bufio.ErrBufferFull:
			end = errCargoTooLong
		case end == io.EOF: // within a line
			end = errCargoRequest
		}
		var answer []byte
		err := end
		if err == nil {
			answer, err = cargoAnswer(d, line)
		}
		if err != nil {
			answer = appendCargoError(nil, err, explain)
		}
		if _, err := out.Write(append(answer, '\n')); err != nil {
			return err
		}
		if end != nil {
			return end
		}
	}
}

// cargoRequest is what cargo wants.
type cargoRequest struct {
	version, kind, index string
	args                 []string
}

// cargoAnswer answers one request.
func cargoAnswer(d Daemon, line []byte) ([]byte, error) {
	r, err := parseCargo(line)
	if err != nil {
		return nil, err
	}
	if r.kind != "get" { // login, logout, and what a later cargo may bring
		return []byte(`{"Err":{"kind":"operation-not-supported"}}`), nil
	}
	// The index's address has a prefix that says how it is read ("sparse+https://…").
	target := strings.TrimPrefix(strings.TrimPrefix(r.index, "sparse+"), "registry+")
	wait := int64(Wait)
	params := frame.TokenParams{Target: target, Wait: &wait}
	switch len(r.args) {
	case 0:
	case 1:
		params.Profile = r.args[0]
	default:
		return nil, errCargoArgs
	}
	t, err := d.Token(params)
	if noneLists(err) && params.Profile == "" {
		return []byte(`{"Err":{"kind":"url-not-supported"}}`), nil
	}
	if err != nil {
		return nil, err
	}
	value, err := authorization(t, "cargo")
	if err != nil {
		return nil, err
	}
	// Cargo sends the token as it is, without a scheme of its own. It is good for every operation.
	b := strictjson.AppendString([]byte(`{"Ok":{"kind":"get","token":`), value)
	b = strconv.AppendInt(append(b, `,"cache":"expires","expiration":`...), t.ExpiresAt, 10)
	return append(b, `,"operation_independent":true}}`...), nil
}

// parseCargo reads a request; members that it does not know are ignored.
func parseCargo(line []byte) (r cargoRequest, err error) {
	if strictjson.Check(line) != nil || !strictjson.IsObject(line) {
		return r, errCargoRequest
	}
	for name, value := range strictjson.Members(line) {
		switch string(name) {
		case "v":
			r.version = string(value)
		case "kind":
			r.kind, _ = strictjson.Text(value)
		case "registry":
			for name, value := range strictjson.Members(value) {
				if string(name) == "index-url" {
					r.index, _ = strictjson.Text(value)
				}
			}
		case "args":
			for value := range strictjson.Elements(value) {
				arg, ok := strictjson.Text(value)
				if !ok {
					return r, errCargoRequest
				}
				r.args = append(r.args, arg)
			}
		}
	}
	if r.version != "1" || r.kind == "" || r.index == "" {
		return r, errCargoRequest
	}
	return r, nil
}

// appendCargoError appends an answer that cargo shows to the person.
func appendCargoError(b []byte, err error, explain func(error) (message, hint string)) []byte {
	message, hint := explain(err)
	b = strictjson.AppendString(append(b, `{"Err":{"kind":"other","message":`...), message)
	b = append(b, `,"caused-by":[`...)
	if hint != "" {
		b = strictjson.AppendString(b, hint)
	}
	return append(b, "]}}"...)
}
