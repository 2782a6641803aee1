package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// file is a profile's file.
func (h *env) file(profile string) string {
	return filepath.Join(h.config, "profiles.d", profile+".toml")
}

// spoils makes profiles' files wrong, and returns what puts them right.
func (h *env) spoils(t *testing.T, profiles ...string) (mend func()) {
	t.Helper()
	good := map[string][]byte{}
	for _, name := range profiles {
		text, err := os.ReadFile(h.file(name))
		if err != nil {
			t.Fatal(err)
		}
		good[name] = text
		h.write(t, "profiles.d/"+name+".toml", string(text)+"nonsense = 1\n")
	}
	return func() {
		t.Helper()
		for name, text := range good {
			h.write(t, "profiles.d/"+name+".toml", string(text))
		}
	}
}

// A profile whose file is wrong at the start takes nothing else away, says so, and loses nothing.
func TestAWrongFileAtTheStart(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		restart, logged := h.restartsIn(t, t.TempDir(), store)
		restart()
		for _, p := range []protocol.LoginParams{h.ofDevice("work"), h.ofDevice("home"), h.ofMachine("lab")} {
			h.signIn(t, p)
		}
		path := h.exported(t, protocol.ExportParams{Profile: "home"})
		token := bearer(t, path)
		h.server.BlockUser(person, true)
		h.cool("work")
		_, err := h.token(t, "work")
		said := wantError(t, err, protocol.LoginRequired)
		h.server.BlockUser(person, false)

		mend := h.spoils(t, "work", "home")
		restart()
		h.exports.Resume()
		synctest.Wait()
		if n := logged.FilterMessage("a profile cannot be used").Len(); n != 2 {
			t.Errorf("%d lines in the log, want one for each of two: %v", n, logged.All())
		}
		if _, err := h.token(t, "lab"); err != nil {
			t.Errorf("the one that is right: %v", err)
		}
		if e := wantError(t, second(h.token(t, "work")), protocol.Config); !strings.Contains(e.Message, "work.toml:") ||
			e.Hint() == "" {
			t.Errorf("%s (%s)", e.Message, e.Hint())
		}
		if e := wantError(t, second(h.token(t, "")), protocol.UnknownProfile); e.Message != "there are 3 profiles: name one" {
			t.Error(e.Message)
		}
		at := protocol.TokenParams{Target: "https://elsewhere.example"}
		e := wantError(t, h.visit(t).Call(t.Context(), protocol.MethodToken, at, nil), protocol.UnknownProfile)
		if !strings.HasSuffix(e.Message, "; 2 profiles cannot be used: home, work") || e.Hint() != "groat status" {
			t.Errorf("%s (%s)", e.Message, e.Hint())
		}
		h.listsBroken(t, false, "home", "work")
		h.signIn(t, h.ofMachine("new"))
		if bearer(t, path) != token {
			t.Error("the file with a token that is good is gone")
		}
		for range 3 {
			h.token(t, "work")
		}
		if n := logged.FilterMessage("a profile cannot be used").Len(); n != 2 {
			t.Errorf("%d lines in the log after some requests", n)
		}

		mend()
		// The server would not refuse it any more.
		if e = wantError(t, second(h.token(t, "work")), protocol.LoginRequired); e.Message != said.Message {
			t.Errorf("what was refused is forgotten: %s, was %s", e.Message, said.Message)
		}
		if _, err := h.token(t, "home"); err != nil {
			t.Errorf("mended: %v", err)
		}
		if synctest.Wait(); len(h.exportsNow(t)) != 1 || bearer(t, path) == token {
			t.Errorf("the file is not kept on: %+v", h.exportsNow(t))
		}
	})
}

func second[T any](_ T, err error) error { return err }

// listsBroken makes sure of which profiles are shown as broken, in use or not.
func (h *env) listsBroken(t *testing.T, inUse bool, names ...string) {
	t.Helper()
	c := h.visit(t)
	st, err := c.Status(t.Context(), "")
	ps, failed := c.Profiles(t.Context())
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	var inStatus, inList []string
	for _, p := range st.Profiles {
		if !p.Broken {
			continue
		}
		inStatus = append(inStatus, p.Profile)
		if (p.State != string(protocol.Config)) != inUse || p.Hint != h.profiles.Broken(p.Profile).Hint ||
			!strings.Contains(p.Message, p.Profile+".toml:") {
			t.Errorf("%+v", p)
		}
		one, err := c.Status(t.Context(), p.Profile)
		if err != nil || len(one.Profiles) != 1 || one.Profiles[0].Message != p.Message {
			t.Errorf("%+v, %v", one, err)
		}
	}
	for _, p := range ps.Profiles {
		if p.Broken {
			inList = append(inList, p.Profile)
			if p.Hint != h.profiles.Broken(p.Profile).Hint || !strings.Contains(p.Message, p.Profile+".toml:") {
				t.Errorf("%+v", p)
			}
		}
	}
	want := strings.Join(names, " ")
	if strings.Join(inStatus, " ") != want || strings.Join(inList, " ") != want {
		t.Errorf("status has %q, the list %q, want %q", inStatus, inList, names)
	}
}

