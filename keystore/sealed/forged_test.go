package sealed

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// forger writes what can be written without the key: heads with a right checksum, tags that stand in the file, junk.
type forger struct {
	*rand.Rand
	tags []tag
	k    *keys // for its tags only, as a forger copies them out of the file
}

func newForger(seed uint64, k *keys, profiles ...string) *forger {
	f := &forger{Rand: rand.New(rand.NewPCG(seed, 1)), k: k}
	for _, p := range profiles {
		f.tags = append(f.tags, k.tag(p), k.intentTag(p))
	}
	f.tags = append(f.tags, tag{1, 2, 3})
	return f
}

// frame is a head and a body that does not open.
func (f *forger) frame() []byte {
	generations := []uint64{1, 2, 3, 4, 5, 6, math.MaxUint64, math.MaxUint64 - 1, math.MaxUint64 / 2, f.Uint64() | 1}
	h := head{generations[f.IntN(len(generations))], f.tags[f.IntN(len(f.tags))], overhead + 1 + f.IntN(300)}
	body := make([]byte, h.length)
	for i := range body {
		body[i] = byte(f.Uint32())
	}
	if f.IntN(3) == 0 && len(body) > headSize { // a head within, whose body ends behind this one
		inner := head{generations[f.IntN(len(generations))], f.tags[f.IntN(len(f.tags))], overhead + 1 + f.IntN(2000)}
		copy(body[len(body)-headSize:], inner.append(nil))
	}
	return append(h.append(nil), body...)
}

// answersFor returns what a store returns for each profile.
func answersFor(t *testing.T, s *Store, profiles []string) (all []string) {
	t.Helper()
	open, _ := s.InDoubt(t.Context())
	for _, p := range profiles {
		i, err := s.Get(t.Context(), p)
		if errors.Is(err, keystore.ErrCorrupt) && len(i.ClientID) == 0 {
			err = keystore.ErrNotFound // a profile that has nothing may be told to be damaged
		}
		if err != nil && !errors.Is(err, keystore.ErrNotFound) {
			t.Fatal(p, err)
		}
		all = append(all, fmt.Sprint(p, " ", i.ClientID, " ", err != nil, " ", slices.Contains(open, p)))
	}
	return all
}

