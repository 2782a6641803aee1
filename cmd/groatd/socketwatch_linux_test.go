package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"
)

// there returns the socket that was bound last.
func (l *listener) there() os.FileInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bound
}

// A socket that was removed is bound again within half a minute, without a signal.
func TestE9NoticedByItself(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "groat", "agent.sock")
	synctest.Test(t, func(t *testing.T) {
		l, err := bind(path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.release()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go l.watch(ctx, nil, zaptest.NewLogger(t), nil, func() { t.Error("the session is said to be over") })
		for range 3 {
			first := l.there()
			time.Sleep(watchInterval + time.Second)
			synctest.Wait()
			if !os.SameFile(first, l.there()) {
				t.Fatal("it was made anew although nothing had happened")
			}
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(watchInterval)
			synctest.Wait()
			if now, err := os.Lstat(path); err != nil || !os.SameFile(now, l.there()) {
				t.Fatalf("%v after it was removed: %v", watchInterval, err)
			}
		}
		cancel()
		synctest.Wait()
	})
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("it is there after its end: %v", err)
	}
}

// A socket that a service manager has passed is not bound again.
func TestE9NotWhereAManagerListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	passed, err := listenPrivately(path)
	if err != nil {
		t.Fatal(err)
	}
	passed.SetUnlinkOnClose(false)
	l := &listener{socket: passed, path: path}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if l.check(zaptest.NewLogger(t)) {
		t.Error("the session is said to be over")
	}
	l.release()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("a socket was made: %v", err)
	}
}

func TestE24RuntimeDir(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/r/u")
	for path, want := range map[string]string{
		"/r/u/groat/agent.sock": "/r/u", "/r/u2/groat/agent.sock": "", "/home/x/agent.sock": "", "/r/u": "",
	} {
		if got := runtimeDir(path); got != want {
			t.Errorf("%s is in %q, want %q", path, got, want)
		}
	}
}
