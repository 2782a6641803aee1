package sealed_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

var profiles = []string{"climate", "spatiafi", "work"}

const generations = 3

// specimen is a file of three profiles with three generations each, written by the store, and where each record ends:
// the sizes that the operating system gave after each write, nothing that the reader reported.
type specimen struct {
	path string
	data []byte
	ends []int // :: record → offset behind it
	head int   // size of the header
}

// at returns whose record the byte at offset belongs to; records of generation g of profile p are number 3*(g-1)+p.
func (s *specimen) at(offset int) (profile, generation int) {
	if offset < s.head {
		return -1, 0
	}
	for n, end := range s.ends {
		if offset < end {
			return n % len(profiles), n/len(profiles) + 1
		}
	}
	return -1, 0
}

func version(profile string, generation int) keystore.Item {
	return keystore.Item{
		Issuer: "https://" + profile + ".example", TokenEndpoint: "https://" + profile + ".example/token",
		ClientAuth: "client_secret_jwt", ClientID: fmt.Sprint(profile, "-", generation),
		ClientSecret: keystore.SecretString(fmt.Sprint("not a real secret ", profile, generation)),
	}
}

var testKey = keystore.SecretString("0123456789abcdef0123456789abcdef")

func newSpecimen(t *testing.T) *specimen {
	t.Helper()
	s := &specimen{path: filepath.Join(t.TempDir(), "sealed")}
	store := open(t, s.path)
	if err := store.Probe(t.Context()); err != nil { // writes the header
		t.Fatal(err)
	}
	size := func() int {
		info, err := os.Stat(s.path)
		if err != nil {
			t.Fatal(err)
		}
		return int(info.Size())
	}
	s.head = size()
	for g := range generations {
		for _, p := range profiles {
			if err := store.Set(t.Context(), p, version(p, g+1)); err != nil {
				t.Fatal(err)
			}
			s.ends = append(s.ends, size())
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.data, err = os.ReadFile(s.path); err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, path string) *sealed.Store {
	t.Helper()
	s, err := sealed.Open(path, testKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// storedVersion returns which generation a store has of a profile, 0 for none.
func storedVersion(t *testing.T, s *sealed.Store, profile string) int {
	t.Helper()
	item, err := s.Get(t.Context(), profile)
	if errors.Is(err, keystore.ErrNotFound) {
		return 0
	}
	if err != nil {
		t.Fatalf("%s: %v", profile, err)
	}
	for g := 1; g <= generations+1; g++ {
		if item.Equal(version(profile, g)) {
			return g
		}
	}
	t.Fatalf("%s: an item that was never stored", profile)
	return 0
}

// wantVersions opens what stands at path and compares each profile's generation with want.
func wantVersions(t *testing.T, path, what string, want [3]int) {
	t.Helper()
	s, err := sealed.Open(path, testKey)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer s.Close()
	for i, p := range profiles {
		if got := storedVersion(t, s, p); got != want[i] {
			t.Fatalf("%s: %s has generation %d, want %d", what, p, got, want[i])
		}
	}
}

func TestEveryTruncation(t *testing.T) {
	t.Run("D9 at every byte", func(t *testing.T) {
		s := newSpecimen(t)
		for size := len(s.data); size >= 0; size-- {
			if err := os.Truncate(s.path, int64(size)); err != nil {
				t.Fatal(err)
			}
			var want [3]int
			for n, end := range s.ends {
				if end <= size {
					want[n%3] = n/3 + 1
				}
			}
			wantVersions(t, s.path, fmt.Sprintf("cut at byte %d of %d", size, len(s.data)), want)
		}
	})
}

func TestEveryFlippedBit(t *testing.T) {
	tier.Long(t, "it tries each place of a file")
	t.Run("D10 every one", func(t *testing.T) {
		s := newSpecimen(t)
		f, err := os.OpenFile(s.path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for offset, b := range s.data {
			want := [3]int{generations, generations, generations}
			if p, g := s.at(offset); g == generations {
				want[p] = generations - 1
			}
			for bit := range 8 {
				if _, err := f.WriteAt([]byte{b ^ 1<<bit}, int64(offset)); err != nil {
					t.Fatal(err)
				}
				wantVersions(t, s.path, fmt.Sprintf("bit %d of byte %d flipped", bit, offset), want)
			}
			if _, err := f.WriteAt([]byte{b}, int64(offset)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// After any damage the next write repairs the file, and loses no item.
func TestWriteAfterDamage(t *testing.T) {
	tier.Long(t, "it tries each place of a file")
	s := newSpecimen(t)
	for offset := range s.data {
		damage := map[string][]byte{"cut": s.data[:offset]}
		flipped := append([]byte(nil), s.data...)
		flipped[offset] ^= 0x10
		damage["flip"] = flipped
		for name, data := range damage {
			if name == "flip" && offset%5 != 0 || name == "cut" && offset%7 != 0 {
				continue // each write is an fsync
			}
			if err := os.WriteFile(s.path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			store := open(t, s.path)
			var want [3]int
			for i, p := range profiles {
				want[i] = storedVersion(t, store, p)
			}
			if err := store.Set(t.Context(), profiles[1], version(profiles[1], 4)); err != nil {
				t.Fatalf("%s at %d: %v", name, offset, err)
			}
			want[1] = 4
			store.Close()
			wantVersions(t, s.path, fmt.Sprintf("%s at %d, then a write", name, offset), want)
		}
	}
}

// Two damaged generations of one profile: what is left is the one before them, since there is no telling a record that
// was damaged from a head that was never a record's. Other profiles are not affected.
func TestTwoGenerationsDamaged(t *testing.T) {
	s := newSpecimen(t)
	data := append([]byte(nil), s.data...)
	for _, n := range []int{8, 5} { // work, generations 3 and 2
		data[s.ends[n]-1] ^= 1
	}
	if err := os.WriteFile(s.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	store := open(t, s.path)
	check := func(store *sealed.Store) {
		t.Helper()
		if storedVersion(t, store, "work") != 1 {
			t.Error("the only record that is left does not count")
		}
		if storedVersion(t, store, "climate") != 3 {
			t.Error("another profile lost its newest record")
		}
	}
	check(store)
	if doubt, err := store.MarkSent(t.Context(), "work"); !errors.Is(doubt, keystore.ErrNewestDamaged) || err != nil {
		t.Errorf("%v, %v; want to hear of the damage", doubt, err)
	}
	if store.Damaged() != 2 {
		t.Errorf("%d damaged, want 2", store.Damaged())
	}
	// A rewrite, as a delete makes it, changes nothing about it.
	if err := store.Delete(t.Context(), "spatiafi"); err != nil {
		t.Fatal(err)
	}
	check(store)
	store.Close()
	store = open(t, s.path)
	check(store)
	if err := store.Set(t.Context(), "work", version("work", 4)); err != nil || storedVersion(t, store, "work") != 4 {
		t.Errorf("a new login after damage: %v", err)
	}
}

// Every record of a profile is damaged: its error says so, also after a rewrite, until a new login replaces it.
func TestAllDamaged(t *testing.T) {
	s := newSpecimen(t)
	data := append([]byte(nil), s.data...)
	for _, n := range []int{8, 5, 2} {
		data[s.ends[n]-1] ^= 1
	}
	if err := os.WriteFile(s.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	store := open(t, s.path)
	for range 2 {
		if _, err := store.Get(t.Context(), "work"); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("%v, want ErrCorrupt", err)
		}
		if err := store.Delete(t.Context(), "spatiafi"); err != nil {
			t.Fatal(err)
		}
		store.Close()
		store = open(t, s.path)
	}
	if err := store.Set(t.Context(), "work", version("work", 4)); err != nil || storedVersion(t, store, "work") != 4 {
		t.Errorf("a new login after damage: %v", err)
	}
}
