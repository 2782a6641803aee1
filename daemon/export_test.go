package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// known are the parameters of a login after which [env.taken] can tell whether the server takes a token.
func (h *env) known(profile string) protocol.LoginParams {
	p := h.ofDevice(profile)
	p.Scope = "openid"
	return p
}

// exported has a file kept, and returns its path.
func (h *env) exported(t *testing.T, p protocol.ExportParams) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if p.HeaderFile = path; p.TokenFile != "" {
		p.HeaderFile, p.TokenFile = "", path
	}
	var r protocol.ExportResult
	if err := h.visit(t).Call(t.Context(), protocol.MethodExport, p, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Exports) != 1 || r.Exports[0].Path != path || r.Exports[0].State != protocol.ExportCurrent {
		t.Fatalf("%+v", r)
	}
	return path
}

// exportsNow lists what is kept.
func (h *env) exportsNow(t *testing.T) []protocol.Export {
	t.Helper()
	var r protocol.ExportResult
	if err := h.visit(t).Call(t.Context(), protocol.MethodExport, nil, &r); err != nil {
		t.Fatal(err)
	}
	return r.Exports
}

// bearer is the token in a header file, or empty where there is no file.
func bearer(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	token, ok := strings.CutPrefix(string(text), "Authorization: Bearer ")
	if err != nil || !ok || !strings.HasSuffix(token, "\n") {
		t.Fatalf("the file holds %q, %v", text, err)
	}
	return strings.TrimSuffix(token, "\n")
}

// For a day in which nobody asks groatd, the file has a token that the server takes, whenever it is read.
func TestAnExportedFileIsCurrentForADay(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, h.known("p"))
		path := h.exported(t, protocol.ExportParams{Profile: "p"})
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		tokens := map[string]bool{}
		for range 24 * 4 {
			token := bearer(t, path)
			if !h.taken(t, token) {
				t.Fatalf("the server does not take what is in the file after %d tokens", len(tokens))
			}
			tokens[token] = true
			time.Sleep(15 * time.Minute)
			synctest.Wait()
		}
		if len(tokens) < 90 {
			t.Errorf("%d tokens in a day", len(tokens))
		}
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != 1 {
			t.Errorf("beside the file: %v, %v", entries, err)
		}
		// A token that nothing keeps is renewed for an hour after its last use, and then no more.
		var r protocol.ExportResult
		stop := protocol.ExportParams{Stop: path}
		if err := h.visit(t).Call(t.Context(), protocol.MethodExport, stop, &r); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if h.holds("p") || bearer(t, path) != "" {
			t.Error("a file that is stopped is kept on")
		}
	})
}

// A token that lives longer than one that nobody uses is kept warm is renewed all the same.
func TestAnExportedTokenThatLivesLongIsRenewed(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 24 * time.Hour}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, h.known("p"))
		path := h.exported(t, protocol.ExportParams{Profile: "p"})
		for range 72 {
			time.Sleep(time.Hour)
			if !h.taken(t, bearer(t, path)) {
				t.Fatal("the server does not take what is in the file")
			}
		}
	})
}

// A file never holds a token that is not good: it is gone with the token's end while the server is down, and when the
// profile is logged out, and is back with the next token.
func TestAnExportedFileIsGoneWithItsToken(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, h.known("p"))
		path := h.exported(t, protocol.ExportParams{Profile: "p"})
		down := sandbox.Busy(503, "")
		down.Times = -1
		h.server.Script("/token", down)
		time.Sleep(12 * time.Minute)
		if first := bearer(t, path); !h.taken(t, first) {
			t.Error("a token that is good is not in the file any more")
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		kept := h.exportsNow(t)
		if bearer(t, path) != "" || len(kept) != 1 || kept[0].State != protocol.ExportMissing || kept[0].Message == "" {
			t.Errorf("while the server is down: %+v", kept)
		}
		h.server.ClearFaults()
		time.Sleep(6 * time.Minute)
		if !h.taken(t, bearer(t, path)) {
			t.Errorf("the file is not back: %+v", h.exportsNow(t))
		}

		if err := h.visit(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "p", Yes: true},
			nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if kept := h.exportsNow(t); bearer(t, path) != "" || kept[0].State != protocol.ExportMissing {
			t.Errorf("after a logout: %+v", kept)
		}
		h.signIn(t, h.known("p"))
		synctest.Wait()
		if kept := h.exportsNow(t); kept[0].State != protocol.ExportCurrent || !h.taken(t, bearer(t, path)) {
			t.Errorf("after a sign-in: %+v", kept)
		}
	})
}

