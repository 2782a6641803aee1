package jsonrpc

import (
	"encoding/json"

	"github.com/groat-dev/groat/protocol"
)

// AppendResult appends a reply line with a result that [json.Marshal] can encode. If it cannot, dst is returned as
// it was.
func AppendResult(dst, id []byte, result any) ([]byte, error) {
	line := line(appendHead(dst, id, "result"))
	if err := json.NewEncoder(&line).Encode(result); err != nil {
		return dst, err
	}
	line[len(line)-1] = '}' // where the encoder has put the line's end
	return append(line, '\n'), nil
}

// AppendPage is AppendResult for a result with one member more, a list that is encoded already. It comes last, so that
// a reader has found the rest before it.
func AppendPage(dst, id []byte, result any, name string, list []byte) ([]byte, error) {
	line, err := AppendResult(dst, id, result)
	if err != nil {
		return dst, err
	}
	const end = "}}\n"
	line = line[:len(line)-len(end)]
	if line[len(line)-1] != '{' {
		line = append(line, ',')
	}
	line = append(append(append(line, '"'), name...), '"', ':')
	return append(append(line, list...), end...), nil
}

// line is what a result is encoded to, without a copy of it on the way.
type line []byte

func (l *line) Write(b []byte) (int, error) {
	*l = append(*l, b...)
	return len(b), nil
}

// AppendError appends a reply line with an error; a nil id becomes null (JSON-RPC 2.0 §5).
func AppendError(dst, id []byte, e *protocol.Error) []byte {
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
