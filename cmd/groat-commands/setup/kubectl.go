package setup

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// kubectl runs the plugin that users[].user.exec of a kubeconfig names for the user of a context
// (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins).
var kubectl = &Tool{Name: "kubectl", Programs: []string{"kubectl"}, IDToken: true, Want: wantKubectl}

// kubeContexts is what is read of a kubeconfig, as kubectl shows it.
type kubeContexts struct {
	Clusters []struct {
		Name    string
		Cluster struct{ Server string }
	}
	Contexts []struct {
		Name    string
		Context struct{ Cluster string }
	}
}

// wantKubectl gives each context whose cluster is at one of the APIs a user that asks groat.
func wantKubectl(ctx context.Context, m *Machine, p Profile) ([]File, error) {
	k := kubectlProgram{m.Find("kubectl"), m.State}
	var paths []string
	var configs []kubeContexts
	clusters := map[string]string{} // :: name → server; the first file that has it counts
	for _, path := range kubeconfigs(m) {
		s, err := read(path)
		if err != nil {
			return nil, err
		}
		if !s.there || slices.Contains(paths, path) {
			continue
		}
		var c kubeContexts
		text, err := k.view(ctx, s.content)
		if err == nil {
			err = json.Unmarshal(text, &c)
		}
		if err != nil {
			return nil, inFile(err, path)
		}
		for _, cluster := range c.Clusters {
			if _, ok := clusters[cluster.Name]; !ok {
				clusters[cluster.Name] = cluster.Cluster.Server
			}
		}
		paths, configs = append(paths, path), append(configs, c)
	}
	user := "groat-" + p.Name
	var files []File
	for i, c := range configs {
		f := File{Path: paths[i], Format: "kubeconfig", Lock: ".lock", // clientcmd's lockFile, in its loader.go
			Settings: []Setting{{Name: "users/" + user, Value: kubeUser(user, m.Groat, p)}}}
		for _, kube := range c.Contexts {
			if isAt(clusters[kube.Context.Cluster], p.APIs) {
				f.Settings = append(f.Settings, Setting{Name: "contexts/" + kube.Name, Value: user})
			}
		}
		f.Parse = func(ctx context.Context, content []byte) error {
			_, err := k.view(ctx, content)
			return err
		}
		f.Verify = func(ctx context.Context, before, after []byte) error { return k.differ(ctx, before, after, f) }
		if len(f.Settings) > 1 {
			files = append(files, f)
		}
	}
	if files == nil {
		return nil, &Error{Reason: NoContext, Tool: "kubectl", Profile: p.Name}
	}
	return files, nil
}

// kubeconfigs are the files that kubectl reads: those of KUBECONFIG, or ~/.kube/config.
func kubeconfigs(m *Machine) (paths []string) {
	for _, path := range filepath.SplitList(m.Getenv("KUBECONFIG")) {
		if abs, err := filepath.Abs(path); err == nil && path != "" {
			paths = append(paths, abs)
		}
	}
	if paths == nil {
		paths = []string{filepath.Join(m.Home, ".kube", "config")}
	}
	return paths
}

// kubeUser is an item of users, as kubectl would write it. The plugin is told the cluster, so that groat gives the
// token for that alone.
func kubeUser(user, groat string, p Profile) string {
	args := []string{"helper", "kubectl", yamlWord(p.Name)}
	if p.IDToken {
		args = append(args, "--id-token")
	}
	return "- name: " + user + "\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n" +
		"      args:\n      - " + strings.Join(args, "\n      - ") + "\n      command: " + yamlWord(groat) + "\n" +
		"      env: null\n      interactiveMode: Never\n      provideClusterInfo: true\n"
}

// isAt reports whether a cluster's server is at one of a profile's APIs, or below it. What is spelled in another way is
// not: groatd decides which requests get a token.
func isAt(server string, apis []string) bool {
	server = API(server)
	return slices.ContainsFunc(apis, func(api string) bool {
		return server == api || strings.HasPrefix(server, api+"/")
	})
}

// kubectlProgram is the path of kubectl, and a private directory.
type kubectlProgram struct{ path, private string }

// view returns a kubeconfig as JSON. kubectl reads it more than once, so that it has to be a file; it may hold secrets.
func (k kubectlProgram) view(ctx context.Context, content []byte) ([]byte, error) {
	dir, err := privateCopy(k.private, "config", content)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "config")
	out, err := ask(ctx, nil, k.path, "--kubeconfig", copied, "config", "view", "--raw", "-o", "json")
	if err != nil {
		// error: error loading config file "COPIED": yaml: line 3: …
		return nil, unreadBy("kubectl", err, copied+`": `)
	}
	return out, nil
}

// differ makes sure that two contents mean the same to kubectl, but for what a file has to say.
func (k kubectlProgram) differ(ctx context.Context, before, after []byte, f File) error {
	var meaning [2]map[string]any
	for i, content := range [][]byte{before, after} {
		text, err := k.view(ctx, content)
		if err == nil {
			err = json.Unmarshal(text, &meaning[i])
		}
		if err != nil {
			return err
		}
		for _, s := range f.Settings {
			list, name, _ := strings.Cut(s.Name, "/")
			items, _ := meaning[i][list].([]any)
			meaning[i][list] = slices.DeleteFunc(slices.Clone(items), func(item any) bool {
				m, _ := item.(map[string]any)
				if m["name"] != name {
					return false
				}
				if c, ok := m["context"].(map[string]any); ok && list == "contexts" {
					if i == 1 && c["user"] != s.Value {
						return false
					}
					delete(c, "user")
					return false
				}
				return list == "users"
			})
			if items, _ := meaning[i][list].([]any); len(items) == 0 {
				delete(meaning[i], list)
			}
		}
	}
	if !reflect.DeepEqual(meaning[0], meaning[1]) {
		return &Error{Reason: BadLine, Err: errBlockStyle}
	}
	return nil
}
