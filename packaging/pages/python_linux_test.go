package pages

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// tokenLife is short, so that three of them can be lived through, and long enough for groatd to renew by itself.
const tokenLife = 10 * time.Second

// pythonPage is what says more than the README's block.
const pythonPage = "protocol/python/README.md"

// TestReadmePython runs the README's block of Python as it is printed, and goes on with its session as a person at
// the interpreter would, until the tokens of three lifetimes have been used and the first ones are refused. Before it
// runs each block of the package's own page.
func TestReadmePython(t *testing.T) {
	tier.Needs(t, "python3-requests", "python3-authlib", "python3-httpx", "python3-google-auth", "root")
	block := Find(t, "README.md", "import groat, requests")
	s := newServers(t)
	module := parts.Python(t)
	m := newMachine(t, newNetwork(t, withEarthEngine(t, s.hosts())), "PYTHONDONTWRITEBYTECODE=1",
		"PYTHONPATH="+module+":"+filepath.Join(module, "tests/standins"))
	m.work = m.dir
	m.usePrograms(parts.Binaries(t))
	m.signInByPython()
	m.pythonPage()

	s.spatiafi.SetTokenLifetime(tokenLife)
	m.run(Block{Page: "README.md", Text: "groat get work | groat get work --refused >/dev/null\n"}) // one that lives so
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-i", "-c", block.Text)
	cmd.Env, cmd.Dir = append(m.env, "PYTHONUNBUFFERED=1"), m.dir
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := m.net.start(cmd); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	next := func() string {
		t.Helper()
		if !lines.Scan() {
			cmd.Wait()
			t.Fatalf("python ended: %v\n%s", lines.Err(), &complaints)
		}
		return lines.Text()
	}
	if first := next(); !strings.HasPrefix(first, "{") {
		t.Errorf("the block printed %q", first)
	}
	issued := func(entries []sandbox.Entry) (n int) {
		for _, e := range entries {
			if e.Path == sandbox.SpatiafiTokenPath && e.Status == http.StatusOK {
				n++
			}
		}
		return n
	}
	// After each renewal the session is used. It may have the token before the newest, so four renewals are waited
	// for.
	for have := issued(s.spatiafi.Log()); have < 5; {
		err := s.spatiafi.Wait(ctx, func(entries []sandbox.Entry) bool { return issued(entries) > have })
		if err != nil {
			t.Fatal(err)
		}
		have = issued(s.spatiafi.Log())
		io.WriteString(stdin, "print(session.get('https://api.spatiafi.com/api/info').status_code)\n")
		if got := next(); got != "200" {
			t.Errorf("after %d tokens were issued the API answered %s", have, got)
		}
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("python ended: %v\n%s", err, &complaints)
	}
	used := map[string]bool{}
	for _, e := range s.spatiafi.Log() {
		if strings.HasPrefix(e.Path, "/api/info") {
			used[e.Token] = true
		}
	}
	if len(used) < 3 {
		t.Errorf("the session used %d different tokens, want three at least", len(used))
	}
}

// signInByPython signs in at a terminal, on a machine where nothing is chosen yet, and unlocks the keystore after the
// end of groatd. A passphrase and a password are typed; the device is approved by itself.
func (m *machine) signInByPython() {
	m.t.Helper()
	python := func(program string, shows ...string) {
		m.t.Helper()
		shown := m.run(Block{Page: pythonPage, Text: "/usr/bin/python3 -W error -c 'import groat\n" + program + "'\n"})
		for _, text := range shows {
			if !strings.Contains(shown, text) {
				m.t.Errorf("at a terminal is not shown %q:\n%s", text, shown)
			}
		}
		for _, secret := range []string{password, passphrase} {
			if strings.Contains(shown, secret) {
				m.t.Errorf("a secret is shown:\n%s", shown)
			}
		}
	}
	python(`groat.login("work", keystore="passphrase", provider="spatiafi", username="you@example.com")`,
		"The same again: ", "signed in: profile work", "created: App Credentials")
	python(`groat.login("work", keystore="passphrase")`, "already signed in: profile work") // the cell is run again
	m.endDaemon()
	python("print(groat.ready(\"work\"))\ngroat.unlock()\nprint(groat.ready(\"work\"))", "False\n", "True\n",
		"keystore: sealed (key: passphrase), ok")
	python("groat.unlock()", "keystore: sealed (key: passphrase), ok") // nothing is asked
	python(`groat.login("quake", provider="earthscope")`, "https://login.earthscope.org/", "  code: ",
		"signed in: profile quake")
}

