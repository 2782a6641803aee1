package sandbox

import (
	"bufio"
	"bytes"
	"context"
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

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// tool returns the path of a program that the tests need.
func tool(t *testing.T, name string) string {
	t.Helper()
	tier.Needs(t, name)
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: run packaging/testing/install.sh", name)
	}
	return path
}

// command runs a program to its end with a deadline and returns its standard output.
func command(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// python returns Debian's interpreter, the one that packages of Debian belong to.
func python(t *testing.T) string {
	t.Helper()
	tier.Needs(t, "python3", "authlib")
	const path = "/usr/bin/python3"
	if err := exec.Command(path, "-c", "import authlib, requests").Run(); err != nil {
		t.Fatalf("python3-authlib is missing: run packaging/testing/install.sh")
	}
	return path
}

// authlib, an independent implementation, gets tokens by every method and calls the API with them.
func TestAuthlib(t *testing.T) {
	py := python(t)
	s := newServer(t, Options{})
	for _, args := range [][]string{
		{ClientSecretJWT}, {ClientSecretJWT, "HS384"}, {ClientSecretJWT, "HS512"}, {ClientSecretBasic},
		{ClientSecretPost},
	} {
		for _, path := range []string{SpatiafiTokenPath, s.TokenPath()} {
			t.Run(strings.Join(args, " ")+" "+path, func(t *testing.T) {
				before := s.Count(path)
				out := command(t, clientID+"\n"+secret+"\n", py,
					append([]string{"testdata/authlib_client.py", s.URL() + path, s.URL() + apiPath}, args...)...)
				var got struct {
					Token  map[string]any
					Status int
				}
				if err := json.Unmarshal([]byte(out), &got); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				log := s.Log()
				request := log[len(log)-2]
				if got.Status != 200 || s.Count(path) != before+1 || request.Auth != args[0] || request.Status != 200 {
					t.Errorf("%s, log %+v", out, request)
				}
				if args[0] == ClientSecretJWT && (request.Assertion == "" || request.ClientID != clientID) {
					t.Errorf("log %+v", request)
				}
			})
		}
	}
}

// startProcess builds and starts the program serve; it ends with the test.
func startProcess(t *testing.T, args ...string) (url string, end func() error) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sandbox")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./serve")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // what the programs of a release are made of is compiled already
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, bin, append(args, "-until-eof")...)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() error { in.Close(); return cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no URL: %v, %v", err, end())
	}
	return strings.TrimSpace(line), end
}

// The program, curl and a shell: the README's story without any of our code on the client's side, and the control
// paths.
func TestProcess(t *testing.T) {
	tool(t, "curl")
	tool(t, "python3")
	base, end := startProcess(t, "-lifetime", "1h", "-skew", "1h", "-client", clientID+":"+secret+":client_secret_post")
	if out := command(t, "", "testdata/story.sh", base, alice, alicePass); out != "done\n" {
		t.Errorf("story: %q", out)
	}
	control := func(path string, form url.Values, status int) {
		t.Helper()
		if r := postForm(t, base+"/sandbox/"+path, form); r.StatusCode != status {
			t.Errorf("%s %v: %s %s", path, form, r.Status, r.body)
		}
	}
	ask := func(secret string) reply {
		t.Helper()
		return postForm(t, base+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID},
			"client_secret": {secret}})
	}
	r := ask(secret)
	date, err := time.Parse(http.TimeFormat, r.Header.Get("Date"))
	if ahead := time.Until(date); err != nil || ahead < 50*time.Minute || ahead > 70*time.Minute ||
		r.member(t, "expires_in") != float64(3600) {
		t.Errorf("skew %v, %s", ahead, r.body)
	}
	control("fault", url.Values{"path": {"/token"}, "status": {"503"}, "times": {"1"}, "delay": {"1ms"},
		"header": {"Retry-After: 9"}, "body": {"busy"}}, 204)
	if r := ask(secret); r.StatusCode != 503 || r.Header.Get("Retry-After") != "9" || r.body != "busy" {
		t.Errorf("fault: %s %s", r.Status, r.body)
	}
	control("fault", url.Values{"path": {"/token"}, "set": {`{"expires_in":null}`}, "times": {"-1"}}, 204)
	if r := ask(secret); r.StatusCode != 200 || r.member(t, "expires_in") != nil {
		t.Errorf("set: %s %s", r.Status, r.body)
	}
	control("clear", nil, 204)
	control("set", url.Values{"lifetime": {"10s"}, "latency": {"2ms"}}, 204)
	if r := ask(secret); r.member(t, "expires_in") != float64(10) {
		t.Errorf("lifetime: %s", r.body)
	}
	control("client", url.Values{"id": {clientID}, "secret": {"other"}}, 204)
	if r := ask(secret); r.StatusCode != 401 {
		t.Errorf("secret: %s", r.Status)
	}
	control("client", url.Values{"id": {clientID}, "disabled": {"true"}}, 204)
	if r := ask("other"); r.StatusCode != 401 {
		t.Errorf("disabled: %s", r.Status)
	}
	control("user", url.Values{"name": {alice}, "blocked": {"true"}}, 204)
	if r := send(t, "GET", base+SpatiafiBasicPath, "", "Authorization",
		basicHeader(alice, alicePass)); r.StatusCode != 401 {
		t.Errorf("blocked: %s", r.Status)
	}
	for _, bad := range []struct{ path, name, value string }{
		{"set", "lifetime", "1s"}, {"set", "lifetime", "x"}, {"set", "nothing", "1s"}, {"fault", "times", "x"},
		{"fault", "delay", "5"}, {"nothing", "a", "b"},
	} {
		control(bad.path, url.Values{bad.name: {bad.value}}, 400)
	}
	if r := send(t, "POST", base+"/sandbox/clear", "", "Origin", "https://page.example"); r.StatusCode != 403 {
		t.Errorf("a web page: %s", r.Status)
	}
	log := send(t, "GET", base+"/sandbox/log?path=/token&wait=6", "")
	if log.member(t, "count") != float64(6) || strings.Contains(log.body, secret) {
		t.Errorf("log: %s", log.body)
	}
	if err := end(); err != nil {
		t.Errorf("end: %v", err)
	}
}

// Without Options.Control there are no control paths.
func TestControlIsOffByDefault(t *testing.T) {
	s := newServer(t, Options{})
	if r := send(t, "GET", s.URL()+"/sandbox/log", ""); r.StatusCode != 404 {
		t.Error(r.Status)
	}
}

// An https server in memory: the client believes in TLS, the URL is the one that the assertion and the token name.
func TestPipeAsHTTPS(t *testing.T) {
	s := New(Options{URL: "https://auth.spatiafi.com", Clients: []Client{{ID: clientID, Secret: secret}}})
	defer s.Close()
	c := &http.Client{Transport: &http.Transport{DialTLSContext: s.StartPipe(), DisableKeepAlives: true}}
	aud := "https://auth.spatiafi.com" + SpatiafiTokenPath
	jwt := assertion{id: clientID, secret: secret, aud: aud, iat: time.Now()}.sign()
	resp, err := c.PostForm(aud, assertionForm(jwt))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || segment(t, reply{resp, string(body)}.member(t, "access_token").(string),
		1)["iss"] != s.URL() {
		t.Errorf("%s %s %v", resp.Status, body, err)
	}
}