// A file that cannot be written is tried again, and said so meanwhile.
func TestAnExportedFileThatCannotBeWritten(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, h.known("p"))
		path := h.exported(t, protocol.ExportParams{Profile: "p"})
		os.Remove(path)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Minute)
		kept := h.exportsNow(t)
		if kept[0].State != protocol.ExportStale || !strings.Contains(kept[0].Message, "is no file") {
			t.Errorf("%+v", kept)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		if kept := h.exportsNow(t); kept[0].State != protocol.ExportCurrent || !h.taken(t, bearer(t, path)) {
			t.Errorf("%+v", kept)
		}
	})
}

// A file is kept as long as it was asked for, to the second or so.
func TestAnExportedFileIsKeptForATime(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, h.known("p"))
		path := h.exported(t, protocol.ExportParams{Profile: "p", For: 7200})
		time.Sleep(2*time.Hour - 2*time.Second)
		if !h.taken(t, bearer(t, path)) {
			t.Error("it is gone too soon")
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if bearer(t, path) != "" || len(h.exportsNow(t)) != 0 {
			t.Errorf("it is still kept: %+v", h.exportsNow(t))
		}
	})
}

// The next daemon goes on, with the profiles that it has; the file stays in between.
func TestTheNextDaemonKeepsTheFile(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, store *faultyStore) {
		state := t.TempDir()
		h.Close(t.Context())
		start := func() {
			h.Daemon = newDaemon(t, Options{Config: configIn(t, h.config), Keystore: store, HTTP: h.HTTP, Now: h.Now,
				StateDir: state})
			h.exports.Resume()
		}
		start()
		h.signIn(t, h.known("p"))
		forever := h.exported(t, protocol.ExportParams{Profile: "p"})
		token := h.exported(t, protocol.ExportParams{Profile: "p", TokenFile: "x"})
		short := h.exported(t, protocol.ExportParams{Profile: "p", For: 600})
		h.Close(t.Context())
		if bearer(t, forever) == "" || bearer(t, short) == "" {
			t.Error("a file is gone with its daemon")
		}
		time.Sleep(20 * time.Minute)
		start()
		time.Sleep(time.Second)
		synctest.Wait()
		if !h.taken(t, bearer(t, forever)) || bearer(t, short) != "" || len(h.exportsNow(t)) != 2 {
			t.Errorf("the next daemon keeps %+v", h.exportsNow(t))
		}
		if text, err := os.ReadFile(token); err != nil || string(text) != bearer(t, forever)+"\n" {
			t.Errorf("the file with the token: %v", err)
		}
		text, err := os.ReadFile(filepath.Join(state, "exports.json"))
		if err != nil || strings.Contains(string(text), bearer(t, forever)) ||
			!strings.Contains(string(text), forever) {
			t.Errorf("%s, %v", text, err)
		}
	})
}

