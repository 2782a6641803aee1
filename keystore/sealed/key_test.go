package sealed_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
	"github.com/groat-dev/groat/protocol/ownpath"
)

func TestPassphrase(t *testing.T) {
	p := path(t)
	with := func(pass string) (*sealed.Store, error) {
		return sealed.Files{Path: p}.OpenWith(t.Context(),
			sealed.Passphrase{Params: p + ".kdf", Passphrase: keystore.SecretString(pass)})
	}
	if _, err := with(""); !errors.Is(err, keystore.ErrLocked) {
		t.Fatalf("no passphrase: %v, want ErrLocked", err)
	}
	s, err := with("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), "work", version("work", 1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	before := read(t, p)
	if _, err := with("wrong horse"); !errors.Is(err, sealed.ErrWrongKey) {
		t.Errorf("a wrong passphrase: %v, want ErrWrongKey", err)
	}
	s, err = with("correct horse")
	if err != nil || storedVersion(t, s, "work") != 1 {
		t.Fatalf("the right passphrase: %v", err)
	}
	s.Close()
	if string(read(t, p)) != string(before) {
		t.Error("opening changed the file")
	}
	// Without the parameters no new ones are made: they would make another key.
	if err := os.Remove(p + ".kdf"); err != nil {
		t.Fatal(err)
	}
	if _, err := with("correct horse"); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("the parameters are gone: %v", err)
	}
	if _, err := os.Stat(p + ".kdf"); err == nil {
		t.Error("new parameters were made for an old file")
	}
}

func TestPassphraseBounds(t *testing.T) {
	p := path(t)
	const salt = `"MDEyMzQ1Njc4OWFiY2RlZg=="`
	for name, params := range map[string]string{
		"no JSON":     `argon2id`,
		"another kdf": `{"v":1,"kdf":"md5","time":3,"memory_kib":65536,"threads":4,"salt":` + salt + `}`,
		"too much time": `{"v":1,"kdf":"argon2id","time":4000000000,"memory_kib":65536,"threads":4,"salt":` + salt +
			`}`,
		"too much space": `{"v":1,"kdf":"argon2id","time":3,"memory_kib":4000000000,"threads":4,"salt":` + salt + `}`,
		"too little":     `{"v":1,"kdf":"argon2id","time":1,"memory_kib":8,"threads":4,"salt":` + salt + `}`,
		"no time":        `{"v":1,"kdf":"argon2id","time":0,"memory_kib":65536,"threads":4,"salt":` + salt + `}`,
		"no threads":     `{"v":1,"kdf":"argon2id","time":3,"memory_kib":65536,"threads":0,"salt":` + salt + `}`,
		"short salt":     `{"v":1,"kdf":"argon2id","time":3,"memory_kib":65536,"threads":4,"salt":"AAAA"}`,
		"negative":       `{"v":1,"kdf":"argon2id","time":-1,"memory_kib":65536,"threads":4,"salt":` + salt + `}`,
		"newer":          `{"v":2,"kdf":"argon2id","time":3,"memory_kib":65536,"threads":4,"salt":` + salt + `}`,
		"endless":        strings.Repeat(" ", 1<<20),
	} {
		if err := os.WriteFile(p+".kdf", []byte(params), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := sealed.Passphrase{Params: p + ".kdf", Passphrase: keystore.SecretString("x")}.Key(t.Context(), false)
		if !errors.Is(err, keystore.ErrCorrupt) || !strings.Contains(err.Error(), p+".kdf") {
			t.Errorf("%s: %v, want ErrCorrupt and the path", name, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	p := path(t)
	source := sealed.KeyFile{Path: p + ".key"}
	if _, err := source.Key(t.Context(), false); !errors.Is(err, keystore.ErrUnavailable) {
		t.Fatalf("no key, and none to be made: %v", err)
	}
	s, err := sealed.Files{Path: p}.OpenWith(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), "work", version("work", 1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	info, err := os.Stat(p + ".key")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v %v", info, err)
	}
	s, err = sealed.Files{Path: p}.OpenWith(t.Context(), source)
	if err != nil || storedVersion(t, s, "work") != 1 {
		t.Fatalf("with the key from the file: %v", err)
	}
	s.Close()
	if err := os.Chmod(p+".key", 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (sealed.Files{Path: p}).OpenWith(t.Context(), source); err == nil ||
		!strings.Contains(err.Error(), "0644") || ownpath.HintFor(err) != "chmod 600 "+p+".key" {
		t.Errorf("a key file that others can read: %v", err)
	}
	if err := os.Remove(p + ".key"); err != nil {
		t.Fatal(err)
	}
	_, err = (sealed.Files{Path: p}).OpenWith(t.Context(), source)
	if want := "mv " + p + " " + p + ".lost"; !errors.Is(err, keystore.ErrUnavailable) || nextOf(err) != want {
		t.Errorf("the key file is gone: %v, next %q", err, nextOf(err))
	}
	if sealed.Exists(p + ".key") {
		t.Error("a new key was made for an old file")
	}
}

func TestCredential(t *testing.T) {
	raw := "\x00\n23456789abcdef0123456789abcd\r\n"
	text := base64.StdEncoding.EncodeToString([]byte(raw))
	for name, test := range map[string]struct {
		content string
		ok      bool
	}{
		"raw": {raw, true}, "base64": {text, true}, "base64 and newline": {text + "\n", true},
		"short": {raw[:31], false}, "long": {raw + "x", false}, "empty": {"", false},
		"nonsense": {strings.Repeat("!", 44), false},
		"endless":  {strings.Repeat("A", 1<<20), false},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, sealed.CredentialFile), []byte(test.content), 0o400); err != nil {
			t.Fatal(err)
		}
		key, err := sealed.Credential{Dir: dir}.Key(t.Context(), true)
		if test.ok && (err != nil || key.Reveal() != raw) {
			t.Errorf("%s: %v", name, err)
		}
		if !test.ok && !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
	if _, err := (sealed.Credential{Dir: t.TempDir()}).Key(t.Context(), true); !errors.Is(err,
		keystore.ErrUnavailable) {
		t.Errorf("no credential: %v", err)
	}
}

// nextOf is the command of a [keystore.GoneError].
func nextOf(err error) string {
	if gone, ok := errors.AsType[*keystore.GoneError](err); ok {
		return gone.Next
	}
	return ""
}
