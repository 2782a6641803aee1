package grant_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// forward is a proxy's CONNECT to a fixed address, whatever the name that is asked for.
func forward(w http.ResponseWriter, target string) {
	out, err := net.Dial("tcp", target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	in, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		out.Close()
		return
	}
	io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { io.Copy(out, in); out.(*net.TCPConn).CloseWrite() })
	both.Go(func() { io.Copy(in, out); in.Close() })
	both.Wait()
	out.Close()
}

// A client's certificate is for the server and never for a proxy, also not for one that asks for it.
func TestH55AnHTTPSProxyThatAsksForACertificate(t *testing.T) {
	box := sandbox.New(people(sandbox.Generic))
	if err := box.StartTLS(""); err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	box.AddClient(sandbox.Client{ID: "shows", TLSSubject: "CN=dummy", Method: sandbox.TLSClientAuth})
	var connects, shown atomic.Int64
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects.Add(1)
		shown.Add(int64(len(r.TLS.PeerCertificates)))
		forward(w, r.Host)
	}))
	proxy.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	proxy.StartTLS()
	defer proxy.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(box.CA())
	roots.AddCert(proxy.Certificate())
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := grant.NewHTTPClient(new(grant.Network))
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig.RootCAs = roots
	transport.Proxy = func(*http.Request) (*url.URL, error) { return address, nil }
	found, err := grant.Discover(t.Context(), client, box.Issuer(), grant.TLSClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := box.ClientCertificate("dummy", false)
	item := found.NewItem("shows", grant.ByClientCredentials)
	item.Certificate, item.PrivateKey = string(certificate), keystore.NewSecret(key)
	before := connects.Load()
	if _, err := grant.NewEndpoint(found.Server, client, clock.Now).ClientCredentials(t.Context(), item,
		grant.Request{}); err != nil {
		t.Errorf("the server behind the proxy: %v", err) // it requires the certificate
	}
	if connects.Load() == before || shown.Load() != 0 {
		t.Errorf("the proxy was connected to %d times and shown %d certificates", connects.Load()-before, shown.Load())
	}
}

// unknownName fails as the resolver does.
func unknownName(_ context.Context, _, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host,
		IsNotFound: true}}
}

