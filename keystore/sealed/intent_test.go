package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/keystore"
)

func markSent(t *testing.T, s *Store, profile string, want error) {
	t.Helper()
	if doubt, err := s.MarkSent(t.Context(), profile); err != nil || !errors.Is(doubt, want) {
		t.Errorf("%s presented: doubt %v, %v; want %v", profile, doubt, err, want)
	}
}

func wantInDoubt(t *testing.T, s *Store, want ...string) {
	t.Helper()
	if names, err := s.InDoubt(t.Context()); err != nil || !cmp.Equal(names, want) {
		t.Errorf("unsettled: %q, %v; want %q", names, err, want)
	}
}

func size(t *testing.T, s *Store) int {
	t.Helper()
	info, err := os.Stat(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

// That a token was sent is known to the next process until it is answered, or the item is set or deleted.
func TestNotes(t *testing.T) {
	s, _ := storeOnTestDisk(t)
	if _, err := s.MarkSent(t.Context(), "nobody"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("nothing is stored: %v", err)
	}
	markSent(t, s, "work", nil)
	markSent(t, s, "other", nil)
	s = reopen(t, s)
	wantInDoubt(t, s, "other", "work")
	before := size(t, s)
	markSent(t, s, "work", keystore.ErrUnanswered)
	if size(t, s) != before {
		t.Error("what was noted is noted again")
	}
	wantItem(t, s, "work", "1")

	if err := errors.Join(s.MarkAnswered(t.Context(), "work"), s.MarkAnswered(t.Context(), "nobody")); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	wantInDoubt(t, s, "other")
	markSent(t, s, "work", nil)
	wantInDoubt(t, s, "other", "work")
	if err := s.Set(t.Context(), "work", credential("2")); err != nil {
		t.Fatal(err)
	}
	wantInDoubt(t, s, "other")
	if err := s.Delete(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	wantInDoubt(t, s)
	s = reopen(t, s)
	wantInDoubt(t, s)
	markSent(t, s, "work", nil)
	if s.Damaged() != 0 || len(s.index.intents) != 1 {
		t.Errorf("%d damaged, %d notes; want none, and a rewrite to have dropped all but the last", s.Damaged(),
			len(s.index.intents))
	}
}

// An intent record is in the file, not on the disk: it costs no fsync.
func TestNotesDoNotSync(t *testing.T) {
	s, disk := storeOnTestDisk(t)
	disk.set(func(op, _ string) error {
		if strings.HasPrefix(op, "sync") {
			t.Error("a note was synced")
		}
		return nil
	})
	markSent(t, s, "work", nil)
	if err := s.MarkAnswered(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	disk.set(nil)
	markSent(t, s, "work", nil)
	wantInDoubt(t, reopen(t, s), "work")
}

// A server that does not rotate: intent records alone do not make the file grow, and it is seldom rewritten for them.
func TestThousandRenewals(t *testing.T) {
	s, disk := storeOnTestDisk(t)
	rewrites, largest := 0, 0
	disk.set(func(op, _ string) error {
		if op == "rename" {
			rewrites++
		}
		return nil
	})
	for range 1000 {
		markSent(t, s, "work", nil)
		if err := s.MarkAnswered(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		largest = max(largest, size(t, s))
	}
	if largest > 2*compactAt || rewrites > 3 {
		t.Errorf("grew to %d bytes with %d rewrites", largest, rewrites)
	}
	wantItem(t, s, "work", "1")
	wantItem(t, s, "other", "1")
}

// A full disk says so before the token is sent, and there is no record of what was not sent. When it has room again, so
// has the store, and what was reserved for the answer is there for it though the disk filled up meanwhile.
func TestPresentOnFullDisk(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		t.Run("D14 "+full.Error(), func(t *testing.T) {
			s, disk := storeOnTestDisk(t)
			disk.set(failEvery("reserve", full))
			if doubt, err := s.MarkSent(t.Context(), "work"); doubt != nil || !errors.Is(err, full) ||
				!errors.Is(err, keystore.ErrUnavailable) {
				t.Errorf("%v, %v; want ErrUnavailable and %v", doubt, err, full)
			}
			wantInDoubt(t, s)
			// A write that fits all the same is not refused for that, nor is another file made for it.
			before := inode(t, s.path)
			if err := s.Set(t.Context(), "work", credential("2")); err != nil || inode(t, s.path) != before {
				t.Error(err)
			}
			disk.set(nil)
			markSent(t, s, "work", nil)
			disk.set(failEvery("reserve", full))
			if _, err := s.MarkSent(t.Context(), "work"); !errors.Is(err, full) {
				t.Errorf("noted before, but full now: %v", err)
			}
		})
	}
}

// Disks that cannot reserve are used all the same; one that fails in it is not trusted with an append.
func TestPresentWithoutReserve(t *testing.T) {
	s, disk := storeOnTestDisk(t)
	disk.set(failEvery("reserve", errors.ErrUnsupported))
	markSent(t, s, "work", nil)
	wantInDoubt(t, reopen(t, s), "work")

	s, disk = storeOnTestDisk(t)
	before := inode(t, s.path)
	disk.set(func(op, path string) error {
		if op == "reserve" && path == s.path {
			return syscall.EIO
		}
		return nil
	})
	markSent(t, s, "work", nil)
	if inode(t, s.path) == before {
		t.Error("the file that failed is still in use")
	}
	wantInDoubt(t, reopen(t, s), "work")
}

// specimenOfNotes returns a file with items and intent records, and where each of its frames begins.
func specimenOfNotes(t *testing.T, k *keys) (data []byte, starts []int, notes []bool) {
	t.Helper()
	data = k.header()
	item := func(id string) keystore.Secret {
		b, err := keystore.EncodeItem(credential(id))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, f := range []struct {
		generation uint64
		r          record
	}{
		{1, record{kindSet, "work", item("1")}},
		{1, record{kindSent, "work", keystore.Secret{}}},
		{1, record{kindSet, "other", item("1")}},
		{2, record{kindSet, "work", item("2")}},
		{1, record{kindSent, "other", keystore.Secret{}}},
		{1, record{kindAnswered, "other", keystore.Secret{}}},
		{2, record{kindSent, "work", keystore.Secret{}}},
	} {
		b, err := k.seal(f.generation, f.r)
		if err != nil {
			t.Fatal(err)
		}
		starts, notes = append(starts, len(data)), append(notes, f.r.isIntent())
		data = append(data, b...)
	}
	return data, starts, notes
}

// itemAndIntent returns what a reader gets of a profile, and whether it is in doubt.
func itemAndIntent(t *testing.T, k *keys, data []byte, profile string) string {
	t.Helper()
	x, err := scan(k, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range x.candidates(k.tag(profile)) {
		_, open := x.open[k.tag(profile)]
		return fmt.Sprint(f.generation, " ", f.kind, " ", open)
	}
	return "nothing"
}

// A bit flipped in an intent record changes what is known about a request, never what is stored; and one in an item
// changes nothing about another profile's records.
func TestEveryFlippedBitOfNotes(t *testing.T) {
	t.Run("D10 every one", func(t *testing.T) {
		k, err := newKeys(diskKey)
		if err != nil {
			t.Fatal(err)
		}
		data, starts, notes := specimenOfNotes(t, k)
		if work, other := itemAndIntent(t, k, data, "work"), itemAndIntent(t, k, data, "other"); work != "2 1 true" ||
			other != "1 1 false" {
			t.Fatalf("undamaged: %s, %s", work, other)
		}
		for n, start := range starts {
			end := len(data)
			if n+1 < len(starts) {
				end = starts[n+1]
			}
			for offset := start; offset < end; offset++ {
				for bit := range 8 {
					flipped := bytes.Clone(data)
					flipped[offset] ^= 1 << bit
					work, other := itemAndIntent(t, k, flipped, "work"), itemAndIntent(t, k, flipped, "other")
					if notes[n] && (work[:3] != "2 1" || other[:3] != "1 1") {
						t.Fatalf("bit %d of byte %d, in a note: %s, %s", bit, offset, work, other)
					}
					// the newest item: the one before it, which was sent
					if n == 3 && (work != "1 1 true" || other != "1 1 false") {
						t.Fatalf("bit %d of byte %d, in the newest item: %s, %s", bit, offset, work, other)
					}
				}
			}
		}
	})
}

// A damaged intent record is dropped by the next rewrite, and counted as damage until then.
func TestDamagedNoteIsDropped(t *testing.T) {
	k, err := newKeys(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	data, starts, _ := specimenOfNotes(t, k)
	data[starts[2]-1] ^= 1 // the first intent record's last byte
	s, _ := storeOnTestDisk(t)
	if err := os.WriteFile(s.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if s.Damaged() != 1 {
		t.Errorf("%d damaged, want 1", s.Damaged())
	}
	if err := s.Delete(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	if s = reopen(t, s); s.Damaged() != 0 {
		t.Errorf("%d damaged after a rewrite", s.Damaged())
	}
	wantItem(t, s, "work", "2")
	wantInDoubt(t, s, "work")
}
