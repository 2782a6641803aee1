package main

import (
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
)

// staticResult is the answer for a profile with an API key, as PROTOCOL.md has it.
func staticResult(key, header string) string {
	return `"result":{"access_token":"` + key + `","token_type":"","static":true,"profile":"planet","header":"` +
		header + `"}`
}

func TestGetAPIKey(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return staticResult("PL$ky 1", `Authorization: api-key PL$ky 1`) })
	for _, tt := range []struct {
		args []string
		want outcome
	}{
		{[]string{"-o", "header"}, outcome{0, "Authorization: api-key PL$ky 1\n", ""}},
		{[]string{"--json"}, outcome{0,
			`{"api_key":"PL$ky 1","header":"Authorization: api-key PL$ky 1","static":true,"profile":"planet"}` +
				"\n", ""}},
		{nil, outcome{report.ExitUsage, "",
			"groat: error: profile planet has an API key, which is no access token: it is not printed as token\n" +
				"groat: hint: groat get planet --output header\n"}},
		{[]string{"-o", "env"}, outcome{report.ExitUsage, "",
			"groat: error: profile planet has an API key, which is no access token: it is not printed as env\n" +
				"groat: hint: groat get planet --output header\n"}},
	} {
		if got := run(t, f.socket, "", append([]string{"get", "planet"}, tt.args...)...); got != tt.want {
			t.Errorf("%v: %+v", tt.args, got)
		}
	}
}

// A header is one line, whatever groatd says, and it carries the credential that it should.
func TestGetHeader(t *testing.T) {
	for _, tt := range []struct {
		result, want string // want is empty if nothing is printed
	}{
		{staticResult("k", "X-API-Key: k"), "X-API-Key: k\n"},
		{staticResult("k", "Authorization: k"), "Authorization: k\n"},
		{staticResult("k~", "Authorization: Bearer k~"), "Authorization: Bearer k~\n"},
		{staticResult("k", `Authorization: k\nX: k`), ""},
		{staticResult("k", `Authorization: \u00e9 k`), ""},
		{staticResult("k", `Author ization: k`), ""},
		{staticResult("k", `: k`), ""},
		{staticResult("k", `Authorization:k`), ""},
		{staticResult("k", `Authorization: other`), ""},
		{staticResult("", `Authorization: `), ""},
		{staticResult("k", ``), ""},
		{`"result":{"access_token":"t","token_type":"Bearer","header":"X-Token: t"}`, "X-Token: t\n"},
		{`"result":{"access_token":"t","token_type":"Bearer","header":"Authorization: Bearer u"}`, ""},
		{`"result":{"access_token":"t","token_type":"Bearer","header":"Authorization: Bearer\r\n t"}`, ""},
	} {
		f := newFakeDaemon(t, func(request) string { return tt.result })
		got := run(t, f.socket, "", "get", "--output", "header")
		if got.stdout != tt.want || (got.code == 0) != (tt.want != "") || tt.want == "" && !twoLines(got.stderr) {
			t.Errorf("%s: %+v", tt.result, got)
		}
	}
}

func TestGitIsNotGivenAnAPIKey(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return staticResult("key", "Authorization: api-key key") })
	got := run(t, f.socket, "protocol=https\nhost=h\n", "helper", "git", "get")
	if got.code != 0 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 ||
		strings.Contains(got.stderr, "api-key") {
		t.Errorf("%+v", got)
	}
}
