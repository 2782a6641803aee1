package sealed_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// planted are parameters with which a guess costs a twentieth, and whose salt another program has chosen.
const planted = `{"v":1,"kdf":"argon2id","time":1,"memory_kib":8192,"threads":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA=="}` +
	"\n"

func withPassphrase(t *testing.T, p, pass string) (*sealed.Store, error) {
	t.Helper()
	f := sealed.Files{Path: p}
	return f.OpenWith(t.Context(), f.Passphrase(keystore.SecretString(pass)))
}

// What stands beside a file that is new, or empty, is never taken for its parameters, weak or not, nor for its key.
func TestK5ANewStoreTakesNothingThatItFinds(t *testing.T) {
	tier.Long(t, "it tries each place of a file")
	strong := bytes.Replace([]byte(planted), []byte(`"time":1,"memory_kib":8192`),
		[]byte(`"time":3,"memory_kib":65536`), 1)
	for name, content := range map[string][]byte{"weak": []byte(planted), "strong": strong, "nonsense": []byte("x")} {
		for _, empty := range []bool{false, true} {
			p := path(t)
			if err := os.WriteFile(p+".kdf", content, 0o600); err != nil {
				t.Fatal(err)
			}
			if empty {
				if err := os.WriteFile(p, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := withPassphrase(t, p, "correct horse")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			s.Close()
			if now := read(t, p+".kdf"); bytes.Equal(now, content) {
				t.Errorf("%s, empty %v: the parameters that were there were taken", name, empty)
			}
			if (sealed.Files{Path: p}).Passphrase(keystore.Secret{}).Weak() {
				t.Errorf("%s, empty %v: they are weak", name, empty)
			}
			if _, err := withPassphrase(t, p, "wrong horse"); !errors.Is(err, sealed.ErrWrongKey) {
				t.Errorf("%s: a new store is opened by any passphrase: %v", name, err)
			}
		}
	}
	p := path(t)
	if err := os.WriteFile(p+".key", []byte("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := read(t, p+".key")
	f := sealed.Files{Path: p}
	s, err := f.OpenWith(t.Context(), f.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if bytes.Equal(before, read(t, p+".key")) {
		t.Error("a key file that somebody left was taken")
	}
}

// With parameters that are not the file's no passphrase opens it, and nothing is written, whatever is done to the file.
func TestK6SwappedParameters(t *testing.T) {
	tier.Long(t, "it tries each place of a file")
	p := path(t)
	s, err := withPassphrase(t, p, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), "work", version("work", 1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	whole, params := read(t, p), read(t, p+".kdf")
	for _, size := range []int{len(whole), len(whole) - 1, 36, 35, 20, 16, 5, 1} {
		for _, kdf := range []string{planted, string(params)} {
			if err := errors.Join(os.WriteFile(p, whole[:size], 0o600),
				os.WriteFile(p+".kdf", []byte(kdf), 0o600)); err != nil {
				t.Fatal(err)
			}
			s, err := withPassphrase(t, p, "correct horse")
			switch {
			case kdf == string(params) && size >= 36:
				if err != nil {
					t.Errorf("its own parameters, %d bytes: %v", size, err)
				} else {
					s.Close()
				}
			case err == nil:
				t.Errorf("%d bytes and other parameters were opened", size)
				s.Close()
			}
			if !bytes.Equal(read(t, p), whole[:size]) || string(read(t, p+".kdf")) != kdf {
				t.Errorf("%d bytes: something was written", size)
			}
			left, _ := filepath.Glob(p + "*")
			if len(left) != 2 {
				t.Errorf("left behind: %q", left)
			}
		}
	}
}

// What a store leaves is removed with it: keys, parameters, and what a crash left beside them.
func TestK7RemoveLeavesNoKey(t *testing.T) {
	p := path(t)
	f := sealed.Files{Path: p}
	s, err := f.OpenWith(t.Context(), f.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, name := range []string{".kdf", ".key.new", ".kdf.new", ".new"} {
		if err := os.WriteFile(p+name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Dir(p) + "/*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if err := f.Remove(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
}
