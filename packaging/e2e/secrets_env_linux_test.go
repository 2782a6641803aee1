package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// watchedEnv is a userEnv of which every secret is known: those that the person has, those that servers make, those
// that groatd makes. Between groat and groatd stands a [tap], before the servers a [watchedServer] or an [echoServer].
type watchedEnv struct {
	*userEnv
	tokens *canaries // access tokens and API keys, which may appear where they were asked for and nowhere else
	ids    *canaries // ID tokens, likewise
	typos  *canaries // what stood where no secret belongs; whoever sent it may be told so
	tap    *tap
	server *watchedServer
	echo   *echoServer

	// What the person has: files, and what is in them or typed.
	mine, key, passphrase, subject, apiKey, code string
	typo                                         string

	hits *atomic.Int64 // secrets that were found where none may be
}

func random() string { return rand.Text() }

// newWatchedEnv starts groatd with a sealed file that a passphrase opens.
func newWatchedEnv(t *testing.T) *watchedEnv {
	t.Helper()
	v := &watchedEnv{userEnv: newUserEnv(t, os.Getuid()), tokens: &canaries{}, typos: &canaries{},
		ids:  &canaries{},
		hits: &atomic.Int64{}}
	v.mine = filepath.Join(filepath.Dir(v.home), "mine") // beside what is searched
	if err := os.Mkdir(v.mine, 0o700); err != nil {
		t.Fatal(err)
	}
	v.passphrase, v.subject = "canary.passphrase."+random(), "canary.subject."+random()
	v.apiKey = "canary.api-key." + random()
	v.code = "canary.code." + random()
	v.add("a passphrase", v.passphrase)
	v.add("a one-time code", v.code)
	v.add("a token to exchange", v.subject)
	v.tokens.add("an API key", v.apiKey)
	v.key = filepath.Join(v.mine, "key.pem")
	v.server = newWatchedServer(v)
	v.echo = newEchoServer(t, &v.canaries, v.tokens)
	v.tap = newTap(t, filepath.Join(v.runtime, "tap"), v.socket())
	v.start()
	v.run(v.passphrase+"\n", "keystore", "use", "sealed", "--passphrase-stdin")
	return v
}

// in is the same environment in a subtest.
func (v *watchedEnv) in(t *testing.T) *watchedEnv {
	sub := *v
	sub.userEnv = v.userEnv.in(t)
	return &sub
}

// start starts groatd, which groat then reaches through the tap.
func (v *watchedEnv) start() *process {
	v.t.Helper()
	v.vars = nil
	p := v.userEnv.start()
	v.vars = []string{"GROAT_SOCKET=" + v.tap.path}
	return p
}

// restart stops groatd, starts it again and opens the keystore.
func (v *watchedEnv) restart() {
	v.t.Helper()
	if err := v.stopDaemon(); err != nil {
		v.t.Fatal(err)
	}
	v.start()
	v.run(v.passphrase+"\n", "unlock", "--passphrase-stdin")
}

// run runs groat and searches what it prints. It may be called by many goroutines.
func (v *watchedEnv) run(stdin string, args ...string) result { return v.runWith(nil, stdin, args...) }

func (v *watchedEnv) runWith(vars []string, stdin string, args ...string) result {
	v.t.Helper()
	c := exec.CommandContext(v.t.Context(), filepath.Join(bin, "groat"), args...)
	c.Env, c.Dir, c.SysProcAttr, c.Stdin = append(v.environ(), vars...), "/", v.as(), strings.NewReader(stdin)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	if _, ended := errors.AsType[*exec.ExitError](c.Run()); c.ProcessState == nil || !ended &&
		c.ProcessState.ExitCode() != 0 {
		v.t.Errorf("groat %s was not run", strings.Join(args, " "))
		return result{code: -1}
	}
	s := result{out.String(), complaint.String(), c.ProcessState.ExitCode()}
	want := nothing
	switch {
	case (args[0] == "get" || args[0] == "helper") && slices.Contains(args, "--id-token"):
		want = idToken
	case args[0] == "get" || args[0] == "helper":
		want = accessToken
	}
	v.search("groat "+strings.Join(args, " "), s.stdout+s.stderr, want)
	return s
}

// succeeds runs groat, which must not fail.
func (v *watchedEnv) succeeds(stdin string, args ...string) string {
	v.t.Helper()
	s := v.run(stdin, args...)
	if s.code != 0 {
		v.t.Fatalf("groat %s ended with %d: %s", strings.Join(args, " "), s.code, s.stderr)
	}
	return s.stdout
}

// wanted is what a text may hold, since it was asked for.
type wanted int

const (
	nothing wanted = iota
	accessToken
	idToken
)

// search complains of every secret in a text, and of every access token and ID token where none was asked for.
func (v *watchedEnv) search(where, text string, want wanted) {
	v.t.Helper()
	if what := v.find(text); what != "" {
		v.hit("%s holds %s:\n%s", where, what, text)
	}
	for kind, found := range map[wanted]string{accessToken: v.tokens.find(text), idToken: v.ids.find(text)} {
		if found != "" && kind != want {
			v.hit("%s holds %s, which nobody asked for:\n%s", where, found, text)
		}
	}
}

func (v *watchedEnv) hit(format string, args ...any) {
	v.t.Helper()
	v.hits.Add(1)
	v.t.Errorf(format, args...)
}

