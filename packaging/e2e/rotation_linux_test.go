package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// rotatingEnv is a userEnv with a session, profile "work", at a server that replaces refresh tokens.
type rotatingEnv struct {
	*userEnv
	server *server
}

// scopes are what the session may ask for one by one: each is a token of its own, and a request with the session's
// refresh token.
var scopes = strings.Fields("s0 s1 s2 s3 s4 s5 s6 s7 s8 s9")

// newRotatingEnv signs in; mode is how the server treats refresh tokens, as settings of the sandbox.
func newRotatingEnv(t *testing.T, mode ...string) *rotatingEnv {
	t.Helper()
	m := &rotatingEnv{userEnv: newUserEnv(t, os.Getuid())}
	var err error
	m.server, err = m.addServer("AUTH", append([]string{"refresh_always=true", "rotate=true", "device_interval=1s"},
		mode...)...)
	if err != nil {
		t.Fatal(err)
	}
	m.server.AddClient(sandbox.Client{ID: ownClient, Method: sandbox.None})
	m.start()
	m.groat("", "keystore", "use", "sealed", "--key-file")
	m.signIn()
	return m
}

func (m *rotatingEnv) signIn() {
	m.t.Helper()
	s := m.startLogin("", "work", "--issuer", m.server.Issuer(), "--client-auth", "none", "--client-id", ownClient,
		"--grant", "device_code",
		"--scope", strings.Join(scopes, " "))
	if err := m.server.ApproveDevice(s.code()); err != nil {
		m.t.Fatal(err)
	}
	s.succeeds()
}

