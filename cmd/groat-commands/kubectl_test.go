package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// kubeServer is as much of a cluster's API as "kubectl get --raw" asks for, and takes one token.
type kubeServer struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // the Authorization headers
}

func newKubeServer(t *testing.T, token string) *kubeServer {
	s := &kubeServer{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization := r.Header.Get("Authorization")
		s.mu.Lock()
		s.seen = append(s.seen, authorization)
		s.mu.Unlock()
		if authorization != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "alive")
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *kubeServer) look() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.seen
	s.seen = nil
	return was
}

// kubectl runs the machine's kubectl with groat as its plugin, by a version of the protocol.
func (s *kubeServer) kubectl(t *testing.T, socket, version string, clusterInfo bool, args ...string) outcome {
	t.Helper()
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: s.Certificate().Raw}))
	plugin := map[string]any{"apiVersion": "client.authentication.k8s.io/" + version,
		"command": filepath.Join(bin, "groat"), "args": append([]string{"helper", "kubectl"}, args...), "provideClusterInfo": clusterInfo}
	if version == "v1" {
		plugin["interactiveMode"] = "Never"
	}
	type named = []map[string]any
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": named{{"name": "c", "cluster": map[string]any{"server": s.URL, "certificate-authority-data": ca}}},
		"contexts": named{{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
		"users":    named{{"name": "u", "user": map[string]any{"exec": plugin}}},
	})
	home := t.TempDir()
	config := filepath.Join(home, "config")
	if err == nil {
		err = os.WriteFile(config, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", "--kubeconfig", config, "get", "--raw", "/livez")
	cmd.Env = append([]string{"HOME=" + home, "PATH=/usr/local/bin:/usr/bin:/bin", "no_proxy=127.0.0.1",
		"GROAT_SOCKET=" + socket, "GROAT_NO_AUTOSTART=1"}, runtimeEnv...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// kubectlVersions returns the versions of the protocol that the machine's kubectl knows: v1 came with 1.22.
func kubectlVersions(t *testing.T) []string {
	tier.Needs(t, "kubectl")
	parts.Client(t, "kubectl", "kubectl", "version", "--client")
	out, err := exec.CommandContext(t.Context(), "kubectl", "version", "--client", "-o", "json").Output()
	var v struct{ ClientVersion struct{ Minor string } }
	if err == nil {
		err = json.Unmarshal(out, &v)
	}
	minor, err2 := strconv.Atoi(strings.TrimRight(v.ClientVersion.Minor, "+"))
	if err != nil || err2 != nil {
		t.Fatalf("kubectl version: %v %v: %s", err, err2, out)
	}
	if minor < 22 {
		return []string{"v1beta1"}
	}
	return []string{"v1beta1", "v1"}
}

func TestKubectlIsAnswered(t *testing.T) {
	const future = `"expires_at":4000000000,"expires_in":839,"profile":"work"`
	for _, version := range kubectlVersions(t) {
		t.Run(version, func(t *testing.T) {
			answer := ""
			f := newFakeDaemon(t, func(r request) string {
				switch {
				case answer != "":
					return answer
				case r.Params["token_use"] == "id":
					return `"result":{"id_token":"h.p.s","token_use":"id","header":"Authorization: Bearer h.p.s",` +
						future + `}`
				}
				return `"result":{"access_token":"tok-1","token_type":"Bearer",` +
					`"header":"Authorization: Bearer tok-1",` + future + `}`
			})
			access, id := newKubeServer(t, "tok-1"), newKubeServer(t, "h.p.s")
			for _, tt := range []struct {
				server      *kubeServer
				clusterInfo bool
				args        []string
				token       string
				params      map[string]any
			}{
				{access, false, []string{"work"}, "tok-1", map[string]any{"profile": "work"}},
				{id, false, []string{"work", "--id-token"}, "h.p.s",
					map[string]any{"profile": "work", "token_use": "id"}},
				{access, true, nil, "tok-1", map[string]any{"target": access.URL}},
				{id, true, []string{"--id-token", "work"}, "h.p.s",
					map[string]any{"profile": "work", "target": id.URL}},
			} {
				got := tt.server.kubectl(t, f.socket, version, tt.clusterInfo, tt.args...)
				if got.code != 0 || got.stdout != "alive" || got.stderr != "" {
					t.Errorf("%q: %+v", tt.args, got)
				}
				if seen := slices.Compact(tt.server.look()); !slices.Equal(seen, []string{"Bearer " + tt.token}) {
					t.Errorf("%q: the server saw %q", tt.args, seen)
				}
				all := f.requests()
				for name, value := range tt.params {
					if last := all[len(all)-1]; last.Params[name] != value {
						t.Errorf("%q: groatd was asked %+v", tt.args, last)
					}
				}
			}

			answer = `"error":{"code":-32001,"message":"profile work is not signed in","data":` +
				`{"kind":"login_required","hint":"groat login work"}}`
			got := access.kubectl(t, f.socket, version, false, "work")
			if got.code == 0 || !strings.Contains(got.stderr, "groat: error: profile work is not signed in\n"+
				"groat: hint: groat login work\n") {
				t.Errorf("not signed in: %+v", got)
			}
			if got := access.kubectl(t, "/nonexistent/s", version, false, "work"); got.code == 0 ||
				!strings.Contains(got.stderr, "groat: error: groatd does not run") {
				t.Errorf("without a groatd: %+v", got)
			}
			if seen := access.look(); len(seen) > 0 {
				t.Errorf("without a token the server saw %q", seen)
			}
		})
	}
}

// A wrong variable is said to be one, with a command that explains it.
func TestKubectlIsTold(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return tokenResult })
	for info, want := range map[string]outcome{
		"x": {78, "", "groat: error: KUBERNETES_EXEC_INFO is no ExecCredential of client.authentication.k8s.io\n" +
			"groat: hint: groat helper kubectl --help\n"},
		`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1"}`: {78, "",
			"groat: error: this kubeconfig's user wants another apiVersion than client.authentication.k8s.io/v1 and " +
				"v1beta1\ngroat: hint: groat helper kubectl --help\n"},
	} {
		got := runEnv(t, f.socket, "", map[string]string{"GROAT_NO_AUTOSTART": "1", "KUBERNETES_EXEC_INFO": info},
			"helper", "kubectl", "work")
		if got != want {
			t.Errorf("%s: %+v", info, got)
		}
	}
	// The profile of the environment is that of a kubeconfig without one.
	if got := runEnv(t, f.socket, "", map[string]string{"GROAT_PROFILE": "home"}, "helper", "kubectl"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if all := f.requests(); len(all) != 1 || all[0].Params["profile"] != "home" {
		t.Errorf("%+v", all)
	}
}