// watchKey watches for a private key: its bytes, the lines of its file, and the numbers that make it one.
func (v *watchedEnv) watchKey(text []byte, numbers ...[]byte) {
	block, _ := pem.Decode(text)
	v.add("a private key", string(block.Bytes))
	for i, line := range strings.Split(string(text), "\n") {
		// the first lines of all keys are the same
		if i > 2 && len(line) >= 2*shortest && !strings.HasPrefix(line, "---") {
			v.add("a line of a private key's file", line)
		}
	}
	for _, n := range numbers {
		v.add("a private key's number", string(n))
	}
}

// watchedServer stands before a sandbox and has somebody watch for every secret that passes, either way.
type watchedServer struct {
	*sandbox.Server
	v *watchedEnv
}

// ownSecret is the client of a person's own that has a secret.
const ownSecret = "my-own-confidential-app"

func newWatchedServer(v *watchedEnv) *watchedServer {
	key := newKey(v.t)
	text := pemOf(v.t, key)
	v.watchKey(text, key.D.Bytes(), key.Primes[0].Bytes(), key.Primes[1].Bytes())
	plain := filepath.Join(v.mine, "plain.pem")
	if err := os.WriteFile(plain, text, 0o600); err != nil {
		v.t.Fatal(err)
	}
	password := filepath.Join(v.mine, "passphrase")
	if err := os.WriteFile(password, []byte(v.passphrase), 0o600); err != nil {
		v.t.Fatal(err)
	}
	(&certifiedEnv{userEnv: v.userEnv}).openssl("", "pkcs8", "-topk8", "-in", plain, "-out", v.key, "-v2",
		"aes-256-cbc", "-passout", "file:"+password)
	w := &watchedServer{v: v, Server: sandbox.New(sandbox.Options{
		Users: []sandbox.User{{Name: person, Password: v.password}, {Name: "bob@example.com", APIKey: v.apiKey}},
		Clients: []sandbox.Client{
			{ID: "cdse-public", Method: sandbox.None},
			{ID: labClient, Secret: v.secret}, {ID: "keyed", Key: &key.PublicKey, Alg: "RS256"},
			{ID: ownClient, Method: sandbox.None, RedirectURIs: []string{"http://127.0.0.1/callback"}},
			{ID: ownSecret, Secret: v.secret, RedirectURIs: []string{"http://127.0.0.1/callback"}},
		},
		APIKeys: []sandbox.APIKey{{Value: v.apiKey}}, Consent: sandbox.ConsentAllow, PasswordGrant: true,
		Refresh: sandbox.Refresh{Always: true, Rotate: true}, Device: sandbox.Device{Interval: time.Second},
	})}
	front := httptest.NewServer(w)
	w.SetURL(front.URL)
	v.t.Cleanup(func() { front.Close(); w.Server.Close() })
	return w
}

func (w *watchedServer) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	for _, name := range secretParameters {
		w.learn("a "+name+" that was sent", form.Get(name))
	}
	t := &tee{ResponseWriter: to}
	w.Server.ServeHTTP(t, r)
	if back, err := url.Parse(t.Header().Get("Location")); err == nil {
		w.learn("an authorization code", back.Query().Get("code"))
	}
	var answer map[string]any
	json.Unmarshal(t.body.Bytes(), &answer)
	for _, name := range []string{"refresh_token", "device_code", "client_secret", "token"} {
		text, _ := answer[name].(string)
		w.learn("a "+name, text)
		if parts := strings.Split(text, "."); len(parts) == 3 { // of Planet's, whose payload holds the key
			payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
			var claims map[string]any
			json.Unmarshal(payload, &claims)
			key, _ := claims["api_key"].(string)
			if key != "" {
				w.v.tokens.add("an API key", key)
			}
		}
	}
	if token, _ := answer["access_token"].(string); token != "" {
		w.v.tokens.add("an access token", token)
	}
	if token, _ := answer["id_token"].(string); token != "" {
		w.v.ids.add("an ID token", token)
	}
}

func (w *watchedServer) learn(what, secret string) {
	if len(secret) >= 2*shortest {
		w.v.add(what, secret)
	}
}

// tap stands between groat and groatd and keeps what they say to each other.
type tap struct {
	path, to string
	listener *net.UnixListener

	mu    sync.Mutex
	talks []*conversation
}

// conversation is one connection.
type conversation struct {
	mu          sync.Mutex
	heard, said []byte // by groatd
}

func newTap(t *testing.T, dir, to string) *tap {
	t.Helper()
	p := &tap{path: filepath.Join(dir, "agent.sock"), to: to}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: p.path, Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.listener.Close() })
	go func() {
		for {
			c, err := p.listener.AcceptUnix()
			if err != nil {
				return
			}
			go p.connect(c)
		}
	}()
	return p
}

func (p *tap) connect(client *net.UnixConn) {
	defer client.Close()
	server, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.to, Net: "unix"})
	if err != nil {
		return
	}
	defer server.Close()
	k := &conversation{}
	p.mu.Lock()
	p.talks = append(p.talks, k)
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { k.copy(server, client, &k.heard) })
	both.Go(func() { k.copy(client, server, &k.said) })
	both.Wait()
}

// copy passes on what one says until it ends, and its end.
func (k *conversation) copy(to, from *net.UnixConn, kept *[]byte) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		k.mu.Lock()
		*kept = append(*kept, buf[:n]...)
		k.mu.Unlock()
		if _, lost := to.Write(buf[:n]); err != nil || lost != nil {
			to.CloseWrite()
			return
		}
	}
}

// snapshot returns the conversations so far.
func (p *tap) snapshot() (heard, said [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.talks {
		k.mu.Lock()
		heard, said = append(heard, bytes.Clone(k.heard)), append(said, bytes.Clone(k.said))
		k.mu.Unlock()
	}
	return heard, said
}