// withEarthEngine adds Google's hosts to others: its authorization server, and an Earth Engine that adds one and one for
// whoever has a token of that server's and names a project.
func withEarthEngine(t *testing.T, hosts map[string]http.Handler) map[string]http.Handler {
	google := sandbox.New(sandbox.Options{
		URL: "https://accounts.google.com", Dialect: sandbox.Google, Consent: sandbox.ConsentAllow,
		Users:   []sandbox.User{{Name: "you@example.com", Password: password}},
		Clients: []sandbox.Client{{ID: "YOUR-CLIENT-ID", Secret: password, RedirectURIs: []string{"http://127.0.0.1"}}},
	})
	t.Cleanup(google.Close)
	hosts["accounts.google.com"], hosts["oauth2.googleapis.com"] = google, google
	hosts["earthengine.googleapis.com"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verdict := httptest.NewRecorder()
		asked := httptest.NewRequest(http.MethodGet, "/api/info", nil)
		asked.Header.Set("Authorization", r.Header.Get("Authorization"))
		google.ServeHTTP(verdict, asked)
		if verdict.Code != http.StatusOK || r.Header.Get("X-Goog-User-Project") != "YOUR-PROJECT" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"result":2}`)
	})
	return hosts
}

// wordsOfGroat are how R and Julia spell the one command of groat's that they run.
var wordsOfGroat = regexp.MustCompile("\"groat\", c\\(\"get\", profile, \"--output\", \"header\"\\)|" +
	"`groat get \\$profile --output header`")

// pythonPage runs each block of the page of the Python package. Of R the interpreter is there for "make proof
// PART=notebooks" (GROAT_RSCRIPT), and of Julia none; of both the command that they run is always run.
func (m *machine) pythonPage() {
	m.t.Helper()
	m.write("app_credentials.json", fmt.Sprintf(`{"user_id":"dummy","client_id":%q,"client_secret":%q}`, tutorialClient,
		password), 0o600)
	m.write("home/.local/bin/xdg-open", "#!/bin/sh\nexec curl -sSfL -o /dev/null \"$1\"\n", 0o755)
	rscript := os.Getenv("GROAT_RSCRIPT")
	shown := map[string]int{}
	for _, b := range Blocks(m.t, pythonPage) {
		command := ""
		switch b.Language {
		case "sh":
			command = b.Text
			if strings.Contains(command, "--provider google") { // a browser there
				command = "export DISPLAY=:0\n" + command
			}
		case "python":
			command = "/usr/bin/python3 -W error - <<'END'\n" + b.Text + "END\n"
		case "r", "julia":
			if wordsOfGroat.MatchString(b.Text) {
				m.run(Block{Page: b.Page, Line: b.Line, Text: "groat get work --output header | grep -q '^Authorization: '\n"})
			} else if !strings.Contains(b.Text, `"~/work.header"`) {
				m.t.Errorf("%s:%d runs a command that this test does not know", b.Page, b.Line)
			}
			if b.Language == "r" && rscript != "" {
				command = rscript + " - <<'END'\n" + b.Text + "END\n"
			}
		default:
			m.t.Errorf("%s:%d: nothing runs this block (%q)", b.Page, b.Line, b.Language)
		}
		if command == "" {
			continue
		}
		said := m.run(Block{Page: b.Page, Line: b.Line, Text: command})
		if strings.Contains(said, "user_id") {
			shown[b.Language]++
		}
		if strings.Contains(b.Text, "import ee") && strings.TrimSpace(said) != "2" {
			m.t.Errorf("%s:%d: Earth Engine says that one and one is %q", b.Page, b.Line, said)
		}
	}
	want := map[string]int{"python": 3}
	if rscript != "" {
		want["r"] = 2
		version, err := exec.CommandContext(m.t.Context(), rscript, "-e", "cat(R.version.string)").Output()
		if err != nil {
			m.t.Error(err)
		}
		m.t.Logf("notebooks: both blocks of R on the page, with %s", version)
	}
	if fmt.Sprint(shown) != fmt.Sprint(want) {
		m.t.Errorf("the API's answer is shown by %v blocks, want %v", shown, want)
	}
	header, err := os.ReadFile(filepath.Join(m.dir, "home/work.header"))
	if err != nil || !strings.HasPrefix(string(header), "Authorization: Bearer ") {
		m.t.Errorf("the header file: %v", err)
	}
}
