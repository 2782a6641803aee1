package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

var passphrase = keystore.SecretString("vellum otter crane seven")

func sample() *Backup {
	item := keystore.Item{
		Issuer: "https://auth.example", TokenEndpoint: "https://auth.example/token", ClientAuth: "client_secret_post",
		ClientID:     "c",
		ClientSecret: keystore.SecretString("not a real secret \"quoted\" \\ ü"),
	}
	key := item
	key.PrivateKey, key.APIKey = keystore.SecretString("not a real key\n"), keystore.SecretString("not a real API key")
	return &Backup{
		Created: 7, LeftOut: []LeftOut{{"s", "its session is this machine's", "groat login s"}},
		Entries: []Entry{{"a", "provider = \"spatiafi\"\n", item}, {"b", "", key}},
	}
}

func seal(t *testing.T, b *Backup) []byte {
	t.Helper()
	data, err := b.Seal(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is written is read, whole, and nothing of it is in the clear.
func TestL1ABackupIsReadAgain(t *testing.T) {
	in := sample()
	data := seal(t, in)
	for _, text := range []string{"not a real", "auth.example", "spatiafi", "session"} {
		if bytes.Contains(data, []byte(text)) {
			t.Errorf("%q is in the clear", text)
		}
	}
	out, err := Open(data, passphrase)
	if err != nil || out.Created != 7 || len(out.Entries) != 2 || len(out.LeftOut) != 1 ||
		out.LeftOut[0] != in.LeftOut[0] {
		t.Fatalf("%v: %+v", err, out)
	}
	for i, e := range out.Entries {
		if want := in.Entries[i]; e.Profile != want.Profile || e.Config != want.Config || !e.Item.Equal(want.Item) {
			t.Errorf("entry %d is another one", i)
		}
	}
	if again := seal(t, in); bytes.Equal(again[:60], data[:60]) {
		t.Error("two backups have the same salt")
	}
	for _, wrong := range []string{"", "vellum otter crane six"} {
		if _, err := Open(data, keystore.SecretString(wrong)); !errors.Is(err, keystore.ErrLocked) {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
	twice := sample()
	twice.Entries[1].Profile = "a"
	if _, err := Open(seal(t, twice), passphrase); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("a profile that stands there twice: %v", err)
	}
}

// A backup that was changed, its checksum too, is refused; parameters that cost less, or more than a machine has,
// are not used.
func TestL2AForgedBackup(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	whole := seal(t, sample())
	resum := func(change func(b []byte)) []byte {
		b := bytes.Clone(whole)
		change(b)
		binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli)))
		return b
	}
	head := len(magic)
	for name, test := range map[string]struct {
		data []byte
		want error
		says string
	}{
		"one pass": {resum(func(b []byte) { binary.BigEndian.PutUint32(b[head:], 1) }),
			keystore.ErrCorrupt, "weaker"},
		"little memory": {resum(func(b []byte) { binary.BigEndian.PutUint32(b[head+4:], 8<<10) }),
			keystore.ErrCorrupt, "weaker"},
		"all memory": {resum(func(b []byte) { binary.BigEndian.PutUint32(b[head+4:], 1<<31) }), keystore.ErrCorrupt,
			"out of bounds"},
		"endless": {resum(func(b []byte) { binary.BigEndian.PutUint32(b[head:], 1<<31) }), keystore.ErrCorrupt,
			"out of bounds"},
		"no threads":   {resum(func(b []byte) { b[head+8] = 0 }), keystore.ErrCorrupt, "out of bounds"},
		"more passes":  {resum(func(b []byte) { binary.BigEndian.PutUint32(b[head:], 4) }), keystore.ErrLocked, ""},
		"another salt": {resum(func(b []byte) { b[head+9] ^= 1 }), keystore.ErrLocked, ""},
		"content":      {resum(func(b []byte) { b[len(b)-30] ^= 1 }), keystore.ErrLocked, ""},
		"newer":        {resum(func(b []byte) { b[len("groat backup ")] = '2' }), keystore.ErrCorrupt, "upgrade"},
		"empty":        {nil, keystore.ErrCorrupt, ""},
		"another file": {[]byte(strings.Repeat("my diary\n", 99)), keystore.ErrCorrupt, ""},
	} {
		if b, err := Open(test.data, passphrase); !errors.Is(err, test.want) || b != nil ||
			!strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that comes while another is written is not replaced, and what is no file is not read.
func TestL3TheFile(t *testing.T) {
	dir := t.TempDir()
	path, linked := filepath.Join(dir, "b"), filepath.Join(dir, "linked")
	if err := errors.Join(Write(path, []byte("one"), false), os.Symlink(dir, linked)); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.WriteFile(tmp, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reserve(tmp, path); !errors.Is(err, ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	if err := Write(filepath.Join(linked, "b"), []byte("two"), false); !errors.Is(err, ErrExists) {
		t.Errorf("through a link to the directory: %v, want ErrExists", err)
	}
	if err := Write(filepath.Join(linked, "c"), []byte("two"), true, dir); !errors.Is(err, ErrPath) {
		t.Errorf("into a directory that is kept: %v, want ErrPath", err)
	}
	if data, err := Read(path); err != nil || string(data) != "one" {
		t.Errorf("%q, %v", data, err)
	}
	for _, p := range []string{dir, "/dev/zero", "b", filepath.Join(dir, "none")} {
		if _, err := Read(p); err == nil {
			t.Errorf("%s was read", p)
		}
	}
}
