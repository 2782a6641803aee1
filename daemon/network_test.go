package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// The tests are about what they set themselves, and not about the proxy of the person who runs them.
func init() {
	for _, v := range append(append([]string{"SSL_CERT_FILE", "SSL_CERT_DIR"}, grant.ProxyVariables...),
		grant.NoProxyVariables...) {
		os.Unsetenv(v)
	}
}

func wantSetting(t *testing.T, what string, got *protocol.NetworkSetting, value, from string) {
	t.Helper()
	if got == nil || got.Value != value || !strings.Contains(got.From, from) {
		t.Errorf("%s is %+v, want %s from %s", what, got, value, from)
	}
}

func (h *env) network(t *testing.T, setting, value string) protocol.NetworkResult {
	t.Helper()
	var r protocol.NetworkResult
	if err := h.client(t).Call(t.Context(), protocol.MethodNetwork,
		protocol.NetworkParams{Setting: setting, Value: value}, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// The environment's proxy counts until one is configured, and no secret of its URL is shown anywhere.
func TestH66TheEnvironmentsProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://alice:dummy-password@127.0.0.1:1")
	t.Setenv("NO_PROXY", ".example.org")
	t.Setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")
	h := newEnv(t, sandbox.Options{})
	h.HTTP.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	r := h.network(t, "", "")
	wantSetting(t, "proxy", r.Proxy, "http://127.0.0.1:1", "environment: HTTPS_PROXY")
	wantSetting(t, "no_proxy", r.NoProxy, ".example.org", "environment: NO_PROXY")
	wantSetting(t, "ca_file", r.CAFile, "/nonexistent/ca.pem", "environment: SSL_CERT_FILE")
	if r.PID != os.Getpid() || r.StartedAt == 0 {
		t.Errorf("%+v", r)
	}
	status, err := h.client(t).Status(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	wantSetting(t, "proxy in status", status.Network.Proxy, "http://127.0.0.1:1", "environment: HTTPS_PROXY")

	if err := h.signInAt(t, "https://auth.example.com/token"); err.Kind() != protocol.Temporary ||
		!strings.Contains(err.Message, "through proxy 127.0.0.1:1: the proxy: connection refused") ||
		strings.Contains(err.Message, "dummy-password") {
		t.Errorf("%v", err)
	} else {
		wantSetting(t, "proxy in an error", err.Data.Network.Proxy, "http://127.0.0.1:1", "environment: HTTPS_PROXY")
	}
	r = h.network(t, "proxy", "http://127.0.0.1:2")
	wantSetting(t, "proxy", r.Proxy, "http://127.0.0.1:2", "network.toml:2")
	if err := h.signInAt(t, "https://auth.example.com/token"); !strings.Contains(err.Message,
		"through proxy 127.0.0.1:2") {
		t.Errorf("at once: %v", err)
	}
	if err := h.signInAt(t, "https://sso.example.org:1/token"); strings.Contains(err.Message, "proxy 127") {
		t.Errorf("NO_PROXY goes on counting: %v", err)
	}
	r = h.network(t, "proxy", "")
	wantSetting(t, "proxy", r.Proxy, "http://127.0.0.1:1", "environment: HTTPS_PROXY")
}

// signInAt signs in at a server that cannot be reached.
func (h *env) signInAt(t *testing.T, tokenURL string) *protocol.Error {
	t.Helper()
	_, err := h.client(t).Login(t.Context(), protocol.LoginParams{
		Profile: "far", TokenURL: tokenURL, ClientID: "c", ClientAuth: "client_secret_post",
	}, func(context.Context, protocol.Prompt) (protocol.LoginSecret, error) {
		return protocol.NewLoginSecret([]byte("dummy-secret")), nil
	})
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	return e
}

// An environment that names no proxy that can be understood does not make requests leave without one.
func TestH67AProxyThatCannotBeUnderstood(t *testing.T) {
	t.Setenv("https_proxy", "gopher://alice:dummy-password@proxy.example")
	h := newEnv(t, sandbox.Options{})
	r := h.network(t, "", "")
	wantSetting(t, "proxy", r.Proxy, "(not a proxy URL)", "environment: https_proxy")
	if err := h.signInAt(t, "https://auth.example.com/token"); !strings.Contains(err.Message, "not a proxy URL") {
		t.Errorf("%v", err)
	}
}

// An error about a connection says how connections are made.
func TestAConnectionsErrorDescribesTheNetwork(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	cause := &grant.Error{Class: grant.Transient, Trouble: grant.Unreachable}
	if e := h.wire(cause, "work"); e.Data.Network == nil || e.Hint() != "groat network" {
		t.Errorf("%s, %+v", e.Hint(), e.Data.Network)
	}
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	if e := h.wire(cause, "work"); e.Data.Network.PID != os.Getpid() ||
		e.Hint() != "groat network" {
		t.Errorf("%s, %+v", e.Hint(), e.Data.Network)
	}
}

// A setting whose file has gone bad leaves everything as it is, and can be removed.
func TestH69AChangeThatCannotBeTakenOver(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	h.network(t, "proxy", "http://127.0.0.1:1")
	h.write(t, "config.toml", "oops\n")
	var r protocol.NetworkResult
	err := h.client(t).Call(t.Context(), protocol.MethodNetwork,
		protocol.NetworkParams{Setting: "proxy", Value: "http://127.0.0.1:2"}, &r)
	if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Kind() != protocol.Config ||
		!strings.Contains(e.Message, "config.toml:1") {
		t.Errorf("%v", err)
	}
	wantSetting(t, "proxy in use", h.networkResult().Proxy, "http://127.0.0.1:1", "network.toml:2")
	if text, err := os.ReadFile(filepath.Join(h.config, "network.toml")); err != nil ||
		!strings.Contains(string(text), "127.0.0.1:1") {
		t.Errorf("%s, %v", text, err)
	}
	for _, p := range []protocol.NetworkParams{{Value: "x"}, {Setting: "colour", Value: "red"},
		{Setting: "Proxy", Value: "http://x"}} {
		err := h.client(t).Call(t.Context(), protocol.MethodNetwork, p, &r)
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != protocol.CodeInvalidParams {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
