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

// Network says how servers are reached: through which proxy, and which authorities their certificates are checked
// against. It may be changed while requests are running; these end with the settings that they began with. It is safe
// for concurrent use. The zero value uses no proxy and the system's authorities.
type Network struct {
	current atomic.Pointer[NetworkSettings]
}

// NetworkSettings are the settings of a [Network]. The zero value is no proxy and the system's authorities.
type NetworkSettings struct {
	// Proxy is a URL for [ParseProxy], or empty for none.
	Proxy string
	// NoProxy is a list as in NO_PROXY: host names, domains, addresses and networks, separated by commas; "*" is all.
	NoProxy string
	// Authorities are trusted in addition to the system's.
	Authorities []*x509.Certificate

	proxy func(*url.URL) (*url.URL, error)
	roots *x509.CertPool // nil: the system's
}

// errProxySetting is the error of every request for which an unusable proxy is set. The request is not sent without a
// proxy.
var errProxySetting = errors.New("the proxy that is set is not a proxy URL")

// Set applies s to every request that starts from now on. An error means that the system's authorities cannot be read;
// then nothing changes. If Proxy cannot be parsed, no request leaves that would go through it.
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

// proxyFor returns the proxy for a request, or nil for none. An http request, which [origin.CheckURL] accepts for this
// machine only, and a request to a name of this machine in any spelling have no proxy; the library's own rule does not
// know all spellings.
func (n *Network) proxyFor(r *http.Request) (*url.URL, error) {
	s := n.current.Load()
	if s == nil || s.proxy == nil || r.URL.Scheme != "https" || origin.IsLoopback(r.URL.Hostname()) ||
		localName(r.URL.Hostname()) {
		return nil, nil
	}
	return s.proxy(r.URL)
}

// roots returns the authorities to check certificates against, or nil for the system's.
func (n *Network) roots() *x509.CertPool {
	if s := n.current.Load(); s != nil {
		return s.roots
	}
	return nil
}

// ProxySchemes are the schemes of a proxy that net/http supports. With socks5, as with socks5h, the proxy resolves the
// server's name.
var ProxySchemes = []string{"http", "https", "socks5", "socks5h"}

// ErrProxySecret means that a proxy's URL holds a user name or a password.
var ErrProxySecret = errors.New("holds a user name or password")

// ParseProxy parses a proxy's URL. A URL without a scheme means http://, as in environment variables. The error's text
// is a predicate and quotes nothing of raw.
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

// ProxyWithoutSecret is [ParseProxy] for a configuration, which holds no secret: it refuses user information with
// [ErrProxySecret]. It also refuses a word that has neither a scheme nor a port, which is more likely something else.
func ProxyWithoutSecret(raw string) (*url.URL, error) {
	u, err := ParseProxy(raw)
	switch {
	case err != nil:
		return nil, err
	case u.User != nil:
		return nil, ErrProxySecret
	case u.Port() == "" && !strings.Contains(raw, "://"):
		return nil, errors.New("is not an address such as http://proxy.example:3128 or proxy.example:3128")
	}
	return u, nil
}

// RedactProxy returns a proxy's URL without user information, or a remark where it cannot be parsed.
func RedactProxy(raw string) string {
	u, err := ParseProxy(raw)
	if err != nil {
		return "(not a proxy URL)"
	}
	u.User = nil
	return u.String()
}

// Environment returns the name and value of the first variable that is set and not empty.
func Environment(names ...string) (name, value string) {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// ProxyVariables and NoProxyVariables are the variables that name a proxy, in the order in which net/http and curl read
// them.
var (
	ProxyVariables   = []string{"https_proxy", "HTTPS_PROXY"}
	NoProxyVariables = []string{"no_proxy", "NO_PROXY"}
)