// killed ends groatd without a word.
func (m *rotatingEnv) killed() {
	m.t.Helper()
	p := m.daemon
	m.daemon = nil
	if _, err := p.stop(syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
}

// renewals are the requests with a refresh token that the server has seen.
func (m *rotatingEnv) renewals() (all []sandbox.Entry) {
	for _, e := range m.server.Log() {
		if e.Refresh != "" {
			all = append(all, e)
		}
	}
	return all
}

// token asks for one, as a program would.
func (m *rotatingEnv) token(ctx context.Context, scope string) (string, error) {
	conn, err := net.Dial("unix", m.socket())
	if err != nil {
		return "", err
	}
	c := protocol.NewClient(conn)
	defer c.Close()
	var r protocol.TokenResult
	err = c.Call(ctx, protocol.MethodToken, protocol.TokenParams{Profile: "work", Scope: scope}, &r)
	return r.AccessToken, err
}

// killCampaign is what is known while groatd is killed again and again.
type killCampaign struct {
	*rotatingEnv
	random *rand.Rand

	mu    sync.Mutex
	acked map[string]bool // :: digest of a refresh token → a token that was obtained with it has been handed out
	midst int             // kills during a renewal
	lost  int             // sessions
}

// TestKilledWhileRenewing kills the installed binary at random moments of renewals in quick succession. The server
// replaces the refresh token with each of them, and takes the one before for 30 s. No session is lost; each token that
// was handed out is good; and no refresh token is presented again by a later process once a token that it was used for
// was handed out, for then its successor is on the disk.
func TestKilledWhileRenewing(t *testing.T) {
	t.Parallel()
	t.Run("E1 kill -9", killedWhileRenewing)
}

func killedWhileRenewing(t *testing.T) {
	kills, err := strconv.Atoi(cmp.Or(os.Getenv("GROAT_KILLS"), "30"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("GROAT_SEED"), fmt.Sprint(time.Now().UnixNano())), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	k := &killCampaign{rotatingEnv: newRotatingEnv(t, "overlap=30s"), random: rand.New(rand.NewPCG(seed, 1)),
		acked: map[string]bool{}}
	defer func() {
		t.Logf("faults: kill -9 of groatd while it renews: %d kills, %d of them during a renewal, %d sessions lost, "+
			"seed %d", kills, k.midst, k.lost, seed)
	}()
	k.killed()
	for n := range kills {
		k.start()
		k.renewUntilKilled(n)
		if t.Failed() {
			return
		}
	}
	k.start()
	k.groat("", "get", "work")
}

// renewUntilKilled is one life of groatd.
func (k *killCampaign) renewUntilKilled(n int) {
	k.t.Helper()
	before := len(k.renewals())
	after, delay := k.random.IntN(5), time.Duration(k.random.Int64N(int64(5*time.Millisecond)))
	order := k.random.Perm(len(scopes))
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	handedOut := map[string]string{} // :: scope → token
	over := make(chan struct{})
	enough := make(chan struct{})
	go func() {
		defer close(over)
		for i, which := range order {
			if i == after {
				close(enough)
			}
			token, err := k.token(ctx, scopes[which])
			if err != nil {
				k.endedWith(n, err)
				return
			}
			handedOut[scopes[which]] = token
		}
	}()
	select {
	case <-enough:
		time.Sleep(delay) // at any moment of what comes next, and not always at its beginning
	case <-over:
	}
	k.killed()
	<-over
	k.account(n, before, handedOut)
}

// endedWith takes in why a caller was not served.
func (k *killCampaign) endedWith(n int, err error) {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		if e.Kind() == protocol.LoginRequired {
			k.mu.Lock()
			k.lost++
			k.mu.Unlock()
		}
		k.t.Errorf("after kill %d: %v", n, err)
	}
}

// account holds what was handed out in one life against what the server has seen in it.
func (k *killCampaign) account(n, before int, handedOut map[string]string) {
	k.t.Helper()
	seen := k.renewals()[before:]
	unanswered := false
	for _, e := range seen {
		if k.acked[e.Refresh] {
			k.t.Errorf("kill %d: a refresh token was presented again although its successor should have been stored", n)
		}
	}
	for _, e := range seen {
		token, served := handedOut[e.Scope]
		if !served {
			unanswered = unanswered || e.Scope != "" // that one is what was renewed first, for nobody
			continue
		}
		k.acked[e.Refresh] = true
		r, err := http.NewRequestWithContext(k.t.Context(), http.MethodGet, k.server.URL()+"/v1/x", nil)
		if err != nil {
			k.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			k.t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusOK {
			k.t.Errorf("kill %d: a token that was handed out is answered with HTTP %d", n, resp.StatusCode)
		}
	}
	if unanswered {
		k.midst++
	}
}

// groatd is told to stop while the server has replaced the refresh token and its answer is on its way: once, or again
// and again. It answers whoever waits, takes the answer in, stores it, and ends well. The server would take no second
// request.
func TestStoppedWhileRenewing(t *testing.T) {
	t.Run("E3 once", func(t *testing.T) { stoppedWhileRenewing(t, syscall.SIGTERM) })
	t.Run("E4 again and again",
		func(t *testing.T) { stoppedWhileRenewing(t, syscall.SIGTERM, syscall.SIGTERM, syscall.SIGINT) })
}

func stoppedWhileRenewing(t *testing.T, signals ...syscall.Signal) {
	t.Parallel()
	m := newRotatingEnv(t)
	m.server.Script(m.server.TokenPath(), sandbox.Fault{Delay: 4 * time.Second}) // in which all of this happens
	requests := m.server.Count(m.server.TokenPath())
	answered := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		_, err := m.token(ctx, "s1")
		answered <- err
	}()
	if err := m.server.WaitFor(ctx, m.server.TokenPath(), requests+1); err != nil {
		t.Fatal(err)
	}
	p := m.daemon
	m.daemon = nil
	for i, s := range signals {
		p.signal(t, s)
		if i == 0 {
			e, ok := errors.AsType[*protocol.Error](<-answered)
			if pending := m.renewals()[0]; !ok || e.Kind() != protocol.Temporary || pending.Status != 0 {
				t.Errorf("the caller got %v, the server's status was %d by then", e, pending.Status)
			}
		}
	}
	if state, err := p.wait(); err != nil || !state.Success() {
		t.Errorf("%v, %v", state, err)
	}
	m.start()
	m.groat("", "get", "work", "--scope", "s2")
	seen := m.renewals()
	if n := len(seen); n != 2 || seen[0].Refresh == seen[1].Refresh {
		t.Errorf("the server has seen %d renewals, the last one by an old refresh token: %v", n, n == 2)
	}
}

// lost wants a renewal to fail with a sentence and its remedy, which helps.
func (m *rotatingEnv) lost(says string) {
	m.t.Helper()
	m.refused(m.run("", "groat", "get", "work", "--scope", "s3"), 4, says, "groat login work")
}

func (m *rotatingEnv) sealedFile() string {
	return filepath.Join(m.home, ".local", "state", "groat", "sealed")
}

// forget makes groatd forget what the server has refused, as a person does who tries again.
func (m *rotatingEnv) forget() {
	m.t.Helper()
	if err := os.Remove(filepath.Join(filepath.Dir(m.sealedFile()), "refusals.json")); err != nil &&
		!errors.Is(err, os.ErrNotExist) {
		m.t.Fatal(err)
	}
}

func (m *rotatingEnv) read(path string) []byte {
	m.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

func (m *rotatingEnv) write(path string, b []byte) {
	m.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *rotatingEnv) stopped() {
	m.t.Helper()
	if err := m.stopDaemon(); err != nil {
		m.t.Fatal(err)
	}
}

// A backup brings an older sealed file back: its refresh token is used up, and what a person reads is why. Where the
// server does not mind, neither does groat.
func TestOlderBackup(t *testing.T) {
	for name, c := range map[string]struct {
		mode  []string
		kept  bool
		later bool // a renewal comes between the copy and the loss, and another after that
	}{
		"D13 strict":                {[]string{"keep_family=true"}, false, false},
		"D13 strict, ends sessions": {nil, false, false},
		"D13 strict, two older":     {[]string{"keep_family=true"}, false, true},
		"D13 not rotating":          {[]string{"rotate=false"}, true, true},
		"D13 grace":                 {[]string{"overlap=1h"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newRotatingEnv(t, c.mode...)
			m.stopped()
			backup := m.read(m.sealedFile())
			m.start()
			m.groat("", "get", "work", "--scope", "s1")
			if c.later {
				m.groat("", "get", "work", "--scope", "s2")
			}
			m.stopped()
			m.write(m.sealedFile(), backup)
			m.start()
			if c.kept {
				m.groat("", "get", "work", "--scope", "s3")
				return
			}
			m.lost("restored from an older copy")
			m.restart()
			m.lost("restored from an older copy")
			m.signIn()
			m.restart()
			m.groat("", "get", "work", "--scope", "s3")
		})
	}
}

// A second machine's files are here, or this one's there.
func TestAnotherMachinesFiles(t *testing.T) {
	t.Run("D12 with their key", sharedSession)
	t.Run("D12 without their key", foreignFile)
}

// A second machine got a copy of this one's files, and uses the session. This one finds out when it asks, and says what
// is to be done.
func sharedSession(t *testing.T) {
	t.Parallel()
	m := newRotatingEnv(t, "keep_family=true")
	m.stopped()
	other := &rotatingEnv{userEnv: newUserEnv(t, os.Getuid()), server: m.server}
	for _, dir := range []string{".local/state", ".config"} {
		if err := os.MkdirAll(filepath.Join(other.home, filepath.Dir(dir)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(other.home, dir), os.DirFS(filepath.Join(m.home, dir))); err != nil {
			t.Fatal(err)
		}
	}
	other.private()
	other.start()
	other.groat("", "get", "work", "--scope", "s1")
	m.start()
	m.lost("has ended the session")
	m.signIn()
	m.groat("", "get", "work", "--scope", "s3")
	other.groat("", "get", "work", "--scope", "s4")
}

// A file that another key has sealed is not touched, and what is to be done is said.
func foreignFile(t *testing.T) {
	t.Parallel()
	m, other := newRotatingEnv(t), newRotatingEnv(t)
	m.stopped()
	foreign := other.read(other.sealedFile())
	m.write(m.sealedFile(), foreign)
	m.start()
	m.refused(m.run("", "groat", "get", "work"), 75, "was sealed with another key", "groat keystore")
	if !slices.Equal(m.read(m.sealedFile()), foreign) {
		t.Error("another machine's file was changed")
	}
	if err := os.Remove(m.sealedFile()); err != nil { // as the message says
		t.Fatal(err)
	}
	m.restart()
	m.signIn()
	m.groat("", "get", "work", "--scope", "s3")
}

// private closes what was copied to other users.
func (m *rotatingEnv) private() {
	m.t.Helper()
	err := filepath.WalkDir(m.home, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		if err == nil {
			return os.Chmod(path, 0o600)
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// A sealed file that was cut, or in which a bit has flipped, costs at most a new sign-in, and a person reads that.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	m := newRotatingEnv(t, "keep_family=true")
	m.groat("", "get", "work", "--scope", "s1")
	m.stopped()
	whole := m.read(m.sealedFile())
	last := strings.LastIndex(string(whole), "\xf6groat\r\n")
	if last < 0 {
		t.Fatal("there is no record in the file")
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	flip := func(n int) func([]byte) []byte {
		return func(b []byte) []byte {
			b[n] ^= 4
			return b
		}
	}
	const damaged, emptied = "is damaged", "the sealed file"
	for _, c := range []struct {
		id, what string
		spoil    func([]byte) []byte
		says     string // empty: nothing is lost
	}{
		{"D9", "cut in the newest record", cut(len(whole) - 1), "restored from an older copy"},
		{"D9", "cut in its head", cut(last + 5), "restored from an older copy"},
		{"D9", "cut to the header", cut(36), "which was cut since"},
		{"D9", "cut in the header", cut(7), emptied},
		{"D11", "empty", cut(0), emptied},
		{"D10", "a bit in the newest record", flip(len(whole) - 1), damaged},
		{"D10", "a bit in its head", flip(last + 20), "restored from an older copy"},
		{"D10", "a bit in the header", flip(3), ""},
	} {
		t.Run(c.id+" "+c.what, func(t *testing.T) {
			m := &rotatingEnv{userEnv: m.in(t), server: m.server}
			m.forget()
			m.write(m.sealedFile(), c.spoil(slices.Clone(whole)))
			m.start()
			switch c.says {
			case "":
				m.groat("", "get", "work", "--scope", "s3")
			case emptied: // somebody may bring it back
				hint := "groat keystore"
				if c.id == "D11" { // there is nothing to bring back of an empty file
					hint = "rm " + m.sealedFile()
				}
				m.refused(m.run("", "groat", "get", "work", "--scope", "s3"), 75, "damaged", hint)
			default:
				m.lost(c.says)
			}
			m.stopped()
		})
	}
	m.write(m.sealedFile(), whole[:len(whole)-1])
	m.start()
	m.signIn()
	m.restart()
	m.groat("", "get", "work", "--scope", "s3")
}

// A hand-over while refresh tokens are replaced, at a server that takes each once: none is presented twice, and the
// session lives.
func TestM15HandedOverWhileRenewing(t *testing.T) {
	t.Parallel()
	m := newRotatingEnv(t, "latency=150ms")
	for round := range 3 {
		first := m.daemon
		before := len(m.renewals())
		var gets []*exec.Cmd
		for i := range 3 {
			gets = append(gets, m.startGet("--scope", scopes[3*round+i]))
		}
		for end := time.Now().Add(patience); len(m.renewals()) == before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing is renewed")
			}
		}
		second := m.activate()
		for i := range 3 {
			m.groat("", "get", "work", "--scope", scopes[3*round+i])
		}
		for _, get := range gets {
			if get.Wait(); get.ProcessState.ExitCode() != 0 && get.ProcessState.ExitCode() != 75 {
				t.Errorf("a caller: %v", get.ProcessState)
			}
		}
		m.handedOver(first, second)
		if state, err := second.stop(syscall.SIGTERM); err != nil || !state.Success() {
			t.Errorf("the second groatd: %v, %v", state, err)
		}
		os.Remove(m.socket()) // as its service manager does
		m.start()
	}
	presented := map[string]bool{}
	for _, e := range m.renewals() {
		if presented[e.Refresh] || e.Status != http.StatusOK {
			t.Errorf("a refresh token was presented again, or refused: %+v", e)
		}
		presented[e.Refresh] = true
	}
}
