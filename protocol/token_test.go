package protocol

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// What is written by hand means what encoding/json would have written.
func TestTokenParamsAreWrittenAsJSON(t *testing.T) {
	zero, big := int64(0), int64(1)<<62
	for _, p := range []TokenParams{
		{},
		{Profile: "work"},
		{Target: "https://h/\"\\\x01<>&\u2028é😀"},
		{Profile: "a", Target: "b", MinTTL: &zero, Scope: "c d", Audience: "e", Wait: &big, TokenUse: UseID},
		{MinTTL: &big, Audience: "\xff not UTF-8"},
		{Wait: &zero},
	} {
		b, err := encodeParams(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := strictjson.Check(b); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		j, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var byHand, want TokenParams
		if err := json.Unmarshal(b, &byHand); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		if err := json.Unmarshal(j, &want); err != nil || !reflect.DeepEqual(byHand, want) {
			t.Errorf("%s is not %s", b, j)
		}
	}
}

// agrees holds what is read by hand against encoding/json, for a line that the strict reader passes.
func agrees(t *testing.T, line []byte) {
	if strictjson.Check(line) != nil {
		return
	}
	m, err := decodeMessage(line)
	if err != nil {
		return // stricter than encoding/json is fine
	}
	var want struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Result json.RawMessage `json:"result"`
		Error  *Error          `json:"error"`
	}
	exact := func(b []byte) bool { // encoding/json takes ID for id
		var names map[string]json.RawMessage
		json.Unmarshal(b, &names)
		for name := range names {
			switch name {
			case "jsonrpc", "id", "method", "params", "result", "error", "access_token", "token_type", "expires_at",
				"expires_in", "scope", "profile", "header", "static", "id_token", "token_use":
			default:
				return false
			}
		}
		return true
	}
	if !exact(line) {
		return
	}
	if err := json.Unmarshal(line, &want); err != nil {
		t.Fatalf("%q is read, but: %v", line, err)
	}
	if string(want.Result) == "null" {
		want.Result = nil
	}
	if string(want.ID) == "null" {
		want.ID = nil
	}
	if string(m.id) != string(want.ID) || m.method != want.Method || string(m.result) != string(want.Result) ||
		!reflect.DeepEqual(m.err, want.Error) {
		t.Fatalf("%q is read as %+v", line, m)
	}
	var r, wantResult TokenResult
	if m.result == nil || !exact(m.result) || unmarshalResult(m.result, &r) != nil {
		return
	}
	if err := json.Unmarshal(m.result, &wantResult); err != nil || r != wantResult {
		t.Fatalf("%q is read as %+v: %v", m.result, r, err)
	}
}

var answers = []string{
	`{"jsonrpc":"2.0","id":1,"result":{"access_token":"a","token_type":"Bearer","expires_at":5,"expires_in":4,` +
		`"scope":"é\n\"","profile":"p","header":"h"}}`,
	` { "result" : { "expires_at" : -1 , "scope" : null } , "id" : "x" } `,
	`{"id":null,"error":{"code":-32001,"message":"m","data":{"kind":"temporary","retry_after":3}}}`,
	`{"method":"prompt","params":{"login_id":"L"},"error":null,"result":null}`,
	`{"id":1,"result":{"access_token":"k","token_type":"","static":true,"header":"h"}}`,
	`{"id":1,"result":{"id_token":"a.b.c","token_use":"id","expires_at":5,"expires_in":4,"profile":"p","header":"h"}}`,
	`{"id":1,"result":{"static":false}}`,
	`{"id":1,"result":{"expires_at":1.5}}`,
	`{"id":1,"result":{"access_token":5}}`,
	`{"id":1,"result":[]}`,
	`[]`, `{}`, `"text"`, `null`,
}

func TestAnswersAreReadAsJSON(t *testing.T) {
	for _, line := range answers {
		agrees(t, []byte(line))
	}
	var r TokenResult
	if err := unmarshalResult([]byte(`{"access_token":"a\u0062","expires_in":839,"profile":"w"}`), &r); err != nil ||
		r.AccessToken != "ab" || r.ExpiresIn != 839 || r.Profile != "w" {
		t.Errorf("%+v, %v", r, err)
	}
	var key TokenResult
	if err := unmarshalResult([]byte(`{"access_token":"k","static":true}`), &key); err != nil || !key.Static ||
		key.AccessToken != "k" {
		t.Errorf("%+v, %v", key, err)
	}
	for _, bad := range []string{`[]`, `"x"`, `{"expires_at":"5"}`, `{"expires_in":1e3}`, `{"access_token":{}}`,
		`{"profile":true}`, `{"static":"true"}`, `{"static":1}`} {
		if err := unmarshalResult([]byte(bad), new(TokenResult)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
	for _, bad := range []string{`[]`, `{"method":5}`, `{"error":"text"}`} {
		if _, err := decodeMessage([]byte(bad)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, line := range answers {
		f.Add([]byte(line))
	}
	f.Fuzz(agrees)
}
