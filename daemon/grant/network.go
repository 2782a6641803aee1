package grant

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpproxy"

	"github.com/groat-dev/groat/daemon/origin"
)

// Network is how servers are reached: through which proxy, and by which authorities their certificates are judged. It may
// be changed while requests are under way, which end as they began. It is safe for concurrent use. The zero value uses no
// proxy and the system's authorities.
type Network struct {
	current atomic.Pointer[NetworkSettings]
}

// NetworkSettings is what a [Network] is set to; the zero value is no proxy and the system's authorities.
type NetworkSettings struct {
	// Proxy is a URL for [ParseProxy], or empty for none.
	Proxy string
	// NoProxy is a list as in NO_PROXY: host names, domains, addresses and networks, separated by commas; "*" is all.
	NoProxy string
	// Authorities are trusted beside the system's.
	Authorities []*x509.Certificate

	proxy func(*url.URL) (*url.URL, error)
	roots *x509.CertPool // nil: the system's
}

// errProxySetting is what every request gets that would go through a proxy whose setting cannot be understood. It is not
// sent without a proxy: whoever set one meant it.
var errProxySetting = errors.New("the proxy that is set is not a proxy URL")

// Set makes every request that begins from now on use s. An error, which is about the system's authorities, leaves everything
// as it was. With a Proxy that cannot be understood no request leaves that would go through it.
func (n *Network) Set(s NetworkSettings) error {
	if s.Proxy != "" {
		proxy, err := ParseProxy(s.Proxy)
		if err != nil {
			proxy = &url.URL{Scheme: "http", Host: "proxy.invalid"}
		}
		s.proxy = (&httpproxy.Config{HTTPSProxy: proxy.String(), NoProxy: s.NoProxy}).ProxyFunc()
		if inner := s.proxy; err != nil {
			s.proxy = func(u *url.URL) (*url.URL, error) {
				if p, err := inner(u); p == nil || err != nil {
					return nil, err
				}
				return nil, errProxySetting
			}
		}
	}
	if len(s.Authorities) > 0 {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return fmt.Errorf("the system's certificate authorities cannot be read: %s", causeText(err))
		}
		for _, c := range s.Authorities {
			roots.AddCert(c)
		}
		s.roots = roots
	}
	n.current.Store(&s)
	return nil
}

// proxyFor returns the proxy for a request, or nil: never one for what [origin.CheckURL] accepts over http, nor for a name that
// means this machine however it is spelled, which the library's own rule does not know.
func (n *Network) proxyFor(r *http.Request) (*url.URL, error) {
	s := n.current.Load()
	if s == nil || s.proxy == nil || r.URL.Scheme != "https" || origin.IsLoopback(r.URL.Hostname()) || localName(r.URL.Hostname()) {
		return nil, nil
	}
	return s.proxy(r.URL)
}

// roots returns the authorities to judge by, or nil for the system's.
func (n *Network) roots() *x509.CertPool {
	if s := n.current.Load(); s != nil {
		return s.roots
	}
	return nil
}

// ProxySchemes are the ways to speak with a proxy; net/http knows these. A socks5 proxy is asked to find the server's name
// itself, as a socks5h one is.
var ProxySchemes = []string{"http", "https", "socks5", "socks5h"}

// ErrProxySecret: a proxy's URL holds a user name or a password.
var ErrProxySecret = errors.New("holds a user name or password")

// ParseProxy reads a proxy's URL; without a scheme it is http://, as everywhere in an environment. The error's text is a
// predicate and repeats nothing of raw.
func ParseProxy(raw string) (*url.URL, error) {
	if len(raw) > origin.MaxURL {
		return nil, fmt.Errorf("is longer than %d bytes", origin.MaxURL)
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c >= 0x7f {
			return nil, errors.New("holds a space, a control character or something else than ASCII")
		}
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("is not a URL such as http://proxy.example:3128")
	case !slices.Contains(ProxySchemes, u.Scheme):
		return nil, fmt.Errorf("must begin with one of %s", strings.Join(ProxySchemes, "://, ")+"://")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, strings.Contains(raw, "#"):
		return nil, errors.New("must end after the host and its port")
	}
	if !origin.ValidPort(u) {
		return nil, errors.New("has no valid port")
	}
	u.Path = ""
	return u, nil
}

// ProxyWithoutSecret is [ParseProxy] for a configuration, where no secret may stand: it refuses user information with
// [ErrProxySecret].
func ProxyWithoutSecret(raw string) (*url.URL, error) {
	u, err := ParseProxy(raw)
	if err == nil && u.User != nil {
		return nil, ErrProxySecret
	}
	return u, err
}

// RedactProxy returns a proxy's URL as it may be shown: without user information, or a remark where it is no URL.
func RedactProxy(raw string) string {
	u, err := ParseProxy(raw)
	if err != nil {
		return "(not a proxy URL)"
	}
	u.User = nil
	return u.String()
}

// Environment returns the first of the variables that is set and not empty, and its name.
func Environment(names ...string) (name, value string) {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// The variables that name a proxy, in the order in which net/http and curl look at them.
var (
	ProxyVariables   = []string{"https_proxy", "HTTPS_PROXY"}
	NoProxyVariables = []string{"no_proxy", "NO_PROXY"}
)
