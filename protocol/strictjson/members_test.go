package strictjson

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"unicode/utf8"
)

// agrees holds Members, IsObject and Text against encoding/json, for what Check passes.
func agrees(t *testing.T, b []byte) {
	if Check(b) != nil {
		return
	}
	var want map[string]json.RawMessage
	isObject := json.Unmarshal(b, &want) == nil && want != nil
	if IsObject(b) != isObject {
		t.Fatalf("%q is an object: %v", b, isObject)
	}
	got := map[string]json.RawMessage{}
	for name, value := range Members(b) {
		got[string(name)] = value
		var text string
		isText := value[0] == '"'
		if isText && json.Unmarshal(value, &text) != nil {
			t.Fatalf("%q is no string", value)
		}
		if s, ok := Text(value); s != text || ok != isText {
			t.Fatalf("%q says %q, %v; want %q, %v", value, s, ok, text, isText)
		}
	}
	if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
		t.Fatalf("%q has %q, want %q", b, got, want)
	}
}

var objects = []string{
	`{}`, ` { } `, `{"a":1}`, ` { "a" : 1 , "b" : [ 1 , { "c" : "}" } ] } `, `{"a":{"b":"\"}"},"c":[[],[{}]],"d":null}`,
	`{"":"","é\n":"\u00e9\\","x\"y":"\ud83d\ude00"}`, "{\"a\":\ttrue\r\n,\"b\":-1.5e3}",
	`{"a":[1,2]}`, `[]`, `[{"a":1}]`, `"{"`, `null`, `1`, ``,
}

func TestMembers(t *testing.T) {
	for _, s := range objects {
		agrees(t, []byte(s))
	}
	n := 0
	for range Members([]byte(`{"a":1,"b":2}`)) { // a loop may end early
		n++
		break
	}
	if n != 1 {
		t.Error(n)
	}
}

func TestElements(t *testing.T) {
	for array, want := range map[string][]string{
		`[]`: nil, ` [ 1 , "a,]b" ,[2,[3]],{"x":[4]},null ] `: {`1`, `"a,]b"`, `[2,[3]]`, `{"x":[4]}`, `null`},
		`{"a":[1]}`: nil, `7`: nil, `["]"]`: {`"]"`},
	} {
		if err := Check([]byte(array)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for value := range Elements([]byte(array)) {
			got = append(got, string(value))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", array, got, want)
		}
	}
}

func FuzzMembers(f *testing.F) {
	for _, s := range objects {
		f.Add([]byte(s))
	}
	f.Fuzz(agrees)
}

// What is appended as a string means the same to encoding/json, in one line without control characters.
func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "a", "\"\\/", "\x00\x1f\x7f", "é\u2028😀", "<&>", "\n\r\t\b\f"} {
		got := AppendString([]byte("x"), s)
		if same := AppendString([]byte("x"), []byte(s)); !slices.Equal(got, same) {
			t.Errorf("%q and %q", got, same)
		}
		var back string
		if err := json.Unmarshal(got[1:], &back); err != nil || back != s || got[0] != 'x' {
			t.Errorf("%q: %q, %v", s, got, err)
		}
		if err := Check(got[1:]); err != nil && s[0] != 0 { // which refuses NUL
			t.Errorf("%q: %v", got, err)
		}
		if slices.ContainsFunc(got, func(c byte) bool { return c < ' ' || c == 0x7f }) || !utf8.Valid(got) {
			t.Errorf("%q", got)
		}
	}
}
