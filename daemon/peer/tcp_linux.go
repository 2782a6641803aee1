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
)

// maxTable bounds one reading; a table of more than 400,000 sockets is not read to its end.
const maxTable = 64 << 20

// stateListen is TCP_LISTEN of the kernel's include/net/tcp_states.h.
const stateListen = "0A"

// eachTCP calls f with the TCP sockets of this network namespace until it returns false (proc_net_tcp.txt of the kernel's
// documentation).
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
