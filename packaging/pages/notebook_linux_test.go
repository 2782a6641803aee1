package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// notebooks are those of protocol/python/notebooks, each with the server that signs in, the host of its API, and what
// is on the page once it has run.
var notebooks = map[string]struct {
	server  func(servers) *sandbox.Server
	api     string
	typed   []string // in the first cell
	answers string   // of the API
	shows   []string // by the end
}{
	"climateengine.ipynb": {
		server: func(s servers) *sandbox.Server { return s.climate }, api: "api.climateengine.net",
		typed: []string{password}, answers: `{"values":[1.5]}`,
		shows: []string{"signed in: profile climate", "you@example.com", "2018 200\n", "2023 200\n", "<th>what to do</th>"},
	},
	"spatiafi.ipynb": {
		server: func(s servers) *sandbox.Server { return s.spatiafi }, api: "api.spatiafi.com",
		typed: []string{password}, answers: `{"item":"demo"}`,
		shows: []string{"signed in: profile spatiafi", "'item': 'demo'", "5 200\n", "<th>what to do</th>"},
	},
	"earthscope.ipynb": {
		server: func(s servers) *sandbox.Server { return s.earthscope }, api: "gage-data.earthscope.org",
		answers: strings.Repeat("dummy observations ", 10_000),
		shows:   []string{"signed in: profile quake", "p1230010.23d.Z", "p1230070.23d.Z 190000\n", "<th>what to do</th>"},
	},
	"planet.ipynb": {
		server: func(s servers) *sandbox.Server { return s.planet }, api: "api.planet.com",
		answers: `{"mosaics":[{"name":"global_monthly_2023_01_mosaic"},{"name":"global_monthly_2023_02_mosaic"}]}`,
		shows: []string{"signed in: profile sat", "'global_monthly_2023_02_mosaic'",
			"global_monthly_2023_01_mosaic global_monthly_2023_02_mosaic\n", "<th>what to do</th>"},
	},
}

// TestNotebooks runs the notebooks of the Python package as they are, in a real Jupyter kernel, in a network in which
// the providers' names lead to sandboxes, for longer than three tokens live; the kernel and groatd are stopped for
// longer than one of them, while a cell runs. Nothing fails, and no secret is in anything that is left. One runs
// always, and all of them, with tokens of 20 s, for "make proof PART=notebooks".
func TestNotebooks(t *testing.T) {
	tier.Needs(t, "python3-ipykernel", "python3-nbclient", "python3-requests", "python3-authlib", "root")
	programs := parts.Binaries(t)
	life, all := 4*time.Second, os.Getenv("GROAT_NOTEBOOKS") == "all"
	if all {
		life = 20 * time.Second
	}
	for name := range notebooks {
		if all || name == "climateengine.ipynb" {
			t.Run(name, func(t *testing.T) { testNotebook(t, name, programs, life) })
		}
	}
}

// TestNotebooksAreClean: what is in the repository has not been run, and each is in the table.
func TestNotebooksAreClean(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(Root(), "protocol/python/notebooks"))
	if err != nil || len(entries) != len(notebooks) {
		t.Fatalf("%d notebooks, want %d: %v", len(entries), len(notebooks), err)
	}
	for _, e := range entries {
		var is struct {
			Cells []struct {
				Type    string `json:"cell_type"`
				Count   *int   `json:"execution_count"`
				Outputs []any
			}
		}
		text, err := os.ReadFile(filepath.Join(Root(), "protocol/python/notebooks", e.Name()))
		if err == nil {
			err = json.Unmarshal(text, &is)
		}
		if _, ok := notebooks[e.Name()]; err != nil || !ok || len(is.Cells) < 4 {
			t.Errorf("%s: %d cells, known: %v, %v", e.Name(), len(is.Cells), ok, err)
		}
		for n, cell := range is.Cells {
			if cell.Count != nil || len(cell.Outputs) > 0 {
				t.Errorf("cell %d of %s has been run", n, e.Name())
			}
		}
	}
}

