package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol/strictjson"
)

const typical = `{"jsonrpc":"2.0","id":"1","method":"token","params":{"profile":"work","min_ttl":60}}`

func many(n int, name func(int) string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%s":%d`, name(i), i)
	}
	b.WriteByte('}')
	return b.String()
}

func TestCheck(t *testing.T) {
	numbered := func(i int) string { return fmt.Sprint("k", i) }
	for _, c := range []struct {
		name string
		in   string
		want error
	}{
		{"request", typical, nil},
		{"white space around", " \t\r\n{ \"a\" : [ 1 , 2 ] } \n", nil},
		{"null", `null`, nil},
		{"true", `true`, nil},
		{"false", `false`, nil},
		{"string", `"x"`, nil},
		{"empty object", `{}`, nil},
		{"empty array", `[ ]`, nil},
		{"numbers", `[0,-0,1,-1.5,1e9,1E+9,0.1e-2,1e400]`, nil},
		{"escapes", `"\"\\\/\b\f\n\r\t\u0041\u00e9"`, nil},
		{"surrogate pair", `"\ud83d\ude00"`, nil},
		{"escaped U+FFFD", `"\ufffd\uFFFD"`, nil},
		{"raw U+FFFD", "\"\ufffd\"", nil},
		{"same name in different objects", `{"a":{"a":1},"b":{"a":[{"a":1},{"a":2}]}}`, nil},
		{"many names", many(1000, numbered), nil},
		{"names of one length", `{"ab":1,"ba":2}`, nil},
		{"depth 32", strings.Repeat("[", 32) + strings.Repeat("]", 32), nil},
		{"empty name", `{"":1}`, nil},

		{"empty", ``, strictjson.ErrSyntax},
		{"white space", " \n", strictjson.ErrSyntax},
		{"BOM", "\xef\xbb\xbf{}", strictjson.ErrSyntax},
		{"bad UTF-8", "\"\xff\"", strictjson.ErrSyntax},
		{"overlong NUL", "\"\xc0\x80\"", strictjson.ErrSyntax},
		{"CESU surrogate", "\"\xed\xa0\x80\"", strictjson.ErrSyntax},
		{"cut rune", "\"\xe2\x82", strictjson.ErrSyntax},
		{"raw NUL", "{\"a\":\"\x00\"}", strictjson.ErrSyntax},
		{"NUL between tokens", "{\x00}", strictjson.ErrSyntax},
		{"NUL behind", "{}\x00", strictjson.ErrSyntax},
		{"raw newline in a string", "\"a\nb\"", strictjson.ErrSyntax},
		{"two objects", `{}{}`, strictjson.ErrSyntax},
		{"trailing garbage", `{} x`, strictjson.ErrSyntax},
		{"open object", `{"a":1`, strictjson.ErrSyntax},
		{"open array", `[1`, strictjson.ErrSyntax},
		{"open string", `"a`, strictjson.ErrSyntax},
		{"open name", `{"a`, strictjson.ErrSyntax},
		{"open name with escape", `{"\u0041`, strictjson.ErrSyntax},
		{"name only", `{"a"}`, strictjson.ErrSyntax},
		{"no value", `{"a":}`, strictjson.ErrSyntax},
		{"comma at the end", `{"a":1,}`, strictjson.ErrSyntax},
		{"comma at an array's end", `[1,]`, strictjson.ErrSyntax},
		{"number as name", `{1:2}`, strictjson.ErrSyntax},
		{"single quotes", `{'a':1}`, strictjson.ErrSyntax},
		{"comment", `{}//`, strictjson.ErrSyntax},
		{"NaN", `NaN`, strictjson.ErrSyntax},
		{"nul", `nul`, strictjson.ErrSyntax},
		{"nuLL", `nuLL`, strictjson.ErrSyntax},
		{"leading zero", `01`, strictjson.ErrSyntax},
		{"plus", `+1`, strictjson.ErrSyntax},
		{"point", `1.`, strictjson.ErrSyntax},
		{"exponent", `1e`, strictjson.ErrSyntax},
		{"minus", `-`, strictjson.ErrSyntax},
		{"unknown escape", `"\x41"`, strictjson.ErrSyntax},
		{"short escape", `"\u12"`, strictjson.ErrSyntax},
		{"escape at the end", `"\`, strictjson.ErrSyntax},
		{"bad hex", `"\u12g4"`, strictjson.ErrSyntax},

		{"duplicate", `{"a":1,"a":2}`, strictjson.ErrRefused},
		{"duplicate, escaped", `{"a":1,"\u0061":2}`, strictjson.ErrRefused},
		{"duplicate, both escaped", `{"\u0061":1,"\u0061":2}`, strictjson.ErrRefused},
		{"duplicate, nested", `{"x":[{"a":1,"b":2,"a":3}]}`, strictjson.ErrRefused},
		{"duplicate of an outer object's first name", `{"a":{"b":1},"a":2}`, strictjson.ErrRefused},
		{"duplicate empty name", `{"":1,"":2}`, strictjson.ErrRefused},
		{"case", `{"profile":"a","PROFILE":"b"}`, strictjson.ErrRefused},
		{"case, Kelvin sign", "{\"k\":1,\"\u212a\":2}", strictjson.ErrRefused},
		{"case, long s", `{"s":1,"\u017f":2}`, strictjson.ErrRefused},
		{"case, beyond ASCII", `{"é":1,"É":2}`, strictjson.ErrRefused},
		{"duplicate among many", many(1000, func(i int) string { return fmt.Sprint("k", i%999) }),
			strictjson.ErrRefused},
		{"duplicate at the seam", many(17, func(i int) string { return fmt.Sprint("k", i%16) }), strictjson.ErrRefused},
		{"case among many", many(40, func(i int) string { return []string{"k", "K"}[i/39] + fmt.Sprint(i%39) }),
			strictjson.ErrRefused},
		{"lone high surrogate", `"\ud83d"`, strictjson.ErrRefused},
		{"lone low surrogate", `"\ude00"`, strictjson.ErrRefused},
		{"two high surrogates", `"\ud83d\ud83d"`, strictjson.ErrRefused},
		{"high surrogate, then another escape", `"\ud83d\n"`, strictjson.ErrRefused},
		{"lone surrogate in a name", `{"\ud83d":1}`, strictjson.ErrRefused},
		{"escaped NUL", `{"a":"\u0000"}`, strictjson.ErrRefused},
		{"escaped NUL in a name", `{"a\u0000":1}`, strictjson.ErrRefused},
		{"long number", strings.Repeat("1", strictjson.MaxNumber+1), strictjson.ErrRefused},
		{"depth 33", strings.Repeat("[", 33) + strings.Repeat("]", 33), strictjson.ErrRefused},
		{"depth 33 of objects", strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), strictjson.ErrRefused},
		{"depth 100,000", strings.Repeat("[", 100_000), strictjson.ErrRefused},

		{"syntax wins", `{"a":1,"a":2`, strictjson.ErrSyntax},
		{"syntax wins over an escaped NUL", `"\u0000" x`, strictjson.ErrSyntax},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := strictjson.Check([]byte(c.in))
			if c.want == nil {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			e, ok := errors.AsType[*strictjson.Error](err)
			if !ok || e.Offset < 0 || e.Offset > len(c.in) {
				t.Fatalf("no place in %#v", err)
			}
		})
	}
}

func TestErrorDoesNotQuoteTheInput(t *testing.T) {
	const canary = "hunter2canary"
	for _, in := range []string{`"` + canary, `{"` + canary + `":1,"` + canary + `":2}`, canary, `"` + canary + `\x"`} {
		if err := strictjson.Check([]byte(in)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("error %v", err)
		}
	}
	if _, err := strictjson.AppendUnquoted(nil, []byte(canary)); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("error %v", err)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	in := []byte(typical)
	if n := testing.AllocsPerRun(100, func() {
		if strictjson.Check(in) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a typical request", n)
	}
}

func TestAppendUnquoted(t *testing.T) {
	for _, c := range []struct {
		raw, out string
		want     error
	}{
		{`""`, "", nil},
		{`"plain"`, "plain", nil},
		{`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t", nil},
		{`"\u00e9é\ud83d\ude00"`, "éé😀", nil},
		{`"\ufffd"`, "\ufffd", nil},
		{`"a\u0000b"`, "a\x00b", nil},
		{`"`, "", strictjson.ErrSyntax},
		{``, "", strictjson.ErrSyntax},
		{`1`, "", strictjson.ErrSyntax},
		{`"a"b"`, "", strictjson.ErrSyntax},
		{`"a\"`, "", strictjson.ErrSyntax},
		{`"\q"`, "", strictjson.ErrSyntax},
		{"\"\xff\"", "", strictjson.ErrSyntax},
		{"\"\n\"", "", strictjson.ErrSyntax},
		{`"\ud800"`, "", strictjson.ErrRefused},
		{`"\u0000\udc00"`, "", strictjson.ErrRefused},
	} {
		got, err := strictjson.AppendUnquoted([]byte("x"), []byte(c.raw))
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || string(got) != "x"+c.out {
			t.Errorf("%s: got %q, %v; want %q, %v", c.raw, got, err, "x"+c.out, c.want)
		}
	}
}

// What the caller gave room for stays in that room: a secret is not copied to where it is not wiped.
func TestAppendUnquotedStaysInPlace(t *testing.T) {
	raw := []byte(`"\u00e9\ud83d\ude00 secret"`)
	dst := make([]byte, 0, len(raw))
	out, err := strictjson.AppendUnquoted(dst, raw)
	if err != nil || &out[0] != &dst[:1][0] {
		t.Errorf("moved, or %v", err)
	}
}

func FuzzCheckAcceptsWhatEveryParserReadsAlike(f *testing.F) {
	for _, s := range []string{typical, `{"a":1,"A":2}`, `"\ud83d\ude00"`, "{\"k\":1,\"\u212a\":2}", `[1e400,-0.5]`,
		`{"a":[{}]}`, "\xff", `{"\u0061":1,"a":2}`,
		many(20, func(i int) string { return fmt.Sprint(i) })} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { differ(t, b) })
}

func FuzzAppendUnquoted(f *testing.F) {
	f.Add([]byte(`"\u00e9\ud83d\ude00\n"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := strictjson.AppendUnquoted(nil, b)
		if err != nil {
			return
		}
		var s string
		if json.Unmarshal(b, &s) != nil || s != string(out) {
			t.Errorf("%q: %q, encoding/json says %q", b, out, s)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	for _, c := range []struct{ name, in string }{
		{"request", typical},
		{"small", `{"jsonrpc":"2.0","id":1,"method":"status"}`},
		{"64KiB of names", many(5500, func(i int) string { return fmt.Sprintf("k%05d", i) })},
		{"64KiB of text", `{"a":"` + strings.Repeat("x", 64<<10) + `"}`},
		{"depth 100000", strings.Repeat("[", 100_000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := []byte(c.in)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				strictjson.Check(in)
			}
		})
	}
}