// forgeRecords puts junk into a file between its records and before and behind them, and wants nothing of it to count.
func forgeRecords(t *testing.T, seed uint64) {
	t.Helper()
	k, err := newKeys(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	profiles := []string{"a", "b", "c", "gone"}
	f := newForger(seed, k, profiles...)
	dir := t.TempDir()
	files := Files{Path: filepath.Join(dir, "sealed")}
	if seed%2 == 0 {
		files.RollbackDir, files.FallbackDir = filepath.Join(dir, "seen"), filepath.Join(dir, "spare")
		if err := errors.Join(os.Mkdir(files.RollbackDir, 0o700), os.Mkdir(files.FallbackDir, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	open := func() *Store {
		s, err := files.Open(diskKey)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	ends := []int{headerSize}
	for n := range 4 + f.IntN(8) {
		p := profiles[f.IntN(4)]
		setItem(t, s, p, fmt.Sprint(n))
		if f.IntN(3) == 0 {
			if _, err := s.MarkSent(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		ends = append(ends, len(readFile(t, files.Path)))
	}
	if err := s.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if data := readFile(t, files.Path); len(data) != ends[len(ends)-1] { // it was rewritten
		x, err := scan(k, data)
		if err != nil {
			t.Fatal(err)
		}
		ends = []int{headerSize}
		for _, frames := range x.frames {
			for _, fr := range frames {
				ends = append(ends, int(fr.end()))
			}
		}
		for _, n := range x.intents {
			ends = append(ends, int(n.end()))
		}
	}
	want := answersFor(t, s, profiles)
	s.Close()

	data := readFile(t, files.Path)
	slices.Sort(ends)
	for _, at := range slices.Backward(slices.Compact(ends)) {
		for range f.IntN(3) {
			junk := f.frame()
			if f.IntN(5) == 0 {
				junk = junk[:f.IntN(len(junk))]
			}
			data = slices.Concat(data[:at], junk, data[at:])
		}
	}
	if f.IntN(3) == 0 { // the header says something else of the key
		copy(data[len(magic):], "0123456789abcdef")
		binary.BigEndian.PutUint32(data[headerSize-4:], crc32.Checksum(data[:headerSize-4], castagnoli))
	}
	if err := os.WriteFile(files.Path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scan(k, data); errors.Is(err, ErrWrongKey) && len(ends) == 1 {
		return // nothing is stored in it, and the header is another key's
	}
	s = open()
	if got := answersFor(t, s, profiles); !slices.Equal(got, want) {
		t.Fatalf("seed %d: with what was forged\n%q, without\n%q", seed, got, want)
	}
	t.Logf("seed %d: %q", seed, want)
	for n, p := range profiles {
		for range 3 {
			setItem(t, s, p, fmt.Sprint("new ", n))
			wantItem(t, s, p, fmt.Sprint("new ", n))
		}
		if err := s.MarkAnswered(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = open()
		wantItem(t, s, p, fmt.Sprint("new ", n))
	}
	s.Close()
}

// Whatever is put into a file without the key, each profile yields what it did, and is written as before.
func TestK1NothingForgedCounts(t *testing.T) {
	tier.Long(t, "it tries each place of a file")
	for seed := range uint64(150) {
		if t.Failed() {
			t.Fatalf("seed %d", seed-1)
		}
		forgeRecords(t, seed)
	}
}

func FuzzForged(f *testing.F) {
	f.Add(uint64(7))
	f.Fuzz(func(t *testing.T, seed uint64) { forgeRecords(t, seed) })
}

// A head that says the greatest generation there can be, behind the newest record.
func TestK2AForgedGenerationStopsNoWrite(t *testing.T) {
	for _, generation := range []uint64{2, 3, math.MaxUint64 - 1, math.MaxUint64} {
		s, _ := filesOnTestDisk(t)
		junk := append(head{generation, s.keys.tag("work"), 60}.append(nil), bytes.Repeat([]byte{7}, 60)...)
		s = restoreFile(t, s, append(readFile(t, s.path), junk...))
		wantItem(t, s, "work", "1")
		setItem(t, s, "work", "2")
		if g := s.index.newest(s.keys.tag("work")); g != 2 {
			t.Errorf("after a forged %d the next generation is %d", generation, g)
		}
		s = reopen(t, s)
		wantItem(t, s, "work", "2")
		if err := s.Delete(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		setItem(t, s, "work", "3")
		wantItem(t, reopen(t, s), "work", "3")
	}
}

// What an earlier groat stored above a forged head has the greatest generation, or nearly: it is read, replaced and
// forgotten.
func TestK3TheGreatestGeneration(t *testing.T) {
	for _, generation := range []uint64{maxGeneration - 2, maxGeneration - 1, maxGeneration} {
		s, _ := filesOnTestDisk(t)
		item, err := keystore.EncodeItem(credential("1"))
		if err != nil {
			t.Fatal(err)
		}
		frame, err := s.keys.seal(generation, record{kindSet, "work", item})
		if err != nil {
			t.Fatal(err)
		}
		s = restoreFile(t, s, append(s.keys.header(), frame...))
		for n := range 6 {
			id := fmt.Sprint(n)
			setItem(t, s, "work", id)
			wantItem(t, s, "work", id)
			s = reopen(t, s)
			wantItem(t, s, "work", id)
			if n == 3 {
				s.suspect = true
			}
		}
		if err := s.Delete(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		if _, err := reopen(t, s).Get(t.Context(), "work"); !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("forgotten: %v", err)
		}
	}
}

// Junk that fills the file to its limit is dropped by the next write.
func TestK4AFileFullOfJunk(t *testing.T) {
	s, _ := filesOnTestDisk(t)
	junk := append(head{9, s.keys.tag("work"), maxBody}.append(nil), make([]byte, maxBody)...)
	data := readFile(t, s.path)
	for len(data)+len(junk) <= maxFile {
		data = append(data, junk...)
	}
	s = restoreFile(t, s, append(data, make([]byte, maxFile-len(data))...))
	wantItem(t, s, "work", "1")
	setItem(t, s, "work", "2")
	s = reopen(t, s)
	wantItem(t, s, "work", "2")
	if size := len(readFile(t, s.path)); size > 2*maxDamage {
		t.Errorf("%d bytes are left of it", size)
	}
}

// counting counts the bytes that are tried.
type counting struct {
	cipher.AEAD
	bytes int
}

func (c *counting) Open(dst, nonce, text, additional []byte) ([]byte, error) {
	c.bytes += len(text)
	return c.AEAD.Open(dst, nonce, text, additional)
}

// Heads that claim each other's bytes cost no more to read than the file is long, and hide no record.
func TestK32OverlappingHeads(t *testing.T) {
	tier.Long(t, "it tries each place of a file")
	for name, step := range map[string]int{"one behind another": headSize, "a byte between": headSize + 1,
		"many in each": 2048} {
		for _, tags := range []int{1, 1 << 20} {
			s, _ := filesOnTestDisk(t)
			data := readFile(t, s.path)
			record := bytes.Clone(data[headerSize:])
			for n := 0; len(data) < 8<<20; n++ {
				h := head{uint64(n%3) + 1, s.keys.tag("work"), maxBody}
				if tags > 1 {
					binary.BigEndian.PutUint64(h.tag[:], uint64(n%tags))
				}
				data = append(h.append(data), make([]byte, step-headSize)...)
				if n%1000 == 999 {
					data = append(data, record...)
				}
			}
			data = append(data, make([]byte, maxBody)...)
			count := &counting{AEAD: s.keys.aead}
			k := *s.keys
			k.aead = count
			if _, err := scan(&k, data); err != nil {
				t.Fatal(err)
			}
			if count.bytes > len(data) {
				t.Errorf("%s, %d tags: %d bytes were tried of a file of %d", name, tags, count.bytes, len(data))
			}
			s = restoreFile(t, s, data)
			wantItem(t, s, "work", "1")
			setItem(t, s, "work", "2")
			s = reopen(t, s)
			wantItem(t, s, "work", "2")
			s.Close()
		}
	}
}

// A written record is never taken for heads that overlap, although its body is random bytes.
func TestK33NoRecordHoldsAMarker(t *testing.T) {
	s, _ := filesOnTestDisk(t)
	item, err := keystore.EncodeItem(credential("1"))
	if err != nil {
		t.Fatal(err)
	}
	chance := &marking{AEAD: s.keys.aead, left: 3}
	s.keys.aead = chance
	frame, err := s.keys.seal(7, record{kindSet, "work", item})
	if err != nil || overlaid(frame) || chance.left != 0 {
		t.Errorf("%v: a marker stands in it: %v; %d tries are left", err, overlaid(frame), chance.left)
	}
	h, _ := parseHead(frame)
	if _, err := s.keys.open(h, frame); err != nil {
		t.Error(err)
	}
}

// marking is a cipher that leaves a marker in the body of the first records.
type marking struct {
	cipher.AEAD
	left int
}

func (m *marking) Seal(dst, nonce, text, additional []byte) []byte {
	out := m.AEAD.Seal(dst, nonce, text, additional)
	if m.left > 0 {
		m.left--
		copy(out[len(out)-len(marker):], marker)
	}
	return out
}
