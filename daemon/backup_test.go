package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

const backupPassphrase = "vellum otter crane seven"

// filled is an env with App Credentials, a client with a secret and a session.
func filled(t *testing.T) *env {
	t.Helper()
	h := newEnvWith(t, sandbox.Options{
		Clients: []sandbox.Client{{ID: "machine", Secret: clientSecret}, {ID: "app", Method: sandbox.None}},
		Refresh: sandbox.Refresh{Always: true, Rotate: true},
		Device:  sandbox.Device{Interval: time.Second},
	}, memory{&keystore.Memory{}})
	if _, err := h.login(t, "apps", nil); err != nil {
		t.Fatal(err)
	}
	for _, p := range []protocol.LoginParams{h.ofMachine("machine"), h.ofDevice("session")} {
		if _, err := h.client(t).Login(t.Context(), p, h.willing(t)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *env) backup(t *testing.T, path string, force bool) (r protocol.BackupResult, err error) {
	t.Helper()
	err = h.client(t).Call(t.Context(), protocol.MethodBackup,
		map[string]any{"path": path, "force": force, "passphrase": backupPassphrase}, &r)
	return r, err
}

func (h *env) restored(t *testing.T, path, passphrase string, take, replace []string) (r protocol.RestoreResult,
	err error) {
	t.Helper()
	err = h.client(t).Call(t.Context(), protocol.MethodRestore,
		map[string]any{"path": path, "take": take, "replace": replace, "passphrase": passphrase}, &r)
	return r, err
}

// What stands at the path is not replaced, unless it is a file and that was said; what is no file never is.
func TestL34WhereABackupIsWritten(t *testing.T) {
	h := filled(t)
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	target := filepath.Join(dir, "target")
	link := filepath.Join(dir, "link")
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(state, 0o700), os.WriteFile(target, []byte("mine"), 0o644), os.Symlink(target, link),
		os.WriteFile(file, []byte("mine"), 0o644),
		os.WriteFile(filepath.Join(state, "sealed"), []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	h.StateDir = state
	for path, force := range map[string]bool{
		file: false, link: true, dir: true, "relative": true, filepath.Join(dir, "none", "b"): true,
		filepath.Join(state, "sealed"): true,
		filepath.Join(state, "new"):    false, "/proc/self/mem": true, "/dev/null": true,
	} {
		_, err := h.backup(t, path, force)
		wantError(t, err, protocol.Config)
	}
	_, err := h.backup(t, link, false)
	wantError(t, err, protocol.Config)
	for _, path := range []string{target, file, filepath.Join(state, "sealed")} {
		if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
			t.Errorf("%s was changed: %v", path, err)
		}
	}
	if _, err := h.backup(t, file, true); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v: %v", err, info)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".groat*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if _, err := h.restored(t, file, backupPassphrase, nil, nil); err != nil {
		t.Error(err)
	}
	// Without its passphrase it is locked, and what is no backup is known without one.
	_, err = h.restored(t, file, "", nil, nil)
	if e := wantError(t, err, protocol.Locked); e.Message != "a passphrase is needed for the backup "+file {
		t.Error(e)
	}
	_, err = h.restored(t, target, "", nil, nil)
	wantError(t, err, protocol.Config)
}

// A backup among the configuration's files would be read as a profile, and stop all of them.
func TestL40ABackupIsNoConfiguration(t *testing.T) {
	h := filled(t)
	for _, dir := range h.Config.Paths() {
		for _, name := range []string{"b.toml", "config.toml", "b"} {
			_, err := h.backup(t, filepath.Join(dir, name), true)
			if e := wantError(t, err, protocol.Config); !strings.Contains(e.Error(),
				"groat keeps its own files there") {
				t.Errorf("%s: %v", name, e)
			}
		}
	}
	if paths := h.Config.Paths(); len(paths) != 2 {
		t.Errorf("the configuration's directories: %q", paths)
	}
	if _, err := h.Config.Load(); err != nil {
		t.Error(err)
	}
}
