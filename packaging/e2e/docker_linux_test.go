package e2e_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// imageRegistry is Debian's docker-registry, with a token endpoint that takes one user name and one password: the
// registry itself takes what that signs ("Token Authentication Specification" of the distribution project).
type imageRegistry struct {
	t    *testing.T
	dir  string
	host string // 127.0.0.1:PORT

	mu     sync.Mutex
	accept string // the password

	key  *ecdsa.PrivateKey
	cert []byte
}

const imageService, imageIssuer = "images", "the token endpoint"

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// startImageRegistry runs both until the test ends.
func startImageRegistry(t *testing.T) *imageRegistry {
	tier.Needs(t, "docker-registry", "skopeo", "podman")
	r := &imageRegistry{t: t, dir: t.TempDir()}
	r.certify()
	realm := httptest.NewServer(r)
	t.Cleanup(realm.Close)
	config := filepath.Join(r.dir, "config.yml")
	r.write(config, fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %s/images}}\n"+
		"http: {addr: 127.0.0.1:0}\nauth: {token: {realm: %s, service: %q, issuer: %q, rootcertbundle: %s}}\n",
		r.dir, realm.URL, imageService, imageIssuer, filepath.Join(r.dir, "cert.pem")))
	ctx, cancel := context.WithCancel(t.Context())
	c := exec.CommandContext(ctx, "docker-registry", "serve", config)
	log, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, ended := bufio.NewScanner(log), make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	found := make(chan string, 1)
	go func() {
		defer close(ended)
		var all strings.Builder
		for lines.Scan() {
			fmt.Fprintln(&all, lines.Text())
			if m := listening.FindStringSubmatch(lines.Text()); m != nil && len(found) == 0 {
				found <- m[1]
			}
		}
		if c.Wait(); ctx.Err() == nil {
			t.Errorf("docker-registry ended: %s", all.String())
		}
	}()
	select {
	case r.host = <-found:
	case <-ended:
		t.FailNow()
	case <-time.After(2 * patience):
		t.Fatal("docker-registry does not start")
	}
	return r
}

// certify makes the key of the token endpoint, and its certificate, which the registry trusts.
func (r *imageRegistry) certify() {
	r.t.Helper()
	var err error
	if r.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
		r.cert, err = x509.CreateCertificate(rand.Reader, template, template, r.key.Public(), r.key)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(filepath.Join(r.dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert})))
}

// ServeHTTP is the token endpoint.
func (r *imageRegistry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	user, password, _ := q.BasicAuth()
	r.mu.Lock()
	ok := user == "oauth2" && password != "" && password == r.accept
	r.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": imageIssuer, "sub": user, "aud": imageService,
		"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Minute).Unix(), "access": []map[string]any{
			{"type": "repository", "name": "team/image", "actions": []string{"pull", "push"}}}})
	token.Header["x5c"] = []string{base64.StdEncoding.EncodeToString(r.cert)}
	signed, err := token.SignedString(r.key)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, `{"token":%q}`, signed)
}

// wants makes an access token the only password.
func (r *imageRegistry) wants(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accept = token
}

// image writes an image without a layer, as the OCI image specification lays one out, and returns its directory.
func (r *imageRegistry) image() string {
	r.t.Helper()
	dir := filepath.Join(r.dir, "image")
	blob := func(text string) (described string) {
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		r.write(filepath.Join(dir, "blobs", "sha256", sum), text)
		return fmt.Sprintf(`"digest":"sha256:%s","size":%d`, sum, len(text))
	}
	config := blob(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	manifest := blob(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",` + config +
		`},"layers":[]}`)
	r.write(filepath.Join(dir, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
	r.write(filepath.Join(dir, "index.json"), `{"schemaVersion":2,"manifests":[{"mediaType":`+
		`"application/vnd.oci.image.manifest.v1+json",`+manifest+`}]}`)
	return dir
}

func (r *imageRegistry) write(path, text string) {
	r.t.Helper()
	writeFile(r.t, path, text)
}

// Skopeo brings an image to a registry and looks at it there, and Podman brings it here, each time with the profile's
// token of then. Once Skopeo has signed out, the next token is another one.
func TestSkopeoAndPodmanUseARegistryOfAProfile(t *testing.T) {
	t.Parallel()
	registry := startImageRegistry(t)
	parts.Client(t, "docker", "/usr/bin/skopeo", "--version")
	parts.Client(t, "docker", "/usr/bin/podman", "--version")
	u := newUserEnv(t, os.Getuid())
	if _, err := u.addServer("AUTH", "path=/tenant"); err != nil {
		t.Fatal(err)
	}
	u.vars = append(u.vars, "no_proxy=127.0.0.1")
	u.start()
	u.groat("", "keystore", "use", "sealed", "--key-file")
	u.groat(u.secret, "login", "images", "--token-url", u.servers["AUTH"].URL()+"/tenant/token", "--client-id", labClient,
		"--client-auth", "client_secret_basic", "--api", "http://"+registry.host, "--secret-stdin")
	config := filepath.Join(u.home, ".docker", "config.json")
	registry.write(config, `{"credHelpers":{"`+registry.host+`":"groat"}}`)

	skopeo := func(args ...string) result { return u.run("", "/usr/bin/skopeo", args...) }
	name := "docker://" + registry.host + "/team/image:1"
	put := []string{"copy", "--insecure-policy", "--dest-tls-verify=false", "oci:" + registry.image(), name}
	look := []string{"inspect", "--raw", "--tls-verify=false", name}
	if r := skopeo(put...); r.code == 0 {
		t.Error("the registry takes a token that it does not know")
	}
	was := strings.TrimSpace(u.groat("", "get", "images"))
	registry.wants(was)
	for _, args := range [][]string{put, look} {
		if r := skopeo(args...); r.code != 0 {
			t.Errorf("%+v", r)
		}
	}
	policy := filepath.Join(u.home, "policy.json")
	registry.write(policy, `{"default":[{"type":"insecureAcceptAnything"}]}`)
	podman := []string{"--root", filepath.Join(u.home, "root"), "--runroot", filepath.Join(u.home, "run"),
		"--storage-driver", "vfs", "pull", "--signature-policy", policy, "--tls-verify=false",
		registry.host + "/team/image:1"}
	if r := u.run("", "/usr/bin/podman", podman...); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if r := skopeo("logout", "--authfile", config, registry.host); r.code != 0 {
		t.Errorf("%+v", r)
	}
	is := strings.TrimSpace(u.groat("", "get", "images"))
	if is == was {
		t.Error("after it has signed out the token is the same")
	}
	registry.wants(is)
	if r := skopeo(look...); r.code != 0 || !strings.Contains(r.stdout, "image.config") {
		t.Errorf("%+v", r)
	}
}
