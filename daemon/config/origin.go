package config

import (
	"fmt"
	"net"
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
	if strings.HasSuffix(host, ".") || strings.Contains(host, "%") {
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