// Whatever fails at a proxy is said of the proxy, by name.
func TestH56FailuresOfAProxyNameTheProxy(t *testing.T) {
	answering := func(status int) string {
		address, _ := handler(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		return address
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	hangingUp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangingUp.Close()
	go func() {
		for {
			c, err := hangingUp.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for name, c := range map[string]struct {
		proxy   string
		dial    func(context.Context, string, string) (net.Conn, error)
		says    string
		trouble grant.Trouble
	}{
		"407":     {answering(407), nil, "HTTP 407", grant.ProxyFailed},
		"403":     {answering(403), nil, "HTTP 403", grant.ProxyFailed},
		"401":     {answering(401), nil, "HTTP 401", grant.ProxyFailed},
		"502":     {answering(502), nil, "HTTP 502", grant.ProxyFailed},
		"refused": {"http://" + closed.Addr().String(), nil, "the proxy: connection refused", grant.ProxyFailed},
		"unknown name": {"http://proxy.example:3128", unknownName, "the proxy: there is no such host",
			grant.ProxyFailed},
		"untrusted": {untrusted.URL, nil, "the proxy: its certificate is from an authority", grant.UntrustedAuthority},
		"socks":     {"socks5://" + closed.Addr().String(), nil, "the proxy: connection refused", grant.ProxyFailed},
		"no socks": {"socks5://" + hangingUp.Addr().String(), nil, "the proxy: the connection broke",
			grant.ProxyFailed},
		"hangs up": {"http://" + hangingUp.Addr().String(), nil, "the connection broke", grant.Broken},
	} {
		t.Run(name, func(t *testing.T) {
			network := new(grant.Network)
			if err := network.Set(grant.NetworkSettings{Proxy: strings.Replace(c.proxy, "://",
				"://alice:dummy-password@", 1)}); err != nil {
				t.Fatal(err)
			}
			client := grant.NewHTTPClient(network)
			if c.dial != nil {
				client.Transport.(*http.Transport).DialContext = c.dial
			}
			server := serverOf("https://auth.example.com", grant.ClientSecretPost)
			_, err := grant.NewEndpoint(server, client, clock.Now).ClientCredentials(t.Context(), itemOf(server),
				grant.Request{})
			e, ok := errors.AsType[*grant.Error](err)
			if !ok {
				t.Fatal(err)
			}
			u, _ := url.Parse(c.proxy)
			if e.Trouble != c.trouble || e.Proxy != u.Host || !strings.Contains(err.Error(), "through proxy "+u.Host) ||
				!strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (%s, proxy %s)", err, e.Trouble, e.Proxy)
			}
			if strings.Contains(err.Error(), "dummy-password") || strings.Contains(err.Error(), "alice") ||
				strings.Contains(err.Error(), "refuses") {
				t.Errorf("%v", err)
			}
		})
	}
}

// What fails without a proxy says whether one may be missing.
func TestH57AServerThatIsNotReached(t *testing.T) {
	client := grant.NewHTTPClient(new(grant.Network))
	client.Transport.(*http.Transport).DialContext = unknownName
	server := serverOf("https://auth.example.com", grant.ClientSecretPost)
	_, err := grant.NewEndpoint(server, client, clock.Now).ClientCredentials(t.Context(), itemOf(server),
		grant.Request{})
	if got := wantClass(t, err, grant.Transient); got.Trouble != grant.Unreachable || got.Proxy != "" ||
		strings.Contains(got.Error(), "proxy") {
		t.Errorf("%v (%s)", got, got.Trouble)
	}
}

// No request to this machine goes through a proxy, however its name is spelled, and no resolver is asked for it.
func TestH58ThisMachineIsDialledAsItIs(t *testing.T) {
	var asked atomic.Int64
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		asked.Add(1)
		return nil, errors.New("no resolver is asked here")
	}}
	defer func() { net.DefaultResolver = was }()
	proxy, proxied := handler(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	network := new(grant.Network)
	if err := network.Set(grant.NetworkSettings{Proxy: proxy}); err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"abc","expires_in":60}`)
		}))
		server.Listener.Close()
		server.Listener = l
		server.Start()
		defer server.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, host := range []string{"localhost", "LOCALHOST", "LocalHost"} {
			server := serverOf("http://"+host+":"+port, grant.ClientSecretPost)
			if _, err := grant.NewEndpoint(server, grant.NewHTTPClient(network),
				clock.Now).ClientCredentials(t.Context(), itemOf(server), grant.Request{}); err != nil {
				t.Errorf("%s on %s: %v", host, listen, err)
			}
		}
		// Over https every name that RFC 6761 §6.3 reserves is accepted. This server does not speak TLS: that is how
		// one sees that it was reached.
		for _, host := range []string{"localhost", "LOCALHOST", "localhost.", "auth.localhost", "Auth.LocalHost."} {
			server := serverOf("https://"+host+":"+port, grant.ClientSecretPost)
			_, err := grant.NewEndpoint(server, grant.NewHTTPClient(network), clock.Now).ClientCredentials(t.Context(),
				itemOf(server), grant.Request{})
			if err == nil || !strings.Contains(err.Error(), "does not speak TLS") {
				t.Errorf("%s on %s: %v", host, listen, err)
			}
		}
	}
	if proxied.Load() != 0 || asked.Load() != 0 {
		t.Errorf("the proxy was asked %d times and the resolver %d times", proxied.Load(), asked.Load())
	}
	// And nothing else than the two addresses is this machine over http.
	for _, host := range []string{"localhost.", "auth.localhost", "localhost.example.com", "notlocalhost"} {
		if origin.CheckURL("http://"+host+"/token", "it") == nil {
			t.Errorf("http://%s is accepted", host)
		}
	}
}

// A change counts for what begins after it; what is under way ends as it began.
func TestH59ANetworkThatChangesMeanwhile(t *testing.T) {
	arrived, goOn := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-goOn
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"abc","expires_in":60}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	proxy, proxied := handler(t, func(w http.ResponseWriter, _ *http.Request) {
		forward(w, server.Listener.Addr().String())
	})
	network := new(grant.Network)
	to := serverOf("https://example.com", grant.ClientSecretPost) // whose certificate httptest's server has
	e := grant.NewEndpoint(to, grant.NewHTTPClient(network), clock.Now)
	ask := func() error {
		_, err := e.ClientCredentials(t.Context(), itemOf(to), grant.Request{})
		return err
	}
	set := func(s grant.NetworkSettings) {
		t.Helper()
		if err := network.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	set(grant.NetworkSettings{Proxy: proxy})
	if got := wantClass(t, ask(), grant.TransientSlow); got.Trouble != grant.UntrustedAuthority {
		t.Errorf("%v (%s)", got, got.Trouble)
	}
	set(grant.NetworkSettings{Proxy: proxy, Authorities: []*x509.Certificate{server.Certificate()}})
	done := make(chan error, 1)
	go func() { done <- ask() }()
	<-arrived
	set(grant.NetworkSettings{Proxy: "http://127.0.0.1:1", Authorities: []*x509.Certificate{server.Certificate()}})
	close(goOn)
	if err := <-done; err != nil || proxied.Load() != 2 {
		t.Errorf("the request under way: %v after %d", err, proxied.Load())
	}
	if err := ask(); err == nil || !strings.Contains(err.Error(), "through proxy 127.0.0.1:1") {
		t.Errorf("the next one: %v", err)
	}
	// Without its proxy no request leaves: a proxy that is set is never bypassed.
	set(grant.NetworkSettings{Proxy: "gopher://x"})
	if got := wantClass(t, ask(), grant.TransientSlow); !strings.Contains(got.Error(), "not a proxy URL") {
		t.Errorf("%v", got)
	}
}

func TestH60ProxyURLs(t *testing.T) {
	for raw, want := range map[string]string{
		"http://proxy.example:3128": "http://proxy.example:3128", "proxy.example:3128": "http://proxy.example:3128",
		"https://proxy.example": "https://proxy.example", "http://proxy.example:3128/": "http://proxy.example:3128",
		"socks5://127.0.0.1:1080": "socks5://127.0.0.1:1080", "socks5h://[::1]:1080": "socks5h://[::1]:1080",
		"http://proxy": "http://proxy", "proxy:3128": "http://proxy:3128",
		"foo": "", "proxy.example": "", "none": "", "[::1]": "",
		"": "", "://": "", "ftp://proxy.example": "", "http://": "", "http://:3128": "", "http://proxy.example:0": "",
		"http://proxy.example:99999": "", "http://proxy.example/path": "", "http://proxy.example?x": "",
		"http://proxy.example#": "",
		"http://proxy example":  "", "http://proxy\x1b[2J": "", "file:///etc/passwd": "", "http://pröxy": "",
		"http:" + strings.Repeat("x", 3000): "",
	} {
		got, err := grant.ProxyWithoutSecret(raw)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is accepted as %s", raw, got)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%q: %v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"http://alice:dummy-password@proxy.example", "alice:dummy-password@proxy.example:3128",
		"http://dummy-password@proxy.example", "socks5://:dummy-password@proxy.example"} {
		if _, err := grant.ProxyWithoutSecret(raw); !errors.Is(err, grant.ErrProxySecret) {
			t.Errorf("%s: %v", raw, err)
		}
		if shown := grant.RedactProxy(raw); strings.Contains(shown, "dummy") || strings.Contains(shown, "alice") ||
			!strings.Contains(shown, "proxy.example") {
			t.Errorf("%s is shown as %s", raw, shown)
		}
	}
	if shown := grant.RedactProxy("http://alice:dummy-password@ x"); strings.Contains(shown, "dummy") {
		t.Error(shown)
	}
}
