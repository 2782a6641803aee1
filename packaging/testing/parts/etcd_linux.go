package parts

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Etcd is a cluster of Debian's etcd with TLS and authentication, a node on each machine of a [Network], numbered from
// 1. Its data are on a tmpfs, so that no disk decides how fast it is.
type Etcd struct {
	// Network has a machine for each node, and after those as many as were asked for.
	Network *Network
	// Endpoints are the nodes' addresses for clients.
	Endpoints []string
	// CA is a PEM file with the authority of the nodes' certificates, Authority the certificate.
	CA        string
	Authority *x509.Certificate
	// User may read and write what begins with /groat/, and nothing else. Both passwords are new at each start.
	User, Password string

	t      testing.TB // the test that the nodes end with
	root   string     // the password of the user root
	dir    string
	data   int // counts the restored copies
	nodes  []*Process
	output *output
	client *http.Client
}

const etcdNodes = 3

// StartEtcd starts three nodes, on a network with so many machines more.
func StartEtcd(t testing.TB, machines int) *Etcd {
	t.Helper()
	tier.Needs(t, "etcd-server", "etcd-client")
	tier.NeedsRoot(t)
	e := &Etcd{
		Network: StartNetwork(t, etcdNodes+machines), User: "groat", Password: rand.Text(), root: rand.Text(),
		t: t, dir: ramDir(t), nodes: make([]*Process, etcdNodes), output: new(output),
	}
	e.certificates(t)
	t.Cleanup(func() {
		for node := range etcdNodes {
			e.Kill(t, node+1)
		}
		if t.Failed() {
			t.Logf("etcd wrote:\n%s", e.output)
		}
	})
	for node := range etcdNodes {
		e.Endpoints = append(e.Endpoints, e.url(node+1, 2379))
		e.Start(t, node+1)
	}
	e.Await(t)
	e.authenticate(t)
	return e
}

