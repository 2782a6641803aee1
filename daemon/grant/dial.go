package grant

import (
	"context"
	"net"
	"net/netip"
	"strings"
)

// oneFamily is how long one of this machine's own addresses may take before the next is tried.
const oneFamily = dialTimeout / 2

// localName reports whether a host name means this machine (RFC 6761 §6.3): localhost and all below it, in any spelling.
func localName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// dial connects to host:port. A name that means this machine is never looked up, since whoever answers for names could send
// it elsewhere: its two addresses are tried one after the other.
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
