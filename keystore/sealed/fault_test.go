package sealed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
)

// storeOnTestDisk returns a store of two profiles on a disk that can be told to fail. It was opened again, so that the
// name of its open file is not that of a draft.
func storeOnTestDisk(t *testing.T) (*Store, *testDisk) {
	t.Helper()
	disk := new(testDisk)
	s, err := (Files{Path: filepath.Join(t.TempDir(), "sealed"), Disk: disk}).Open(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Set(t.Context(), "work", credential("1")),
		s.Set(t.Context(), "other", credential("1"))); err != nil {
		t.Fatal(err)
	}
	return reopen(t, s), disk
}

// failEvery lets every call of one kind fail with err.
func failEvery(op string, err error) func(string, string) error {
	return func(o, _ string) error {
		if o == op {
			return err
		}
		return nil
	}
}

func credential(id string) keystore.Item {
	return keystore.Item{ClientID: id, ClientSecret: keystore.SecretString("not a real secret")}
}

func wantItem(t *testing.T, s *Store, profile, id string) {
	t.Helper()
	if i, err := s.Get(t.Context(), profile); err != nil || !i.Equal(credential(id)) {
		t.Errorf("%s: has %q, %v; want %q", profile, i.ClientID, err, id)
	}
}

func inode(t *testing.T, p string) uint64 {
	t.Helper()
	info, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// One failed fsync: the same descriptor is never asked again, a new file takes its place, and the write succeeds.
func TestFsyncFailsOnce(t *testing.T) {
	t.Run("D15 once", func(t *testing.T) {
		s, disk := storeOnTestDisk(t)
		before, calls := inode(t, s.path), 0
		disk.set(func(op, path string) error {
			if op == "sync" && path == s.path {
				calls++
				return syscall.EIO
			}
			return nil
		})
		if err := s.Set(t.Context(), "work", credential("2")); err != nil {
			t.Fatal(err)
		}
		if calls != 1 || inode(t, s.path) == before {
			t.Errorf("fsync of the failed file was called %d times; replaced: %v", calls, inode(t, s.path) != before)
		}
		wantItem(t, s, "work", "2")
		wantItem(t, s, "other", "1")
	})
}

// A disk that fails for good: an error, the old state here and after a restart, and the new one when the disk works.
func TestFsyncFails(t *testing.T) {
	t.Run("D15 for good", func(t *testing.T) {
		s, disk := storeOnTestDisk(t)
		disk.set(failEvery("sync", syscall.EIO))
		for range 2 {
			if err := s.Set(t.Context(), "work", credential("2")); !errors.Is(err, keystore.ErrUnavailable) ||
				!errors.Is(err, syscall.EIO) {
				t.Fatalf("%v, want ErrUnavailable and EIO", err)
			}
		}
		if err := s.Probe(t.Context()); !errors.Is(err, syscall.EIO) {
			t.Errorf("a probe of a failing disk: %v", err)
		}
		if err := s.Delete(t.Context(), "other"); !errors.Is(err, syscall.EIO) {
			t.Errorf("a delete on a failing disk: %v", err)
		}
		wantItem(t, s, "work", "1")
		wantItem(t, s, "other", "1")
		disk.set(nil)
		s = reopen(t, s)
		wantItem(t, s, "work", "1")
		wantItem(t, s, "other", "1")
		if err := s.Set(t.Context(), "work", credential("2")); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s, "work", "2")
	})
}

// A disk that hangs: the writer's caller gets its error in time, and readers do not wait.
func TestFsyncHangs(t *testing.T) {
	s, disk := storeOnTestDisk(t)
	entered, wake := make(chan struct{}), make(chan struct{})
	disk.set(func(op, _ string) error {
		if op == "sync" {
			disk.set(nil)
			close(entered)
			<-wake
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- s.Set(ctx, "work", credential("2")) }()
	<-entered
	wantItem(t, s, "work", "1")
	cancel()
	if err := <-failed; !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("a write that hangs: %v", err)
	}
	brief, cancel2 := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel2()
	if err := s.Set(brief, "other", credential("2")); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("a second writer: %v", err)
	}
	wantItem(t, s, "other", "1")
	close(wake)
	if err := s.Set(t.Context(), "other", credential("3")); err != nil { // waits for the first
		t.Fatal(err)
	}
	wantItem(t, s, "work", "2") // carried out after all, as the error said it may be
	wantItem(t, s, "other", "3")
}

