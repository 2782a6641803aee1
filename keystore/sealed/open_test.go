package sealed_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
)

// source brings a key, or an error.
type source struct {
	key keystore.Secret
	err error
}

func (s source) Key(context.Context, bool) (keystore.Secret, error) { return s.key.Clone(), s.err }

func expecting(names ...string) func() []string { return func() []string { return names } }

func wantErr(t *testing.T, what string, err, want error, says string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want %v with %q", what, err, want, says)
	}
}

// A store that is only read makes neither a file nor a key; the first write does, and a closed store stays closed.
func TestOpensWhenNeeded(t *testing.T) {
	ctx, files := t.Context(), sealed.Files{Path: path(t)}
	o := sealed.Options{Files: files, Key: files.KeyFile(), KeyName: "file"}
	s := sealed.New(o)
	_, got := s.Get(ctx, "work")
	_, sent := s.MarkSent(ctx, "work")
	for what, err := range map[string]error{"Get": got, "MarkSent": sent, "Open": s.Open(ctx)} {
		wantErr(t, what, err, keystore.ErrNotFound, "no sealed file")
	}
	doubts, err := s.InDoubt(ctx)
	if err = errors.Join(err, s.Delete(ctx, "work"), s.MarkAnswered(ctx, "work")); err != nil || len(doubts) > 0 {
		t.Errorf("%v, %v", doubts, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(files.Path)); err != nil || len(entries) > 0 || s.IsOpen() ||
		s.Lost("work") {
		t.Fatalf("reading made %v, %v", entries, err)
	}
	if err := errors.Join(s.Set(ctx, "work", version("work", 1)), s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, "work")
	wantErr(t, "a closed store", err, keystore.ErrUnavailable, "is closed")
	next := sealed.New(o)
	defer next.Close()
	if n := storedVersion(t, next, "work"); n != 1 {
		t.Errorf("version %d comes back", n)
	}
}

// A file that is gone or emptied, and held something, is not taken for a new one.
func TestExpectedItems(t *testing.T) {
	ctx, files := t.Context(), sealed.Files{Path: path(t)}
	expected := expecting("a", "b", "c", "d", "e")
	for _, key := range []sealed.KeySource{files.Passphrase(keystore.Secret{}), files.KeyFile()} {
		s := sealed.New(sealed.Options{Files: files, Key: key, Expected: expected})
		wantErr(t, "missing", s.Open(ctx), keystore.ErrUnavailable,
			"is not there, and held the credentials of a, b, c and 2 more")
		changing := sealed.New(sealed.Options{Files: files, Key: key, Expected: expected,
			Changing: func() bool { return true }})
		if err := changing.Missing(); err != nil {
			t.Errorf("while a write makes it: %v", err)
		}
		if err := os.WriteFile(files.Path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "emptied", s.Probe(ctx), keystore.ErrUnavailable, "is damaged: it is empty")
		if s.Removed() {
			t.Error("an emptied file is taken for a removed one")
		}
		if err := os.Remove(files.Path); err != nil {
			t.Fatal(err)
		}
	}
	s := sealed.New(sealed.Options{Files: files, Key: files.Passphrase(keystore.Secret{}), Expected: expected})
	wantErr(t, "a write", s.Set(ctx, "a", version("a", 1)), keystore.ErrUnavailable,
		"choose a passphrase for a new one")
}

// A passphrase is waited for, and a wrong one is refused even while the file is open.
func TestUnlock(t *testing.T) {
	ctx, files := t.Context(), sealed.Files{Path: path(t)}
	s := sealed.New(sealed.Options{Files: files, Key: files.Passphrase(keystore.Secret{}), KeyName: "passphrase"})
	defer s.Close()
	wantErr(t, "a write", s.Set(ctx, "work", version("work", 1)), keystore.ErrLocked, "waits for its passphrase")
	right, wrong := files.Passphrase(keystore.SecretString("right")), files.Passphrase(keystore.SecretString("wrong"))
	if err := errors.Join(s.Unlock(ctx, right), s.Set(ctx, "work", version("work", 1)),
		s.Unlock(ctx, right)); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "another passphrase", s.Unlock(ctx, wrong), sealed.ErrWrongKey, files.Path)
}

// What is wrong with the key or the file does not sound like what is wrong with one profile's item.
func TestExplainedErrors(t *testing.T) {
	ctx, files := t.Context(), sealed.Files{Path: path(t)}
	first := sealed.New(sealed.Options{Files: files, Key: source{key: testKey}})
	if err := errors.Join(first.Set(ctx, "work", version("work", 1)), first.Close()); err != nil {
		t.Fatal(err)
	}
	other := keystore.SecretString("another key, of thirty-two bytes")
	for says, key := range map[string]source{
		"is not where it was (keychain)": {err: keystore.ErrNotFound}, "was sealed with another key": {key: other},
		"or its key: ": {err: keystore.ErrCorrupt},
	} {
		s := sealed.New(sealed.Options{Files: files, Key: key, KeyName: "keychain"})
		_, err := s.Get(ctx, "work")
		wantErr(t, says, err, keystore.ErrUnavailable, says)
		if errors.Is(err, keystore.ErrNotFound) || errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("%v sounds like an item's error", err)
		}
	}
}
