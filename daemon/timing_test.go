package daemon

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/peer"
	"github.com/groat-dev/groat/protocol"
)

// bubble runs f inside a synctest bubble with the client's end of a connection that the daemon serves there.
func bubble(t *testing.T, f func(t *testing.T, client net.Conn)) {
	dir := configIn(t, t.TempDir())
	p := ourselves(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(t, Options{Config: dir})
		here, there := net.Pipe()
		c := d.newConn(there, p)
		go c.serve()
		f(t, here)
		here.Close()
		time.Sleep(time.Minute) // goroutines that still sleep find it closed
		synctest.Wait()
	})
}

// ourselves is this process as a peer.
func ourselves(t *testing.T) *peer.Peer {
	t.Helper()
	here, _ := pair(t)
	p, err := new(peer.Watch).Of(here)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pair returns both ends of a connection with this process itself.
func pair(t testing.TB) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

func TestA3SlowLoris(t *testing.T) {
	bubble(t, func(t *testing.T, client net.Conn) {
		begin := time.Now()
		go func() {
			for {
				if _, err := client.Write([]byte{' '}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		r := bufio.NewReader(client)
		line, err := r.ReadString('\n')
		if err != nil || !strings.Contains(line, "-32700") || time.Since(begin) != protocol.LineTimeout {
			t.Errorf("%q, %v after %v", line, err, time.Since(begin))
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Error("still open:", err)
		}
	})
}

// The time is a line's own: a client that is never between two lines is none the worse for it.
func TestA3BusyClient(t *testing.T) {
	bubble(t, func(t *testing.T, client net.Conn) {
		const requests = 30
		go func() {
			stream := strings.Repeat(strings.TrimSuffix(probe, "\n")+"\n", requests)
			half := len(probe) / 2
			io.WriteString(client, stream[:half])
			for i := half; i < len(stream); i += len(probe) { // the end of one and the beginning of the next
				time.Sleep(protocol.LineTimeout - time.Second)
				io.WriteString(client, stream[i:min(i+len(probe), len(stream))])
			}
		}()
		r := bufio.NewReader(client)
		for i := range requests {
			if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "groatd") {
				t.Fatalf("answer %d: %q, %v", i, line, err)
			}
		}
	})
}

func TestA4Silence(t *testing.T) {
	bubble(t, func(t *testing.T, client net.Conn) {
		time.Sleep(30 * 24 * time.Hour)
		go io.WriteString(client, probe)
		if line, err := bufio.NewReader(client).ReadString('\n'); err != nil || !strings.Contains(line, "groatd") {
			t.Errorf("%q, %v", line, err)
		}
	})
}

func TestA7NeverReads(t *testing.T) {
	for _, test := range []struct {
		name string
		wait time.Duration
		want error
	}{
		{"late, but not too late", protocol.WriteTimeout - time.Millisecond, nil},
		{"never", protocol.WriteTimeout + time.Second + time.Millisecond, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, client net.Conn) {
				io.WriteString(client, probe)
				time.Sleep(test.wait)
				if line, err := bufio.NewReader(client).ReadString('\n'); !errors.Is(err, test.want) || err != nil &&
					line != "" {
					t.Errorf("%q, %v", line, err)
				}
			})
		})
	}
}
