package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// foreignEnv is a userEnv whose groatd runs, with sessions in a sealed file, and an authorization server that nobody
// here wrote.
type foreignEnv struct {
	*userEnv
	as *parts.AuthServer
}

func newForeignEnv(t *testing.T, as *parts.AuthServer) *foreignEnv {
	t.Helper()
	h := &foreignEnv{userEnv: newUserEnv(t, os.Getuid()), as: as}
	h.add("the clients' secret at "+as.Name, as.Secret)
	h.add("the person's password at "+as.Name, as.Password)
	h.start()
	h.groat("", "keystore", "use", "sealed", "--key-file")
	return h
}

func (h *foreignEnv) in(t *testing.T) *foreignEnv {
	return &foreignEnv{h.userEnv.in(t), h.as}
}

// foreignWay is how one client signs in.
type foreignWay struct {
	grant, client, method string
	more                  []string // flags
}

func (w foreignWay) String() string {
	return strings.Join(append([]string{w.grant, w.client, w.method}, w.more...), " ")
}

// profile is the name of its profile.
func (w foreignWay) profile() string {
	return strings.ToLower(w.grant + "." + w.client + "." + w.method)
}

// secret reports whether the client has one.
func (w foreignWay) secret() bool { return strings.HasPrefix(w.method, "client_secret_") }

// session reports whether it brings a refresh token.
func (w foreignWay) session() bool {
	switch w.grant {
	case "authorization_code", "device_code", "password":
		return true
	}
	return false
}

// args are the login's, and stdin what it reads there.
func (h *foreignEnv) args(w foreignWay) (args []string, stdin string) {
	h.t.Helper()
	args = []string{w.profile(), "--issuer", h.as.Issuer, "--grant", w.grant, "--client-auth", w.method, "--client-id",
		w.client}
	if w.grant == "password" { // has two secrets, and is typed
		args = append(args, "--username", h.as.Person)
	} else if w.secret() {
		args, stdin = append(args, "--secret-stdin"), h.as.Secret+"\n"
	}
	if w.method == "private_key_jwt" || w.grant == "jwt_bearer" {
		args = append(args, "--key", h.key(w.client), "--key-id", w.client)
	}
	if to := h.redirect(w); to != "" {
		args = append(args, "--redirect", to)
	}
	return append(args, w.more...), stdin
}

// redirect is the client's redirect URI, where it takes but one.
func (h *foreignEnv) redirect(w foreignWay) string {
	if w.grant != "authorization_code" || len(h.as.Redirects) == 0 {
		return ""
	}
	return h.as.Redirects[w.client]
}

// key makes a client's key, once, which the server takes from then on, and returns its file. The client is called after
// its algorithm.
func (h *foreignEnv) key(client string) string {
	h.t.Helper()
	file := filepath.Join(h.home, client+".pem")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	kind := []string{"RSA", "-pkeyopt", "rsa_keygen_bits:2048"}
	if client == "ES256" {
		kind = []string{"EC", "-pkeyopt", "ec_paramgen_curve:P-256"}
	}
	h.openssl("", append([]string{"genpkey", "-out", file, "-algorithm"}, kind...)...)
	h.as.Register(h.t, client, client, []byte(h.openssl("", "pkey", "-pubout", "-in", file)))
	return file
}

// signIn signs in, as a person where there has to be one, and returns what groat says.
func (h *foreignEnv) signIn(w foreignWay) string {
	h.t.Helper()
	args, stdin := h.args(w)
	switch w.grant {
	case "authorization_code":
		s := h.startLogin(stdin, args...)
		if page := h.person(s.opened(), ""); !strings.Contains(page, "You can close this tab") {
			h.t.Errorf("%s: the browser ended at %s", w, page)
		}
		return s.succeeds()
	case "device_code":
		s := h.startLogin(stdin, args...)
		h.person(s.address(), s.shown(`(?m)^  code: (\S+)$`))
		return s.succeeds()
	case "password":
		s := h.startLogin("", args...)
		if w.secret() {
			s.asks("Client secret of")
			s.types(h.as.Secret)
		}
		s.asks("Password of")
		s.types(h.as.Password)
		return s.succeeds()
	}
	return h.groat(stdin, append([]string{"login"}, args...)...)
}

// person does what a person does at an address of the server's, with a device's code or without one, and returns the
// page that it ends at.
func (h *foreignEnv) person(address, code string) string {
	h.t.Helper()
	if h.as.Name == "glewlwyd" {
		if code != "" {
			address += "?code=" + code
		}
		return h.as.SignIn(h.t, address)
	}
	v := visitor{t: h.t, client: &http.Client{Timeout: patience}, types: map[string]string{
		"login": h.as.Person, "username": h.as.Person, "password": h.as.Password, "allow": "Authorize",
		"user_code": code,
	}, link: regexp.MustCompile(`location\.href='([^']*action=allowed)'`)}
	return v.visits(address)
}

// good reports whether the server takes an access token of a person's.
func (h *foreignEnv) good(token string) bool {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.as.API, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// get returns a token that the server takes.
func (h *foreignEnv) get(profile string, more ...string) string {
	h.t.Helper()
	token := h.groat("", append([]string{"get", profile}, more...)...)
	if !h.good(token) {
		h.t.Errorf("%s: groat handed out a token that the server does not take", profile)
	}
	return token
}

// openssl makes keys that nobody here wrote.
func (r *userEnv) openssl(stdin string, args ...string) string {
	r.t.Helper()
	tier.Needs(r.t, "openssl")
	c := exec.CommandContext(r.t.Context(), "openssl", args...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.Output()
	if err != nil {
		r.t.Fatalf("openssl %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
