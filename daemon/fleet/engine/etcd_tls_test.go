package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
)

// selfSigned returns a certificate for both ends, and for a name.
func selfSigned(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// pool trusts some certificates.
func pool(certificates ...*tls.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certificates {
		p.AddCert(c.Leaf)
	}
	return p
}

// serveTLS starts a server that asks for its clients' certificates; where clients is set it wants one of these.
func serveTLS(t *testing.T, own *tls.Certificate, clients *x509.CertPool, handler http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*own}}
	if s.TLS.ClientAuth = tls.RequestClientCert; clients != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// A node that wants a certificate gets the one that was given, and only a node from the given authority is spoken to.
func TestCertificates(t *testing.T) {
	node, mine, other := selfSigned(t, "etcd.example"), selfSigned(t, "machine"), selfSigned(t, "etcd.example")
	server := serveTLS(t, node, pool(mine), says(200, `{`+goodHeader+`}`))
	for name, test := range map[string]struct {
		roots *x509.CertPool
		shown *tls.Certificate
		want  error
	}{
		"the right one": {pool(node), mine, nil},
		"none":          {pool(node), nil, ErrRefused},
		"another":       {pool(node), other, ErrRefused},
		"no such node":  {pool(other), mine, ErrUntrusted},
		"the system's":  {nil, mine, ErrUntrusted},
	} {
		e := open(t, Options{Endpoints: []string{server.URL}, Roots: test.roots, Certificate: test.shown})
		if _, _, err := e.Read(t.Context(), "/a"); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// The engine is reached by the proxy that is set for servers, unless no_proxy names it. An https proxy is checked by
// the network's authorities, the node behind it by the engine's alone; and the proxy is shown no certificate.
func TestProxies(t *testing.T) {
	node, mine, proxy := selfSigned(t, "etcd.example"), selfSigned(t, "machine"), selfSigned(t, "proxy.example")
	server := serveTLS(t, node, pool(mine), says(200, `{`+goodHeader+`}`))
	var asked, shown atomic.Int64
	tunnel := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			shown.Add(1)
		}
		if r.Method != http.MethodConnect || r.Host != "etcd.example:2379" {
			t.Errorf("the proxy was asked to %s %s", r.Method, r.Host)
		}
		far, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		near, begun, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(far, begun); far.Close() }()
		io.Copy(near, far)
		near.Close()
	})
	plain := httptest.NewServer(tunnel)
	defer plain.Close()
	secure := serveTLS(t, proxy, nil, tunnel)
	for name, settings := range map[string]grant.NetworkSettings{
		"http": {Proxy: plain.URL}, "https": {Proxy: secure.URL, Authorities: []*x509.Certificate{proxy.Leaf}},
	} {
		var network grant.Network
		if err := network.Set(settings); err != nil {
			t.Fatal(err)
		}
		o := Options{Endpoints: []string{"https://etcd.example:2379"}, Roots: pool(node), Certificate: mine, Network: &network}
		asked.Store(0)
		for range 2 {
			if _, _, err := open(t, o).Read(t.Context(), "/a"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if asked.Load() == 0 || shown.Load() > 0 {
			t.Errorf("%s: the proxy was asked %d times, and shown %d certificates", name, asked.Load(), shown.Load())
		}
		settings.NoProxy = "etcd.example"
		if err := network.Set(settings); err != nil {
			t.Fatal(err)
		}
		asked.Store(0)
		if _, _, err := open(t, o).Read(t.Context(), "/a"); !errors.Is(err, ErrUnavailable) || asked.Load() > 0 {
			t.Errorf("%s: not by the proxy: %v, asked %d times", name, err, asked.Load())
		}
	}
}
