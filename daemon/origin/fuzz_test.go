package origin

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// FuzzWithPort: what decides which server gets a token reads a URL as net/url does and as RFC 3986's own expression
// does, or not at all; and an origin is its own origin.
func FuzzWithPort(f *testing.F) {
	for _, raw := range []string{
		"https://example.com", "HTTPS://EXAMPLE.COM:443/path?q#f", "http://127.0.0.1:8080", "https://[::1]",
		"http://localhost",
		"https://example.com.", "https://user@example.com", `https://evil.example\@example.com`,
		"https://example.com:0", "https://example.com:",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := WithPort(raw)
		if err != nil {
			return
		}
		scheme, host, port := parts(t, got)
		if again, err := WithPort(got); err != nil || again != got {
			t.Errorf("%q is the origin of %q, but %q, %v of itself", got, raw, again, err)
		}
		if plain := appendixB(raw); !strings.EqualFold(plain, got) &&
			!strings.EqualFold(plain, strings.TrimSuffix(got, ":"+standard[scheme])) {
			t.Errorf("%q is read as %q here and as %q by RFC 3986", raw, got, plain)
		}
		u, err := url.Parse(raw)
		if err != nil || !strings.EqualFold(u.Scheme, scheme) || !strings.EqualFold(u.Hostname(), host) ||
			u.User != nil {
			t.Errorf("%q is read as %q here and as %q by net/url", raw, got, u)
		}
		if u.Port() != port && (u.Port() != "" || port != standard[scheme]) {
			t.Errorf("%q has port %q, not %q", raw, u.Port(), port)
		}
		if scheme == "http" && host != "localhost" {
			if a, err := netip.ParseAddr(host); err != nil || !a.IsLoopback() {
				t.Errorf("%q is sent a token in the clear", raw)
			}
		}
	})
}

var standard = map[string]string{"https": "443", "http": "80"}

// parts takes an origin apart, which must have exactly three plain ones.
func parts(t *testing.T, origin string) (scheme, host, port string) {
	t.Helper()
	scheme, rest, ok := strings.Cut(origin, "://")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 1 || standard[scheme] == "" {
		t.Fatalf("%q is no origin", origin)
	}
	host, port = strings.TrimSuffix(strings.TrimPrefix(rest[:i], "["), "]"), rest[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strings.HasPrefix(port, "+") {
		t.Errorf("%q has no port", origin)
	}
	if host != strings.ToLower(host) || strings.HasSuffix(host, ".") ||
		strings.ContainsAny(host, "/?#@\\%[]!$&'()*+,;= ") {
		t.Errorf("%q has no plain host", origin)
	}
	return scheme, host, port
}

// appendixB returns scheme and authority by the expression of RFC 3986 Appendix B, ^(([^:/?#]+):)?(//([^/?#]*))?,
// written out.
func appendixB(raw string) string {
	i := strings.IndexAny(raw, ":/?#")
	if i < 1 || !strings.HasPrefix(raw[i:], "://") {
		return ""
	}
	end := strings.IndexAny(raw[i+3:], "/?#")
	if end < 0 {
		return raw
	}
	return raw[:i+3+end]
}
