package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// newRegistry is a sparse registry of cargo's with one crate
// (https://doc.rust-lang.org/cargo/reference/registry-index.html), which wants a token for its index too.
func newRegistry(t *testing.T) *apiServer {
	var s *apiServer
	s = newAPIServer(t, true, `Cargo login_url="https://crates.example.com/me"`,
		func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/index/config.json":
				io.WriteString(w, `{"dl":"`+s.URL+`/dl","auth-required":true}`)
			case "/index/pr/iv/private":
				io.WriteString(w, `{"name":"private","vers":"1.0.0","deps":[],"features":{},"yanked":false,"cksum":"`+
					strings.Repeat("0", 64)+`"}`+"\n")
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		})
	return s
}

// cargoClient reads the index of a registry as cargo does.
type cargoClient interface {
	read(s *apiServer) (found bool)
}

// realCargo is the program that GROAT_CARGO names: Debian 12's cargo is older than credential providers.
type realCargo struct {
	toolUser
	program string
	isSetUp bool // its configuration is what groat setup has written
}

// registry is what the section of a registry has, and what follows it.
func (c realCargo) registry(s *apiServer) string {
	return "index = \"sparse+" + s.URL + "/index/\"\n[http]\ncainfo = \"" + c.trust(s) + "\"\n"
}

// setUp leaves the configuration to groat.
func (c realCargo) setUp(s *apiServer) realCargo {
	c.t.Helper()
	c.write("cargo/config.toml", "[registries.work]\n"+c.registry(s))
	c.groat("", "setup", "cargo", "work", "--yes")
	c.isSetUp = true
	return c
}

func (c realCargo) read(s *apiServer) bool {
	c.t.Helper()
	dir := filepath.Dir(c.write("crate/src/lib.rs", ""))
	manifest := c.write("crate/Cargo.toml", "[package]\nname = \"mine\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"+
		"[dependencies]\nprivate = { version = \"1\", registry = \"work\" }\n")
	if !c.isSetUp {
		c.write("cargo/config.toml", "[registries.work]\ncredential-provider = [\"cargo-credential-groat\"]\n"+c.registry(s))
	}
	for _, name := range []string{"crate/Cargo.lock", "cargo/registry"} {
		if err := os.RemoveAll(filepath.Join(c.home, name)); err != nil {
			c.t.Fatal(err)
		}
	}
	c.vars = append(c.vars, "RUSTC="+filepath.Join(filepath.Dir(c.program), "rustc"), "PWD="+dir)
	r := c.run("", c.program, "generate-lockfile", "--manifest-path", manifest)
	lock, err := os.ReadFile(filepath.Join(c.home, "crate/Cargo.lock"))
	if (r.code == 0) != (err == nil && strings.Contains(string(lock), `name = "private"`)) {
		c.t.Errorf("%+v", r)
	}
	return r.code == 0
}

// cargoStandIn is written from cargo's description of the protocol, and shares nothing with groat
// (https://doc.rust-lang.org/cargo/reference/credential-provider-protocol.html): the provider greets, cargo says what
// it wants in one line and gets one, and closes the pipe.
type cargoStandIn struct{ toolUser }

func (c cargoStandIn) read(s *apiServer) bool {
	c.t.Helper()
	client := s.Client()
	defer client.CloseIdleConnections()
	first, err := client.Get(s.URL + "/index/config.json")
	if err != nil {
		c.t.Fatal(err)
	}
	first.Body.Close()
	request, err := json.Marshal(map[string]any{"v": 1, "kind": "get", "operation": "read", "args": []string{},
		"registry": map[string]any{"index-url": "sparse+" + s.URL + "/index/", "name": "work",
			"headers": []string{"WWW-Authenticate: " + first.Header.Get("WWW-Authenticate")}}})
	if err != nil {
		c.t.Fatal(err)
	}
	provider := c.command(c.t.Context(), "", "cargo-credential-groat", "--cargo-plugin")
	provider.Stdin = nil
	in, err1 := provider.StdinPipe()
	out, err2 := provider.StdoutPipe()
	if err1 != nil || err2 != nil || provider.Start() != nil {
		c.t.Fatal(err1, err2)
	}
	hung := time.AfterFunc(patience, func() { provider.Process.Kill() })
	defer hung.Stop()
	lines := bufio.NewReader(out)
	greeting, err := lines.ReadString('\n')
	if err != nil || greeting != `{"v":[1]}`+"\n" {
		c.t.Errorf("%v, %q", err, greeting)
	}
	in.Write(append(request, '\n'))
	answer, err := lines.ReadBytes('\n')
	in.Close()
	if rest, _ := io.ReadAll(lines); err != nil || len(rest) > 0 {
		c.t.Errorf("%v, %q", err, rest)
	}
	if err := provider.Wait(); err != nil {
		c.t.Error(err)
	}
	var a struct {
		Ok *struct{ Kind, Token, Cache string }
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		c.t.Fatal(err)
	}
	if a.Ok == nil || a.Ok.Kind != "get" {
		return false
	}
	q, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, s.URL+"/index/pr/iv/private", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	q.Header.Set("Authorization", a.Ok.Token)
	r, err := client.Do(q)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// Cargo reads the index of a registry that a profile lists, by its token, and that of no other one.
func TestClientCargo(t *testing.T) {
	t.Parallel()
	s, other := newRegistry(t), newRegistry(t)
	u := newToolUser(t)
	u.signIn(s.URL + "/index")
	var cargo cargoClient = cargoStandIn{u}
	if program := os.Getenv("GROAT_CARGO"); program != "" {
		u.vars = append(u.vars, "CARGO_HOME="+filepath.Join(u.home, "cargo"),
			"PATH="+bin+":"+filepath.Dir(program)+":/usr/bin:/bin")
		cargo = realCargo{u, program, false}
		parts.Client(t, "cargo", program, "--version")
	} else {
		parts.NoClient(t, "cargo", "cargo", "Debian 12's (0.66) is older than credential providers (1.74): a stand-in asked")
	}
	for _, current := range []func() string{u.token, u.rotate} {
		token := current()
		s.wants(token)
		if !cargo.read(s) {
			t.Error("the registry was not read")
		}
		s.brought(t, "Bearer "+token)
	}
	if real, ok := cargo.(realCargo); ok {
		if !real.setUp(s).read(s) {
			t.Error("the registry was not read after groat setup")
		}
		s.brought(t, "Bearer "+u.token())
	}
	other.wants(u.token())
	found := cargo.read(other)
	if sent := strings.Join(other.look(), ""); found || sent != "" {
		t.Errorf("another registry was read: %v, and a token was sent: %v", found, sent != "")
	}
}
