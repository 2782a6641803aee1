package backend_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
)

func TestBrokenFile(t *testing.T) {
	write := func(content string, mode os.FileMode) func(string) error {
		return func(p string) error {
			if err := os.WriteFile(p, []byte(content), mode); err != nil {
				return err
			}
			return os.Chmod(p, mode)
		}
	}
	const good = `{"v":1,"use":"keychain"}`
	for name, make := range map[string]func(path string) error{
		"empty":        write("", 0o600),
		"half":         write(`{"v":1,"use":"keych`, 0o600),
		"two":          write(good+good, 0o600),
		"array":        write("[]", 0o600),
		"null":         write("null", 0o600),
		"no version":   write(`{"use":"keychain"}`, 0o600),
		"newer":        write(`{"v":3,"use":"keychain"}`, 0o600),
		"another file": write(`{"v":2,"use":"sealed","key":"file","file":"../x"}`, 0o600),
		"leaves itself": write(`{"v":2,"use":"sealed","key":"file","left":{"use":"sealed","key":"passphrase"}}`,
			0o600),
		"goes to itself": write(`{"v":2,"use":"keychain","next":{"use":"keychain","file":"sealed-2"}}`, 0o600),
		"unknown store":  write(`{"v":1,"use":"kwallet"}`, 0o600),
		"auto":           write(`{"v":1,"use":"auto"}`, 0o600),
		"unknown key":    write(`{"v":1,"use":"sealed","key":"usb"}`, 0o600),
		"key missing":    write(`{"v":1,"use":"sealed"}`, 0o600),
		"key misplaced":  write(`{"v":1,"use":"memory","key":"file"}`, 0o600),
		"wrong type":     write(`{"v":1,"use":["keychain"]}`, 0o600),
		"writable":       write(good, 0o666),
		"group-writable": write(good, 0o620),
		"directory":      func(p string) error { return os.Mkdir(p, 0o700) },
		"symlink":        func(p string) error { return os.Symlink("/dev/null", p) },
		"FIFO":           func(p string) error { return syscall.Mkfifo(p, 0o600) },
	} {
		dir := stateDir(t)
		p := filepath.Join(dir, "keystore.json")
		if err := make(p); err != nil {
			t.Fatal(err)
		}
		_, err := backend.Open(backend.Options{StateDir: dir})
		wantError(t, name, err, keystore.ErrConflict, p)
	}
}

func TestFileOfAnotherOwner(t *testing.T) {
	dir := stateDir(t)
	p := filepath.Join(dir, "keystore.json")
	if err := os.WriteFile(p, []byte(`{"v":1,"use":"memory"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Log("without root no file can be given away")
		return
	}
	if err := os.Chown(p, 4242, 4242); err != nil {
		t.Fatal(err)
	}
	_, err := backend.Open(backend.Options{StateDir: dir})
	wantError(t, "another owner", err, keystore.ErrConflict, p, "another user")
}

// The file is written whole, for its owner alone, and says nothing secret.
func TestFile(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := k.Use(t.Context(), backend.Sealed, backend.KeyFile, none); err != nil {
		t.Fatal(err)
	}
	if err := k.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
	if got := strings.Join(names, " "); got != "keystore.json sealed sealed.key" {
		t.Errorf("the state directory holds %s", got)
	}
	b, err := os.ReadFile(filepath.Join(dir, "keystore.json"))
	if err != nil || strings.Contains(string(b), "not a real secret") || strings.Contains(string(b), "client of") {
		t.Errorf("%v: %s", err, b)
	}
}

// A state directory that cannot be written: an error before anything is stored anywhere.
func TestUnwritableState(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	if os.Geteuid() == 0 {
		// Modes do not stop root; a directory where the file must go does.
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	k := open(t, dir, "")
	wantError(t, "set", k.Set(t.Context(), "work", item("work")), keystore.ErrUnavailable, "written down")
	wantError(t, "use", k.Use(t.Context(), backend.Memory, "", none), keystore.ErrUnavailable, "written down")
	wantStatus(t, k, "auto undecided")
	if out, err := exec.Command("secret-tool", "search", "--all", "service", "groat").CombinedOutput(); err != nil ||
		strings.Contains(string(out), "secret = ") {
		t.Errorf("something is in the keychain: %v", err)
	}
}
