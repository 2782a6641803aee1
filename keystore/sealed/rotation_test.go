package sealed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

// What is counted with each write is what a reader of the file would count.
func TestGarbage(t *testing.T) {
	s, _ := storeOnTestDisk(t)
	for n := range 60 {
		profile := fmt.Sprint("p", n%7)
		err := s.Set(t.Context(), profile, credential(strings.Repeat("i", n)))
		if n%13 == 0 {
			err = s.Delete(t.Context(), profile)
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		x, err := scan(s.keys, data)
		if err != nil || x.live != s.index.live || x.garbage() != s.index.garbage() || x.size != s.index.size {
			t.Fatalf("after write %d: %d live bytes of %d, the file has %d of %d: %v", n, s.index.live, s.index.size,
				x.live, x.size, err)
		}
	}
}

// A rewrite keeps the generation before the newest: damage to the newest, right after it, still leaves one.
func TestGenerationsAfterCompaction(t *testing.T) {
	p := filepath.Join(t.TempDir(), "sealed")
	key := keystore.SecretString("0123456789abcdef0123456789abcdef")
	s, err := Open(p, key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	id := func(g int) string { return fmt.Sprint(strings.Repeat("i", 2000), g) }
	size := int64(0)
	for g := 1; ; g++ {
		before := size
		if err := s.Set(t.Context(), "work", credential(id(g))); err != nil {
			t.Fatal(err)
		}
		if size = s.index.size; size > before {
			continue
		}
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-1] ^= 1
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s, "work", id(g-1))
		s.Close()
		if s, err = Open(p, key); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s, "work", id(g-1))
		// The next one is newer than what was lost, and is what counts.
		if err := s.Set(t.Context(), "work", credential(id(g+1))); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s, "work", id(g+1))
		if s.Damaged() != 1 {
			t.Errorf("%d damaged records are told of, want 1", s.Damaged())
		}
		return
	}
}
