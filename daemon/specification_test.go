package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

const specification = "../protocol/PROTOCOL.md"

// block is one fenced block of the specification.
type block struct {
	line  int
	kind  string // "jsonl", "sh", "python"
	state string
	text  []string
}

func blocks(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile(specification)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !inside:
			kind, state, _ := strings.Cut(fence, " ")
			all = append(all, block{line: i + 1, kind: kind, state: state})
			inside = true
		case isFence:
			inside = false
		case inside:
			last := &all[len(all)-1]
			last.text = append(last.text, line)
		}
	}
	return all
}

// failingStore is a keystore that fails as it is told.
type failingStore struct {
	memory
	err atomic.Pointer[error]
}

func (m *failingStore) Get(ctx context.Context, profile string) (keystore.Item, error) {
	if err := m.err.Load(); err != nil {
		return keystore.Item{}, *err
	}
	return m.memory.Get(ctx, profile)
}

// states are what a block's daemon is like before it begins.
var states = map[string]func(t *testing.T, h *env, m *failingStore){
	"fresh": func(*testing.T, *env, *failingStore) {},
	"configured": func(t *testing.T, h *env, _ *failingStore) {
		h.write(t, "profiles.d/work.toml", "provider = \"spatiafi\"\n")
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
	},
	"signed in": signedIn,
	"signed in as a person": func(t *testing.T, h *env, _ *failingStore) {
		h.server.AddClient(sandbox.Client{ID: "app", Method: sandbox.None})
		h.adjust(t, "device_interval", "1s", "refresh_always", "true")
		params := h.ofDevice("person")
		params.Scope = "openid"
		if _, err := h.client(t).Login(t.Context(), params, h.willing(t)); err != nil {
			t.Fatal(err)
		}
	},
	"server down": func(t *testing.T, h *env, m *failingStore) {
		signedIn(t, h, m)
		h.cool("work")
		down := sandbox.Busy(503, "")
		down.Times = -1
		h.server.Script(sandbox.SpatiafiTokenPath, down)
	},
	"keystore locked": func(t *testing.T, h *env, m *failingStore) { failing(t, h, m, keystore.ErrLocked) },
	"keystore gone":   func(t *testing.T, h *env, m *failingStore) { failing(t, h, m, keystore.ErrUnavailable) },
	"configuration broken": func(t *testing.T, h *env, m *failingStore) {
		signedIn(t, h, m)
		h.write(t, "config.toml", "not toml\n")
	},
}

func signedIn(t *testing.T, h *env, _ *failingStore) {
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
}

func failing(t *testing.T, h *env, m *failingStore, err error) {
	signedIn(t, h, m)
	h.cool("work")
	m.err.Store(&err)
}

