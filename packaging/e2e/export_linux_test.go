package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// A provider's own program works past three lives of a token on the file that groat keeps, which has no refresh token,
// and never goes to the authorization server. The programs are stand-ins: testdata/provider_programs.py says for what.
func TestProvidersProgramsReadAFile(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "python3")
	for _, name := range []string{"planet-auth", "earthscope-sdk"} {
		parts.NoClient(t, "none, groat export --as", name, "Debian 12 does not have it: a stand-in reads the file")
	}
	// A program would renew by itself a twelfth of a life after groat at the earliest: two seconds, also on a busy machine.
	const life, run = 24 * time.Second, "75"
	var wait sync.WaitGroup
	for _, tt := range []struct{ provider, as, file string }{
		{"planet-user", "planet", ".planet/planet-user/token.json"},
		{"earthscope", "earthscope", ".earthscope/default/tokens.json"},
		{"earthscope-0.2", "earthscope-0.2", "sso_tokens.json"},
	} {
		i := slices.IndexFunc(presetLogins, func(p presetLogin) bool { return p.provider == tt.provider })
		p := presetLogins[i]
		p.server.TokenLifetime = life
		h := newPresetEnv(t, p)
		h.signsIn(p)
		file := filepath.Join(h.home, tt.file)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		h.groat("", "export", "it", "--as", tt.as, "--file", file)
		program := h.script("provider_programs.py", tt.as, file, h.s.URL()+p.api, run)
		wait.Go(func() {
			out, err := program.CombinedOutput()
			if err != nil || string(out) != "done\n" {
				t.Errorf("%s: %v\n%s", tt.as, err, out)
			}
			if info, err := os.Lstat(file); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: %v, %v", tt.as, info, err)
			}
		})
		defer h.groat("", "export", "--stop", file)
	}
	wait.Wait()
}

// tlsAPI is an API behind TLS, at the standard port and at another one of an address of its own.
type tlsAPI struct {
	host string // the address
	port string // the other port
	cert string // the path of its certificate

	mu   sync.Mutex
	came []string // the Authorization header field of each request, with its path
}

func (a *tlsAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.came = append(a.came, r.URL.Path+" "+r.Header.Get("Authorization"))
	fmt.Fprint(w, `{"username":"alice"}`)
}

// last is the path and the Authorization of the last request.
func (a *tlsAPI) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string{""}, a.came...)[len(a.came)]
}

func startTLSAPI(t *testing.T, dir string) *tlsAPI {
	t.Helper()
	tier.NeedsRoot(t) // for port 443
	a := &tlsAPI{cert: filepath.Join(dir, "api.pem")}
	ip := net.IPv4(127, byte(1+os.Getpid()%250), 250, byte(1+loopbacks.Add(1)%250))
	a.host = ip.String()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an API"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{ip}, IsCA: true, BasicConstraintsValid: true}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	var der []byte
	if err == nil {
		der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	}
	if err == nil {
		err = os.WriteFile(a.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	for _, port := range []string{"443", "0"} {
		l, listening := net.Listen("tcp", net.JoinHostPort(a.host, port))
		if err != nil || listening != nil {
			t.Fatal(err, listening)
		}
		s := httptest.NewUnstartedServer(a)
		s.Listener.Close()
		s.Listener = l
		s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		s.StartTLS()
		t.Cleanup(s.Close)
		_, a.port, _ = net.SplitHostPort(l.Addr().String())
	}
	return a
}

// curl and npm send the token of a profile to the APIs that its credential is sealed for, by the netrc and the npmrc that
// groat keeps, and to no other.
func TestToolsReadNetrcAndNpmrc(t *testing.T) {
	t.Parallel()
	u := newUserEnv(t, os.Getuid())
	tier.Needs(t, "curl", "npm")
	parts.Client(t, "none, groat export --netrc", "/usr/bin/curl", "--version")
	parts.Client(t, "none, groat export --npmrc", "/usr/bin/npm", "--version")
	if _, err := u.addServer("AUTH", "path=/tenant"); err != nil {
		t.Fatal(err)
	}
	api := startTLSAPI(t, u.home)
	u.start()
	u.groat("", "keystore", "use", "sealed", "--key-file")
	u.groat(u.secret, "login", "lab", "--token-url", u.servers["AUTH"].URL()+"/tenant/token", "--client-id", labClient,
		"--client-auth", "client_secret_basic", "--api", "https://"+api.host, "--api",
		"https://"+api.host+":"+api.port+"/team", "--secret-stdin")
	netrc, npmrc := filepath.Join(u.home, "lab.netrc"), filepath.Join(u.home, "lab.npmrc")
	if said := u.groat("", "export", "lab", "--netrc", netrc); !strings.Contains(said, "not in the file: https://"+api.host+
		":"+api.port+"/team") {
		t.Error(said)
	}
	u.groat("", "export", "lab", "--npmrc", npmrc)
	u.vars = append(u.vars, "no_proxy="+api.host, "NPM_CONFIG_USERCONFIG="+npmrc, "NPM_CONFIG_CAFILE="+api.cert,
		"NPM_CONFIG_UPDATE_NOTIFIER=false", "NPM_CONFIG_FETCH_RETRIES=0")
	token := strings.TrimSpace(u.groat("", "get", "lab"))
	basic := http.Request{Header: http.Header{}}
	basic.SetBasicAuth("oauth2", token)
	for _, tt := range []struct {
		program string
		args    []string
		want    string
	}{
		{"/usr/bin/curl", []string{"-sS", "--cacert", api.cert, "--netrc-file", netrc, "https://" + api.host + "/x"},
			"/x " + basic.Header.Get("Authorization")},
		{"/usr/bin/npm", []string{"whoami", "--registry", "https://" + api.host + "/"}, "/-/whoami Bearer " + token},
		{"/usr/bin/npm", []string{"whoami", "--registry", "https://" + api.host + ":" + api.port + "/team/"},
			"/team/-/whoami Bearer " + token},
	} {
		if r := u.run("", tt.program, tt.args...); r.code != 0 || !strings.Contains(r.stdout, "alice") {
			t.Errorf("%s %q: %+v", tt.program, tt.args, r)
		}
		if api.last() != tt.want {
			t.Errorf("%s %q: not the token of the profile came", tt.program, tt.args)
		}
	}
	before := api.last()
	r := u.run("", "/usr/bin/npm", "whoami", "--registry", "https://"+api.host+":"+api.port+"/other/")
	if r.code == 0 || api.last() != before {
		t.Errorf("npm has a token for an address that is not the profile's: %+v", r)
	}
	u.refused(u.run("", "groat", "export", "lab", "--netrc", filepath.Join(u.home, ".netrc")), 78, "other programs write",
		"groat export lab --netrc ")
}
