package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// registry is one of images, with a token endpoint that wants a credential: what a client sends there is noted.
// It is written from the distribution specification and docker's "Token Authentication Specification".
type registry struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // the user names and secrets of the credentials, and "none"
}

const (
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	configType   = "application/vnd.docker.container.image.v1+json"
	imageConfig  = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`
)

func digest(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

func newRegistry(t *testing.T) *registry {
	r := &registry{}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":%d,"digest":%q},`+
		`"layers":[]}`, manifestType, configType, len(imageConfig), digest(imageConfig))
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.URL.Path == "/token":
			user, secret, ok := q.BasicAuth()
			r.note(ok, user+" "+secret)
			if secret != "git-token" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprint(w, `{"token":"for-this-image"}`)
		case q.Header.Get("Authorization") != "Bearer for-this-image":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+r.URL+`/token",service="registry",`+
				`scope="repository:team/image:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(q.URL.Path, "/v2/team/image/manifests/"):
			w.Header().Set("Content-Type", manifestType)
			w.Header().Set("Docker-Content-Digest", digest(manifest))
			fmt.Fprint(w, manifest)
		case q.URL.Path == "/v2/team/image/blobs/"+digest(imageConfig):
			fmt.Fprint(w, imageConfig)
		case q.URL.Path == "/v2/":
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *registry) note(given bool, credential string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !given {
		credential = "none"
	}
	r.seen = append(r.seen, credential)
}

// look returns the credentials since the last look, each once.
func (r *registry) look() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Compact(r.seen)
	r.seen = nil
	return all
}

// imageClients are programs that ask docker-credential-groat, each with the arguments that read an image's manifest.
func imageClients(t *testing.T) map[string]func(registry string) []string {
	tier.Needs(t, "skopeo")
	all := map[string]func(string) []string{"skopeo": func(at string) []string {
		return []string{"inspect", "--raw", "--tls-verify=false", "docker://" + at + "/team/image"}
	}}
	parts.Client(t, "docker", "skopeo", "--version")
	if _, err := exec.LookPath("docker"); err != nil {
		parts.NoClient(t, "docker", "docker", "Debian has it only together with its service, which nothing here starts")
	} else {
		parts.Client(t, "docker", "docker", "--version")
		all["docker"] = func(at string) []string {
			return []string{"manifest", "inspect", "--insecure", at + "/team/image"}
		}
	}
	return all
}

// imageHome makes a home directory in which groat is the helper for a registry and no other.
func imageHome(t *testing.T, at string) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"credHelpers":{%q:"groat"}}`, at)
	if err := os.WriteFile(filepath.Join(home, ".docker", "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// runImageClient runs a client in a home directory.
func runImageClient(t *testing.T, socket, home, client string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, client, args...)
	cmd.Env = append([]string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home,
		"PATH=" + bin + ":/usr/local/bin:/usr/bin:/bin", "no_proxy=127.0.0.1", "GROAT_SOCKET=" + socket, "GROAT_NO_AUTOSTART=1"}, runtimeEnv...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func TestDockersClientsAreAnswered(t *testing.T) {
	for client, read := range imageClients(t) {
		t.Run(client, func(t *testing.T) {
			r := newRegistry(t)
			at, target := strings.TrimPrefix(r.URL, "http://"), r.URL+"/"
			f, home := tokenDaemon(t, &target), imageHome(t, at)
			got := runImageClient(t, f.socket, home, client, read(at)...)
			if got.code != 0 || !strings.Contains(got.stdout, digest(imageConfig)) ||
				strings.Contains(got.stderr, "groat") {
				t.Errorf("%+v", got)
			}
			if seen := r.look(); !slices.Equal(seen, []string{"oauth2 git-token"}) {
				t.Errorf("the registry saw %q", seen)
			}

			// A registry of no profile gets nothing, and nobody is told so.
			elsewhere := "https://other.example/"
			got = runImageClient(t, tokenDaemon(t, &elsewhere).socket, home, client, read(at)...)
			if got.code == 0 || strings.Contains(got.stderr, "groat") {
				t.Errorf("%+v", got)
			}
			if seen := r.look(); slices.ContainsFunc(seen, func(s string) bool { return s != "none" }) {
				t.Errorf("a registry of no profile saw %q", seen)
			}

			// Where no groatd runs the person is told.
			got = runImageClient(t, "/nonexistent/s", home, client, read(at)...)
			if got.code == 0 || !strings.Contains(got.stderr, "groat: groatd does not run") {
				t.Errorf("without a groatd: %+v", got)
			}
			if seen := r.look(); slices.ContainsFunc(seen, func(s string) bool { return s != "none" }) {
				t.Errorf("without a groatd the registry saw %q", seen)
			}
		})
	}
}

// Signing out of a registry makes groat get another token, once.
func TestSkopeoSignsOut(t *testing.T) {
	tier.Needs(t, "skopeo")
	target := "https://registry.example/"
	f, home := tokenDaemon(t, &target), imageHome(t, "registry.example")
	got := runImageClient(t, f.socket, home, "skopeo", "logout", "--authfile",
		filepath.Join(home, ".docker", "config.json"), "registry.example")
	if got.code != 0 {
		t.Errorf("%+v", got)
	}
	refused := 0
	for _, r := range f.requests() {
		if r.Method == "reject" && r.Params["access_token"] == "git-token" && r.Params["target"] == target {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%+v", f.requests())
	}
}

func TestDockerIsTold(t *testing.T) {
	answer := ""
	f := newFakeDaemon(t, func(request) string { return answer })
	for _, tt := range []struct {
		answer, stdin string
		args          []string
		want          outcome
	}{
		{`"error":{"code":-32001,"message":"profile work\nis not signed in","data":{"kind":"login_required",` +
			`"hint":"groat login work"}}`, "h.example", []string{"get"},
			outcome{1, "groat: profile work is not signed in (groat login work)\n",
				"groat: profile work is not signed in (groat login work)\n"}},
		{`"error":{"code":-32005,"message":"two","data":{"kind":"unknown_profile","choices":` +
			`{"home":"https://h.example","work":"https://h.example"}}}`, "h.example", []string{"get"},
			outcome{1, "groat: two (export GROAT_PROFILE=home)\n", "groat: two (export GROAT_PROFILE=home)\n"}},
		{`"error":{"code":-32005,"message":"none","data":{"kind":"unknown_profile"}}`, "h.example", []string{"get"},
			outcome{1, "credentials not found in native keychain\n", ""}},
		{"", "", []string{"get"}, outcome{1, "no credentials server URL\n", ""}},
		{"", "", []string{"later"}, outcome{1, "the operation is none of get, store, erase, list and version\n", ""}},
		{"", "", nil, outcome{1, "the operation is none of get, store, erase, list and version\n", ""}},
		{"", "", []string{"version"}, outcome{0, "docker-credential-groat (github.com/groat-dev/groat) dev\n", ""}},
		{"", `{"ServerURL":"h.example","Username":"me","Secret":"pass word"}`, []string{"store"},
			outcome{1, "groat: groat keeps no passwords, so this one was not stored (groat login)\n",
				"groat: groat keeps no passwords, so this one was not stored (groat login)\n"}},
	} {
		answer = tt.answer
		if got := run(t, f.socket, tt.stdin, append([]string{"helper", "docker"}, tt.args...)...); got != tt.want {
			t.Errorf("%q: %+v", tt.args, got)
		}
	}
}
