package sealed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// seenOf is a sealed file of many profiles, whose rollback guard has no file yet.
func seenOf(t *testing.T, profiles int) (Files, *testDisk) {
	t.Helper()
	disk := new(testDisk)
	return Files{Path: writeLargeFile(t, profiles), RollbackDir: t.TempDir(), Disk: disk}, disk
}

// guardWrites opens and closes a store, lets its writes to the guard's file end as fail says, and returns how many
// there were.
func guardWrites(t *testing.T, files Files, disk *testDisk, fail error) (writes int) {
	t.Helper()
	disk.set(func(op, path string) error {
		if !strings.HasPrefix(filepath.Base(path), "seen-") {
			return nil
		}
		switch op {
		case "write":
			writes++
			return fail
		case "sync", "rename":
			t.Errorf("%s of the guard's file", op)
		}
		return nil
	})
	defer disk.set(nil)
	s, err := files.Open(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(profilesOf(t, s)) {
		if got := s.guard.generation(s.keys.tag(fmt.Sprint("profile-", n))); got != 2 {
			t.Fatalf("profile-%d is known with generation %d", n, got)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return writes
}

// wantGuard wants one good entry of each profile in the guard's file, and nothing else.
func wantGuard(t *testing.T, files Files, profiles int) {
	t.Helper()
	s, err := files.Open(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	data, seen := readFile(t, s.guard.path), map[tag]bool{}
	for ; len(data) >= entrySize; data = data[entrySize:] {
		entry := tag(data)
		if string(s.guard.seal(nil, entry, binary.BigEndian.Uint64(data[tagSize:]))) != string(data[:entrySize]) {
			t.Fatal("an entry is damaged")
		}
		seen[entry] = true
	}
	if len(seen) != profiles || len(data) > 0 {
		t.Errorf("%d entries and %d bytes, want %d entries", len(seen), len(data), profiles)
	}
}

// A machine that sees many profiles for the first time makes one write of them, and none when it sees them again. What
// it knows already is corrected in its place, with one write for what stands together.
func TestManyProfilesAreSeenAtOnce(t *testing.T) {
	const profiles = 1000
	files, disk := seenOf(t, profiles)
	for i, want := range []int{1, 0} {
		if n := guardWrites(t, files, disk, nil); n != want {
			t.Errorf("%d writes at open %d, want %d", n, i, want)
		}
		wantGuard(t, files, profiles)
	}
	path := files.rollbackFile()
	data := readFile(t, path)
	for _, n := range []int{3, 4, 5, 700} {
		data[n*entrySize] ^= 1
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := guardWrites(t, files, disk, nil); n != 2 {
		t.Errorf("%d writes for two damaged stretches", n)
	}
	wantGuard(t, files, profiles)
}

// That write fails, ends in the middle, or the process is killed in it: the store works, nothing passes for a rollback,
// and the next process that can write completes it.
func TestManyProfilesAreSeenInPart(t *testing.T) {
	const profiles = 1001 // half of the write ends within an entry
	for name, fail := range map[string]error{
		"D14 full": syscall.ENOSPC, "D14 failing": syscall.EIO, "killed": errKilled,
	} {
		t.Run(name, func(t *testing.T) {
			files, disk := seenOf(t, profiles)
			if n := guardWrites(t, files, disk, fail); n != 1 {
				t.Errorf("%d writes", n)
			}
			info, err := os.Stat(files.rollbackFile())
			if err != nil || errors.Is(fail, errKilled) != (info.Size() == 0) || info.Size() >= profiles*entrySize {
				t.Fatalf("%v, %v; want a part of the entries", info.Size(), err)
			}
			s, err := files.Open(diskKey)
			if err != nil {
				t.Fatal(err)
			}
			markSent(t, s, "profile-7", nil)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			wantGuard(t, files, profiles)
		})
	}
}
