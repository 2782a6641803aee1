package privatekey_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/privatekey"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		if key, err := privatekey.ReadFile(write("good", "canary", mode)); err != nil || key.Reveal() != "canary" {
			t.Errorf("%04o: %v", mode, err)
		}
		os.Remove(filepath.Join(dir, "good"))
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := write("theirs", "canary", 0o600)
	if os.Geteuid() == 0 {
		if err := os.Chown(theirs, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	} else {
		theirs = "/etc/passwd"
	}
	for _, c := range []struct{ path, reason, hint string }{
		{write("group", "canary", 0o640), "mode 0640", "chmod 600"},
		{write("world", "canary", 0o644), "mode 0644", "chmod 600"},
		{write("writable", "canary", 0o602), "mode 0602", "chmod 600"},
		{write("large", strings.Repeat("a", 64<<10+1), 0o600), "larger", ""},
		{filepath.Join(dir, "missing"), "no such file", "ls -l"},
		{dir, "not a regular file", ""},
		{fifo, "not a regular file", ""},
		{"key.pem", "absolute", ""},
		{theirs, "another user", "ls -l"},
	} {
		_, err := privatekey.ReadFile(c.path)
		e, ok := errors.AsType[*privatekey.FileError](err)
		if !ok || !strings.Contains(e.Error(), c.reason) || !strings.Contains(e.Hint, c.hint) ||
			strings.Contains(e.Error(), "canary") {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}

// A certificate is public: others may read its file. A key in the same file makes it a key's.
func TestReadCertificate(t *testing.T) {
	const certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
	const key = "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n"
	for _, c := range []struct {
		name, text, reason string
		mode               os.FileMode
	}{
		{"public", certificate, "", 0o644},
		{"private", certificate, "", 0o600},
		{"anybody may write it", certificate, "written by others", 0o646},
		{"with its key", certificate + key, "", 0o600},
		{"with its key, readable", certificate + key, "read or written by others (mode 0644)", 0o644},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "client.pem")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			text, err := privatekey.ReadCertificate(path)
			if c.reason == "" && (err != nil || text.Reveal() != c.text) ||
				c.reason != "" && (err == nil || !strings.Contains(err.Error(), c.reason) || !text.IsZero()) {
				t.Errorf("%q, %v", text.Reveal(), err)
			}
		})
	}
}
