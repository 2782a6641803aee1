package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
)

// Origin returns the origin (RFC 6454 §4) of a URL as "scheme://host:port", lower case and with the port always there, so
// that two are the same origin exactly if the strings are equal. It refuses what two programs could read as different
// hosts: user information, an empty or non-ASCII host, a trailing dot, a port that is no plain number.
func Origin(raw string) (string, error) {
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return "", fmt.Errorf("%q is not a plain URL", raw)
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return "", fmt.Errorf("%q is not a URL of the form https://host", raw)
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if strings.HasSuffix(host, ".") || !plainHost(u.Host, host) {
		return "", fmt.Errorf("%q does not name a host plainly", raw)
	}
	if strings.HasSuffix(u.Host, ":") {
		return "", fmt.Errorf("%q has an empty port", raw)
	}
	if err := grant.CheckURL(scheme+"://"+u.Host, "a resource"); err != nil {
		return "", err
	}
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// Plain is an origin of [Origin]'s form as a person writes it: without the scheme's own port.
func Plain(origin string) string {
	scheme, _, _ := strings.Cut(origin, "://")
	return strings.TrimSuffix(origin, map[string]string{"https": ":443", "http": ":80"}[scheme])
}

// plainHost reports whether a host is a name of letters, digits, '.', '-' and '_', or an IPv6 address in brackets: net/url lets
// more pass (RFC 3986 §3.2.2's sub-delims, a bracket by itself), which somebody else may read otherwise.
func plainHost(authority, host string) bool {
	if strings.HasPrefix(authority, "[") {
		a, err := netip.ParseAddr(host)
		return err == nil && a.Is6() && a.Zone() == ""
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_", r)
	})
}
