package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

// A person who writes or restores a backup is shown which APIs get its tokens, and no text of the file's can be
// taken for groat's own.
func TestL43TheAPIOriginsOfABackupAreShown(t *testing.T) {
	item := protocol.BackupItem{Profile: "lab", Server: "auth.example",
		APIs: []string{"https://api.example:443", "https://b\x1b[2J\ngroat: hint: rm"}}
	backup := &protocol.BackupResult{Path: "/b", Profiles: []protocol.BackupItem{item}}
	restore := &protocol.RestoreResult{Profiles: []protocol.RestoreItem{{BackupItem: item}},
		LeftOut: []protocol.BackupLeftOut{{Profile: "phone", Reason: "a session belongs to one machine", Hint: "groat login"}}}
	narrow := screen{width: 50}
	for what, text := range map[string][]byte{
		"backup": textBackup(screen{}, backup), "restore": textRestorable(screen{}, restore),
		"backup, narrow": textBackup(narrow, backup), "restore, narrow": textRestorable(narrow, restore),
	} {
		s := string(text)
		for line := range strings.Lines(s) {
			if n := columns(strings.TrimSpace(line)); n > narrow.width && strings.HasSuffix(what, "narrow") {
				t.Errorf("%s has a line of %d columns:\n%s", what, n, s)
			}
		}
		s = strings.ReplaceAll(s, "\n  https", " https")
		if !strings.Contains(s, "API origins of lab, which get its tokens: https://api.example:443") {
			t.Errorf("%s does not say it:\n%s", what, s)
		}
		if strings.ContainsAny(s, "\x1b") || strings.Contains(s, "\ngroat: hint") {
			t.Errorf("%s: the file's words are groat's own:\n%q", what, s)
		}
	}
}

// What is known beforehand is said before a person types a passphrase: a run without a terminal comes as far as that.
func TestABackupsPathIsLookedAtBeforeThePassphrase(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return `"result":{}` })
	there, missing := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "b")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want outcome
	}{
		{[]string{"backup", there}, outcome{report.ExitConfig, "", "groat: error: " + there +
			" exists already, and nothing was written\ngroat: hint: groat backup " + there + " --force\n"}},
		{[]string{"restore", missing}, outcome{report.ExitConfig, "", "groat: error: " + missing +
			" does not exist\ngroat: hint: ls -lt " + filepath.Dir(missing) + "\n"}},
	} {
		if got := run(t, f.socket, "", c.args...); got != c.want {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
	if all := f.requests(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// A backup that lacks a credential says so first, and is no success.
func TestAnIncompleteBackupFails(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"path":"/b","profiles":[{"profile":"lab","server":"auth.example","grant":"api_key"}],` +
			`"left_out":[{"profile":"geo","reason":"its configuration could not be used"}],"incomplete":{"code":-32006,` +
			`"message":"profile \"geo\" is not in the backup: /c/geo.toml:3: bad",` +
			`"data":{"kind":"config","hint":"groatd --check"}}}`
	})
	got := run(t, f.socket, "four words and more\n", "backup", filepath.Join(t.TempDir(), "b"), "--passphrase-stdin")
	const why = `profile "geo" is not in the backup: /c/geo.toml:3: bad`
	if first := "the backup is not complete: " + why + "\nwritten: /b\n"; got.code != report.ExitConfig ||
		!strings.HasPrefix(got.stdout, first) ||
		got.stderr != "groat: error: "+why+"\ngroat: hint: groatd --check\n" {
		t.Errorf("%+v", got)
	}
}
