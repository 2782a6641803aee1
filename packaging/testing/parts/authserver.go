package parts

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// AuthServer is an authorization server of another project on a loopback port. What its clients are called and which
// grants they have stands at the head of the program that runs it, in a directory beside this one.
type AuthServer struct {
	// Name is the directory's.
	Name string
	// Issuer serves discovery (RFC 8414 through OpenID Connect's path).
	Issuer string
	// Secret is the clients', new at each start and after [AuthServer.ChangeSecret]. Basic authentication has to encode
	// some of its characters (RFC 6749 §2.3.1), unless the server takes them as they are.
	Secret string
	// Person may sign in, with Password.
	Person, Password string

	// API takes the server's access tokens: of persons, and where the head of the program says so of clients.
	API string

	// Redirects are the redirect URIs of clients that have one with a port; others take any of 127.0.0.1, on /callback.
	Redirects map[string]string

	tests  string // the address of what only tests ask for
	client *http.Client
}

// Zitadel starts the example server of zitadel/oidc for as long as the test runs.
func Zitadel(t testing.TB) *AuthServer {
	t.Helper()
	return goServer(t, "zitadel")
}

// Fosite starts a server that is made of ory/fosite for as long as the test runs.
func Fosite(t testing.TB) *AuthServer {
	t.Helper()
	return goServer(t, "fosite")
}

// DjangoOAuthToolkit starts a server that is made of Debian's django-oauth-toolkit for as long as the test runs.
func DjangoOAuthToolkit(t testing.TB) *AuthServer {
	t.Helper()
	tier.Needs(t, "python3-django-oauth-toolkit")
	return startAuthServer(t, "django-oauth-toolkit", pythonServer("django-oauth-toolkit"))
}

// Glewlwyd starts Debian's glewlwyd for as long as the test runs.
func Glewlwyd(t testing.TB) *AuthServer {
	t.Helper()
	tier.Needs(t, "glewlwyd")
	return startAuthServer(t, "glewlwyd", pythonServer("glewlwyd"))
}

// goServer runs a program that is a module of its own, which the go command has built before and kept.
func goServer(t testing.TB, name string) *AuthServer {
	t.Helper()
	tier.Needs(t, "the module packaging/testing/"+name)
	cmd := exec.Command("go", "run", "-buildvcs=false", "-trimpath", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Dir = path(name)
	return startAuthServer(t, name, cmd)
}

// pythonServer runs a script with Debian's Python, whatever else the machine has.
func pythonServer(name string) *exec.Cmd {
	return exec.Command("/usr/bin/python3", path(name, "server.py"))
}

func startAuthServer(t testing.TB, name string, cmd *exec.Cmd) *AuthServer {
	t.Helper()
	s := &AuthServer{Name: name, client: &http.Client{Timeout: startTimeout}}
	t.Cleanup(s.client.CloseIdleConnections)
	said := strings.Fields(start(t, "the authorization server "+name, cmd))
	s.Issuer = said[0]
	s.tests = said[len(said)-1]
	if i := strings.Index(s.tests, "://"); i >= 0 {
		scheme, rest := s.tests[:i+3], s.tests[i+3:]
		host, _, _ := strings.Cut(rest, "/")
		s.tests = scheme + host + "/test/"
	}
	s.ask(t, "config", nil, s.learn())
	return s
}

// ask speaks to the paths that only tests know.
func (s *AuthServer) ask(t testing.TB, name string, in, out any) {
	t.Helper()
	if err := control(s.client, s.tests+name, in, out); err != nil {
		t.Fatalf("the %s of %s: %v", name, s.Name, err)
	}
}

// learn is where the answer about the server goes. What it does not say stays.
func (s *AuthServer) learn() any {
	return &struct {
		Secret, Person, Password, API *string
		Redirects                     *map[string]string
	}{&s.Secret, &s.Person, &s.Password, &s.API, &s.Redirects}
}

// SignIn has the person sign in, allow everything and go to an address, where the server's pages are a program that
// only a browser can run. It returns the text of the page at the end.
func (s *AuthServer) SignIn(t testing.TB, url string) string {
	t.Helper()
	var end struct{ Text string }
	s.ask(t, "person", map[string]string{"url": url}, &end)
	return end.Text
}

// Register adds a client that authenticates by private_key_jwt with this algorithm; key is its public key, PEM.
func (s *AuthServer) Register(t testing.TB, id, alg string, key []byte) {
	t.Helper()
	s.ask(t, "client", map[string]string{"id": id, "alg": alg, "key": string(key)}, nil)
	s.ask(t, "config", nil, s.learn())
}

// ChangeSecret gives the clients another secret, which is in s from then on. The one before is wrong.
func (s *AuthServer) ChangeSecret(t testing.TB) {
	t.Helper()
	s.ask(t, "secret", struct{}{}, s.learn())
}

// EndSessions ends every session at the server, as a person or an administrator does there.
func (s *AuthServer) EndSessions(t testing.TB) {
	t.Helper()
	s.ask(t, "end", struct{}{}, nil)
}
