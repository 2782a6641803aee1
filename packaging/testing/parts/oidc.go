package parts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// OIDC is a certified authorization server, npm's oidc-provider, on a loopback port. Its clients are called after how
// they authenticate: client_secret_basic, client_secret_post, client_secret_jwt (HS256) and HS512, with one secret
// among them, and none, a public one. Each has every grant that it can have. Assertions are good once, refresh tokens
// too, and the second use of one ends the session.
type OIDC struct {
	// Issuer serves discovery (RFC 8414 through OpenID Connect's path).
	Issuer string
	// TokenEndpoint is what discovery says.
	TokenEndpoint string
	// IntrospectionEndpoint is RFC 7662's.
	IntrospectionEndpoint string
	// ClientSecret is new at each start. It contains characters that Basic authentication has to encode (RFC 6749
	// §2.3.1).
	ClientSecret string

	// CA, Certificate and Key are PEM files of the https form, else empty: the authority that the server's certificate
	// is from, and what its client tls_client_auth authenticates with (RFC 8705).
	CA, Certificate, Key string

	client *http.Client
}

// OIDCConfig is what a running server can be told. What is zero stays as it is.
type OIDCConfig struct {
	// AccessTTL is the lifetime of access tokens in seconds; 900 at the start.
	AccessTTL int `json:"accessTTL,omitempty"`
	// Format is "jwt" (RS256, at the start) or "opaque".
	Format string `json:"format,omitempty"`
	// DeviceTTL is the lifetime of device codes in seconds, 600 at the start; DeviceInterval is what their answers give
	// as the interval, which they leave out at the start.
	DeviceTTL      int `json:"deviceTTL,omitempty"`
	DeviceInterval int `json:"deviceInterval,omitempty"`
	// Blocked makes all persons unknown, or ends that.
	Blocked *bool `json:"blocked,omitempty"`
	// Faults replaces the faults to come.
	Faults []OIDCFault `json:"faults,omitempty"`
}

// OIDCFault is an answer in place of the server's own.
type OIDCFault struct {
	Path    string            `json:"path"`
	Count   int               `json:"count"` // how many requests get it
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Delay   int               `json:"delay,omitempty"` // milliseconds before it
	Drop    bool              `json:"drop,omitempty"`  // close the connection and say nothing
}

// OIDCRequest is one request as the server saw it.
type OIDCRequest struct {
	Method        string   `json:"method"`
	Path          string   `json:"path"`
	Status        int      `json:"status"`
	Client        string   `json:"client"`        // once authenticated
	Authorization string   `json:"authorization"` // the scheme
	GrantType     string   `json:"grant_type"`
	Scope         string   `json:"scope"`
	Resource      []string `json:"resource"`
	// Refresh is the SHA-256, in hexadecimal, of the refresh token that was used or revoked.
	Refresh string `json:"refresh"`
}

// OIDCSession is a session that could be refreshed now.
type OIDCSession struct {
	Client       string `json:"client"`
	RefreshToken string `json:"refresh_token"`
}

// OIDCProvider starts the server for as long as the test runs.
func OIDCProvider(t testing.TB) *OIDC {
	t.Helper()
	return startOIDC(t, &OIDC{client: &http.Client{Timeout: startTimeout}})
}

func startOIDC(t testing.TB, o *OIDC, env ...string) *OIDC {
	t.Helper()
	tier.Needs(t, "node", "npm oidc-provider")
	cmd := node("server.mjs")
	cmd.Env = append(cmd.Environ(), env...)
	o.Issuer = start(t, "the certified authorization server (npm oidc-provider)", cmd)
	o.IntrospectionEndpoint = o.Issuer + "/token/introspection"
	o.TokenEndpoint = o.Issuer + "/token"
	var config struct{ Secret string }
	o.control(t, "config", nil, &config)
	o.ClientSecret = config.Secret
	return o
}

// node runs one of the scripts, by the node that the lock pins, whatever the machine has; of its platforms one is
// installed.
func node(script string) *exec.Cmd {
	program := path("oidc-provider", "node_modules", "node-linux-*", "bin", "node")
	if found, err := filepath.Glob(program); err == nil && len(found) == 1 {
		program = found[0]
	}
	return exec.Command(program, path("oidc-provider", script))
}

// Configure changes what c sets and leaves the rest.
func (o *OIDC) Configure(t testing.TB, c OIDCConfig) {
	t.Helper()
	o.control(t, "config", c, nil)
}

// Client returns a new HTTP client that trusts the server.
func (o *OIDC) Client() *http.Client {
	c := *o.client
	return &c
}

// Register adds a client that authenticates by private_key_jwt with this algorithm (RS256, PS256, ES256 or EdDSA); key
// is its public key, PEM.
func (o *OIDC) Register(t testing.TB, id, alg string, key []byte) {
	t.Helper()
	o.control(t, "client", map[string]string{"id": id, "alg": alg, "key": string(key)}, nil)
}

// Sessions returns every refresh token that could be used now, as a thief might have it.
func (o *OIDC) Sessions(t testing.TB) []OIDCSession {
	t.Helper()
	var sessions []OIDCSession
	o.control(t, "sessions", nil, &sessions)
	return sessions
}

// Requests returns what was asked of the server so far, oldest first.
func (o *OIDC) Requests(t testing.TB) []OIDCRequest {
	t.Helper()
	var log []OIDCRequest
	o.control(t, "log", nil, &log)
	return log
}

// control speaks to the paths that only tests know.
func (o *OIDC) control(t testing.TB, name string, in, out any) {
	t.Helper()
	if err := control(o.client, o.Issuer+"/test/"+name, in, out); err != nil {
		t.Fatalf("the certified authorization server's %s: %v", name, err)
	}
}

func control(client *http.Client, url string, in, out any) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if in != nil {
		body, encodeErr := json.Marshal(in)
		if encodeErr != nil {
			return encodeErr
		}
		req, err = http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	}
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("it answered %s: %s", resp.Status, why)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