func (h *env) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(h.config, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// in brings an env into a state.
func in(t *testing.T, state string) *env {
	t.Helper()
	prepare, ok := states[state]
	if !ok {
		t.Fatalf("there is no state %q", state)
	}
	m := &failingStore{memory: memory{&keystore.Memory{}}}
	h := newEnvWith(t, sandbox.Options{}, m)
	prepare(t, h, m)
	return h
}

// TestSpecification plays every conversation of PROTOCOL.md against a daemon.
func TestSpecification(t *testing.T) {
	played := 0
	for _, b := range blocks(t) {
		if b.kind != "jsonl" {
			continue
		}
		played++
		t.Run(fmt.Sprintf("line %d, %s", b.line, b.state), func(t *testing.T) {
			h := in(t, b.state)
			s := &speaker{c: dialRaw(t, h.socket), known: map[string]string{"server": h.server.URL(),
				"directory": t.TempDir()}}
			var expected []string
			for _, line := range append(b.text, "→") {
				if answer, ok := strings.CutPrefix(line, "← "); ok {
					expected = append(expected, answer)
					continue
				}
				s.expect(t, expected)
				expected = nil
				if request, ok := strings.CutPrefix(line, "→ "); ok {
					s.c.say(t, s.fill(t, request)+"\n")
				} else if line != "→" {
					t.Fatalf("%q is neither → nor ←", line)
				}
			}
		})
	}
	if played < 20 {
		t.Errorf("only %d conversations were found", played)
	}
}

// speaker plays one conversation.
type speaker struct {
	c     *raw
	known map[string]string // :: placeholder → what it stands for
}

var placeholder = regexp.MustCompile(`<[a-z]+>`)

// fill replaces the placeholders of a request.
func (s *speaker) fill(t *testing.T, request string) string {
	return placeholder.ReplaceAllStringFunc(request, func(p string) string {
		v, ok := s.known[strings.Trim(p, "<>")]
		if !ok {
			t.Fatalf("%s is not known yet", p)
		}
		return v
	})
}

// expect hears as many lines as are expected and compares: answers by their id, in any order, notifications in theirs.
func (s *speaker) expect(t *testing.T, expected []string) {
	t.Helper()
	for _, want := range slices.Clone(expected) {
		if want == "end" {
			if line, open := s.c.hear(t); open {
				t.Fatalf("the connection is still open: %s", line)
			}
			return
		}
		line, open := s.c.hear(t)
		if !open {
			t.Fatalf("the connection was closed, want %s", want)
		}
		i := slices.IndexFunc(expected, func(e string) bool { return subject(t, e) == subject(t, line) })
		if i < 0 {
			t.Fatalf("not expected: %s", line)
		}
		var w, g any
		decode(t, expected[i], &w)
		decode(t, line, &g)
		s.compare(t, "", w, g)
		expected = slices.Delete(slices.Clone(expected), i, i+1)
	}
}

func decode(t *testing.T, line string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), into); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

// subject is what a line is about: a request's id, or a notification.
func subject(t *testing.T, line string) string {
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	decode(t, line, &m)
	return string(m.ID) + m.Method
}

// varying are members whose numbers are examples; forPeople those whose sentences are.
var (
	varying = []string{"expires_at", "expires_in", "pid", "started_at", "lifetime", "renew_in", "retry_in",
		"retry_after", "max_min_ttl", "requests", "at", "ends_at"}
	people = []string{"message", "hint", "text"}
)

func (s *speaker) compare(t *testing.T, where string, want, got any) {
	t.Helper()
	name := where[strings.LastIndexByte(where, '.')+1:]
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %v, want an object", where, got)
			return
		}
		if a, b := slices.Sorted(maps.Keys(w)), slices.Sorted(maps.Keys(g)); !slices.Equal(a, b) {
			t.Errorf("%s: the members are %v, want %v: %v", where, b, a, g)
			return
		}
		for k := range w {
			s.compare(t, where+"."+k, w[k], g[k])
		}
	case []any:
		g, ok := got.([]any)
		if slices.Contains(w, any("…")) { // the others are found by what they are called
			w = slices.DeleteFunc(slices.Clone(w), func(v any) bool { return v == "…" })
			g = slices.DeleteFunc(slices.Clone(g), func(v any) bool {
				return !slices.ContainsFunc(w, func(o any) bool { return sameProvider(o, v) })
			})
		}
		if !ok || len(g) != len(w) {
			t.Errorf("%s is %v, want %v", where, got, want)
			return
		}
		for i := range w {
			s.compare(t, where, w[i], g[i])
		}
	case string:
		g, ok := got.(string)
		if !ok || !slices.Contains(people, name) && !s.matches(t, w, g) || g == "" {
			t.Errorf("%s is %q, want %q", where, got, w)
		}
	case float64:
		if g, ok := got.(float64); !ok || !slices.Contains(varying, name) && g != w ||
			slices.Contains(varying, name) && g <= 0 {
			t.Errorf("%s is %v, want %v", where, got, w)
		}
	default:
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s is %v, want %v", where, got, want)
		}
	}
}

// sameProvider reports whether two elements of a list are about the same provider or key.
func sameProvider(a, b any) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	return x != nil && y != nil && x["provider"] == y["provider"] && x["key"] == y["key"]
}

