package protocol

import (
	"bufio"
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net"
	"strings"
	"testing"
)

const canary = "canary-3f9a"

func TestSecretCannotBeFormatted(t *testing.T) {
	type inside struct {
		Public  LoginSecret
		private LoginSecret
		list    []LoginSecret
	}
	s := NewLoginSecret([]byte(canary))
	values := []any{s, &s, inside{s, s, []LoginSecret{s}}, &inside{s, s, []LoginSecret{s}},
		map[string]LoginSecret{"k": s}, []any{s}}
	for _, verb := range strings.Split("v +v #v s q x X d o b c U e E f F g G t p T w k", " ") {
		for _, v := range values {
			text := fmt.Sprintf("%"+verb, v)
			if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) ||
				strings.Contains(text, "99 97 110") {
				t.Errorf("%%%s of %T shows it: %s", verb, v, text)
			}
		}
	}
	if s.String() != "[secret]" {
		t.Error(s.String())
	}
}

func TestSecretCannotBeMarshalled(t *testing.T) {
	s := NewLoginSecret([]byte(canary))
	for name, marshal := range map[string]func() ([]byte, error){
		"json":   func() ([]byte, error) { return json.Marshal(s) },
		"member": func() ([]byte, error) { return json.Marshal(struct{ S LoginSecret }{s}) },
		"key":    func() ([]byte, error) { return json.Marshal(map[string]any{"s": &s}) },
		"xml":    func() ([]byte, error) { return xml.Marshal(struct{ S LoginSecret }{s}) },
		"gob": func() ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(s)
			return b.Bytes(), err
		},
	} {
		if b, err := marshal(); err == nil || bytes.Contains(b, []byte(canary)) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
}

func TestSecretIsWiped(t *testing.T) {
	for name, conn := range map[string]func() net.Conn{
		"sent": func() net.Conn {
			here, there := net.Pipe()
			go func() {
				bufio.NewReader(there).ReadString('\n')
				there.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}` + "\n"))
			}()
			return here
		},
		"not sent": func() net.Conn {
			here, there := net.Pipe()
			there.Close()
			return here
		},
	} {
		t.Run(name, func(t *testing.T) {
			mine := []byte(canary)
			c := NewClient(conn())
			defer c.Close()
			err := c.CallSecret(context.Background(), MethodUnlock, struct{}{}, "passphrase", NewLoginSecret(mine), nil)
			if (err == nil) != (name == "sent") {
				t.Error(err)
			}
			if !bytes.Equal(mine, make([]byte, len(canary))) {
				t.Errorf("%q is left", mine)
			}
		})
	}
}

func TestWithSecret(t *testing.T) {
	for _, test := range []struct{ params, secret, want string }{
		{``, "s", `{"value":"s"}`},
		{`{}`, "s", `{"value":"s"}`},
		{`{"a":1}`, "", `{"a":1,"value":""}`},
		{`{"a":1}`, "\x00\x1f\x7f\"\\/é\u2028", `{"a":1,"value":"\u0000\u001f\u007f\"\\/é` + "\u2028" + `"}`},
	} {
		got, err := withSecret([]byte(test.params), "value", NewLoginSecret([]byte(test.secret)))
		if err != nil || string(got) != test.want {
			t.Errorf("%s, %v, want %s", got, err, test.want)
		}
		var back map[string]any
		if err := json.Unmarshal(got, &back); err != nil || back["value"] != test.secret {
			t.Errorf("%v, %v", back, err)
		}
	}
	if _, err := withSecret([]byte(`{}`), "value", NewLoginSecret([]byte("\xff"))); err == nil {
		t.Error("a secret that is no text was sent")
	}
}

// No copy is left behind by a buffer that grew.
func TestWithSecretDoesNotGrow(t *testing.T) {
	worst := bytes.Repeat([]byte{1}, 1000)
	out, err := withSecret([]byte(`{"login_id":"L"}`), "value", NewLoginSecret(worst))
	if err != nil || cap(out) > len(`{"login_id":"L"}`)+len("value")+6*len(worst)+64 {
		t.Errorf("cap %d, %v", cap(out), err)
	}
}
