package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// differ holds Check against encoding/json in both directions.
func differ(t *testing.T, b []byte) {
	err := strictjson.Check(b)
	valid := json.Valid(b) && utf8.Valid(b)
	switch {
	case errors.Is(err, strictjson.ErrSyntax):
		if valid {
			t.Fatalf("%q is JSON, but: %v", b, err)
		}
	case errors.Is(err, strictjson.ErrRefused):
		if !valid && !strings.Contains(err.Error(), "deep") {
			t.Fatalf("%q is not JSON, but: %v", b, err)
		}
	case err != nil:
		t.Fatalf("an error of neither kind: %v", err)
	case !valid:
		t.Fatalf("%q accepted", b)
	default:
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		walk(t, d)
	}
}

// walk fails if one object has two names that encoding/json would take for the same field.
func walk(t *testing.T, d *json.Decoder) {
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	delim, _ := tok.(json.Delim)
	switch delim {
	case '{':
		var names []string
		for d.More() {
			tok, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			name := tok.(string)
			for _, o := range names {
				if strings.EqualFold(o, name) {
					t.Fatalf("%q and %q in one object", o, name)
				}
			}
			names = append(names, name)
			walk(t, d)
		}
	case '[':
		for d.More() {
			walk(t, d)
		}
	default:
		return
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
}
