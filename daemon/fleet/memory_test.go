package fleet

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore/ownfile"
)

// watchedDisk is a disk on which a test looks at each replacement.
type watchedDisk struct {
	ownfile.Disk
	rename func() error
}

func (d watchedDisk) Rename(from, to string) error {
	if err := d.rename(); err != nil {
		return err
	}
	return d.Disk.Rename(from, to)
}

// What is written can be read by the next process; what would be too large for it is not written, and that is said.
func TestMemoryIsAsLargeAsItIsRead(t *testing.T) {
	keys, dir := keyring.New(), t.TempDir()
	m, err := openMemory(dir, keys)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(n, size int) {
		for i := range n {
			m.keep(fmt.Sprintf("%032x", i), 1, make([]byte, size))
		}
	}
	fill(6000, 2500)
	if err := m.save(); err != nil {
		t.Fatal(err)
	}
	fill(7000, 9000)
	if err := m.save(); err == nil || m.unsaved() == nil {
		t.Error("more than the limit is written")
	}
	again, err := openMemory(dir, keys)
	if err != nil || len(again.newest) != 6000 {
		t.Errorf("the next process knows %d records: %v", len(again.newest), err)
	}
}

// All that one read or one event brings is written at once, and the Fleet serves meanwhile.
func TestOneWriteForWhatComesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		first := s.start("m0", "")
		item := s.session()
		const profiles = 50
		for i := range profiles {
			if err := first.Replace(t.Context(), fmt.Sprintf("p%d", i), item, []byte("configuration")); err != nil {
				t.Fatal(err)
			}
		}
		dir := t.TempDir()
		f, err := Open(s.store.Client(), s.keys, "m1", dir, s.now, Callbacks{})
		if err != nil {
			t.Fatal(err)
		}
		writes := 0
		f.memory.disk = watchedDisk{ownfile.System, func() error {
			writes++
			if !f.mu.TryLock() {
				t.Error("the Fleet stands still while the disk is written")
				return nil
			}
			f.mu.Unlock()
			return nil
		}}
		entries, state, err := f.engine.Read(t.Context(), f.root())
		if err != nil {
			t.Fatal(err)
		}
		f.take(entries, state, true)
		if again, err := openMemory(dir, s.keys); err != nil || len(again.newest) != profiles || writes != 1 {
			t.Errorf("%d writes; the file has %d records: %v", writes, len(again.newest), err)
		}
	})
}

// What the disk does not take is said until it is written, which is tried again.
func TestADiskThatIsFullForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, strict)
		dir := t.TempDir()
		m := s.start("m0", dir)
		var full atomic.Bool
		m.memory.disk = watchedDisk{ownfile.System, func() error {
			if full.Load() {
				return syscall.ENOSPC
			}
			return nil
		}}
		full.Store(true)
		if err := m.Replace(t.Context(), "work", s.session(), []byte("configuration")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := m.Status("work").Err; !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("the status says %v", err)
		}
		full.Store(false)
		m.mustGet()
		if err := m.Status("work").Err; err != nil {
			t.Errorf("the status still says %v", err)
		}
		if again, err := openMemory(dir, s.keys); err != nil || len(again.newest) != 1 {
			t.Errorf("the file has %d records: %v", len(again.newest), err)
		}
	})
}
