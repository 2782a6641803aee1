//go:build linux

package sealed_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
)

func mkfifo(p string) error { return syscall.Mkfifo(p, 0o600) }

// diskVariable makes the test binary run one part of a test in a mount namespace of its own, or as another user.
const diskVariable = "GROAT_TEST_SEALED"

func TestMain(m *testing.M) {
	part, ok := os.LookupEnv(diskVariable)
	if !ok {
		os.Exit(m.Run())
	}
	name, dir, _ := strings.Cut(part, ":")
	if err := childParts[name](dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("played")
}

var childParts = map[string]func(dir string) error{"full": fullDisk, "readonly": readOnlyDisk, "stranger": stranger}

// runInChild runs a part in a new process.
func runInChild(t *testing.T, name, dir string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), diskVariable+"="+name+":"+dir)
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "played\n") {
		t.Errorf("%s: %v: %s", name, err, out)
	}
}

// ownMounts gives the child a mount namespace, and root in it where we are not root.
func ownMounts() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid := os.Getuid(); uid != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return a
}

func TestDisk(t *testing.T) {
	t.Run("D14 full", func(t *testing.T) { runInChild(t, "full", t.TempDir(), ownMounts()) })
	t.Run("D16 read-only", func(t *testing.T) { runInChild(t, "readonly", t.TempDir(), ownMounts()) })
}

func mount(dir, options string, flags uintptr) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("a mount namespace cannot be had: %w", err)
	}
	return syscall.Mount("tmpfs", dir, "tmpfs", flags, options)
}

// expect compares what a store has with what it must have.
func expect(s *sealed.Store, profile string, want keystore.Item) error {
	got, err := s.Get(context.Background(), profile)
	if err == nil && !got.Equal(want) {
		err = errors.New("another item")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", profile, err)
	}
	return nil
}

func fullDisk(dir string) error {
	if err := mount(dir, "size=64k,mode=0700", 0); err != nil {
		return err
	}
	ctx, p := context.Background(), filepath.Join(dir, "sealed")
	s, err := sealed.Open(p, testKey)
	if err != nil {
		return err
	}
	if err := errors.Join(s.Set(ctx, "work", version("work", 1)),
		s.Set(ctx, "climate", version("climate", 1))); err != nil {
		return err
	}
	// A token is sent while there is room; then the disk fills up: what was reserved for the answer is still
	// there.
	if doubt, err := s.MarkSent(ctx, "climate"); doubt != nil || err != nil {
		return fmt.Errorf("presented: %v, %w", doubt, err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk does not fill up: %v", err)
	}
	answer := version("climate", 2)
	answer.Issuer += strings.Repeat("/", 4000)
	if err := errors.Join(s.Set(ctx, "climate", answer), expect(s, "climate", answer)); err != nil {
		return fmt.Errorf("the answer to what was presented: %w", err)
	}
	if _, err := s.MarkSent(ctx, "climate"); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("presented on a full disk: %v", err)
	}
	// The last page of the file still has room; a large item has not.
	large := version("work", 2)
	large.Issuer += strings.Repeat("/", 9000)
	if err := s.Set(ctx, "work", large); !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("a write to a full disk: %v, want ErrUnavailable and ENOSPC", err)
	}
	if err := s.Probe(ctx); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("a probe of a full disk: %v", err)
	}
	if err := errors.Join(expect(s, "work", version("work", 1)), expect(s, "climate", answer)); err != nil {
		return fmt.Errorf("after the failed write: %w", err)
	}
	s.Close()
	if s, err = sealed.Open(p, testKey); err != nil {
		return err
	}
	if err := errors.Join(expect(s, "work", version("work", 1)), expect(s, "climate", answer)); err != nil {
		return fmt.Errorf("after the failed write and a restart: %w", err)
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	if doubt, err := s.MarkSent(ctx, "climate"); doubt != nil || err != nil {
		return fmt.Errorf("presented when there is room again: %v, %w", doubt, err)
	}
	return errors.Join(s.Set(ctx, "work", large), expect(s, "work", large), expect(s, "climate", answer))
}

func readOnlyDisk(dir string) error {
	if err := mount(dir, "mode=0700", 0); err != nil {
		return err
	}
	ctx, p := context.Background(), filepath.Join(dir, "sealed")
	s, err := sealed.Open(p, testKey)
	if err != nil {
		return err
	}
	if err := errors.Join(s.Set(ctx, "work", version("work", 1)), s.Close()); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	if s, err = sealed.Open(p, testKey); err != nil {
		return fmt.Errorf("a read-only file system cannot even be read: %w", err)
	}
	for range 2 {
		if _, err := s.MarkSent(ctx, "work"); !errors.Is(err, keystore.ErrUnavailable) ||
			!errors.Is(err, syscall.EROFS) {
			return fmt.Errorf("presented on a read-only file system: %v", err)
		}
		if err := s.Set(ctx, "work", version("work", 2)); !errors.Is(err, keystore.ErrUnavailable) ||
			!errors.Is(err, syscall.EROFS) {
			return fmt.Errorf("a write to a read-only file system: %v", err)
		}
	}
	if err := expect(s, "work", version("work", 1)); err != nil {
		return err
	}
	// The same process when it can be written again.
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		return err
	}
	if doubt, err := s.MarkSent(ctx, "work"); doubt != nil || err != nil {
		return fmt.Errorf("presented when it can be written again: %v, %w", doubt, err)
	}
	return errors.Join(s.Set(ctx, "work", version("work", 2)), expect(s, "work", version("work", 2)))
}

// Root is not stopped by modes, so another user tries.
func TestAnotherUser(t *testing.T) {
	t.Run("D16 another user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Log("without root there is no second user to try; our own modes are in TestRefusedFiles")
		}
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
			if info, err := os.Stat(d); err == nil && os.Geteuid() == 0 {
				os.Chmod(d, info.Mode().Perm()|0o111)
			}
		}
		s := open(t, filepath.Join(dir, "sealed"))
		if err := s.Set(t.Context(), "work", version("work", 1)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "sealed"))
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("the file's mode: %v, %v; want 0600", info.Mode(), err)
		}
		s.Close()
		if os.Geteuid() != 0 {
			return
		}
		binary := filepath.Join(dir, "binary")
		b := read(t, os.Args[0])
		if err := os.WriteFile(binary, b, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Env = []string{diskVariable + "=stranger:" + dir, "GORACE=atexit_sleep_ms=0"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
		cmd.Dir = "/"
		var complaints strings.Builder
		cmd.Stderr = &complaints // also the coverage runtime's, which is no answer
		if out, err := cmd.Output(); err != nil || string(out) != "played\n" {
			t.Errorf("%v: %s%s", err, out, &complaints)
		}
	})
}

func stranger(dir string) error {
	if os.Geteuid() != 4242 {
		return errors.New("not another user")
	}
	p := filepath.Join(dir, "sealed")
	if _, err := os.ReadFile(p); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("another user reads the file: %v", err)
	}
	if _, err := sealed.Open(p, testKey); !errors.Is(err, keystore.ErrUnavailable) {
		return fmt.Errorf("another user opens the file: %v", err)
	}
	if _, err := sealed.Open(filepath.Join(dir, "new"), testKey); !errors.Is(err, keystore.ErrUnavailable) {
		return fmt.Errorf("another user's directory: %v", err)
	}
	return nil
}