// A file that becomes wrong leaves its profile in use as it was. Nothing of it can be changed until it is right, and
// everything of the others can.
func TestAFileThatBecomesWrong(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		restart, logged := h.restartsIn(t, t.TempDir(), store)
		restart()
		h.signIn(t, h.ofDevice("work"))
		h.signIn(t, h.ofMachine("lab"))
		mend := h.spoils(t, "work")
		lab, err := os.ReadFile(h.file("lab"))
		if err != nil {
			t.Fatal(err)
		}
		h.write(t, "profiles.d/lab.toml", string(lab)+"scope = \"openid\"\n")
		wrong, _ := os.ReadFile(h.file("work"))
		c := h.visit(t)
		for range 2 {
			e := wantError(t, c.Call(t.Context(), protocol.MethodReload, nil, nil), protocol.Config)
			if !strings.Contains(e.Message, "work.toml:") ||
				!strings.HasSuffix(e.Message, "the rest of the configuration was read") {
				t.Error(e.Message)
			}
		}
		if n := logged.FilterMessage("a profile cannot be used").Len(); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		if p := h.profiles.Named("lab"); p.Scope != "openid" {
			t.Errorf("the other file's change was not taken over: %+v", p.Profile)
		}
		if _, err := h.token(t, "work"); err != nil {
			t.Errorf("what was in use: %v", err)
		}
		h.listsBroken(t, true, "work")
		scope := "read"
		for what, err := range map[string]error{
			"login":  second(c.Login(t.Context(), h.ofDevice("work"), unasked(t))),
			"logout": c.Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "work", Yes: true}, nil),
			"show":   c.Call(t.Context(), protocol.MethodProfile, protocol.ProfileParams{Profile: "work"}, nil),
			"edit": c.Call(t.Context(), protocol.MethodProfile, protocol.ProfileParams{Profile: "work", Key: "audience",
				Value: &scope}, nil),
		} {
			if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Kind() != protocol.Config ||
				!strings.Contains(e.Message, "work.toml:") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if text, _ := os.ReadFile(h.file("work")); string(text) != string(wrong) {
			t.Errorf("the file was written over:\n%s", text)
		}
		h.signIn(t, h.ofMachine("new"))
		local := protocol.NetworkParams{Setting: "no_proxy", Value: "localhost"}
		if err := c.Call(t.Context(), protocol.MethodNetwork, local, nil); err != nil {
			t.Errorf("the network's settings: %v", err)
		}
		err = c.Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "new", Yes: true}, nil)
		if err != nil {
			t.Errorf("another one's logout: %v", err)
		}
		mend()
		if err := c.Call(t.Context(), protocol.MethodReload, nil, nil); err != nil {
			t.Error(err)
		}
		h.listsBroken(t, false)
	})
}

// Names that no profile may have are listed too, page by page.
func TestWrongNamesAreListed(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	for _, name := range []string{"A B", "C", "ok", "\xff", strings.Repeat("x", 200)} {
		h.write(t, "profiles.d/"+name+".toml", "provider = \"spatiafi\"\n")
	}
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
	c := h.client(t)
	seen, after := 0, ""
	ps, err := c.Profiles(t.Context())
	if err != nil || len(ps.Profiles) != 5 {
		t.Fatalf("%+v, %v", ps, err)
	}
	for _, p := range ps.Profiles {
		var r protocol.StatusResult
		if err := c.Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{After: after}, &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Profiles) != 5-seen || p.Broken != (p.Profile != "ok") {
			t.Errorf("after %q come %d; %+v", after, len(r.Profiles), p)
		}
		seen, after = seen+1, p.Profile
	}
	if h.Profiles() != 1 {
		t.Errorf("%d profiles", h.Profiles())
	}
}

// A person who looks at the profiles sees the files as they are: one that was mended, one that was added, and whether
// all of them can be used. What was in use stays so.
func TestStatusLooksAtTheFilesAgain(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		restart, _ := h.restartsIn(t, t.TempDir(), store)
		restart()
		for _, p := range []protocol.LoginParams{h.ofDevice("work"), h.ofMachine("lab")} {
			h.signIn(t, p)
		}
		looks := func() (broken []string, whole *protocol.Trouble) {
			t.Helper()
			st, err := h.visit(t).Status(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range st.Profiles {
				if p.Broken {
					broken = append(broken, p.Profile)
				}
			}
			return broken, st.Configuration
		}
		mend := h.spoils(t, "work")
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
		if broken, whole := looks(); len(broken) != 1 || whole != nil {
			t.Errorf("spoiled: %q, %+v", broken, whole)
		}
		mend()
		if broken, whole := looks(); len(broken) != 0 || whole != nil {
			t.Errorf("mended: %q, %+v", broken, whole)
		}
		h.write(t, "profiles.d/new.toml", "nonsense = 1\n")
		if broken, _ := looks(); len(broken) != 1 || broken[0] != "new" {
			t.Errorf("added: %q", broken)
		}
		h.write(t, "config.toml", "nonsense = 1\n")
		time.Sleep(2 * time.Second) // an answer stands for a second
		_, whole := looks()
		if whole == nil || !strings.Contains(whole.Message, "config.toml:1") || !strings.Contains(whole.Hint, "config.toml") {
			t.Errorf("a configuration that cannot be used: %+v", whole)
		}
		if one, err := h.visit(t).Status(t.Context(), "lab"); err != nil || one.Configuration == nil {
			t.Errorf("one profile's: %+v, %v", one, err)
		}
		if _, err := h.token(t, "work"); err != nil {
			t.Errorf("what was in use: %v", err)
		}
		h.write(t, "config.toml", "")
		if _, whole := looks(); whole != nil {
			t.Errorf("mended: %+v", whole)
		}
	})
}
