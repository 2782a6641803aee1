package sealed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

// FuzzDamage: a file that this program wrote, cut, overwritten and rearranged in every way yields nothing for a profile
// that was not stored for it. Where bytes were only overwritten, it yields exactly what FORMAT.md says, which is worked
// out here from which bytes differ: the newest record that is whole; if there is none, but a head that is whole, that
// it is damaged.
//
// writes is one byte a write (its profile, and whether it deletes); damage is a list of (place, what).
func FuzzDamage(f *testing.F) {
	f.Add([]byte{0, 1, 2}, []byte{})
	f.Add([]byte{0, 0, 1, 4}, []byte{0, 60, 1})
	f.Add([]byte{0, 0, 0}, []byte{1, 0, 0x80, 0, 200, 0xff})
	key := keystore.SecretString("0123456789abcdef0123456789abcdef")
	k, err := newKeys(key)
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "sealed")
	f.Fuzz(func(t *testing.T, writes, damage []byte) {
		whole, history := writeHistory(t, k, writes[:min(len(writes), 12)])
		data := damaged(slices.Clone(whole), damage)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, key)
		if err != nil {
			if !errors.Is(err, keystore.ErrCorrupt) && !errors.Is(err, ErrWrongKey) {
				t.Fatal(err)
			}
			return
		}
		defer s.Close()
		for profile, h := range history {
			wantStoredItem(t, s, profile, h)
			if len(data) == len(whole) && !rearranged(damage) {
				wantUndamagedItems(t, s, profile, h, whole, data)
			}
		}
		// What was readable stays so, and a write after damage succeeds.
		before := readItems(t, s, history)
		if err := s.Set(t.Context(), "new", credential("later")); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s, "new", "later")
		if after := readItems(t, s, history); !maps.Equal(before, after) {
			t.Errorf("a write changed others: %v, then %v", before, after)
		}
	})
}

// entry is one record that was written; the id of a delete is empty.
type entry struct {
	id         string
	start, end int
}

// writeHistory returns a file and, for each profile, what was written, the newest last.
func writeHistory(t *testing.T, k *keys, writes []byte) (data []byte, history map[string][]entry) {
	t.Helper()
	data, history = k.header(), map[string][]entry{}
	for i, w := range writes {
		profile, id := fmt.Sprintf("p%d", w%3), fmt.Sprintf("id-%d", i)
		r := record{kind: kindSet, profile: profile}
		if w&4 != 0 {
			r.kind, id = kindDelete, ""
		} else {
			item, err := keystore.EncodeItem(credential(id))
			if err != nil {
				t.Fatal(err)
			}
			r.item = item
		}
		frame, err := k.seal(uint64(len(history[profile])+1), r)
		if err != nil {
			t.Fatal(err)
		}
		history[profile] = append(history[profile], entry{id, len(data), len(data) + len(frame)})
		data = append(data, frame...)
	}
	return data, history
}

// damaged carries out a list of three bytes each: a place, and what happens to the byte there. Two values stand for
// more: 0 cuts the file there, 1 repeats from there what came before.
func damaged(data, damage []byte) []byte {
	for ; len(damage) >= 3 && len(data) > 0; damage = damage[3:] {
		at, how := int(binary.BigEndian.Uint16(damage))%len(data), damage[2]
		switch how {
		case 0:
			data = data[:at]
		case 1:
			data = slices.Concat(data[:at], data[:min(at, 1<<10)], data[at:])
		default:
			data[at] ^= how
		}
		data = data[:min(len(data), 64<<10)]
	}
	return data
}

// rearranged reports whether damage is more than bytes that were overwritten.
func rearranged(damage []byte) bool {
	for ; len(damage) >= 3; damage = damage[3:] {
		if damage[2] <= 1 {
			return true
		}
	}
	return false
}

// wantStoredItem makes sure that what a profile yields was once stored for it.
func wantStoredItem(t *testing.T, s *Store, profile string, h []entry) {
	t.Helper()
	item, err := s.Get(t.Context(), profile)
	if err != nil {
		if !errors.Is(err, keystore.ErrNotFound) && !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("%s: %v", profile, err)
		}
		return
	}
	stored := slices.ContainsFunc(h, func(e entry) bool { return e.id == item.ClientID && e.id != "" })
	if !stored || !item.Equal(credential(item.ClientID)) {
		t.Errorf("%s yields %q, which was never stored for it", profile, item.ClientID)
	}
}

// wantUndamagedItems compares what a profile yields with what the changed bytes leave of it.
func wantUndamagedItems(t *testing.T, s *Store, profile string, h []entry, whole, data []byte) {
	t.Helper()
	same := func(from, to int) bool { return bytes.Equal(whole[from:to], data[from:to]) }
	want, wantErr := "", keystore.ErrNotFound
	for _, e := range slices.Backward(h) {
		if same(e.start, e.end) {
			if want, wantErr = e.id, nil; want == "" {
				wantErr = keystore.ErrNotFound // a delete
			}
			break
		}
		if same(e.start, e.start+headSize) {
			wantErr = keystore.ErrCorrupt // as long as nothing older opens
		}
	}
	if item, err := s.Get(t.Context(), profile); item.ClientID != want || !errors.Is(err, wantErr) {
		t.Errorf("%s yields %q, %v; want %q, %v", profile, item.ClientID, err, want, wantErr)
	}
}

// readItems returns what each profile yields.
func readItems(t *testing.T, s *Store, history map[string][]entry) map[string]string {
	t.Helper()
	all := map[string]string{}
	for profile := range history {
		if item, err := s.Get(t.Context(), profile); err == nil {
			all[profile] = item.ClientID
		}
	}
	return all
}
