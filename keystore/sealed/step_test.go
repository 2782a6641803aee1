package sealed

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

var errKilled = errors.New("killed")

// diskCalls are the calls, one by one, that a rotation makes of the disk: its intent record, its item, and where the
// file is not to be trusted or mostly garbage, its rewrite.
func diskCalls(t *testing.T, start func(*testing.T) (*Store, *testDisk)) (calls []string) {
	t.Helper()
	s, disk := start(t)
	disk.set(func(op, path string) error {
		calls = append(calls, op+" "+strings.TrimLeft(filepath.Base(path), "0123456789"))
		return nil
	})
	if doubt, err := s.MarkSent(t.Context(), "work"); doubt != nil || err != nil {
		t.Fatal(doubt, err)
	}
	setItem(t, s, "work", "2")
	disk.set(nil)
	wantItem(t, s, "work", "2")
	return calls
}

// A fault at every step of a rotation: what was acknowledged is there, what was not is the item before or the new one,
// whole, and no other profile's item is touched; in this process, in the next one, and when the disk works again.
func TestFaultAtEveryStep(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (*Store, *testDisk){
		"append":     storeOnTestDisk,
		"rewrite":    suspectStore,
		"with spare": filesOnTestDisk,
	} {
		t.Run(name, func(t *testing.T) {
			calls := diskCalls(t, start)
			if want := map[string]string{"append": "sync sealed", "rewrite": "rename sealed",
				"with spare": "write seen"}[name]; !strings.Contains(strings.Join(calls, "\n"), want) {
				t.Fatalf("no %q among %q", want, calls)
			}
			for n, call := range calls {
				for _, fault := range []struct {
					id    string
					err   error
					stays bool
				}{
					{"D14 full", syscall.ENOSPC, true}, {"D14 quota", syscall.EDQUOT, true},
					{"D14 failing", syscall.EIO, true},
					{"D14 failing once", syscall.EIO, false}, {"D15 full once", syscall.ENOSPC, false},
					{"D16 read-only", syscall.EROFS, true},
					{"killed", errKilled, true},
				} {
					t.Run(fmt.Sprintf("%s at %d, %s", fault.id, n, call),
						func(t *testing.T) { rotateWithFault(t, start, n, fault.err, fault.stays) })
				}
			}
		})
	}
}

// suspectStore is a store whose file ends in damage, and is rewritten.
func suspectStore(t *testing.T) (*Store, *testDisk) {
	t.Helper()
	s, disk := storeOnTestDisk(t)
	return restoreFile(t, s, append(readFile(t, s.path), "torn"...)), disk
}

// rotateWithFault lets call number n of a rotation fail, and all later ones if the fault stays.
func rotateWithFault(t *testing.T, start func(*testing.T) (*Store, *testDisk), n int, fault error, stays bool) {
	s, disk := start(t)
	calls := -1
	disk.set(func(op, _ string) error {
		calls++
		if calls == n || calls > n && stays && (op != "stat" && op != "lstat" && op != "read" || fault == errKilled) {
			return fault
		}
		return nil
	})
	_, presented := s.MarkSent(t.Context(), "work")
	stored := s.Set(t.Context(), "work", credential("2"))
	if presented != nil && !errors.Is(presented, keystore.ErrUnavailable) ||
		stored != nil && !errors.Is(stored, keystore.ErrUnavailable) {
		t.Errorf("presented: %v; stored: %v; want nil or ErrUnavailable", presented, stored)
	}
	if fault != errKilled {
		wantItem(t, s, "other", "1")
		if stored == nil {
			wantItem(t, s, "work", "2")
		}
	}
	disk.set(nil)
	if fault != errKilled { // the same process when the disk works again
		setItem(t, s, "other", "2")
		wantItem(t, s, "other", "2")
		newItemOrOld(t, s, stored == nil)
	}
	s = reopen(t, s)
	aside := stored != nil && strings.Contains(stored.Error(), "a copy in")
	if id := newItemOrOld(t, s, stored == nil || aside); id == "1" && presented == nil {
		wantInDoubt(t, s, "work")
	}
	setItem(t, s, "work", "3")
	s = reopen(t, s)
	wantItem(t, s, "work", "3")
	if left, err := filepath.Glob(s.path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// newItemOrOld returns the item that there is: the new one, or if that was not acknowledged, maybe the one before.
func newItemOrOld(t *testing.T, s *Store, acknowledged bool) string {
	t.Helper()
	i, err := s.Get(t.Context(), "work")
	if err != nil || !i.Equal(credential(i.ClientID)) || i.ClientID != "2" && (acknowledged || i.ClientID != "1") {
		t.Errorf("%q, %v; acknowledged: %v", i.ClientID, err, acknowledged)
	}
	return i.ClientID
}
