package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// TestCertifiedServer signs in, by discovery, at an authorization server of another project, with each method of client
// authentication, and gets tokens from it.
func TestCertifiedServer(t *testing.T) {
	t.Parallel()
	as := parts.OIDCProvider(t)
	as.Configure(t, parts.OIDCConfig{Format: "opaque"}) // those it can be asked about
	r := newUserEnv(t, os.Getuid())
	r.add("the certified server's client secret", as.ClientSecret)
	r.start()
	r.groat("", "keystore", "use", "sealed", "--key-file")
	methods := []string{sandbox.ClientSecretBasic, sandbox.ClientSecretPost, sandbox.ClientSecretJWT}
	for _, m := range methods {
		r.refused(r.run(r.wrong+"\n", "groat", "login", m, "--issuer", as.Issuer, "--client-auth", m, "--client-id", m,
			"--secret-stdin"),
			4, "does not accept the client id or secret (HTTP 401, invalid_client)",
			"groat login "+m+" --issuer "+as.Issuer+" --client-auth "+m+" --client-id "+m)
		r.groat(as.ClientSecret+"\n", "login", m, "--issuer", as.Issuer, "--client-auth", m, "--client-id", m,
			"--secret-stdin")
	}
	// Each start costs each profile one more request: none would be answered if an assertion were used twice.
	const starts = 4
	for range starts {
		r.restart()
		for _, m := range methods {
			if !active(t, as, r.groat("", "get", m, "--scope", "api:read")) {
				t.Errorf("%s: the server does not know the token", m)
			}
		}
	}
	seen := map[string]int{}
	for _, q := range as.Requests(t) {
		if q.Path == "/token" && q.Status == http.StatusOK {
			seen[q.Client]++
		}
	}
	for _, m := range methods {
		if seen[m] != 1+starts {
			t.Errorf("%s: %d tokens, want %d", m, seen[m], 1+starts)
		}
	}
	replay(t, as)
}

// replay shows that the server would have noticed.
func replay(t *testing.T, as *parts.OIDC) {
	t.Helper()
	now := time.Now()
	assertion, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": sandbox.ClientSecretJWT, "sub": sandbox.ClientSecretJWT, "aud": as.TokenEndpoint, "jti": "used twice",
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}).SignedString([]byte(as.ClientSecret))
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		if _, got := postForm(t, as.TokenEndpoint, form); got != want {
			t.Errorf("an assertion of one's own was answered with HTTP %d, want %d", got, want)
		}
	}
}

// active asks the server whether a token is one of its own (RFC 7662).
func active(t *testing.T, as *parts.OIDC, token string) bool {
	t.Helper()
	var answer struct{ Active bool }
	form := url.Values{"token": {strings.TrimSpace(token)}, "client_id": {sandbox.ClientSecretPost},
		"client_secret": {as.ClientSecret}}
	body, _ := postForm(t, as.IntrospectionEndpoint, form)
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Active
}

func postForm(t *testing.T, to string, form url.Values) (body []byte, status int) {
	t.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.PostForm(to, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return body, resp.StatusCode
}

// python is Debian's: the one that its authlib is installed for.
const python = "/usr/bin/python3"

// script returns a command that runs a program of testdata's, in the environment of r.
func (r *userEnv) script(name string, args ...string) *exec.Cmd {
	r.t.Helper()
	tier.Needs(r.t, "python3", "authlib")
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		r.t.Fatal(err)
	}
	c := exec.CommandContext(r.t.Context(), python, append([]string{path}, args...)...)
	c.Env = append(r.environ(), "AUTHLIB_INSECURE_TRANSPORT=1") // plain http, on loopback
	c.Dir = r.home
	return c
}

// TestAuthlibBesideUs lets authlib's ClientSecretJWT session and groatd get tokens from one server, which keeps every
// jti.
func TestAuthlibBesideUs(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	r.start()
	server := r.signIn("work")
	c := r.script("authlib_jwt.py", server.URL()+sandbox.SpatiafiTokenPath, server.URL()+"/api/info")
	c.Stdin = strings.NewReader(labClient + "\n" + r.secret + "\n")
	out, err := c.CombinedOutput()
	if err != nil || string(out) != "200\n200\n200\n" {
		t.Fatalf("authlib's own session: %v; if it is missing, run packaging/testing/install.sh\n%s", err, out)
	}
	r.restart()
	r.groat("", "get", "work")
	ways := map[string]int{}
	for _, e := range server.Log() {
		if e.Path == sandbox.SpatiafiTokenPath && e.Status == http.StatusOK {
			ways[e.Auth]++
		}
	}
	if len(ways) != 1 || ways[sandbox.ClientSecretJWT] != 5 {
		t.Errorf("the server answered %v, want three requests of authlib's and two of groatd's", ways)
	}
}

// TestAuthlibFedFromGroat gives an authlib session what "groat get --output json" prints, and a new one when groat has
// renewed it.
func TestAuthlibFedFromGroat(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	r.start()
	server := r.signIn("work")
	c := r.script("authlib_fed.py", server.URL()+"/api/info?item_id=demo")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint bytes.Buffer
	c.Stderr = &complaint
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the session says %q, want %q\n%s", lines.Text(), want, complaint.String())
		}
	}
	expect("200")
	first := r.groat("", "get", "work")
	server.Revoke(strings.TrimSpace(first))
	io.WriteString(in, "call\n")
	expect("401")
	if r.groat(first, "get", "work", "--refused") == first {
		t.Fatal("it was not renewed")
	}
	io.WriteString(in, "replace\n")
	expect("another token")
	io.WriteString(in, "call\n")
	expect("200")
	in.Close()
	if err := c.Wait(); err != nil {
		t.Errorf("%v\n%s", err, complaint.String())
	}
	if n := server.Count(sandbox.SpatiafiTokenPath); n != 2 {
		t.Errorf("%d token requests, want the login's and the renewal", n)
	}
}