// matches compares a text with one that holds … and placeholders, and learns what new ones stand for.
func (s *speaker) matches(t *testing.T, want, got string) bool {
	pattern := regexp.QuoteMeta(want)
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	var learned []string
	pattern = placeholder.ReplaceAllStringFunc(pattern, func(p string) string {
		name := strings.Trim(p, "<>")
		if v, ok := s.known[name]; ok {
			return regexp.QuoteMeta(v)
		}
		learned = append(learned, name)
		return "(.+)"
	})
	found := regexp.MustCompile("^(?s:" + pattern + ")$").FindStringSubmatch(got)
	for i, name := range learned {
		if found == nil {
			return false
		}
		s.known[name] = found[i+1]
	}
	return found != nil
}

// TestSpecificationByHand runs the lines that the specification offers to people.
func TestSpecificationByHand(t *testing.T) {
	tier.Needs(t, "netcat", "python3")
	ran := 0
	for _, b := range blocks(t) {
		var cmd *exec.Cmd
		script := strings.Join(b.text, "\n")
		switch b.kind {
		case "sh":
			cmd = exec.CommandContext(t.Context(), "sh", "-euc", script)
		case "python":
			cmd = exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", script)
		default:
			continue
		}
		ran++
		t.Run(b.kind, func(t *testing.T) {
			h := in(t, "signed in")
			cmd.Env = append(os.Environ(), "GROAT_SOCKET="+h.socket)
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("Authorization: Bearer ey")) {
				t.Errorf("%v: %s (packaging/testing/install.sh brings nc and python3)", err, out)
			}
		})
	}
	if ran != 2 {
		t.Errorf("%d scripts, want one for a shell and one for Python", ran)
	}
}

// TestSpecificationIsComplete: whatever can be said stands in PROTOCOL.md.
func TestSpecificationIsComplete(t *testing.T) {
	text, err := os.ReadFile(specification)
	if err != nil {
		t.Fatal(err)
	}
	for method := range handlers {
		if !bytes.Contains(text, []byte("### "+method+"\n")) && method != protocol.MethodLoginInput {
			t.Errorf("the method %s has no section", method)
		}
		if !bytes.Contains(text, []byte(`"method":"`+method+`"`)) {
			t.Errorf("the method %s has no example", method)
		}
	}
	for _, kind := range []protocol.Kind{
		protocol.LoginRequired, protocol.Temporary, protocol.Locked, protocol.UnknownProfile, protocol.Config,
		protocol.KeystoreUnavailable,
	} { // nothing provokes denied and internal
		if !bytes.Contains(text, []byte(`"kind":"`+string(kind)+`"`)) {
			t.Errorf("the kind %s has no example", kind)
		}
	}
	for _, v := range []any{
		protocol.HelloResult{}, protocol.RejectParams{}, protocol.TokenResult{}, protocol.LoginParams{},
		protocol.Prompt{},
		protocol.LoginResult{},
		protocol.LogoutParams{}, protocol.LogoutResult{}, protocol.StatusParams{}, protocol.StatusResult{},
		protocol.ProfileStatus{},
		protocol.ProfilesParams{}, protocol.ProfilesResult{}, protocol.ProfileInfo{}, protocol.WhoamiParams{},
		protocol.WhoamiResult{},
		protocol.KeystoreParams{}, protocol.KeystoreResult{}, protocol.ReloadResult{}, protocol.ProvidersResult{},
		protocol.ProviderInfo{},
		protocol.BackupParams{}, protocol.BackupResult{}, protocol.BackupItem{}, protocol.BackupLeftOut{},
		protocol.RestoreParams{},
		protocol.RestoreResult{}, protocol.RestoreItem{}, protocol.ImportParams{}, protocol.ImportResult{},
		protocol.ImportFound{},
		protocol.ImportCopy{}, protocol.NetworkParams{}, protocol.NetworkResult{}, protocol.NetworkSetting{},
		protocol.Error{},
		protocol.ErrorData{}, protocol.WatchParams{}, protocol.Change{},
		protocol.ExportParams{}, protocol.ExportResult{}, protocol.Export{},
		protocol.FleetParams{}, protocol.FleetResult{}, protocol.FleetMachine{}, protocol.FleetProfile{},
	} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && !bytes.Contains(text, []byte("`"+name+"`")) &&
				!bytes.Contains(text, []byte("."+name+"`")) {
				t.Errorf("%T: the member %s is not explained", v, name)
			}
		}
	}
}
