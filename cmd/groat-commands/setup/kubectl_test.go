package setup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

var cluster = setup.Profile{Name: "work", APIs: []string{"https://k.example:6443", "https://d.example"}}

const kubeItem = `- name: groat-work
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      args:
      - helper
      - kubectl
      - work
      command: /opt/groat/bin/groat
      env: null
      interactiveMode: Never
      provideClusterInfo: true
`

const kubeConfig = `# mine
apiVersion: v1
kind: Config
current-context: c
clusters:
- cluster:
    server: https://k.example:6443
  name: c
- name: elsewhere
  cluster: {server: "https://elsewhere.example"}
contexts:
- context:
    cluster: c
    user: u # the old one
  name: c
# the other
- name: e
  context:
    cluster: elsewhere
    user: u
preferences: {}
users:
- name: u
  user:
    token: abc
`

// The contexts of the profile's clusters get a user of their own, and nothing else changes; the undo leaves the file as
// it was.
func TestKubectl(t *testing.T) {
	tier.Needs(t, "kubectl")
	indented := strings.NewReplacer("users:\n- name: u\n  user:\n    token: abc\n",
		"users:\n  - name: u\n    user:\n      token: abc\n# end\n").Replace(kubeConfig)
	after := strings.Replace(kubeConfig, "user: u # the", "user: groat-work # the", 1)
	for name, tt := range map[string]struct{ before, after string }{
		"lists": {kubeConfig, after + kubeItem},
		"indented": {indented, strings.Replace(strings.Replace(indented, "user: u # the", "user: groat-work # the", 1),
			"# end\n", "  "+strings.TrimSuffix(strings.ReplaceAll(kubeItem, "\n", "\n  "), "  ")+"# end\n", 1)},
		"no users": {strings.Replace(kubeConfig, "users:\n- name: u\n  user:\n    token: abc\n", "users: []\n", 1),
			strings.Replace(after, "users:\n- name: u\n  user:\n    token: abc\n", "users:\n"+kubeItem, 1)},
		"no list of users": {strings.Replace(kubeConfig, "users:\n- name: u\n  user:\n    token: abc\n", "", 1),
			strings.Replace(after, "users:\n- name: u\n  user:\n    token: abc\n", "users:\n"+kubeItem, 1)},
		"CRLF":           {crlf(kubeConfig), crlf(after + kubeItem)},
		"no end of line": {strings.TrimSuffix(kubeConfig, "\n"), after + strings.TrimSuffix(kubeItem, "\n")},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			path := filepath.Join(m.Home, ".kube", "config")
			write(t, path, tt.before, 0o600)
			goesBack(t, m, setup.Find("kubectl"), cluster, func() {
				b, err := os.ReadFile(path)
				if diff := cmp.Diff(tt.after, string(b)); err != nil || diff != "" {
					t.Error(diff, err)
				}
			})
		})
	}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// Of several files the one with the context is changed, whichever has the cluster.
func TestKubectlFiles(t *testing.T) {
	tier.Needs(t, "kubectl")
	m := machine(t)
	clusters, contexts := filepath.Join(m.Home, "a"), filepath.Join(m.Home, "b")
	m.Getenv = func(name string) string {
		return map[string]string{"KUBECONFIG": clusters + "::" + m.Home + "/none:" + contexts}[name]
	}
	write(t, clusters, "clusters:\n- name: c\n  cluster:\n    server: https://d.example:443/x\n", 0o600)
	write(t, contexts, "contexts:\n- name: c\n  context:\n    cluster: c\n    user: u\n", 0o600)
	goesBack(t, m, setup.Find("kubectl"), cluster, func() {
		b, err := os.ReadFile(contexts)
		if want := "contexts:\n- name: c\n  context:\n    cluster: c\n    user: groat-work\nusers:\n" +
			kubeItem; err != nil || string(b) != want {
			t.Errorf("%s %v", b, err)
		}
	})
}

// kubectl writes the whole file anew when it changes anything. The undo finds groat's part there.
func TestKubectlUndoAfterKubectl(t *testing.T) {
	tier.Needs(t, "kubectl")
	m := machine(t)
	path := filepath.Join(m.Home, ".kube", "config")
	write(t, path, kubeConfig, 0o600)
	plan, err := m.Setup(t.Context(), setup.Find("kubectl"), cluster)
	apply(t, plan, err)
	kubectl(t, path, "config", "use-context", "e")
	plan, err = m.Undo(setup.Find("kubectl"), "work")
	if left := apply(t, plan, err).Left; len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "groat") ||
		strings.Count(string(b), "    user: u\n") != 2 {
		t.Errorf("%s %v", b, err)
	}
}

func TestKubectlIsRefused(t *testing.T) {
	tier.Needs(t, "kubectl")
	for name, tt := range map[string]struct {
		content string
		want    setup.Reason
		line    int
	}{
		"no file":                    {"", setup.NoContext, 0},
		"no cluster of the API":      {strings.ReplaceAll(kubeConfig, "k.example", "other.example"), setup.NoContext, 0},
		"not parseable":              {"a: b\nc: [\n", setup.BadLine, 2},
		"JSON":                       {`{"clusters":[{"name":"c","cluster":{"server":"https://k.example:6443"}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}`, setup.BadLine, 1},
		"a user that is not groat's": {kubeConfig + "- name: groat-work\n  user:\n    token: abc\n", setup.BadLine, 26},
		"a context in flow style":    {strings.Replace(kubeConfig, "- context:\n    cluster: c\n    user: u # the old one\n", "- context: {cluster: c, user: u}\n", 1), setup.BadLine, 11},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			path := filepath.Join(m.Home, ".kube", "config")
			if tt.content != "" {
				write(t, path, tt.content, 0o600)
			}
			_, err := m.Setup(t.Context(), setup.Find("kubectl"), cluster)
			if e, _ := err.(*setup.Error); e == nil || e.Reason != tt.want || e.Line != tt.line {
				t.Errorf("%+v", err)
			}
		})
	}
}

// kubectl runs kubectl on a file.
func kubectl(t *testing.T, path string, args ...string) {
	t.Helper()
	out, err := command(t, "kubectl", append([]string{"--kubeconfig", path}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
