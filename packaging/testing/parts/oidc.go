package parts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// OIDC is a certified authorization server, npm's oidc-provider, on a loopback port. Its clients are called
// client_secret_basic, client_secret_post and client_secret_jwt (HS256), after how they authenticate; all have the client
// credentials grant and the same secret. Assertions are good once.
type OIDC struct {
	// Issuer serves discovery (RFC 8414 through OpenID Connect's path).
	Issuer string
	// TokenEndpoint is what discovery says.
	TokenEndpoint string
	// IntrospectionEndpoint is RFC 7662's.
	IntrospectionEndpoint string
	// ClientSecret is new at each start. It contains characters that Basic authentication has to encode (RFC 6749 §2.3.1).
	ClientSecret string
}

// OIDCConfig is what a running server can be told.
type OIDCConfig struct {
	// AccessTTL is the lifetime of access tokens in seconds; 900 at the start.
	AccessTTL int `json:"accessTTL,omitempty"`
	// Format is "jwt" (RS256, at the start) or "opaque".
	Format string `json:"format,omitempty"`
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
}

// OIDCProvider starts the server for as long as the test runs.
func OIDCProvider(t testing.TB) *OIDC {
	t.Helper()
	// The node that the lock pins, whatever the machine has; of its platforms one is installed.
	node := path("oidc-provider", "node_modules", "node-linux-*", "bin", "node")
	if found, err := filepath.Glob(node); err == nil && len(found) == 1 {
		node = found[0]
	}
	cmd := exec.Command(node, path("oidc-provider", "server.mjs"))
	o := &OIDC{Issuer: start(t, "the certified authorization server (npm oidc-provider)", cmd)}
	o.IntrospectionEndpoint = o.Issuer + "/token/introspection"
	o.TokenEndpoint = o.Issuer + "/token"
	var config struct{ Secret string }
	o.control(t, "config", nil, &config)
	o.ClientSecret = config.Secret
	return o
}

// Configure changes what c sets and leaves the rest.
func (o *OIDC) Configure(t testing.TB, c OIDCConfig) {
	t.Helper()
	o.control(t, "config", c, nil)
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
	if err := control(o.Issuer+"/test/"+name, in, out); err != nil {
		t.Fatalf("the certified authorization server's %s: %v", name, err)
	}
}

func control(url string, in, out any) error {
	client := http.Client{Timeout: 10 * time.Second}
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
		return fmt.Errorf("it answered %s", resp.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
