package ownpath

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A group that may write a directory is no other user if this user alone is in it, whatever its line looks like.
func TestPrivateGroup(t *testing.T) {
	const alice = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
	for name, c := range map[string]struct {
		uid, gid      int
		passwd, group string
		want          bool
	}{
		"of the user's number":         {1000, 1000, alice, "alice:x:1000:\n", true},
		"with the user as its member":  {1000, 1000, alice, "alice:x:1000:alice\n", true},
		"of the user's name":           {1000, 300, alice, "alice:x:300:\n", true},
		"of another name and number":   {1000, 300, alice, "staff:x:300:\n", false},
		"no line":                      {1000, 1000, alice, "", true},
		"no line, another number":      {1000, 300, alice, "", false},
		"no database":                  {1000, 1000, "", "", true},
		"unknown user, another number": {1000, 300, "", "alice:x:300:\n", false},
		"a second member":              {1000, 1000, alice, "alice:x:1000:alice,bob\n", false},
		"another member":               {1000, 1000, alice, "alice:x:1000:bob\n", false},
		"a second line with a member":  {1000, 1000, alice, "alice:x:1000:\nshared:x:1000:bob\n", false},
		"another user's first group": {1000, 1000, alice + "bob:x:1001:1000::/home/bob:\n", "alice:x:1000:\n",
			false},
		"a long line before ours": {1000, 1000, alice,
			"all:x:99:" + strings.Repeat("m,", 50_000) + "\na:x:1000:bob\n", false},
		"a line that is not read":       {1000, 1000, alice, strings.Repeat("m", maxLine+1) + "\n", false},
		"a line of passwd, as unread":   {1000, 1000, alice + strings.Repeat("m", maxLine+1), "alice:x:1000:\n", false},
		"what is no line of a database": {1000, 1000, "+::\n\n" + alice, "+\n\nalice:x:1000:\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			passwd, group := filepath.Join(t.TempDir(), "passwd"), filepath.Join(t.TempDir(), "group")
			for file, text := range map[string]string{passwd: c.passwd, group: c.group} {
				if text == "" {
					continue // the file is not there
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := privateGroup(c.uid, c.gid, passwd, group); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if err := eachLine(t.TempDir(), nil); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory in the database's place: %v", err)
	}
	if privateGroup(1000, 1000, t.TempDir(), t.TempDir()) {
		t.Error("a database that cannot be read proves that nobody else is in the group")
	}
}