// ramDir returns a new directory on a tmpfs.
func ramDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "groat-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (e *Etcd) certificates(t testing.TB) {
	e.CA = filepath.Join(e.dir, "ca.pem")
	authority := newAuthority(t, e.CA)
	e.Authority = authority.certificate
	addresses := []net.IP{net.IPv4(127, 0, 0, 1)}
	for node := range etcdNodes {
		addresses = append(addresses, net.ParseIP(e.Network.Address(node+1)))
	}
	authority.issue(t, &x509.Certificate{
		IPAddresses: addresses, Subject: pkix.Name{CommonName: "node"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, filepath.Join(e.dir, "node"))
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	e.client = &http.Client{Timeout: 10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

func (e *Etcd) url(node, port int) string {
	return fmt.Sprintf("https://%s:%d", e.Network.Address(node), port)
}

// cluster says where the nodes are, in etcd's form.
func (e *Etcd) cluster() string {
	var nodes []string
	for node := range etcdNodes {
		nodes = append(nodes, fmt.Sprintf("node%d=%s", node+1, e.url(node+1, 2380)))
	}
	return strings.Join(nodes, ",")
}

func (e *Etcd) dataDir(node int) string {
	return filepath.Join(e.dir, fmt.Sprintf("data%d-%d", node, e.data))
}

// Start starts a node that was killed, and does not wait for it.
func (e *Etcd) Start(t testing.TB, node int) {
	t.Helper()
	certificate, key := filepath.Join(e.dir, "node.pem"), filepath.Join(e.dir, "node.key")
	cmd := e.Network.Command(node, "etcd",
		"--name", "node"+strconv.Itoa(node), "--data-dir", e.dataDir(node), "--logger", "zap", "--log-level", "warn",
		"--listen-client-urls", e.url(node, 2379), "--advertise-client-urls", e.url(node, 2379),
		"--listen-peer-urls", e.url(node, 2380), "--initial-advertise-peer-urls", e.url(node, 2380),
		"--initial-cluster", e.cluster(), "--bcrypt-cost", "4",
		"--cert-file", certificate, "--key-file", key, "--peer-cert-file", certificate, "--peer-key-file", key,
		"--peer-trusted-ca-file", e.CA, "--peer-client-cert-auth")
	cmd.Stdout, cmd.Stderr = e.output, e.output
	e.nodes[node-1] = hold(e.t, "etcd", cmd)
}

// Kill ends a node with SIGKILL, and waits until it is gone.
func (e *Etcd) Kill(t testing.TB, node int) {
	t.Helper()
	if p := e.nodes[node-1]; p != nil {
		p.Kill(t)
	}
}

// Stop stops a node with SIGSTOP: its connections stand, and it answers nothing.
func (e *Etcd) Stop(t testing.TB, node int) { t.Helper(); e.nodes[node-1].Signal(t, syscall.SIGSTOP) }

// Continue ends what Stop began.
func (e *Etcd) Continue(t testing.TB, node int) {
	t.Helper()
	e.nodes[node-1].Signal(t, syscall.SIGCONT)
}

// Memory returns how much memory the nodes have in use together, in bytes.
func (e *Etcd) Memory(t testing.TB) (all int64) {
	t.Helper()
	for _, p := range e.nodes {
		all += p.Memory(t)
	}
	return all
}

// Isolate separates a node from the other nodes, and not from its clients.
func (e *Etcd) Isolate(t testing.TB, node int) {
	t.Helper()
	e.others(node, func(other int) { e.Network.Cut(t, node, other) })
}

// Rejoin ends what Isolate began.
func (e *Etcd) Rejoin(t testing.TB, node int) {
	t.Helper()
	e.others(node, func(other int) { e.Network.Mend(t, node, other) })
}

func (e *Etcd) others(node int, do func(other int)) {
	for other := 1; other <= etcdNodes; other++ {
		if other != node {
			do(other)
		}
	}
}

// Await waits until every node answers with a majority.
func (e *Etcd) Await(t testing.TB) {
	t.Helper()
	until := time.Now().Add(startTimeout)
	for node := 1; node <= etcdNodes; {
		err := e.post(node, "", "/v3/auth/authenticate", map[string]any{"name": "none", "password": "none"}, nil)
		if err == nil || strings.Contains(err.Error(), "authentication") { // it is not enabled, or it failed
			node++
			continue
		}
		if time.Now().After(until) {
			t.Fatalf("etcd was not ready in %v: %v", startTimeout, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Leader returns the node that leads.
func (e *Etcd) Leader(t testing.TB) int {
	t.Helper()
	for node := 1; node <= etcdNodes; node++ {
		var status struct {
			Header struct {
				MemberID string `json:"member_id"`
			}
			Leader string
		}
		err := e.post(node, e.token(node), "/v3/maintenance/status", map[string]any{}, &status)
		if err == nil && status.Leader == status.Header.MemberID {
			return node
		}
	}
	t.Fatal("no node of etcd leads")
	return 0
}

// Ctl runs etcdctl as the user root, who may do everything, and returns what it prints.
func (e *Etcd) Ctl(t testing.TB, args ...string) string {
	t.Helper()
	args = append([]string{"--endpoints", strings.Join(e.Endpoints, ","), "--cacert", e.CA, "--user", "root:" + e.root},
		args...)
	return run(t, command(t, "etcdctl", args...))
}

// Save writes a backup to a file.
func (e *Etcd) Save(t testing.TB, file string) {
	t.Helper()
	cmd := command(t, "etcdctl", "--endpoints", e.Endpoints[0], "--cacert", e.CA, "--user", "root:"+e.root, "snapshot",
		"save", file)
	run(t, cmd)
}

// Restore replaces all nodes by ones that have what a backup has.
func (e *Etcd) Restore(t testing.TB, file string) {
	t.Helper()
	e.data++
	for node := 1; node <= etcdNodes; node++ {
		e.Kill(t, node)
		run(t, command(t, "etcdctl", "snapshot", "restore", file, "--name", "node"+strconv.Itoa(node),
			"--data-dir", e.dataDir(node), "--initial-cluster", e.cluster(),
			"--initial-advertise-peer-urls", e.url(node, 2380)))
	}
	for node := 1; node <= etcdNodes; node++ {
		e.Start(t, node)
	}
	e.Await(t)
}

// authenticate makes the users and enables authentication.
func (e *Etcd) authenticate(t testing.TB) {
	t.Helper()
	key := base64.StdEncoding.EncodeToString
	for _, step := range []struct {
		path string
		body map[string]any
	}{
		{"user/add", map[string]any{"name": "root", "password": e.root}},
		{"role/add", map[string]any{"name": "root"}},
		{"user/grant", map[string]any{"user": "root", "role": "root"}},
		{"user/add", map[string]any{"name": e.User, "password": e.Password}},
		{"role/add", map[string]any{"name": "fleet"}},
		{"role/grant", map[string]any{"name": "fleet", "perm": map[string]any{
			"permType": "READWRITE", "key": key([]byte("/groat/")), "range_end": key([]byte("/groat0"))}}},
		{"user/grant", map[string]any{"user": e.User, "role": "fleet"}},
		{"enable", map[string]any{}},
	} {
		if err := e.post(1, "", "/v3/auth/"+step.path, step.body, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// token returns a token of the user root, or "".
func (e *Etcd) token(node int) string {
	var answer struct{ Token string }
	e.post(node, "", "/v3/auth/authenticate", map[string]any{"name": "root", "password": e.root}, &answer)
	return answer.Token
}

// post makes a request to a node; the answer may be nil.
func (e *Etcd) post(node int, token, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, e.Endpoints[node-1]+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", token)
	}
	response, err := e.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
