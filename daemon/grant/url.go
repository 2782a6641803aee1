package grant

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const maxURL = 2048

// CheckURL says why raw cannot be the address of something that is sent a credential, or returns nil: it must be an
// absolute https URL, or http on a loopback address, without user name, password and fragment. The error's text begins
// with what, the name of the setting, and never repeats a password.
func CheckURL(raw, what string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("%s is longer than %d bytes", what, maxURL)
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
		return fmt.Errorf("%s must be an absolute URL such as https://auth.example.com/token", what)
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= 0x7f }): // it was percent-encoded
		return fmt.Errorf("%s must name its host in ASCII", what)
	case !plainHost(u.Host):
		return fmt.Errorf("%s does not name a host plainly", what)
	case len(u.Hostname()) > 253: // RFC 1035 §2.3.4
		return fmt.Errorf("%s has a host name that is too long", what)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%s must begin with https:// (http:// is for loopback addresses only)", what)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%s must begin with https://", what)
	}
	return checkPort(u, what)
}

// plainHost reports whether a host, with its port, is made of what names and addresses are made of: it is shown to people, and
// net/url undoes escapes in it.
func plainHost(host string) bool {
	for _, c := range []byte(host) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._:[]%~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

func checkPort(u *url.URL, what string) error {
	port := u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); strings.HasSuffix(u.Host, ":") || port != "" && (err != nil || n == 0) {
		return fmt.Errorf("%s has no valid port", what)
	}
	return nil
}

// loopback takes only literal addresses in their usual form, and the one name that RFC 6761 §6.3 reserves.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && !addr.Is4In6() && addr.IsLoopback()
}

// origin returns scheme://host[:port] of a URL that [CheckURL] accepts, without the scheme's own port; "" of what is none.
func origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme + "://" + host
}

func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}
