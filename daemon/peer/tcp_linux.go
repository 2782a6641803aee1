package peer

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxTable bounds one reading; a table of more than 400,000 sockets is not read to its end.
const maxTable = 64 << 20

// stateListen is TCP_LISTEN of the kernel's include/net/tcp_states.h.
const stateListen = "0A"

// eachTCP calls f with the TCP sockets of this network namespace until it returns false (proc_net_tcp.txt of the
// kernel's documentation).
func eachTCP(f func(socket) bool) {
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if !eachLine(name, f) {
			return
		}
	}
}

func eachLine(name string, f func(socket) bool) (goOn bool) {
	file, err := os.Open(name)
	if err != nil {
		return true
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, maxTable))
	for lines.Scan() {
		if s, ok := parseSocket(lines.Text()); ok && !f(s) {
			return false
		}
	}
	return true
}

// parseSocket reads "sl: local remote state tx:rx tr:when retransmits uid timeout inode …".
func parseSocket(line string) (s socket, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return s, false
	}
	var local, remote bool
	s.local, local = parseAddress(fields[1])
	s.remote, remote = parseAddress(fields[2])
	uid, err := strconv.ParseUint(fields[7], 10, 32)
	s.uid, s.listens, s.held = int(uid), fields[3] == stateListen, fields[9] != "0"
	return s, local && remote && err == nil
}

// parseAddress reads an address in hexadecimal, each 32-bit word of it in the machine's byte order, and a port.
func parseAddress(text string) (at netip.AddrPort, ok bool) {
	words, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(words)
	n, noPort := strconv.ParseUint(port, 16, 16)
	if err != nil || noPort != nil || len(b)%4 != 0 {
		return at, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	return unmapped(netip.AddrPortFrom(addr, uint16(n))), ok
}

// The kernel is asked for single sockets (sock_diag(7)) before the whole table is read. During a flood of connections
// the table is long, and waiting for it would delay a browser.

// Of include/uapi/linux/inet_diag.h and sock_diag.h.
const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	requestSize  = 56 // struct inet_diag_req_v2
	messageSize  = 72 // struct inet_diag_msg
	headerSize   = unix.SizeofNlMsghdr
)

// diagPatience bounds the wait for an answer, in seconds. The kernel answers during the request.
const diagPatience = 1

// tells is set once the kernel has reported a socket. Before, its report of none may mean that it lacks the module.
var tells atomic.Bool

// askKernel answers the lookups that the kernel answers one by one, and returns the others.
func askKernel(asked []*lookup) (left []*lookup) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return asked
	}
	defer unix.Close(fd)
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: diagPatience}) != nil {
		return asked
	}
	for i, q := range asked {
		s, ok, err := findSocket(fd, uint32(i), q.ends)
		if err != nil {
			return append(left, asked[i:]...)
		}
		switch {
		case ok:
			q.owner = s.owner()
			tells.Store(true)
		case !tells.Load():
			left = append(left, q)
		default: // the other end is in another network namespace, or the connection has been reset
			_, ours, err := findSocket(fd, uint32(i), ends{local: q.remote, remote: q.local})
			if err == nil && !ours {
				q.owner = Closed
			}
		}
	}
	return left
}

// findSocket returns the socket with these ends, and false where there is none. An error means that the kernel does not
// answer.
func findSocket(fd int, seq uint32, e ends) (s socket, ok bool, err error) {
	order := binary.NativeEndian
	b := make([]byte, headerSize+requestSize)
	order.PutUint32(b[0:], uint32(len(b)))
	order.PutUint16(b[4:], diagByFamily)
	order.PutUint16(b[6:], unix.NLM_F_REQUEST)
	order.PutUint32(b[8:], seq)
	r := b[headerSize:]
	r[0], r[1] = unix.AF_INET, unix.IPPROTO_TCP
	if e.local.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	order.PutUint32(r[4:], ^uint32(0)) // in every state
	binary.BigEndian.PutUint16(r[8:], e.local.Port())
	binary.BigEndian.PutUint16(r[10:], e.remote.Port())
	copy(r[12:28], e.local.Addr().AsSlice())
	copy(r[28:44], e.remote.Addr().AsSlice())
	order.PutUint64(r[48:], ^uint64(0)) // whatever its cookie
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return s, false, err
	}
	var answer [1024]byte
	for {
		n, from, err := unix.Recvfrom(fd, answer[:], 0)
		if err != nil {
			return s, false, err
		}
		kernel, isNetlink := from.(*unix.SockaddrNetlink)
		if !isNetlink || kernel.Pid != 0 || n < headerSize+4 || order.Uint32(answer[8:]) != seq {
			continue // no answer of the kernel's to this question
		}
		switch order.Uint16(answer[4:]) {
		case unix.NLMSG_ERROR:
			if code := -int32(order.Uint32(answer[headerSize:])); unix.Errno(code) != unix.ENOENT {
				return s, false, unix.Errno(code)
			}
			return s, false, nil
		case diagByFamily:
			if n < headerSize+messageSize {
				return s, false, unix.EBADMSG
			}
			s = parseMessage(answer[headerSize:n])
			return s, s.ends == e && !s.listens, nil
		}
	}
}

func parseMessage(m []byte) socket {
	order := binary.NativeEndian
	address := func(at, port int) netip.AddrPort {
		n := 4
		if m[0] == unix.AF_INET6 {
			n = 16
		}
		addr, _ := netip.AddrFromSlice(m[at : at+n])
		return unmapped(netip.AddrPortFrom(addr, binary.BigEndian.Uint16(m[port:])))
	}
	const listens = 10 // TCP_LISTEN
	return socket{
		ends: ends{local: address(8, 4), remote: address(24, 6)}, listens: m[1] == listens,
		uid: int(order.Uint32(m[64:])), held: order.Uint32(m[68:]) != 0,
	}
}
