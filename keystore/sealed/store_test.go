package sealed_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
)

func path(t *testing.T) string { return filepath.Join(t.TempDir(), "sealed") }

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLife(t *testing.T) {
	p := path(t)
	s := open(t, p)
	ctx := t.Context()
	if _, err := s.Get(ctx, "work"); !errors.Is(err, keystore.ErrNotFound) {
		t.Fatalf("empty: %v", err)
	}
	if err := errors.Join(s.Delete(ctx, "work"), s.Probe(ctx), s.Set(ctx, "work", version("work", 1)), s.Probe(ctx),
		s.Set(ctx, "work", version("work", 2)), s.Set(ctx, "climate", version("climate", 1))); err != nil {
		t.Fatal(err)
	}
	if storedVersion(t, s, "work") != 2 || storedVersion(t, s, "climate") != 1 {
		t.Error("what was stored does not come back")
	}
	if diff := cmp.Diff([]string{"climate", "work"}, listed(t, s)); diff != "" {
		t.Error(diff)
	}
	raw := read(t, p)
	for _, word := range []string{"not a real secret", "work", "climate", "example"} {
		if bytes.Contains(raw, []byte(word)) {
			t.Errorf("the file shows %q", word)
		}
	}
	s.Close()
	s = open(t, p)
	if storedVersion(t, s, "work") != 2 || storedVersion(t, s, "climate") != 1 {
		t.Error("what was stored is gone after a restart")
	}
	if err := s.Delete(ctx, "work"); err != nil {
		t.Fatal(err)
	}
	if storedVersion(t, s, "work") != 0 || storedVersion(t, s, "climate") != 1 {
		t.Error("Delete deleted something else")
	}
	if n, m := len(read(t, p)), len(raw); n >= m {
		t.Errorf("%d bytes after Delete, %d before: what was forgotten is still in the file", n, m)
	}
	s.Close()
	s = open(t, p)
	if diff := cmp.Diff([]string{"climate"}, listed(t, s)); diff != "" || storedVersion(t, s, "work") != 0 {
		t.Error("deleted, but back after a restart", diff)
	}
	if entries, err := os.ReadDir(filepath.Dir(p)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// The newest generation damaged while the store is open: the one directly before is served, and no older one.
func TestDamageWhileOpen(t *testing.T) {
	s := newSpecimen(t)
	store := open(t, s.path)
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for generation := generations; generation > generations-2; generation-- {
		end := s.ends[3*(generation-1)+2]
		if _, err := f.WriteAt([]byte{s.data[end-1] ^ 1}, int64(end-1)); err != nil {
			t.Fatal(err)
		}
		_, err := store.Get(t.Context(), "work")
		if generation == generations && (err != nil || storedVersion(t, store, "work") != 2) {
			t.Errorf("the newest is damaged: %v", err)
		}
		if generation < generations && !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("two are damaged: %v, want ErrCorrupt", err)
		}
	}
}

// Records copied elsewhere, doubled or put in another order never speak for another profile or an older generation.
func TestSplicedRecords(t *testing.T) {
	s := newSpecimen(t)
	frame := func(n int) []byte {
		start := s.head
		if n > 0 {
			start = s.ends[n-1]
		}
		return s.data[start:s.ends[n]]
	}
	header := s.data[:s.head]
	for name, test := range map[string]struct {
		order []int
		want  [3]int
	}{
		"backwards":      {[]int{8, 7, 6, 5, 4, 3, 2, 1, 0}, [3]int{3, 3, 3}},
		"old one again":  {[]int{0, 1, 2, 6, 7, 8, 0, 1, 2}, [3]int{3, 3, 3}},
		"only the first": {[]int{0}, [3]int{1, 0, 0}},
		"all twice":      {[]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8}, [3]int{3, 3, 3}},
	} {
		data := bytes.Clone(header)
		for _, n := range test.order {
			data = append(data, frame(n)...)
		}
		if err := os.WriteFile(s.path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		wantVersions(t, s.path, name, test.want)
	}
	// One record's head before another's body.
	headSize := 32
	data := append(bytes.Clone(s.data), append(bytes.Clone(frame(8)[:headSize]), frame(7)[headSize:]...)...)
	if err := os.WriteFile(s.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	wantVersions(t, s.path, "head and body of two records", [3]int{3, 3, 3})
}

func TestSecondOpener(t *testing.T) {
	t.Run("D17 a second one", func(t *testing.T) {
		p := path(t)
		s := open(t, p)
		refused := func(when string) {
			t.Helper()
			if _, err := sealed.Open(p, testKey); !errors.Is(err, sealed.ErrInUse) ||
				!errors.Is(err, keystore.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrInUse", when, err)
			}
		}
		refused("empty")
		if err := errors.Join(s.Set(t.Context(), "work", version("work", 1)),
			s.Set(t.Context(), "work", version("work", 2))); err != nil {
			t.Fatal(err)
		}
		refused("after a rewrite") // the lock went over to the new file
		if err := exec.Command("flock", "--nonblock", p, "true").Run(); err == nil {
			t.Error("flock(1) got the lock that we hold")
		}
		s.Close()
		if storedVersion(t, open(t, p), "work") != 2 {
			t.Error("closed, but not to be opened")
		}
	})
}

func TestReplacedWhileOpen(t *testing.T) {
	p := path(t)
	s := open(t, p)
	if err := s.Set(t.Context(), "work", version("work", 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(p); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), "climate", version("climate", 1)); err != nil {
		t.Errorf("the file was removed: %v; want it written again", err)
	}
	if storedVersion(t, s, "work") != 1 || storedVersion(t, s, "climate") != 1 {
		t.Error("not everything is in the file that was written again")
	}
	if err := errors.Join(os.Remove(p), os.WriteFile(p, []byte("somebody's"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), "work", version("work", 2)); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("another file in its place: %v, want ErrUnavailable", err)
	}
	if storedVersion(t, s, "work") != 1 || string(read(t, p)) != "somebody's" {
		t.Error("the other file was written to, or ours is unreadable")
	}
}

func TestCompaction(t *testing.T) {
	p := path(t)
	s := open(t, p)
	big := func(g int) keystore.Item {
		i := version("work", g)
		i.Issuer += strings.Repeat("/", 4000)
		return i
	}
	if err := s.Set(t.Context(), "climate", version("climate", 1)); err != nil {
		t.Fatal(err)
	}
	largest := 0
	for g := range 100 {
		if err := s.Set(t.Context(), "work", big(g)); err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(read(t, p)))
	}
	if largest > 100<<10 {
		t.Errorf("grew to %d bytes with two small profiles", largest)
	}
	if got, err := s.Get(t.Context(), "work"); err != nil || !got.Equal(big(99)) ||
		storedVersion(t, s, "climate") != 1 {
		t.Errorf("after compaction: %v", err)
	}
	s.Close()
	if got, err := open(t, p).Get(t.Context(), "work"); err != nil || !got.Equal(big(99)) {
		t.Errorf("after compaction and a restart: %v", err)
	}
}

func TestTooBig(t *testing.T) {
	s := open(t, path(t))
	i := version("work", 1)
	i.ClientSecret = keystore.SecretString(strings.Repeat("s", 64<<10))
	if err := s.Set(t.Context(), "work", i); !errors.Is(err, keystore.ErrTooBig) {
		t.Errorf("64 KiB of secret: %v, want ErrTooBig", err)
	}
	for _, name := range []string{"", strings.Repeat("n", 256)} {
		if err := s.Set(t.Context(), name, version("work", 1)); err == nil {
			t.Errorf("a name of %d bytes was stored", len(name))
		}
	}
	if storedVersion(t, s, "work") != 0 {
		t.Error("something was stored")
	}
}

func TestConcurrent(t *testing.T) {
	p := path(t)
	s := open(t, p)
	var wg sync.WaitGroup
	for n := range 6 {
		name := fmt.Sprint("p", n)
		wg.Go(func() {
			for g := range 4 {
				if err := s.Set(t.Context(), name, version(name, g+1)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if storedVersion(t, s, name) != g+1 {
					t.Errorf("%s: read another generation than was just stored", name)
				}
			}
			if n%2 == 0 {
				if err := s.Delete(t.Context(), name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff([]string{"p1", "p3", "p5"}, listed(t, s)); diff != "" {
		t.Error(diff)
	}
}

func listed(t *testing.T, s *sealed.Store) []string {
	t.Helper()
	names, err := s.Profiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}
