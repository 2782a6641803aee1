package keystore_test

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

const canary = "canary-7391-in-the-mine"

// findLeak returns the form in which the canary, or any six bytes of it, stand in out.
func findLeak(out string) string {
	low := strings.ToLower(out)
	for i := range len(canary) - 6 {
		part := canary[i : i+6]
		decimal := strings.Trim(fmt.Sprint([]byte(part)), "[]")
		hexBytes := strings.Trim(fmt.Sprintf("%#v", []byte(part)), "[]byte{}")
		for _, form := range []string{part, hex.EncodeToString([]byte(part)), decimal,
			strings.ReplaceAll(decimal, " ", ","), hexBytes} {
			if strings.Contains(low, strings.ToLower(form)) {
				return form
			}
		}
	}
	return ""
}

type exported struct{ S keystore.Secret }

type unexported struct {
	s keystore.Secret
	p *keystore.Secret
}

type embedded struct{ keystore.Secret }

type unexportedLogin struct{ l protocol.LoginSecret }

type embeddedLogin struct{ protocol.LoginSecret }

type failure struct{ s keystore.Secret }

func (f failure) Error() string { return fmt.Sprint("failed with ", f.s) }

// valuesWithSecret returns values that hold a secret, as a program may print them.
func valuesWithSecret() map[string]any {
	s := keystore.SecretString(canary)
	i := item()
	i.ClientSecret = s
	l := protocol.NewLoginSecret([]byte(canary))
	return map[string]any{
		"login secret": l, "login secret pointer": &l, "login secrets": []protocol.LoginSecret{l},
		"login secret, unexported": unexportedLogin{l},
		"login secret, embedded":   embeddedLogin{l},
		"secret":                   s, "pointer": &s, "exported": exported{s}, "exported pointer": &exported{s},
		"unexported": unexported{s, &s}, "unexported pointer": &unexported{s, &s}, "embedded": embedded{s},
		"item": i, "item pointer": &i, "slice": []keystore.Secret{s}, "array": [1]keystore.Secret{s},
		"map value": map[string]keystore.Secret{"k": s}, "map key": map[keystore.Secret]int{s: 1},
		"any": []any{s, &s, unexported{s: s}}, "nested": map[string]any{"a": []unexported{{s: s}}},
		"error": failure{s}, "wrapped": fmt.Errorf("x: %w", failure{s}), "joined": errors.Join(failure{s}),
		"formatted": fmt.Errorf("x: %v %s %x %q", s, s, s, s),
	}
}

func TestSecretFormat(t *testing.T) {
	verbs := []string{"%v", "%+v", "%#v", "%T", "%s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%b", "%o",
		"%O",
		"%c", "%U", "%#U", "%e", "%E", "%f", "%g", "%G", "%t", "%p", "%#p", "%w", "%z", "%-20v", "%020d", "%.3s",
		"%[1]v"}
	for name, h := range valuesWithSecret() {
		for _, verb := range verbs {
			if form := findLeak(fmt.Sprintf(verb, h)); form != "" {
				t.Errorf("%s of %s prints %q", verb, name, form)
			}
		}
		if form := findLeak(fmt.Sprint(h) + fmt.Sprintln(h)); form != "" {
			t.Errorf("Print of %s prints %q", name, form)
		}
	}
	if got := fmt.Sprintf("%s|%v|%#v|%x", keystore.SecretString(canary), keystore.SecretString("a"), keystore.Secret{},
		keystore.Secret{}); got !=
		"[secret]|[secret]|[secret]|[secret]" {
		t.Errorf("a secret prints as %s", got)
	}
}

