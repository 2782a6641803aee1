package e2e_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// After "groat setup git" a plain git, with a PATH that does not have groat, sends the token, and the helper that the
// person has does not get it to write to disk. The undo leaves the file as it was.
func TestSetupGit(t *testing.T) {
	u := newGitUser(t)
	server := newGitServer(t, `Basic realm="git"`)
	u.signIn("work", server.URL+"/team")
	const before = "# mine\n[credential]\n\thelper = store\n"
	u.put(".gitconfig", before)
	u.groat("", "setup", "git", "work", "--yes")
	u.vars = append(u.vars, "PATH=/usr/bin:/bin")
	u.arrives(server, server.URL+"/team/a.git", "work")
	clone := filepath.Join(u.home, "clone")
	if r := u.run("", u.program, "clone", server.URL+"/team/a.git", clone); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if sent := server.look(); len(sent) == 0 {
		t.Error("the clone came without a token")
	}
	if r := u.run("", u.program, "ls-remote", server.URL+"/other/a.git"); r.code == 0 || len(server.look()) > 0 {
		t.Errorf("another path of the server: %+v", r)
	}
	if _, err := os.Lstat(filepath.Join(u.home, ".git-credentials")); err == nil {
		t.Error("git wrote the token to disk")
	}
	if said := u.groat("", "setup", "git", "work", "--yes"); !strings.Contains(said, "nothing to change") {
		t.Error(said)
	}
	u.groat("", "setup", "git", "work", "--undo", "--yes")
	if now := u.file(".gitconfig"); now != before {
		t.Errorf("%q", now)
	}
	if r := u.run("", u.program, "ls-remote", server.URL+"/team/a.git"); r.code == 0 || len(server.look()) > 0 {
		t.Errorf("after the undo: %+v", r)
	}
}

// Where two profiles have an account at one server, the one that was set up last is asked.
func TestSetupGitTwoAccounts(t *testing.T) {
	u := newGitUser(t)
	server := newGitServer(t, `Basic realm="git"`)
	u.signIn("work", server.URL)
	u.signIn("home", server.URL)
	for _, profile := range []string{"work", "home"} {
		u.groat("", "setup", "git", profile, "--yes")
		u.arrives(server, server.URL+"/a.git", profile)
	}
	u.groat("", "setup", "git", "home", "--undo", "--yes")
	u.arrives(server, server.URL+"/a.git", "work")
}

// After "groat setup docker" skopeo brings an image to a registry; the link that it needs is made, and goes again.
func TestSetupDocker(t *testing.T) {
	t.Parallel()
	registry := startImageRegistry(t)
	u := newUserEnv(t, os.Getuid())
	if _, err := u.addServer("AUTH", "path=/tenant"); err != nil {
		t.Fatal(err)
	}
	// Programs without the other names of groat.
	link := filepath.Join(u.home, ".local", "bin", "docker-credential-groat")
	programs := filepath.Join(u.home, "programs")
	for _, name := range []string{"groat", "groat-commands", "groatd"} {
		if err := os.MkdirAll(programs, 0o500|0o200); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(bin, name), filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	u.vars = append(u.vars, "no_proxy=127.0.0.1", "PATH="+filepath.Dir(link)+":/usr/bin:/bin")
	u.start()
	u.groat("", "keystore", "use", "sealed", "--key-file")
	u.groat(u.secret, "login", "images", "--token-url", u.servers["AUTH"].URL()+"/tenant/token", "--client-id", labClient,
		"--client-auth", "client_secret_basic", "--api", "http://"+registry.host, "--secret-stdin")
	const before = `{"auths":{"registry.example":{"auth":"YW5uOnNlY3JldA=="}},"psFormat":"x"}`
	u.put(".docker/config.json", before)
	if said := u.groat("", "setup", "docker", "images", "--yes"); strings.Contains(said, "YW5u") ||
		!strings.Contains(said, link) {
		t.Error(said)
	}
	registry.wants(strings.TrimSpace(u.groat("", "get", "images")))
	name := "docker://" + registry.host + "/team/image:1"
	for _, args := range [][]string{
		{"copy", "--insecure-policy", "--dest-tls-verify=false", "oci:" + registry.image(), name},
		{"inspect", "--raw", "--tls-verify=false", name},
	} {
		if r := u.run("", "/usr/bin/skopeo", args...); r.code != 0 {
			t.Errorf("%+v", r)
		}
	}
	u.groat("", "setup", "docker", "--undo", "--yes")
	if now := u.file(".docker/config.json"); now != before {
		t.Errorf("%q", now)
	}
	if _, err := os.Lstat(link); err == nil {
		t.Error("the link is still there")
	}
}

// clusterAPI is as much of a cluster as "kubectl get --raw" asks for.
type clusterAPI struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // the Authorization headers of those requests
}

// After "groat setup kubectl" a plain kubectl sends the token to the cluster of the profile, and to no other.
func TestSetupKubectl(t *testing.T) {
	tier.Needs(t, "kubectl")
	api := &clusterAPI{}
	api.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.mu.Lock()
		defer api.mu.Unlock()
		if r.URL.Path == "/livez" { // some builds of kubectl ask for the version first, without a token
			api.seen = append(api.seen, r.Header.Get("Authorization"))
		}
		fmt.Fprint(w, "alive")
	}))
	t.Cleanup(api.Close)
	u := newUserEnv(t, os.Getuid())
	if _, err := u.addServer("AUTH", "path=/tenant"); err != nil {
		t.Fatal(err)
	}
	u.vars = append(u.vars, "no_proxy=127.0.0.1")
	u.start()
	u.groat("", "keystore", "use", "sealed", "--key-file")
	u.groat(u.secret, "login", "lab", "--token-url", u.servers["AUTH"].URL()+"/tenant/token", "--client-id", labClient,
		"--client-auth", "client_secret_basic", "--api", api.URL, "--secret-stdin")
	u.put("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})))
	before := fmt.Sprintf(`# mine
apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster:
    server: %s
    certificate-authority: %s/ca.pem
contexts:
- name: lab
  context:
    cluster: lab
    user: nobody # yet
`, api.URL, u.home)
	u.put(".kube/config", before)
	u.groat("", "setup", "kubectl", "lab", "--yes")
	u.vars = append(u.vars, "PATH=/usr/bin:/bin")
	program := "/usr/bin/kubectl"
	if r := u.run("", program, "get", "--raw", "/livez"); r.code != 0 || r.stdout != "alive" {
		t.Errorf("%+v", r)
	}
	token := strings.TrimSpace(u.groat("", "get", "lab"))
	api.mu.Lock()
	if seen := slices.Compact(api.seen); !slices.Equal(seen, []string{"Bearer " + token}) {
		t.Errorf("the cluster saw %q", strings.ReplaceAll(fmt.Sprint(seen), token, "TOKEN"))
	}
	api.mu.Unlock()
	u.groat("", "setup", "kubectl", "lab", "--undo", "--yes")
	if now := u.file(".kube/config"); now != before {
		t.Errorf("%q", now)
	}
}
