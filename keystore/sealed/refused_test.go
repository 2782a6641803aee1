package sealed_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

func TestWrongKey(t *testing.T) {
	t.Run("D12 another key", func(t *testing.T) {
		s := newSpecimen(t)
		other := keystore.SecretString("another key, of thirty-two bytes")
		if _, err := sealed.Open(s.path, other); !errors.Is(err, sealed.ErrWrongKey) ||
			!errors.Is(err, keystore.ErrLocked) {
			t.Errorf("another key: %v, want ErrWrongKey", err)
		}
		for _, n := range []int{0, 31, 33} {
			if _, err := sealed.Open(s.path, keystore.SecretString(strings.Repeat("k", n))); err == nil {
				t.Errorf("a key of %d bytes opens it", n)
			}
		}
		damaged := bytes.Clone(s.data)
		damaged[3] ^= 1
		if err := os.WriteFile(s.path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.Open(s.path, other); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("another key and a damaged header: %v, want ErrCorrupt", err)
		}
		if !bytes.Equal(read(t, s.path), damaged) {
			t.Error("a file that the key does not open was changed")
		}
	})
}

func TestForeignFiles(t *testing.T) {
	for name, content := range map[string]string{
		"a few bytes": "hello", "text": strings.Repeat("this is my diary\n", 50), "zeros": strings.Repeat("\x00", 4096),
		"markers": strings.Repeat("\xf6groat\r\n", 200),
	} {
		t.Run("D12 "+name, func(t *testing.T) {
			p := path(t)
			if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := sealed.Open(p, testKey); !errors.Is(err, keystore.ErrCorrupt) ||
				!strings.Contains(err.Error(), p) {
				t.Errorf("%v, want ErrCorrupt and the path", err)
			}
			if string(read(t, p)) != content {
				t.Error("was changed")
			}
		})
	}
}

func TestRefusedFiles(t *testing.T) {
	for name, test := range map[string]struct {
		make func(p string) error
		says string
	}{
		"symlink":    {func(p string) error { return os.Symlink(p+".elsewhere", p) }, "symbolic link"},
		"directory":  {func(p string) error { return os.Mkdir(p, 0o700) }, "directory"},
		"mode 0644":  {func(p string) error { return os.WriteFile(p, nil, 0o644) }, "mode 0644"},
		"mode 0640":  {func(p string) error { return os.WriteFile(p, nil, 0o640) }, "mode 0640"},
		"executable": {func(p string) error { return os.WriteFile(p, nil, 0o700) }, "mode 0700"},
		"FIFO":       {mkfifo, "is not a regular file"},
		"open parent": {func(p string) error { return os.Chmod(filepath.Dir(p), 0o777) },
			"may be written by others (mode 0777)"},
		"no parent": {func(p string) error { return os.Remove(filepath.Dir(p)) }, "no such file"},
		"endless": {func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 1<<40))
		}, "more than"},
		"another owner": {chownToOther, "another user"},
	} {
		t.Run("D16 "+name, func(t *testing.T) {
			if name == "another owner" {
				tier.NeedsRoot(t)
			}
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			p := filepath.Join(dir, "sealed")
			if err := test.make(p); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(p)
			_, err := sealed.Open(p, testKey)
			if err == nil || !errors.Is(err, keystore.ErrUnavailable) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want ErrUnavailable with %q", err, test.says)
			}
			if after, _ := os.Lstat(p); before != nil &&
				(after.Mode() != before.Mode() || after.Size() != before.Size()) {
				t.Errorf("was changed from %v to %v", before.Mode(), after.Mode())
			}
		})
	}
}

// chownToOther needs root; as any other user, root's file is another owner's too, and a link to one stands for it.
func chownToOther(p string) error {
	if os.Geteuid() != 0 {
		return os.Link("/etc/hostname", p)
	}
	return errors.Join(os.WriteFile(p, nil, 0o600), os.Chown(p, 4242, 4242))
}
