package keystore_test

import (
	"bytes"
	"context"
	"encoding"
	"encoding/asn1"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"
	text "text/template"

	"github.com/pelletier/go-toml/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// What else turns a value into text or bytes, in the standard library and in ours: none gets at a secret. What reads
// memory around the language does (package unsafe, and go-cmp by it): that is for tests, whose secrets are not real.
func TestSecretEncoders(t *testing.T) {
	write := func(f func(out *bytes.Buffer, v any) error) func(any) string {
		return func(v any) string {
			var out bytes.Buffer
			err := f(&out, v)
			return out.String() + fmt.Sprint(err)
		}
	}
	for how, encode := range map[string]func(any) string{
		"toml": write(func(out *bytes.Buffer,
			v any) error {
			return toml.NewEncoder(out).Encode(map[string]any{"k": v})
		}),
		"asn1": func(v any) string { b, err := asn1.Marshal(v); return fmt.Sprintf("%s %v", b, err) },
		"binary": write(func(out *bytes.Buffer,
			v any) error {
			return binary.Write(out, binary.LittleEndian, v)
		}),
		"JSON, indent": func(v any) string {
			b,
				err := json.MarshalIndent(v, "", " ")
			return fmt.Sprintf("%s %v", b, err)
		},
		"XML, encoder": write(func(out *bytes.Buffer, v any) error { return xml.NewEncoder(out).Encode([]any{v}) }),
		"gob, wrapped": write(func(out *bytes.Buffer,
			v any) error {
			return gob.NewEncoder(out).Encode(struct{ V any }{v})
		}),
		"text template": write(func(out *bytes.Buffer, v any) error {
			return text.Must(text.New("").Parse(
				"{{.}} {{printf \"%v %q\" . .}} {{html .}} {{js .}} {{urlquery .}} {{print .}}")).Execute(out, v)
		}),
		"HTML template": write(func(out *bytes.Buffer, v any) error {
			return template.Must(template.New("").Parse("<a href='{{.}}' onclick='x({{.}})'>{{.}}</a>")).Execute(out, v)
		}),
		"log": write(func(out *bytes.Buffer, v any) error {
			log.New(out, "", 0).Println(v)
			log.New(out, "", 0).Printf("%v %+v %#v %s", v, v, v, v)
			return nil
		}),
		"slog":       write(encodeSlog),
		"zap":        write(encodeZap),
		"interfaces": byInterfaces,
	} {
		for name, h := range valuesWithSecret() {
			if form := findLeak(withoutPanic(encode, h)); form != "" {
				t.Errorf("%s of %s shows %q", how, name, form)
			}
		}
	}
}

// withoutPanic is what an encoder makes of a value; one that panics prints the panic's value.
func withoutPanic(encode func(any) string, v any) (out string) {
	defer func() {
		if p := recover(); p != nil {
			out = fmt.Sprintf("%v %+v %s", p, p, debug.Stack())
		}
	}()
	return encode(v)
}

func encodeSlog(out *bytes.Buffer, v any) error {
	for _, h := range []slog.Handler{
		slog.NewTextHandler(out, &slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug}),
		slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}),
	} {
		l := slog.New(h).With("with", v).WithGroup("g")
		l.LogAttrs(context.Background(), slog.LevelDebug, fmt.Sprint(v), slog.Any("any", v),
			slog.Group("group", "k", v), slog.Any("value", slog.AnyValue(v)))
		l.Error("m", "err", fmt.Errorf("%v: %w", v, fmt.Errorf("%#v", v)))
	}
	return nil
}

func encodeZap(out *bytes.Buffer, v any) error {
	l := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(out),
		zap.DebugLevel), zap.AddStacktrace(zap.DebugLevel))
	fields := []zap.Field{zap.Any("any", v), zap.Reflect("reflect", v), zap.Any("list", []any{v}),
		zap.Dict("dict", zap.Any("k", v)), zap.NamedError("error", fmt.Errorf("%v", v))}
	if s, ok := v.(fmt.Stringer); ok {
		fields = append(fields, zap.Stringer("stringer", s))
	}
	if e, ok := v.(error); ok {
		fields = append(fields, zap.Errors("errors", []error{e}))
	}
	l.With(fields...).Debug("m", fields...)
	l.Sugar().Debugw("m", "k", v)
	l.Sugar().Debugln(v)
	return nil
}

// byInterfaces calls what an encoder may look for.
func byInterfaces(v any) string {
	var out strings.Builder
	if e, ok := v.(encoding.TextMarshaler); ok {
		b, err := e.MarshalText()
		fmt.Fprint(&out, string(b), err)
	}
	if e, ok := v.(encoding.TextAppender); ok {
		b, err := e.AppendText(nil)
		fmt.Fprint(&out, string(b), err)
	}
	if e, ok := v.(encoding.BinaryMarshaler); ok {
		b, err := e.MarshalBinary()
		fmt.Fprint(&out, string(b), err)
	}
	if e, ok := v.(encoding.BinaryAppender); ok {
		b, err := e.AppendBinary(nil)
		fmt.Fprint(&out, string(b), err)
	}
	if e, ok := v.(fmt.GoStringer); ok {
		out.WriteString(e.GoString())
	}
	if e, ok := v.(fmt.Stringer); ok {
		out.WriteString(e.String())
	}
	return out.String()
}
