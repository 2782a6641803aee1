package helper

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/protocol/frame"
)

// execInfo is what kubectl says: a version, and more members of spec.
func execInfo(version, spec string) string {
	return `{"kind":"ExecCredential","apiVersion":"` + version + `","spec":{` + spec + `"interactive":false}}` + "\n"
}

const (
	v1, v1beta1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
	cluster     = `"cluster":{"server":"https://k8s.example:6443","certificate-authority-data":"QUJD",` +
		`"config":{"a":[1]}},`
)

func TestKubectl(t *testing.T) {
	access := frame.Token{AccessToken: "tok-1", TokenType: "Bearer", ExpiresAt: 1790000000, Profile: "work",
		Header: "Authorization: Bearer tok-1"}
	id := frame.Token{IDToken: "h.p.s", TokenUse: frame.UseID, ExpiresAt: 1790000000, Profile: "work",
		Header: "Authorization: Bearer h.p.s"}
	prefixed := access
	prefixed.Header = "Authorization: Bearer oidc/egi/tok-1"
	wait := int64(Wait)
	for _, tt := range []struct {
		name, profile, info string
		token               frame.Token
		asked               frame.TokenParams
		version, sent       string
	}{
		{"v1", "work", execInfo(v1, ""), access, frame.TokenParams{Profile: "work"}, v1, "tok-1"},
		{"v1beta1", "work", execInfo(v1beta1, ""), access, frame.TokenParams{Profile: "work"}, v1beta1, "tok-1"},
		{"kubectl before 1.20", "work", "", access, frame.TokenParams{Profile: "work"}, v1beta1, "tok-1"},
		{"a cluster", "", execInfo(v1, cluster), access, frame.TokenParams{Target: "https://k8s.example:6443"}, v1,
			"tok-1"},
		{"a cluster and a profile", "work", execInfo(v1, cluster), access,
			frame.TokenParams{Profile: "work", Target: "https://k8s.example:6443"}, v1, "tok-1"},
		{"an ID token", "work", execInfo(v1, ""), id, frame.TokenParams{Profile: "work", TokenUse: "id"}, v1, "h.p.s"},
		{"a longer scheme", "work", execInfo(v1, ""), prefixed, frame.TokenParams{Profile: "work"}, v1,
			"oidc/egi/tok-1"},
		{"no spec", "work", `{"kind":"ExecCredential","apiVersion":"` + v1 + `","later":{}}`, access,
			frame.TokenParams{Profile: "work"}, v1, "tok-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &daemon{token: tt.token}
			var out bytes.Buffer
			if err := Kubectl(d, tt.profile, tt.token.IDToken != "", tt.info, &out); err != nil {
				t.Fatal(err)
			}
			tt.asked.Wait = &wait
			if diff := cmp.Diff(tt.asked, d.params); diff != "" {
				t.Error(diff)
			}
			var got any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			want := any(map[string]any{"apiVersion": tt.version, "kind": "ExecCredential",
				"status": map[string]any{"token": tt.sent, "expirationTimestamp": "2026-09-21T14:13:20Z"}})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKubectlIsMadeToSay(t *testing.T) {
	for _, tt := range []struct {
		name, info string
		want       error
	}{
		{"no JSON", "x", ErrExecInfo},
		{"cut off", execInfo(v1, cluster)[:80], ErrExecInfo},
		{"no object", `["` + v1 + `"]`, ErrExecInfo},
		{"no kind", `{"apiVersion":"` + v1 + `"}`, ErrExecInfo},
		{"another kind", `{"kind":"Pod","apiVersion":"` + v1 + `"}`, ErrExecInfo},
		{"another group", execInfo("v1", ""), ErrExecInfo},
		{"an older version", execInfo("client.authentication.k8s.io/v1alpha1", ""), ErrExecVersion},
		{"a later version", execInfo("client.authentication.k8s.io/v2", ""), ErrExecVersion},
		{"a member twice", `{"kind":"ExecCredential","apiVersion":"` + v1 + `","apiVersion":"` + v1beta1 + `"}`,
			ErrExecInfo},
		{"a cluster without a server", execInfo(v1, `"cluster":{"config":null},`), ErrExecInfo},
		{"a cluster whose server is no text", execInfo(v1, `"cluster":{"server":7},`), ErrExecInfo},
		{"a control character", strings.Replace(execInfo(v1, cluster), "QUJD", "\x1b", 1), ErrExecInfo},
		{"without end", execInfo(v1, `"x":"`+strings.Repeat("x", 256<<10)+`",`), ErrExecInfo},
	} {
		d := &daemon{token: bearer}
		var out bytes.Buffer
		if err := Kubectl(d, "work", false, tt.info, &out); err != tt.want || out.Len() != 0 || d.method != "" {
			t.Errorf("%s: %v, %q, %s", tt.name, err, &out, d.method)
		}
	}
}

// Kubectl sends what it gets behind "Bearer", so it gets nothing that is to be sent otherwise.
func TestKubectlGetsNoOtherToken(t *testing.T) {
	header := func(h string) frame.Token {
		return frame.Token{AccessToken: "tok-1", TokenType: "Bearer", ExpiresAt: 1790000000, Header: h}
	}
	endless, ended := header("Authorization: Bearer tok-1"), header("Authorization: Bearer tok-1")
	endless.ExpiresAt, ended.ExpiresAt = 1<<60, 0
	for _, token := range []frame.Token{
		{AccessToken: "key", Static: true, Header: "X-Key: key"},
		{AccessToken: "a!b", TokenType: "Bearer", TokenChars: frame.VisibleChars, Header: "Authorization: Bearer a!b"},
		{AccessToken: "a\nb", TokenType: "Bearer", Header: "Authorization: Bearer a\nb"},
		header("Authorization: token tok-1"), header("X-Token: tok-1"), header("Authorization: Bearer other"),
		header(""), endless, ended,
	} {
		var out bytes.Buffer
		if err := Kubectl(&daemon{token: token}, "work", false, "", &out); err == nil || out.Len() != 0 {
			t.Errorf("%+v: %v, %q", token, err, &out)
		}
	}
}
