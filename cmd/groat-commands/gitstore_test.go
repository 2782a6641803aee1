package main

import (
	"testing"

	"github.com/groat-dev/groat/cmd/groat/helper"
)

// Which settings of git's have a server's passwords written to disk: those that concern it, from the last empty one on.
func TestGitStores(t *testing.T) {
	p := &helper.Passed{Server: "https://git.example.org:8443", Path: "team/a.git"}
	const at = "credential.https://git.example.org:8443"
	for _, c := range []struct {
		settings string
		want     bool
	}{
		{"", false},
		{"credential.helper\nstore\x00", true},
		{"credential.helper\nstore --file /x\x00", true},
		{"credential.helper\n/usr/lib/git-core/git-credential-store --file=/x\x00", true},
		{"credential.helper\n!git credential-store\x00", true},
		{"credential.helper\ncache --timeout 300\x00", false},
		{"credential.helper\nstorefront\x00", false},
		{"credential.helper\nstore\x00" + at + ".helper\n\x00" + at + ".helper\n!groat helper git\x00", false},
		{at + ".helper\n\x00credential.helper\nstore\x00", true},
		{at + ".helper\nstore\x00", true},
		{"credential.https://me@GIT.example.org:8443/.helper\nstore\x00", true},
		{"credential.https://*.example.org:8443.helper\nstore\x00", true},
		{at + "/team.helper\nstore\x00", true},
		{at + "/team/a.git.helper\nstore\x00", true},
		{at + "/tea.helper\nstore\x00", false},
		{"credential.https://git.example.org.helper\nstore\x00", false},
		{"credential.http://git.example.org:8443.helper\nstore\x00", false},
		{"credential.https://*.org:8443.helper\nstore\x00", false},
		{"credential.git.example.org:8443.helper\nstore\x00", false},
		{"credential.helper\x00", false}, // a key without a value
	} {
		if got := storesIn(c.settings, p); got != c.want {
			t.Errorf("%q: %v", c.settings, got)
		}
	}
}