// The record of a deletion that could not be followed by a rewrite still deletes.
func TestDeleteWithoutRewrite(t *testing.T) {
	s, disk := storeOnTestDisk(t)
	disk.set(func(op, path string) error {
		if op == "sync" && path != s.path {
			return syscall.EIO
		}
		return nil
	})
	if err := s.Delete(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	disk.set(nil)
	s = reopen(t, s)
	if _, err := s.Get(t.Context(), "work"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	wantItem(t, s, "other", "1")
}

// FuzzScan: whatever stands in a file, reading it ends, and yields nothing that was not sealed with the key: no item,
// and no intent record.
func FuzzScan(f *testing.F) {
	k, err := newKeys(diskKey)
	if err != nil {
		f.Fatal(err)
	}
	sealed := map[byte][]byte{}
	for _, kind := range []byte{kindSet, kindDelete, kindSent, kindAnswered} {
		r := record{kind: kind, profile: "work"}
		if kind == kindSet {
			r.item = keystore.SecretString("{}")
		}
		if sealed[kind], err = k.seal(1, r); err != nil {
			f.Fatal(err)
		}
	}
	set, gone, presented, settled := sealed[kindSet], sealed[kindDelete], sealed[kindSent], sealed[kindAnswered]
	f.Add([]byte(nil))
	f.Add(k.header())
	f.Add(append(k.header(), gone...))
	f.Add(append(append(k.header(), gone[:headSize]...), gone...))
	f.Add(append(k.header(), head{1, tag{}, maxBody}.append(nil)...))
	f.Add(append(k.header(), marker+marker+marker...))
	f.Add(slices.Concat(k.header(), set, presented))
	f.Add(slices.Concat(k.header(), presented, settled, set, settled[:headSize], presented))
	f.Add(slices.Concat(k.header(), set[:headSize], presented[headSize:], presented[:headSize], set[headSize:]))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := scan(k, data)
		if err != nil {
			return
		}
		check := func(fr frame, note bool) {
			if fr.end() > int64(len(data)) || fr.offset < int64(headerSize) {
				t.Fatalf("a record from %d to %d in a file of %d bytes", fr.offset, fr.end(), len(data))
			}
			r, err := k.open(fr.head, data[fr.offset:fr.end()])
			if err != nil || r.isIntent() != note || r.profile != "work" || fr.generation != 1 {
				t.Fatalf("a record that nobody sealed: %v", err)
			}
		}
		for _, frames := range x.frames {
			for _, fr := range frames {
				check(fr, false)
			}
		}
		for _, fr := range x.intents {
			check(fr, true)
		}
		live := int64(0)
		for t := range x.frames {
			live += x.keptSize(t)
		}
		for _, fr := range x.damage {
			live += fr.size()
		}
		if x.live != live || len(x.open) > 1 || len(x.open) == 1 && x.intents[k.tag("work")].kind != kindSent {
			t.Fatalf("%d bytes are counted as live, %d are; %d unsettled", x.live, live, len(x.open))
		}
	})
}

// A first write that hangs has failed for its caller. A logout then waits for that write, and deletes what it
// stored.
func TestDeleteWaitsForAWriteThatHangs(t *testing.T) {
	s, disk := storeOnTestDisk(t)
	entered, wake := make(chan struct{}), make(chan struct{})
	disk.set(func(op, _ string) error {
		if op == "sync" {
			disk.set(nil)
			close(entered)
			<-wake
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- s.Set(ctx, "new", credential("1")) }()
	<-entered
	cancel()
	if err := <-failed; !errors.Is(err, keystore.ErrUnavailable) {
		t.Fatalf("a write that hangs: %v", err)
	}
	brief, cancel2 := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel2()
	if err := s.Delete(brief, "new"); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("deleted while it is being written: %v", err)
	}
	close(wake)
	if err := s.Delete(t.Context(), "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "new"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("after it was deleted: %v", err)
	}
}