func testNotebook(t *testing.T, name, programs string, life time.Duration) {
	is := notebooks[name]
	s := newServers(t)
	issuer := is.server(s)
	issuer.SetTokenLifetime(life)
	watched := &secrets{}
	watched.add("the password", password)
	hosts := map[string]http.Handler{}
	for host, h := range s.hosts() {
		hosts[host] = watched.watch(h)
	}
	api := &slowAPI{t: t, issuer: issuer, answer: is.answers, life: life}
	hosts[is.api] = api
	m := newMachine(t, newNetwork(t, hosts))
	m.work = m.dir
	m.usePrograms(programs)
	m.run(Block{Page: name, Text: "groat keystore use sealed --key-file\n"})

	k := m.openNotebook(name)
	api.asleep = func(refused func() bool) {
		k.signal(syscall.SIGSTOP)
		defer k.signal(syscall.SIGCONT)
		until(t, "the API refuses the token", refused)
	}
	typed := is.typed
	for n, source := range k.cells {
		if source == nil {
			continue
		}
		k.run(n, typed...)
		typed = nil
	}
	api.verdict(t)
	page := k.page()
	for _, text := range is.shows {
		if !strings.Contains(page, strings.ReplaceAll(text, "\n", `\n`)) && !strings.Contains(page, text) {
			t.Errorf("the notebook does not show %q:\n%s", text, page)
		}
	}
	if name == "climateengine.ipynb" {
		testTyped(t, k, s)
	}
	if what := watched.in(k.environment() + m.ofProcess(m.groatd()) + k.said.String()); what != "" {
		t.Errorf("the kernel's environment, groatd's or an output holds %s", what)
	}
	read := watched.inFiles(t, m.dir)
	checkpoint := filepath.Join(m.dir, "notebooks/.ipynb_checkpoints", strings.Replace(name, ".", "-checkpoint.", 1))
	if text, err := os.ReadFile(checkpoint); err != nil || !strings.Contains(string(text), "signed in: profile") {
		t.Errorf("the checkpoint is none: %v", err)
	}
	t.Logf("notebooks: with %s", k.versions)
	t.Logf("notebooks: %s: %s; %d secrets are in none of %d files and no environment or output", name, api.summary(),
		watched.n, read)
}

// page returns the notebook as it was saved.
func (k *kernel) page() string {
	k.t.Helper()
	text, err := os.ReadFile(k.path)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(text)
}

// slowAPI is an API that takes its issuer's tokens. It answers its first request at once, and each later one when the
// token of the request has ended meanwhile, until three lives of a token have passed.
type slowAPI struct {
	t      *testing.T
	issuer *sandbox.Server
	answer string
	life   time.Duration
	asleep func(refused func() bool) // called during one of the requests

	mu          sync.Mutex
	first, last time.Time
	slept       time.Duration
	requests    int
	tokens      map[string]bool
	refused     []string
}

func (a *slowAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	accepts := func() bool {
		asked := httptest.NewRequest(http.MethodGet, "/api/info", nil)
		asked.Header.Set("Authorization", r.Header.Get("Authorization"))
		verdict := httptest.NewRecorder()
		a.issuer.ServeHTTP(verdict, asked)
		return verdict.Code == http.StatusOK
	}
	good := accepts()
	a.mu.Lock()
	a.requests++
	n := a.requests
	if a.tokens == nil {
		a.tokens, a.first = map[string]bool{}, time.Now()
	}
	a.tokens[r.Header.Get("Authorization")] = true
	if !good {
		a.refused = append(a.refused, r.URL.String())
	}
	long := time.Since(a.first) > 3*a.life
	a.mu.Unlock()
	switch {
	case !good:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case n == 3:
		began := time.Now()
		a.asleep(func() bool { return !accepts() && time.Since(began) > a.life })
		a.mu.Lock()
		a.slept = time.Since(began)
		a.mu.Unlock()
	case n > 1 && !long:
		until(a.t, "the token ends", func() bool { return !accepts() })
	}
	a.mu.Lock()
	a.last = time.Now()
	a.mu.Unlock()
	fmt.Fprint(w, a.answer)
}

// verdict complains where a request was refused, or the job was too short to say anything.
func (a *slowAPI) verdict(t *testing.T) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	// A token of the shortest life may end on its way, on a busy machine: then groat.auth has it replaced.
	if len(a.refused) > 0 && a.life > 10*time.Second || len(a.tokens) < 4 || a.last.Sub(a.first) < 3*a.life || a.slept < a.life {
		t.Errorf("%d requests, %d tokens, for %v, of which asleep %v; refused were %v", a.requests, len(a.tokens),
			a.last.Sub(a.first), a.slept, a.refused)
	}
}

func (a *slowAPI) summary() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("%d requests with %d tokens of %v, for %v, of which the kernel and groatd were stopped for %v",
		a.requests, len(a.tokens), a.life, a.last.Sub(a.first).Round(time.Second), a.slept.Round(time.Second))
}

// until waits for what nobody announces.
func until(t *testing.T, what string, done func() bool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Error("this does not happen: " + what)
			return
		}
	}
}
