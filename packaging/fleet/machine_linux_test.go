// Package fleet_test is the proof of a fleet on the real engine: three nodes of etcd, and real groatds, each on a machine
// of its own with a home of its own, at an authorization server that counts.
package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// patience bounds every wait. A take-over needs 24 s, and a failover of etcd some seconds.
const patience = 2 * time.Minute

// site is a fleet on real parts.
type site struct {
	t        *testing.T
	bin      string
	etcd     *parts.Etcd
	server   *sandbox.Server
	address  string // of the server
	machines []*machine
	last     int // the number of the token that was asked for last; the first is that of scopes[0]
}

// scopes are what the session may ask for: each set of them is a token of its own, and a request.
var scopes = strings.Fields("s0 s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 s12")

// machine is one with a groatd.
type machine struct {
	s             *site
	number        int // in the network
	name          string
	home, runtime string
	program       string

	process *parts.Process
	mu      sync.Mutex
	log     bytes.Buffer
}

// programs are what machines run.
type programs struct {
	bin  string // the directory of groat and groatd
	fast string // a groatd whose wall clock is two hours fast, for one machine; empty is none
}

// newSite makes a fleet of so many machines, signed in as "work" at a server that treats refresh tokens so.
func newSite(t *testing.T, machines int, programs programs, mode sandbox.Refresh) *site {
	t.Helper()
	s := &site{t: t, etcd: parts.StartEtcd(t, machines), bin: programs.bin, last: 1}
	s.serve(mode)
	for i := range machines {
		s.machines = append(s.machines, s.newMachine(i))
	}
	if programs.fast != "" {
		s.machines[machines-1].program = programs.fast
	}
	ca := []string{"--ca", s.etcd.CA, "--user", s.etcd.User, "--password-stdin", "--json"}
	for i, m := range s.machines {
		m.start()
		m.groat("", "keystore", "use", "sealed", "--key-file")
		if i == 0 {
			m.groat(s.etcd.Password+"\n", append([]string{"fleet", "create", "--etcd",
				strings.Join(s.etcd.Endpoints, ","), "--name", m.name}, ca...)...)
			continue
		}
		var invited protocol.FleetResult
		s.machines[0].json(&invited, "fleet", "invite", "--json")
		m.groat(invited.Invitation+"\n"+s.etcd.Password+"\n",
			append([]string{"fleet", "join", "--code-stdin", "--name", m.name}, ca...)...)
	}
	s.signIn(s.machines[0])
	for _, m := range s.machines {
		m.await("", scopes[0])
	}
	return s
}

// serve starts the authorization server, at the same loopback address on every machine.
func (s *site) serve(mode sandbox.Refresh) {
	s.t.Helper()
	mode.Always = true
	s.server = sandbox.New(sandbox.Options{
		Control: true, Refresh: mode, Device: sandbox.Device{Interval: time.Second},
		Clients: []sandbox.Client{{ID: "app", Method: sandbox.None}},
		Users:   []sandbox.User{{Name: "alice@example.com", Password: "dummy-password"}},
	})
	s.t.Cleanup(func() { s.server.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.server.SetURL("http://" + s.address)
	s.accept(listener)
}

func (s *site) accept(listener net.Listener) {
	server := &http.Server{Handler: s.server}
	go server.Serve(listener)
	s.t.Cleanup(func() { server.Close() })
}

func (s *site) newMachine(i int) *machine {
	s.t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "g") // a socket's path is short
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { os.RemoveAll(dir) })
	m := &machine{s: s, number: len(s.etcd.Endpoints) + 1 + i, name: fmt.Sprintf("machine%d", i+1),
		home: filepath.Join(dir, "home"), runtime: filepath.Join(dir, "run"), program: filepath.Join(s.bin, "groatd")}
	for _, d := range []string{m.home, m.runtime} {
		if err := os.Mkdir(d, 0o700); err != nil {
			s.t.Fatal(err)
		}
	}
	s.accept(s.etcd.Network.Listen(s.t, m.number, s.address))
	return m
}