func TestSecretMarshal(t *testing.T) {
	for name, h := range valuesWithSecret() {
		var out bytes.Buffer
		j, jerr := json.Marshal(h)
		out.Write(j)
		gerr := gob.NewEncoder(&out).Encode(h)
		x, xerr := xml.Marshal(h)
		out.Write(x)
		fmt.Fprint(&out, jerr, gerr, xerr)
		if form := findLeak(out.String()); form != "" {
			t.Errorf("an encoder writes %q of %s", form, name)
		}
	}
	s := keystore.SecretString(canary)
	for name, marshal := range map[string]func() ([]byte, error){
		"json": s.MarshalJSON, "text": s.MarshalText, "binary": s.MarshalBinary, "gob": s.GobEncode,
		"encoding/json": func() ([]byte, error) { return json.Marshal(exported{s}) },
	} {
		if b, err := marshal(); err == nil || len(b) > 0 || findLeak(err.Error()) != "" {
			t.Errorf("%s marshals a secret: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestSecretLog(t *testing.T) {
	for name, h := range valuesWithSecret() {
		var out bytes.Buffer
		config := zap.NewDevelopmentEncoderConfig()
		level := zap.DebugLevel
		log := zap.New(zapcore.NewTee(
			zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.AddSync(&out), level),
			zapcore.NewCore(zapcore.NewConsoleEncoder(config), zapcore.AddSync(&out), level)))
		log.Info("m", zap.Any("any", h), zap.Reflect("reflect", h), zap.Inline(inlined{h}))
		if err, ok := h.(error); ok {
			log.Info("m", zap.Error(err))
		}
		log.Sugar().Infow("m", "k", h)
		log.Sugar().Infof("%v %+v %#v", h, h, h)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "k", h)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "k", h)
		if out.Len() == 0 {
			t.Fatal("nothing was logged")
		}
		if form := findLeak(out.String()); form != "" {
			t.Errorf("a log line about %s has %q", name, form)
		}
	}
}

// inlined logs its value once more as a member of an inlined object.
type inlined struct{ v any }

func (o inlined) MarshalLogObject(e zapcore.ObjectEncoder) error {
	return e.AddReflected("inline", o.v)
}

func TestSecretOwnership(t *testing.T) {
	s := keystore.SecretString(canary)
	c, alias := s.Clone(), s
	if s.Len() != len(canary) || s.IsZero() || s.Reveal() != canary || string(s.AppendTo([]byte("x"))) != "x"+canary ||
		!s.Equal(c) {
		t.Fatal("a secret does not hold what it was given")
	}
	s.Wipe()
	if !alias.IsZero() || alias.Reveal() != "" || !alias.Equal(keystore.Secret{}) {
		t.Error("Wipe left a copy of the Secret readable")
	}
	if c.Reveal() != canary || c.Equal(alias) || c.Equal(keystore.SecretString("other")) {
		t.Error("Wipe reached a clone, or Equal is wrong")
	}
	mine := []byte(canary)
	keystore.NewSecret(mine).Wipe()
	if strings.Trim(string(mine), "\x00") != "" {
		t.Error("Wipe left the bytes it owned")
	}
	var zero keystore.Secret
	zero.Wipe()
	if !zero.IsZero() || zero.Clone().Len() != 0 || keystore.NewSecret(nil).Len() != 0 ||
		!zero.Equal(keystore.NewSecret([]byte{})) {
		t.Error("the zero Secret is not empty")
	}
}

// The client's type for a secret on its way keeps the same contract as the daemon's: each method that formats or
// encodes one has a counterpart that answers the same, and wiping ends every copy.
func TestLoginSecretKeepsTheContract(t *testing.T) {
	bytesOf := func(n int) []byte { return bytes.Repeat([]byte("s"), n) }
	of, on := reflect.ValueOf(keystore.NewSecret(bytesOf(8))), reflect.ValueOf(protocol.NewLoginSecret(bytesOf(8)))
	methods := 0
	for name := range of.Type().Methods() {
		if m := name.Name; m != "Format" && m != "String" && m != "GoString" && m != "GobEncode" &&
			!strings.HasPrefix(m, "Marshal") {
			continue
		}
		methods++
		theirs := on.MethodByName(name.Name)
		if !theirs.IsValid() {
			t.Errorf("LoginSecret has no %s", name.Name)
			continue
		}
		if name.Name == "Format" {
			continue // TestSecret prints both with every verb
		}
		a, b := of.MethodByName(name.Name).Call(nil), theirs.Call(nil)
		for i := range a {
			if fmt.Sprint(a[i]) != fmt.Sprint(b[i]) {
				t.Errorf("%s returns %v of one and %v of the other", name.Name, a[i], b[i])
			}
		}
	}
	if methods < 7 {
		t.Errorf("only %d methods were compared", methods)
	}
	raw := bytesOf(8)
	l := protocol.NewLoginSecret(raw)
	l.Wipe()
	if !bytes.Equal(raw, make([]byte, 8)) {
		t.Errorf("after Wipe the bytes are %q", raw)
	}
}
