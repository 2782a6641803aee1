package main

import (
	"bytes"
	"encoding/json"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/protocol/visible"
)

// printJSON writes v as one line of JSON that is safe on a terminal.
func (a *app) printJSON(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return a.write(append(visible.JSON(bytes.TrimRight(b.Bytes(), "\n")), '\n'))
}

// write writes to stdout at once.
func (a *app) write(b []byte) error { return get.Write(a.stdout, b) }