// signIn signs the fleet in.
func (s *site) signIn(m *machine) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	approved := make(chan struct{})
	go func() {
		defer close(approved)
		for ctx.Err() == nil {
			for _, code := range s.server.Devices() {
				if err := s.server.ApproveDevice(code); err != nil {
					s.t.Error(err)
				}
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	m.groat("", "login", "work", "--fleet", "--issuer", s.server.Issuer(), "--client-auth", "none", "--client-id", "app",
		"--grant", "device_code", "--scope", strings.Join(scopes, " "))
	cancel()
	<-approved
}

// Write keeps what groatd logs.
func (m *machine) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(p)
}

func (m *machine) logged() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

func (m *machine) environ() []string {
	return []string{
		"HOME=" + m.home, "PATH=" + m.s.bin + ":/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TMPDIR=" + m.runtime,
		"XDG_RUNTIME_DIR=" + m.runtime, "GROAT_NO_AUTOSTART=1",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + m.runtime + "/no-bus",
	}
}

func (m *machine) socket() string {
	return filepath.Join(m.runtime, "groat", "d."+frame.UsualPlace(m.home).ID(), "agent.sock")
}

// start starts groatd and waits until it serves.
func (m *machine) start() {
	t := m.s.t
	t.Helper()
	cmd := m.s.etcd.Network.Command(m.number, m.program)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = m.environ(), "/", m, m
	m.process = parts.Hold(t, cmd)
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", m.socket())
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-m.process.Ended():
			t.Fatalf("groatd of %s ended:\n%s", m.name, m.logged())
		default:
		}
		if time.Now().After(until) {
			t.Fatalf("groatd of %s does not serve: %v\n%s", m.name, err, m.logged())
		}
	}
}

// kill ends groatd with SIGKILL.
func (m *machine) kill() { m.process.Kill(m.s.t) }

// restart starts groatd again after a kill.
func (m *machine) restart() { m.kill(); m.start() }

// groat runs the client, which must succeed.
func (m *machine) groat(stdin string, args ...string) string {
	t := m.s.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(m.s.bin, "groat"), args...)
	cmd.Env, cmd.Dir, cmd.Stdin = m.environ(), "/", strings.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: groat %s: %v\n%s\n%s", m.name, strings.Join(args, " "), err, complaint.String(), m.logged())
	}
	return out.String()
}

// json decodes what the client prints.
func (m *machine) json(into any, args ...string) {
	m.s.t.Helper()
	if err := json.Unmarshal([]byte(m.groat("", args...)), into); err != nil {
		m.s.t.Fatal(err)
	}
}

// token asks for one as a program does.
func (m *machine) token(ctx context.Context, scope string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", m.socket())
	if err != nil {
		return "", err
	}
	c := protocol.NewClient(conn)
	defer c.Close()
	var r protocol.TokenResult
	err = c.Call(ctx, protocol.MethodToken, protocol.TokenParams{Profile: "work", Scope: scope}, &r)
	return r.AccessToken, err
}

// await asks until there is a token other than one, and returns it.
func (m *machine) await(other, scope string) string {
	t := m.s.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		token, err := m.token(ctx, scope)
		if err == nil && token != other {
			return token
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has no token: %v\n%s", m.name, err, m.logged())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// fresh returns scopes for which no token was asked for yet.
func (s *site) fresh() string {
	s.last++
	var set []string
	for i, scope := range scopes {
		if s.last&(1<<i) != 0 {
			set = append(set, scope)
		}
	}
	return strings.Join(set, " ")
}

// everywhere asks all machines at once for a token until each has one, and returns how many different ones there are.
func (s *site) everywhere(scope string, machines ...*machine) int {
	s.t.Helper()
	if machines == nil {
		machines = s.machines
	}
	tokens := make([]string, len(machines))
	var wg sync.WaitGroup
	for i, m := range machines {
		wg.Go(func() { tokens[i] = m.await("", scope) })
	}
	wg.Wait()
	slices.Sort(tokens)
	return len(slices.Compact(tokens))
}

// presented returns how often refresh tokens were presented, and how many of these were refused.
func (s *site) presented() (all, refused int) {
	for _, e := range s.server.Log() {
		if e.Refresh != "" {
			all++
			if e.Status == http.StatusBadRequest {
				refused++
			}
		}
	}
	return all, refused
}

// cut separates a machine from all nodes of etcd, and returns what mends it.
func (s *site) cut(m *machine) (mend func()) {
	for node := range s.etcd.Endpoints {
		s.etcd.Network.Cut(s.t, m.number, node+1)
	}
	return func() {
		for node := range s.etcd.Endpoints {
			s.etcd.Network.Mend(s.t, m.number, node+1)
		}
	}
}
