package grant

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// NewHTTPClient returns the client for every request that carries a credential. Unlike [http.DefaultClient] it follows
// no redirect (on 307 and 308 the body, secret included, would be posted to the address in the answer), reuses no
// connection and so repeats no request, keeps no cookies, unpacks no gzip, and speaks only HTTP/1.1, which has no retry
// of its own. It looks up no name of this machine. Proxy and authorities are the network's at the time of each request.
// Its Transport is an [*http.Transport], so that tests can set their own dialer, proxy or TLS configuration.
func NewHTTPClient(network *Network) *http.Client {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	transport := &http.Transport{
		Proxy:                  network.proxyFor,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		Protocols:              &http1,
	}
	transport.RegisterProtocol("https", &router{transport, network})
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       RequestLimit,
	}
}

// NewPinnedTransport returns a transport for servers that are no providers: the engine of a fleet. They are reached by
// the network's settings for proxies. Where roots is not nil, nothing else is trusted: neither the system's authorities
// nor the network's; else what the network trusts now. The certificate, unless nil, is shown to every server and to no
// proxy. Connections are reused, and a POST is sent once. Limits of time are the caller's, but for dialTimeout and
// tlsTimeout; it follows no redirect.
func NewPinnedTransport(network *Network, roots *x509.CertPool, certificate *tls.Certificate) http.RoundTripper {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	if roots == nil {
		roots = network.roots()
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	straight := &http.Transport{
		Proxy:                  network.proxyFor,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    tlsTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		Protocols:              &http1,
	}
	throughTLS := straight.Clone()
	throughTLS.DialTLSContext = func(ctx context.Context, to, address string) (net.Conn, error) {
		return dialProxy(dial, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: network.roots()})(ctx, to, address)
	}
	return &pinned{network: network, straight: straight, throughTLS: throughTLS}
}

// pinned sends a request through an https proxy by another transport than the others: net/http would show that proxy
// the certificate, and would trust it by the same roots.
type pinned struct {
	network              *Network
	straight, throughTLS *http.Transport
}

func (p *pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	if proxy, err := p.network.proxyFor(r); err == nil && proxy != nil && proxy.Scheme == "https" {
		return p.throughTLS.RoundTrip(r)
	}
	return p.straight.RoundTrip(r)
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] looks for.
func (p *pinned) CloseIdleConnections() {
	p.straight.CloseIdleConnections()
	p.throughTLS.CloseIdleConnections()
}

// router sends each request by the network's settings at that time. It is the only place where a client's certificate,
// a proxy and the authorities are combined.
type router struct {
	base    *http.Transport // what does not change
	network *Network
}

// passage carries, in the request's context, the client's certificate to the router and the chosen proxy back.
type passage struct {
	certificate *tls.Certificate // the client's own; nil shows none
	proxy       *url.URL         // the one that was used; nil where none was
}

type passageKey struct{}

// RoundTrip makes a transport for one request. Connections are not reused anyway, and no part of one request, such as a
// certificate, can get into another.
func (r *router) RoundTrip(req *http.Request) (*http.Response, error) {
	p, ok := req.Context().Value(passageKey{}).(*passage)
	if !ok {
		p = &passage{}
	}
	t := r.base.Clone()
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if roots := r.network.roots(); roots != nil && t.TLSClientConfig.RootCAs == nil {
		t.TLSClientConfig.RootCAs = roots
	}
	proxy, err := r.base.Proxy(req)
	if err != nil {
		return nil, err
	}
	p.proxy, t.Proxy = proxy, nil
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
		if proxy.Scheme == "https" {
			// net/http would use the configuration below for the handshake with the proxy too. With this function it
			// applies only to the server behind the proxy: the client's certificate is for the server.
			t.DialTLSContext = dialProxy(t.DialContext, t.TLSClientConfig.Clone())
		}
	}
	if certificate := p.certificate; certificate != nil {
		// The field Certificates is not used: net/http chooses from it by the authorities that a server lists, and may
		// send none.
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	return t.RoundTrip(req)
}

// dialFunc connects to an address, as [net.Dialer.DialContext] does.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialProxy returns a function that connects to an https proxy with a configuration without the client's certificate.
func dialProxy(dial dialFunc, config *tls.Config) dialFunc {
	config.Certificates, config.GetClientCertificate = nil, nil
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			raw.Close()
			return nil, err
		}
		config := config.Clone()
		config.ServerName = host
		ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
		defer cancel()
		conn := tls.Client(raw, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		return conn, nil
	}
}

// proxyError is a proxy's refusal to connect us; net/http's own error for it is a bare phrase.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	why := ""
	switch e.status {
	case http.StatusProxyAuthRequired:
		why = ": it wants a user name and password"
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		why = ": it does not let this connection through"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		why = ": it does not reach the server"
	}
	return fmt.Sprintf("the proxy answers with HTTP %d%s", e.status, why)
}

func proxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &proxyError{resp.StatusCode}
	}
	return nil
}

// oneFamily is how long a connection to one of this machine's addresses may take before the next address is tried.
const oneFamily = dialTimeout / 2

// localName reports whether a host name means this machine (RFC 6761 §6.3): localhost and the names below it, in any
// case.
func localName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// dial connects to host:port. It never looks up a name of this machine, since a name server could point it elsewhere:
// it tries the two loopback addresses one after the other.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !localName(host) {
		return d.DialContext(ctx, network, address)
	}
	var first error // the second family may not be there at all
	for _, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		one, cancel := context.WithTimeout(ctx, oneFamily)
		c, err := d.DialContext(one, network, net.JoinHostPort(ip.String(), port))
		cancel()
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}
