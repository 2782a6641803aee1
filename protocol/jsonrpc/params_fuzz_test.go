package jsonrpc

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// FuzzTokenParams: the parameters that are read by hand, for speed, mean what encoding/json makes of them, and so does
// a secret among them.
func FuzzTokenParams(f *testing.F) {
	f.Add([]byte(`{"profile":"work","min_ttl":60,"scope":"a b","audience":null,"wait":0,"target":"https:\/\/h"}`))
	f.Add([]byte(`{"Profile":"work"}`))
	f.Add([]byte(`{"min_ttl":6e1}`))
	f.Add([]byte(`{"passphrase":"\u0070w"}`))
	f.Fuzz(func(t *testing.T, params []byte) {
		if strictjson.Check(params) != nil || params[0] != '{' {
			return // no request has such ones: see FuzzParseRequest
		}
		type plain protocol.TokenParams
		var byHand protocol.TokenParams
		var byReflection plain
		err1, err2 := DecodeParams(params, &byHand), DecodeParams(params, &byReflection)
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("%s: %v by hand, %v by reflection", params, err1, err2)
		}
		if err1 == nil {
			if diff := cmp.Diff(protocol.TokenParams(byReflection), byHand); diff != "" {
				t.Errorf("%s:\n%s", params, diff)
			}
		}
		var other map[string]json.RawMessage
		if err := json.Unmarshal(params, &other); err != nil {
			t.Fatal(err)
		}
		secret, err := SecretParam(params, "passphrase")
		var want string
		if err == nil && other["passphrase"] != nil && json.Unmarshal(other["passphrase"], &want) != nil ||
			string(secret) != want {
			t.Errorf("%s: %q, want %q", params, secret, want)
		}
	})
}
