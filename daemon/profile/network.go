package profile

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
)

// Network is how servers are reached: each setting as it is shown, nil where it is not set. It holds no secret.
type Network struct {
	Proxy   *Setting `json:"proxy,omitempty"`
	NoProxy *Setting `json:"no_proxy,omitempty"`
	CAFile  *Setting `json:"ca_file,omitempty"`
}

// Setting is one value and where it comes from.
type Setting struct {
	Value string `json:"value"`
	From  string `json:"from"` // FILE:LINE, or "environment: NAME"
}

// Equal reports whether both have the same values from the same places.
func (n Network) Equal(o Network) bool {
	same := func(a, b *Setting) bool { return a == b || a != nil && b != nil && *a == *b }
	return same(n.Proxy, o.Proxy) && same(n.NoProxy, o.NoProxy) && same(n.CAFile, o.CAFile)
}

// Network returns how servers are reached now.
func (t *Table) Network() Network {
	if n := t.network.Load(); n != nil {
		return *n
	}
	return Network{}
}

// useNetwork makes requests that begin from now on use what is configured, and what the environment says where a key is
// not configured. The error is a [*config.Error]. The caller holds loading.
func (t *Table) useNetwork(c config.Network) error {
	if t.Options.Network == nil { // in tests that bring a client of their own
		return nil
	}
	s := grant.NetworkSettings{Authorities: c.Authorities}
	var n Network
	s.Proxy, n.Proxy = setting(c.Proxy, grant.ProxyVariables...)
	if n.Proxy != nil {
		n.Proxy.Value = grant.RedactProxy(n.Proxy.Value)
	}
	s.NoProxy, n.NoProxy = setting(c.NoProxy, grant.NoProxyVariables...)
	_, n.CAFile = setting(c.CAFile, "SSL_CERT_FILE", "SSL_CERT_DIR") // crypto/x509 reads these by itself
	if err := t.Options.Network.Set(s); err != nil {
		return &config.Error{File: c.CAFile.File, Line: c.CAFile.Line, Message: err.Error(),
			Hint: "groat network unset ca_file"}
	}
	was := t.network.Swap(&n)
	if was != nil && (!was.Equal(n) || !slices.EqualFunc(t.authorities, c.Authorities, (*x509.Certificate).Equal)) {
		t.Log.Info("servers are reached in another way", zap.Any("network", n))
		t.NetworkChanged()
	}
	t.authorities = c.Authorities
	return nil
}

// setting returns a value and how it is shown: the configured one, else the environment's.
func setting(s config.Setting, variables ...string) (string, *Setting) {
	if s.Value != "" {
		return s.Value, &Setting{Value: s.Value, From: fmt.Sprintf("%s:%d", s.File, s.Line)}
	}
	if name, value := grant.Environment(variables...); value != "" {
		return value, &Setting{Value: value, From: "environment: " + name}
	}
	return "", nil
}

// SetNetwork writes a key of network.toml, or removes it where the value is empty, and takes it over at once. A value
// that cannot be taken over is not written; a removal stays, for it may be one of several that are needed. The error is
// a [*config.Error] or about the system.
func (t *Table) SetNetwork(key, value string) error {
	t.loading.Lock()
	defer t.loading.Unlock()
	undo, err := t.Config.SetNetwork(key, value)
	if broken, ok := errors.AsType[*config.Error](err); ok && value != "" && key == "proxy" {
		if _, secret := grant.ProxyWithoutSecret(value); errors.Is(secret, grant.ErrProxySecret) {
			// Typed in a shell whose environment has the proxy, this starts a daemon that has it too.
			broken.Hint = fmt.Sprintf("kill %d && groat status", os.Getpid())
			if t.Activated {
				broken.Hint = "systemctl --user import-environment HTTPS_PROXY && " +
					"systemctl --user restart groatd.service"
			}
		}
	}
	if err != nil {
		return err
	}
	err = t.reload(nil)
	if err != nil && value != "" {
		if failed := undo(); failed != nil {
			t.Log.Error("network.toml could not be put back", zap.Error(failed))
		}
	}
	return err
}