// What cannot be kept is refused at once, with what to do about it.
func TestWhatCannotBeExported(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	dir, c := t.TempDir(), h.client(t)
	code := func(k protocol.Kind) int { return protocol.NewError(k, "", "").Code }
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(in("mine"), []byte("precious"), 0o600), os.Symlink("mine", in("link")),
		os.Mkdir(in("open"), 0o700), os.Chmod(in("open"), 0o777), os.WriteFile(in("empty"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		p    protocol.ExportParams
		code int
		says string
	}{
		{protocol.ExportParams{HeaderFile: in("mine")}, code(protocol.Config), "is there already"},
		{protocol.ExportParams{HeaderFile: in("link")}, code(protocol.Config), "symbolic link"},
		{protocol.ExportParams{HeaderFile: in("open")}, code(protocol.Config), "is no file"},
		{protocol.ExportParams{HeaderFile: in("open/x")}, code(protocol.Config), "open"},
		{protocol.ExportParams{HeaderFile: in("none/x")}, code(protocol.Config), "no such file"},
		{protocol.ExportParams{HeaderFile: in("x"), WhilePID: 1 << 22}, code(protocol.Config), "there is none"},
		{protocol.ExportParams{HeaderFile: in("x"), Profile: "home"}, code(protocol.UnknownProfile), "home"},
		{protocol.ExportParams{HeaderFile: in("x"), TokenFile: in("y")}, protocol.CodeInvalidParams, "one form"},
		{protocol.ExportParams{File: in("x")}, protocol.CodeInvalidParams, "goes with as"},
		{protocol.ExportParams{HeaderFile: in("x"), As: "planet"}, protocol.CodeInvalidParams, "goes with as"},
		{protocol.ExportParams{File: in("x"), As: "token"}, protocol.CodeInvalidParams, "earthscope, "},
		{protocol.ExportParams{File: in("x"), As: "x"}, protocol.CodeInvalidParams, "planet"},
		{protocol.ExportParams{HeaderFile: in("x"), Scope: "\t"}, protocol.CodeInvalidParams, "scope"},
		{protocol.ExportParams{HeaderFile: in("x"), Audience: "a b"}, protocol.CodeInvalidParams, "audience"},
		{protocol.ExportParams{HeaderFile: in("x"), For: 1, WhilePID: 1}, protocol.CodeInvalidParams, "exclude"},
		{protocol.ExportParams{HeaderFile: in("x"), For: -1}, protocol.CodeInvalidParams, "from 0"},
		{protocol.ExportParams{HeaderFile: in("x"), All: true}, protocol.CodeInvalidParams, "nothing else"},
		{protocol.ExportParams{HeaderFile: in("x\ny")}, protocol.CodeInvalidParams, "printable"},
		{protocol.ExportParams{HeaderFile: dir + "/../x"}, protocol.CodeInvalidParams, "clean"},
		{protocol.ExportParams{HeaderFile: "/" + strings.Repeat("x", 512)}, protocol.CodeInvalidParams, "512"},
		{protocol.ExportParams{For: 1}, protocol.CodeInvalidParams, "give header_file"},
		{protocol.ExportParams{Stop: in("x\x1b[2J")}, protocol.CodeInvalidParams, "printable"},
		{protocol.ExportParams{Stop: "/" + strings.Repeat("x", 512)}, protocol.CodeInvalidParams, "512"},
		{protocol.ExportParams{Stop: in("x")}, code(protocol.Config), "no file that groat keeps"},
	} {
		err := c.Call(t.Context(), protocol.MethodExport, tt.p, nil)
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != tt.code ||
			!strings.Contains(e.Message, tt.says) ||
			tt.code != protocol.CodeInvalidParams && e.Hint() == "" {
			t.Errorf("%+v: %v", tt.p, err)
		}
	}
	if text, err := os.ReadFile(in("mine")); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
	var r protocol.ExportResult
	for range 2 { // what mktemp made, and again what is kept already
		again := protocol.ExportParams{HeaderFile: in("empty")}
		if err := c.Call(t.Context(), protocol.MethodExport, again, &r); err != nil {
			t.Error(err)
		}
	}
	other := protocol.ExportParams{TokenFile: in("empty")}
	if err := c.Call(t.Context(), protocol.MethodExport, other, nil); err == nil ||
		!strings.Contains(err.Error(), "is kept already") {
		t.Error(err)
	}
	if err := c.Call(t.Context(), protocol.MethodExport, protocol.ExportParams{All: true}, &r); err != nil ||
		len(r.Exports) != 1 || len(h.exports.List()) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Lstat(in("empty")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file that is stopped is still there")
	}
}

// So many files and no more are kept, and the list of them is one line, however long their paths are.
func TestHowManyFilesAreExported(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat(`"`, 200), strings.Repeat(`"`, 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := h.client(t)
	for i := range protocol.MaxExports + 1 {
		path := filepath.Join(dir, strings.Repeat("x", i+1))
		err := c.Call(t.Context(), protocol.MethodExport, protocol.ExportParams{TokenFile: path}, nil)
		if (err != nil) != (i == protocol.MaxExports) {
			t.Errorf("%d: %v", i, err)
		}
	}
	var r protocol.ExportResult
	if err := c.Call(t.Context(), protocol.MethodExport, nil, &r); err != nil || len(r.Exports) != protocol.MaxExports {
		t.Errorf("%d files, %v", len(r.Exports), err)
	}
}
