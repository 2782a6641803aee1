package peer

import (
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// connects is a program that connects to a port, and then closes and goes on running if told to.
const connects = `import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family); s.connect((sys.argv[1], int(sys.argv[2]))); sys.stdin.read(1)`

// nobody is the uid that stands for other users.
const nobody = 65534

// connected returns a connection to l from a process of the user uid, which holds it until the test ends.
func connected(t *testing.T, l net.Listener, host string, uid uint32) net.Conn {
	t.Helper()
	tier.Needs(t, "python3")
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", connects, host, port)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid,
		NoSetGroups: uid == uint32(os.Geteuid())}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestI4WhoConnectedByTCP(t *testing.T) {
	other := uint32(nobody)
	if os.Geteuid() != 0 {
		t.Log("not root: another user cannot be played, so only our own connections are looked at")
		other = uint32(os.Geteuid())
	}
	for _, c := range []struct{ listen, dial string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"127.0.0.1:0", "::ffff:127.0.0.1"},
	} {
		l, err := net.Listen("tcp", c.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		conns := []net.Conn{connected(t, l, c.dial, uint32(os.Geteuid())), connected(t, l, c.dial, other)}
		gone, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		left, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer left.Close()
		gone.Close()
		if _, err := left.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		var table TCP
		var got [4]Owner
		var all sync.WaitGroup
		for i, c := range append(conns, left, here) {
			all.Go(func() { got[i] = table.Owner(c) })
		}
		all.Wait()
		want := []Owner{Ours, Foreign, Closed, Unknown}
		if other != nobody {
			want[1] = Ours
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s from %s: connection %d has owner %d, want %d", c.listen, c.dial, i, got[i], want[i])
			}
		}
		if uid, ok := Listening(l.Addr().(*net.TCPAddr).AddrPort()); !ok || uid != os.Geteuid() {
			t.Errorf("%s: listened on by %d, %v", c.listen, uid, ok)
		}
	}
	if uid, ok := Listening(netip.MustParseAddrPort("127.0.0.1:1")); ok {
		t.Errorf("user %d listens on port 1", uid)
	}
}

// The kernel tells of a single socket what its table says, for every owner, and a connection that it does not know at
// all has been reset.
func TestI31SingleSocketsAsInTheTable(t *testing.T) {
	tier.NeedsRoot(t)
	other := uint32(nobody)
	for _, c := range []struct{ listen, dial string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"127.0.0.1:0", "::ffff:127.0.0.1"}, {"[::]:0", "127.0.0.1"},
	} {
		l, err := net.Listen("tcp", c.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var asked []*lookup
		for _, uid := range []uint32{0, other} {
			e, ok := endsOf(connected(t, l, c.dial, uid))
			if !ok {
				t.Fatal("no ends")
			}
			asked = append(asked, &lookup{ends: e, owner: -1})
		}
		none := &lookup{ends: ends{local: netip.MustParseAddrPort("127.0.0.1:1"),
			remote: netip.MustParseAddrPort("127.0.0.1:2")}}
		if left := askKernel(append(asked, none)); len(left) != 0 || none.owner != Closed {
			t.Fatalf("%s: the kernel does not tell of %d sockets; the owner of none is %d", c.listen,
				len(left), none.owner)
		}
		for i, want := range []Owner{Ours, Foreign} {
			if asked[i].owner != want {
				t.Errorf("%s from %s: owner %d, want %d", c.listen, c.dial, asked[i].owner, want)
			}
			eachTCP(func(s socket) bool {
				if s.ends == asked[i].ends && s.owner() != want {
					t.Errorf("%s from %s: the table says %d", c.listen, c.dial, s.owner())
				}
				return true
			})
		}
	}
}

// The table is read seldom enough for any number of callers.
func TestI5ReadingTheTableRests(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := connected(t, l, "127.0.0.1", uint32(os.Geteuid()))
	var table TCP
	for range 3 {
		table.mu.Lock()
		next := table.next
		table.mu.Unlock()
		if got := table.Owner(c); got != Ours {
			t.Errorf("owner %d", got)
		}
		table.mu.Lock()
		now, again := time.Now(), table.next
		table.mu.Unlock()
		if now.Before(next) || !again.After(next) {
			t.Errorf("read again at %v, before %v; the next is at %v", now, next, again)
		}
	}
}

func TestI4AddressesOfTheTable(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F90": "127.0.0.1:8080", "00000000000000000000000001000000:0050": "[::1]:80",
		"0000000000000000FFFF00000100007F:0001": "127.0.0.1:1",
	} {
		if at, ok := parseAddress(text); !ok || at.String() != want {
			t.Errorf("%s: %s, %v", text, at, ok)
		}
	}
	for _, bad := range []string{"", ":", "0100007F", "0100007:1", "0100007F:10000", "zz00007F:1",
		"0100007F0100007F:1"} {
		if at, ok := parseAddress(bad); ok {
			t.Errorf("%q: %s", bad, at)
		}
	}
	if _, ok := parseSocket("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  " +
		"timeout inode"); ok {
		t.Error("the heading is a socket")
	}
}
