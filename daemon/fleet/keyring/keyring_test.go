package keyring

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

func seal(t *testing.T, k *Keyring, key, kind, plain string) []byte {
	t.Helper()
	sealed, err := k.Seal(key, kind, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// What was sealed is read at its own place, by a member of the fleet, and nowhere else.
func TestSealedValuesOpenAtTheirPlaceOnly(t *testing.T) {
	k, other := New(), New()
	sealed := seal(t, k, "/groat/a/record", "record", "canary")
	if len(sealed) != len("canary")+Overhead || bytes.Contains(sealed, []byte("canary")) {
		t.Errorf("sealed to %d bytes, or readable", len(sealed))
	}
	plain, epoch, err := k.Open("/groat/a/record", "record", sealed)
	if err != nil || epoch != 1 || plain.Reveal() != "canary" {
		t.Fatalf("opened in epoch %d: %v", epoch, err)
	}
	for name, open := range map[string]func() error{
		"moved to another key":   func() error { _, _, err := k.Open("/groat/b/record", "record", sealed); return err },
		"taken for another kind": func() error { _, _, err := k.Open("/groat/a/record", "token", sealed); return err },
		"of another fleet": func() error {
			_, _, err := other.Open("/groat/a/record", "record", sealed)
			return err
		},
		"key and kind shifted": func() error { _, _, err := k.Open("/groat/a/recor", "drecord", sealed); return err },
	} {
		if err := open(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

// Every byte counts, and so does each that is missing.
func TestADamagedValueIsRefused(t *testing.T) {
	k := New()
	sealed := seal(t, k, "key", "record", "canary")
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		if _, _, err := k.Open("key", "record", damaged); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrEpoch) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, _, err := k.Open("key", "record", sealed[:i]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

// A machine that was removed reads nothing of the next epoch, and what it still writes is no longer read once the old
// key is retired.
func TestEpochs(t *testing.T) {
	member := New()
	encoded := member.Encode()
	removed, err := Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	before := seal(t, member, "key", "record", "before")
	if err := member.Add(2, NewKey()); err != nil || member.Epoch() != 2 {
		t.Fatalf("epoch %d: %v", member.Epoch(), err)
	}
	after := seal(t, member, "key", "record", "after")

	_, _, err = removed.Open("key", "record", after)
	if e, ok := errors.AsType[*EpochError](err); !ok || e.Epoch != 2 || e.Past || !errors.Is(err, ErrEpoch) {
		t.Errorf("the removed machine gets %v", err)
	}
	plain, epoch, err := member.Open("key", "record", before)
	if err != nil || epoch != 1 || plain.Reveal() != "before" {
		t.Errorf("the older epoch cannot be read meanwhile: %v", err)
	}
	member.Retire(2)
	_, _, err = member.Open("key", "record", seal(t, removed, "key", "record", "forged"))
	if e, ok := errors.AsType[*EpochError](err); !ok || e.Epoch != 1 || !e.Past {
		t.Errorf("what the removed machine writes: %v", err)
	}
	if _, _, err := member.Open("key", "record", after); err != nil {
		t.Errorf("the newest key is gone too: %v", err)
	}
	if err := member.Add(1, NewKey()); !errors.Is(err, ErrEpoch) || member.Epoch() != 2 {
		t.Errorf("an epoch came back: %v", err)
	}
	if err := member.Add(2, NewKey()); !errors.Is(err, ErrOtherKey) {
		t.Errorf("an epoch got another key: %v", err)
	}
}

// Names are the same on all machines and in all epochs, and differ for all else.
func TestNames(t *testing.T) {
	k := New()
	joined, err := Decode(k.Encode())
	if err != nil {
		t.Fatal(err)
	}
	name := k.Name("profile", "work")
	if err := k.Add(2, NewKey()); err != nil {
		t.Fatal(err)
	}
	if len(name) != 32 || joined.Name("profile", "work") != name || k.Name("profile", "work") != name {
		t.Errorf("the name %q is not the same everywhere", name)
	}
	for _, other := range []string{
		New().Name("profile", "work"), k.Name("profile", "Work"), k.Name("variant", "work"), k.Name("profile"),
		k.Name("profile", "wo", "rk"), k.Name("profilework"), k.Name("profile", "work", ""),
	} {
		if other == name {
			t.Errorf("something else has the name %q too", name)
		}
	}
}

func TestEncoding(t *testing.T) {
	k := New()
	if err := k.Add(7, NewKey()); err != nil {
		t.Fatal(err)
	}
	encoded := k.Encode()
	again, err := Decode(encoded)
	if err != nil || again.Fleet() != k.Fleet() || again.Epoch() != 7 || !again.Encode().Equal(encoded) {
		t.Fatalf("read back as another one: %v", err)
	}
	for _, epoch := range []uint32{1, 7} {
		want, _ := k.Key(epoch)
		if got, err := again.Key(epoch); err != nil || !got.Equal(want) || got.IsZero() {
			t.Errorf("the key of epoch %d: %v", epoch, err)
		}
	}
	text := encoded.Reveal()
	words := strings.Split(text, " ")
	for _, bad := range []string{
		"", text[1:], text[:len(text)-1], text + " ", text + " 7" + words[4][1:], text + " x" + words[4][1:],
		strings.Join(words[:3], " "), words[0] + " ../x " + strings.Join(words[2:], " "),
		strings.Join([]string{words[0], words[1], words[2], words[4], words[3]}, " "),
	} {
		if _, err := Decode(keystore.SecretString(bad)); !errors.Is(err, ErrEncoding) {
			t.Errorf("%d bytes that are no keyring: %v", len(bad), err)
		}
	}
	k.Wipe()
	if _, err := k.Seal("key", "record", nil); !errors.Is(err, ErrEpoch) {
		t.Errorf("a wiped keyring seals: %v", err)
	}
}
