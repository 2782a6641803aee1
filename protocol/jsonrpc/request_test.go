package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/protocol"
)

// The most frequent request is decoded by hand; the result is what encoding/json makes of it.
func TestTokenParamsByHand(t *testing.T) {
	for _, params := range []string{
		`{}`,
		`{"profile":"work"}`,
		` { "profile" : "work" , "min_ttl" : 60 } `,
		`{"profile":"w\u006frk","target":"https:\/\/x","scope":"a b","audience":"ü","min_ttl":0,"wait":-0}`,
		`{"min_ttl":9223372036854775807,"wait":-9223372036854775808}`,
		`{"min_ttl":9223372036854775808}`,
		`{"profile":null,"min_ttl":null,"wait":null,"scope":null}`,
		`{"profile":1}`, `{"profile":["a"]}`, `{"profile":{}}`, `{"profile":true}`,
		`{"min_ttl":"60"}`, `{"min_ttl":1.0}`, `{"min_ttl":1e2}`, `{"min_ttl":[]}`, `{"min_ttl":false}`,
		`{"later":{"deep":[1,"}",{"x":"\""}]},"profile":"work"}`,
		`{"later":1,"profile":2}`,
		`{"":"","profile":""}`,
	} {
		compareDecoders(t, []byte(params))
	}
}

// compareDecoders decodes params, which must have passed strictjson.Check, in both ways.
func compareDecoders(t *testing.T, params []byte) {
	t.Helper()
	var byHand protocol.TokenParams
	err := DecodeParams(params, &byHand)
	type reference protocol.TokenParams // without the short cut
	var plain reference
	plainErr := DecodeParams(params, &plain)
	if (err == nil) != (plainErr == nil) {
		t.Errorf("%s: by hand %v, encoding/json %v", params, err, plainErr)
		return
	}
	if err != nil {
		if _, ok := errors.AsType[*protocol.Error](err); !ok {
			t.Errorf("%s: %T", params, err)
		}
		return
	}
	if diff := cmp.Diff(protocol.TokenParams(plain), byHand); diff != "" {
		t.Errorf("%s: %s", params, diff)
	}
}

func TestTokenNamesAreAll(t *testing.T) {
	if diff := cmp.Diff(fieldsOf(&protocol.TokenParams{}).names, tokenNames); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeParamsSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		params string
		into   any
		want   string
	}{
		{`{"min_ttl":"60"}`, &protocol.TokenParams{}, "min_ttl must be an integer"},
		{`{"min_ttl":"60"}`, &protocol.RejectParams{}, "min_ttl must be an integer"},
		{`{"access_token":1}`, &protocol.RejectParams{}, "access_token must be a string"},
		{`{"resources":"x"}`, &protocol.LoginParams{}, "resources must be a list of strings"},
		{`{"resources":[1]}`, &protocol.LoginParams{}, "resources must be a list of strings"},
		{`{"new_client":1}`, &protocol.LoginParams{}, "new_client must be true or false"},
		{`{"Profile":"x"}`, &protocol.LoginParams{}, "the member profile is misspelled"},
		{`{"PROFILE":"x"}`, &protocol.TokenParams{}, "the member profile is misspelled"},
		{`{"\u017fcope":"x"}`, &protocol.TokenParams{}, "the member scope is misspelled"}, // ſ folds to s
	} {
		err := DecodeParams([]byte(test.params), test.into)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %q", test.params, err, test.want)
		}
	}
}

func TestSecretParam(t *testing.T) {
	for _, test := range []struct {
		params, want string
		fails        bool
	}{
		{`{"value":"p\u00e4ss\n"}`, "päss\n", false},
		{`{"value":""}`, "", false},
		{`{}`, "", false},
		{`{"value":null}`, "", false},
		{`{"value":1}`, "", true},
		{`{"value":["x"]}`, "", true},
		{`{"VALUE":"x"}`, "", true},
	} {
		got, err := SecretParam([]byte(test.params), "value")
		if string(got) != test.want || (err != nil) != test.fails {
			t.Errorf("%s: %q, %v", test.params, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "x") {
			t.Errorf("the value is in the error: %v", err)
		}
	}
	if b, err := SecretParam(nil, "value"); b != nil || err != nil {
		t.Error(b, err)
	}
}

// A secret is decoded into one buffer that the caller can wipe, and nowhere else.
func TestSecretParamIsTheCallersOwn(t *testing.T) {
	params := []byte(`{"value":"secret"}`)
	got, err := SecretParam(params, "value")
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	if string(params) != `{"value":"secret"}` || cap(got) > len(`"secret"`) {
		t.Errorf("%s, cap %d", params, cap(got))
	}
}

func seeds(f *testing.F, name string) {
	text, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var v struct {
			Line   string `json:"line"`
			Base64 []byte `json:"base64"`
		}
		if err := json.Unmarshal(line, &v); err != nil {
			f.Fatal(err)
		}
		f.Add(append([]byte(v.Line), v.Base64...))
	}
}

// FuzzParseRequest: a request that is accepted means the same to encoding/json, and every refusal is one that can be
// sent.
func FuzzParseRequest(f *testing.F) {
	seeds(f, "requests.jsonl")
	f.Fuzz(func(t *testing.T, line []byte) {
		r, fatal, err := ParseRequest(line)
		if err != nil {
			e, ok := errors.AsType[*protocol.Error](err)
			if !ok || fatal != (e.Code == protocol.CodeParse) || r.ID != nil && !json.Valid(r.ID) {
				t.Fatalf("%q: %v, fatal %v", line, err, fatal)
			}
			if reply := AppendError(nil, r.ID, e); !json.Valid(reply) || bytes.Count(reply, []byte("\n")) != 1 {
				t.Fatalf("%q", reply)
			}
			return
		}
		var q struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(line, &q); err != nil || q.Version != "2.0" {
			t.Fatalf("%q: %v", line, err)
		}
		if r.ID == nil {
			if q.ID != nil {
				t.Fatalf("%q: taken for a notification", line)
			}
			return
		}
		if !bytes.Equal(r.ID, q.ID) || r.Method != q.Method || !bytes.Equal(r.Params, q.Params) {
			t.Fatalf("%q: %+v, encoding/json %+v", line, r, q)
		}
		if r.Params == nil {
			return
		}
		compareDecoders(t, r.Params)
		for _, into := range []any{&protocol.RejectParams{}, &protocol.LoginParams{}, &protocol.LogoutParams{},
			&protocol.StatusParams{}, &protocol.KeystoreParams{}} {
			if err := DecodeParams(r.Params, into); err != nil &&
				reflect.TypeOf(err) != reflect.TypeFor[*protocol.Error]() {
				t.Fatalf("%T", err)
			}
		}
		SecretParam(r.Params, "passphrase")
	})
}

func BenchmarkParseRequest(b *testing.B) {
	line := []byte(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"work","min_ttl":300}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseRequest(line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeParams(b *testing.B) {
	params := []byte(`{"profile":"work","min_ttl":300}`)
	type reference protocol.TokenParams
	for name, into := range map[string]func() any{
		"by hand":       func() any { return &protocol.TokenParams{} },
		"encoding json": func() any { return &reference{} },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := DecodeParams(params, into()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
