package e2e_test

import (
	"archive/zip"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
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
)

// Programs that others have written ask groat here, each for a server that takes one token and notes what it is sent.

// apiServer answers requests that carry the token that it wants, and refuses all others.
type apiServer struct {
	*httptest.Server
	challenge string // WWW-Authenticate of a refusal
	mu        sync.Mutex
	accepts   string   // the token
	seen      []string // the Authorization of each request, "" where there is none, since the last look
	refused   func()   // called at each refusal, if there is one
}

// newAPIServer serves until the test ends, with TLS where secure.
func newAPIServer(t *testing.T, secure bool, challenge string, answer http.HandlerFunc) *apiServer {
	s := &apiServer{challenge: challenge}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if _, password, ok := r.BasicAuth(); ok {
			token = password
		}
		s.mu.Lock()
		s.seen = append(s.seen, r.Header.Get("Authorization"))
		good, refused := token != "" && token == s.accepts, s.refused
		s.mu.Unlock()
		if good {
			answer(w, r)
			return
		}
		if refused != nil {
			refused()
		}
		w.Header().Set("WWW-Authenticate", s.challenge)
		w.WriteHeader(http.StatusUnauthorized)
	})
	if secure {
		s.Server = httptest.NewTLSServer(h)
	} else {
		s.Server = httptest.NewServer(h)
	}
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) wants(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepts = token
}

// look returns the Authorization of each request since the last look.
func (s *apiServer) look() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.seen
	s.seen = nil
	return was
}

// brought makes sure that the server was sent a value as Authorization, and besides no other one.
func (s *apiServer) brought(t *testing.T, value string) {
	t.Helper()
	seen := slices.Compact(slices.DeleteFunc(s.look(), func(v string) bool { return v == "" }))
	if !slices.Equal(seen, []string{value}) {
		t.Errorf("the server saw %d values as Authorization, want the one of the token", len(seen))
	}
}

// toolUser has the profile work, and programs that ask for its token.
type toolUser struct{ *userEnv }

func newToolUser(t *testing.T) toolUser {
	u := toolUser{newUserEnv(t, os.Getuid())}
	if _, err := u.addServer("AUTH", "path=/tenant"); err != nil {
		t.Fatal(err)
	}
	u.vars = append(u.vars, "no_proxy=127.0.0.1")
	u.start()
	u.groat("", "keystore", "use", "sealed", "--key-file")
	return u
}

// signIn signs in for an API.
func (u toolUser) signIn(api string) {
	u.t.Helper()
	u.groat(u.secret, "login", "work", "--token-url", u.servers["AUTH"].URL()+"/tenant/token", "--client-id", labClient,
		"--client-auth", "client_secret_basic", "--api", api, "--secret-stdin")
}

func (u toolUser) token() string {
	u.t.Helper()
	return strings.TrimSpace(u.groat("", "get", "work"))
}

// rotate makes another token the current one and returns it.
func (u toolUser) rotate() string {
	u.t.Helper()
	return strings.TrimSpace(u.groat(u.token(), "get", "work", "--refused"))
}

// write writes a file in the home directory and returns its path.
func (u toolUser) write(name, text string) (path string) {
	u.t.Helper()
	path = filepath.Join(u.home, name)
	writeFile(u.t, path, text)
	return path
}

// trust writes a server's certificate to a file.
func (u toolUser) trust(s *apiServer) (file string) {
	return u.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
}

// The go command brings the token to what the profile lists and to nothing else of the server, and the new one once it
// was replaced.
func TestClientGo(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	const module = "module example.com/m\n"
	var pack bytes.Buffer
	z := zip.NewWriter(&pack)
	f, err := z.Create("example.com/m@v1.0.0/go.mod")
	if err == nil {
		_, err = io.WriteString(f, module)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"list": "v1.0.0\n", "v1.0.0.info": `{"Version":"v1.0.0"}`, "v1.0.0.mod": module,
		"v1.0.0.zip": pack.String()}
	s := newAPIServer(t, true, `Bearer realm="modules"`, func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[strings.TrimPrefix(r.URL.Path, "/private/example.com/m/@v/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, text)
	})
	u := newToolUser(t)
	u.signIn(s.URL + "/private")
	path := "PATH=" + bin + ":" + filepath.Dir(program) + ":/usr/bin:/bin"
	u.vars = append(u.vars, "SSL_CERT_FILE="+u.trust(s), "GONOSUMDB=*", "GOTOOLCHAIN=local",
		"GOFLAGS=-mod=mod -modcacherw", "GOWORK=off", "GO111MODULE=on", path)
	u.groat("", "setup", "go", "work", "--yes")
	u.vars = append(u.vars, strings.Replace(path, bin+":", "", 1)) // go's file has the path of groat
	parts.Client(t, "go", program, "version")
	// download fetches the module by a proxy into a cache that is empty.
	cache := 0
	download := func(proxy string) result {
		cache++
		u.vars = append(u.vars, "GOPROXY="+proxy, fmt.Sprintf("GOMODCACHE=%s/cache%d", u.home, cache))
		return u.run("", program, "mod", "download", "-json", "example.com/m@v1.0.0")
	}
	for _, current := range []func() string{u.token, u.rotate} {
		token := current()
		s.wants(token)
		if r := download(s.URL + "/private"); r.code != 0 || !strings.Contains(r.stdout, `"Sum"`) {
			t.Errorf("%+v", r)
		}
		s.brought(t, "Bearer "+token)
	}
	for _, path := range []string{"/other", "/privately", ""} {
		r := download(s.URL + path)
		if sent := strings.Join(s.look(), ""); r.code == 0 || sent != "" {
			t.Errorf("%q: %+v, and a token was sent: %v", path, r, sent != "")
		}
	}
}
