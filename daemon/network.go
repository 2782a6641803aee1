package daemon

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// useNetwork makes requests that begin from now on use what is configured, and what the environment says where a key is not
// configured. The error is a [*config.Error]. The caller holds loading.
func (d *Daemon) useNetwork(c config.Network) error {
	if d.Network == nil { // a client that is the test's own
		return nil
	}
	s := grant.NetworkSettings{Authorities: c.Authorities}
	var r protocol.NetworkResult
	s.Proxy, r.Proxy = setting(c.Proxy, grant.ProxyVariables...)
	if r.Proxy != nil {
		r.Proxy.Value = grant.RedactProxy(r.Proxy.Value)
	}
	s.NoProxy, r.NoProxy = setting(c.NoProxy, grant.NoProxyVariables...)
	_, r.CAFile = setting(c.CAFile, "SSL_CERT_FILE", "SSL_CERT_DIR") // crypto/x509 looks at these by itself
	if err := d.Network.Set(s); err != nil {
		return &config.Error{File: c.CAFile.File, Line: c.CAFile.Line, Message: err.Error(), Hint: "groat network unset ca_file"}
	}
	was := d.network.Swap(&r)
	if was != nil && (!sameNetwork(was, &r) || !slices.EqualFunc(d.authorities, c.Authorities, (*x509.Certificate).Equal)) {
		d.Log.Info("servers are reached in another way", zap.Any("network", r))
		d.broker.NetworkChanged()
	}
	d.authorities = c.Authorities
	return nil
}

// setting returns a value and how it is shown: the configured one, else the environment's.
func setting(s config.Setting, variables ...string) (string, *protocol.NetworkSetting) {
	if s.Value != "" {
		return s.Value, &protocol.NetworkSetting{Value: s.Value, From: fmt.Sprintf("%s:%d", s.File, s.Line)}
	}
	if name, value := grant.Environment(variables...); value != "" {
		return value, &protocol.NetworkSetting{Value: value, From: "environment: " + name}
	}
	return "", nil
}

func sameNetwork(a, b *protocol.NetworkResult) bool {
	same := func(a, b *protocol.NetworkSetting) bool { return a == b || a != nil && b != nil && *a == *b }
	return same(a.Proxy, b.Proxy) && same(a.NoProxy, b.NoProxy) && same(a.CAFile, b.CAFile)
}

// networkResult describes the network in use.
func (d *Daemon) networkResult() protocol.NetworkResult {
	r := protocol.NetworkResult{PID: os.Getpid(), StartedAt: d.started.Unix()}
	if now := d.network.Load(); now != nil {
		r.Proxy, r.NoProxy, r.CAFile = now.Proxy, now.NoProxy, now.CAFile
	}
	return r
}

// networkInStatus is the network as "status" shows it: nil where nothing is set.
func (d *Daemon) networkInStatus() *protocol.NetworkResult {
	if r := d.network.Load(); r != nil && !sameNetwork(r, &protocol.NetworkResult{}) {
		return r
	}
	return nil
}

// network answers "network".
func network(c *conn, params []byte) (any, error) {
	var np protocol.NetworkParams
	if err := jsonrpc.DecodeParams(params, &np); err != nil {
		return nil, err
	}
	switch {
	case np.Setting == "" && np.Value != "":
		return nil, protocol.InvalidParams("a value needs the setting that it is for")
	case np.Setting != "" && !slices.Contains(config.NetworkKeys(), np.Setting):
		return nil, protocol.InvalidParams("setting must be one of proxy, no_proxy, ca_file")
	case np.Setting != "":
		if err := c.d.setNetwork(np.Setting, np.Value); err != nil {
			return nil, c.d.wire(err, "")
		}
	}
	return c.d.networkResult(), nil
}

// setNetwork writes a key and takes it over at once. What cannot be taken over is not written, but a removal stays: it may be
// one of several that are needed.
func (d *Daemon) setNetwork(key, value string) error {
	d.loading.Lock()
	defer d.loading.Unlock()
	undo, err := d.Config.SetNetwork(key, value)
	if broken, ok := errors.AsType[*config.Error](err); ok && value != "" && key == "proxy" {
		if _, secret := grant.ProxyWithoutSecret(value); errors.Is(secret, grant.ErrProxySecret) {
			broken.Hint = fmt.Sprintf("kill %d && groat status", os.Getpid()) // from a shell that has it
			if d.Activated {
				broken.Hint = "systemctl --user import-environment HTTPS_PROXY && systemctl --user restart groatd.service"
			}
		}
	}
	if err != nil {
		return err
	}
	err = d.reload()
	if err != nil && value != "" {
		if failed := undo(); failed != nil {
			d.Log.Error("network.toml could not be put back", zap.Error(failed))
		}
	}
	return err
}
