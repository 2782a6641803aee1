// Package origin is the one rule about addresses: which URL may be sent a credential ([CheckURL]), when two URLs have
// the same origin (RFC 6454 §4), and whether a request goes to a resource that a profile lists ([Target.Under]).
//
// An origin is written in one of two forms. The short one, scheme://host[:port] without the scheme's own port, is what
// people read and what a credential's item lists (an item's Origins in package keystore). The long one,
// scheme://host:port, is what API requests are compared by ([WithPort], [WithoutPort]). A resource is an origin, or an
// origin with a path prefix behind it, in either form ([Resource]). In either form two of them are the same exactly if
// the strings are equal. No function here resolves a name or connects to anything.
package origin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURL is the length in bytes that an address may have.
const MaxURL = 2048

// CheckURL returns an error unless raw can be the address of a server that is sent a credential: an absolute URL of at
// most [MaxURL] bytes, https, or http on a loopback address, in ASCII, without user name, password and fragment. The
// error's text begins with what, the name of the setting, and quotes nothing of raw.
func CheckURL(raw, what string) error {
	if len(raw) > MaxURL {
		return fmt.Errorf("%s is longer than %d bytes", what, MaxURL)
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c >= 0x7f {
			return fmt.Errorf("%s holds a space, a control character or something else than ASCII", what)
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%s is not a URL", what)
	}
	switch {
	case u.User != nil:
		return fmt.Errorf("%s must not hold a user name or password", what)
	case strings.Contains(raw, "#"):
		return fmt.Errorf("%s must not have a fragment (#…)", what)
	case u.Opaque != "" || u.Hostname() == "":
		return fmt.Errorf("%s must be an absolute URL such as https://auth.example.com", what)
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= 0x7f }): // it was percent-encoded
		return fmt.Errorf("%s must name its host in ASCII", what)
	case !hasHostCharacters(u.Host):
		return fmt.Errorf("%s does not name a host plainly", what)
	case len(u.Hostname()) > 253: // RFC 1035 §2.3.4
		return fmt.Errorf("%s has a host name that is too long", what)
	case u.Scheme == "http" && !IsLoopback(u.Hostname()):
		return fmt.Errorf("%s must begin with https:// (http:// is for loopback addresses only)", what)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%s must begin with https://", what)
	}
	if !ValidPort(u) {
		return fmt.Errorf("%s has no valid port", what)
	}
	return nil
}

// hasHostCharacters reports whether a host, with its port, holds only the characters of names and addresses. A host is
// shown to people, and net/url undoes escapes in it.
func hasHostCharacters(host string) bool {
	for _, c := range []byte(host) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._:[]%~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// ValidPort reports whether the port of a URL is left out or a number from 1 to 65535.
func ValidPort(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n != 0
}

// IsLoopback reports whether a host is a loopback address in its usual form, or localhost, the name that RFC 6761 §6.3
// reserves.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && !addr.Is4In6() && addr.IsLoopback()
}

// defaultPorts are the ports that an origin's short form leaves out :: scheme → port.
var defaultPorts = map[string]string{"https": "443", "http": "80"}

// Of returns the origin of a URL in the short form and in lower case, or "" if raw has no scheme or no host. It checks
// nothing else: see [OfEndpoint].
func Of(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	return WithoutPort(u.Scheme + "://" + strings.ToLower(u.Host))
}

// OfEndpoint returns the origin of an address in the short form, or "" unless [CheckURL] accepts the address.
func OfEndpoint(address string) string {
	if CheckURL(address, "") != nil {
		return ""
	}
	return Of(address)
}

// Parse returns, in the short form, the origin that a person typed: a URL that [CheckURL] accepts, with no path but "/"
// and no query. The error's text begins with what.
func Parse(raw, what string) (string, error) {
	raw = strings.TrimSuffix(raw, "/")
	if err := Check(raw, what); err != nil {
		return "", err
	}
	if o := Of(raw); o != "" {
		return o, nil
	}
	return "", errors.New(what + " is not an origin")
}

// Check returns an error unless raw is a URL that [CheckURL] accepts, with no path but "/" and no query. The error's
// text begins with what.
func Check(raw, what string) error {
	if err := CheckURL(raw, what); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	if strings.Trim(u.Path, "/") != "" || len(u.Path) > 1 || strings.Contains(raw, "?") {
		return errors.New(what + " must be an origin such as https://auth.example.com, without a path")
	}
	return nil
}

// WithPort returns the origin of a URL in the long form and in lower case. It refuses a URL that two programs could
// read as different hosts: one with user information, an empty or non-ASCII host, a trailing dot, or a port that is not
// a plain number. The error quotes raw.
func WithPort(raw string) (string, error) {
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
	if strings.HasSuffix(host, ".") || !unambiguousHost(u.Host, host) {
		return "", fmt.Errorf("%q does not name a host plainly", raw)
	}
	if strings.HasSuffix(u.Host, ":") {
		return "", fmt.Errorf("%q has an empty port", raw)
	}
	if err := CheckURL(scheme+"://"+u.Host, "a resource"); err != nil {
		return "", err
	}
	if port == "" {
		port = defaultPorts[scheme]
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// WithoutPort returns an origin, or a resource, in the short form: without the scheme's own port.
func WithoutPort(resource string) string {
	scheme, _, ok := strings.Cut(resource, "://")
	if port := defaultPorts[scheme]; ok && port != "" {
		end := endOfOrigin(resource)
		return strings.TrimSuffix(resource[:end], ":"+port) + resource[end:]
	}
	return resource
}

// unambiguousHost reports whether a host is a name of letters, digits, '.', '-' and '_', or an IPv6 address in
// brackets. net/url accepts more (RFC 3986 §3.2.2: sub-delims, a single bracket), which other programs may read as
// another host.
func unambiguousHost(authority, host string) bool {
	if strings.HasPrefix(authority, "[") {
		a, err := netip.ParseAddr(host)
		return err == nil && a.Is6() && a.Zone() == ""
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_", r)
	})
}
