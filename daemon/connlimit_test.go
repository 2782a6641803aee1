package daemon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// places is how many connections there may be in these tests. One more is accepted before anything is done about it.
const places = 4

// crowded is a daemon with few places, whose network does not answer until release is closed. It accepts no connection
// before serve is called: a client that has sent its request by then is never idle.
func crowded(t *testing.T) (socket string, network stuck, serve func()) {
	t.Helper()
	network = stuck{make(chan struct{}, 1), make(chan struct{})}
	d := newIsolated(t, network)
	d.arm(t)
	socket = filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return socket, network, func() {
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- d.newServer(places+1).serve(ctx, l) }() // and one for what follows this process
		t.Cleanup(func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// refused is a connection that has asked once and is idle by the time this returns: what cannot be answered is refused
// by the goroutine that reads, and no other one takes part.
func refused(t *testing.T, socket string) *raw {
	t.Helper()
	c := dialRaw(t, socket)
	c.say(t, `{"jsonrpc":"2.0","id":1,"method":"nothing"}`+"\n")
	if line, ok := c.hear(t); !ok {
		t.Fatalf("heard %q", line)
	}
	return c
}

// The connection that has been idle for longest makes room; one that waits for an answer does not, however long.
func TestA28TheLongestIdleMakesRoom(t *testing.T) {
	socket, network, serve := crowded(t)
	serve()
	busy := refused(t, socket)
	busy.say(t, tokenRequest)
	<-network.arrived
	oldest := refused(t, socket)
	others := []*raw{refused(t, socket), refused(t, socket)}
	refused(t, socket) // the one too many
	if line, open := oldest.hear(t); open {
		t.Errorf("the longest idle connection heard %q", line)
	}
	for i, c := range others {
		c.say(t, probe)
		if line, ok := c.hear(t); !ok {
			t.Errorf("idle connection %d heard %q", i, line)
		}
	}
	close(network.release)
	if line, _ := busy.hear(t); !strings.Contains(line, `"temporary"`) {
		t.Errorf("the one that waited heard %q", line)
	}
}

// slow is a connection whose writer goes on long after the peer has got the line.
type slow struct {
	net.Conn
	goOn chan struct{}
}

func (s slow) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	<-s.goOn
	return n, err
}

// A connection is as old as its last request or answer, however late the goroutine that has answered goes on.
func TestA28ASlowGoroutineMakesNoConnectionYounger(t *testing.T) {
	ourselves := ourselves(t)
	dir := configIn(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(t, Options{Config: dir})
		here, there := net.Pipe()
		nc := slow{there, make(chan struct{})}
		c := d.newConn(nc, ourselves)
		go c.serve()
		io.WriteString(here, probe)
		if line, err := bufio.NewReader(here).ReadString('\n'); err != nil || !strings.Contains(line, "groatd") {
			t.Fatalf("%q, %v", line, err)
		}
		answered := time.Since(d.started)
		time.Sleep(time.Hour)
		close(nc.goOn)
		synctest.Wait()
		if since, idle := c.idleSince(); !idle || since != answered {
			t.Errorf("idle: %v, since %v, want since %v", idle, since, answered)
		}
		here.Close()
		d.Close(t.Context())
	})
}

// Where every connection waits for an answer, none is closed; a new client waits until there is room.
func TestA28WhereNoneIsIdle(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, network stuck, busy []*raw){
		"A28 until one rests": func(t *testing.T, network stuck, busy []*raw) {
			close(network.release)
			for i, c := range busy {
				if line, _ := c.hear(t); !strings.Contains(line, `"temporary"`) {
					t.Errorf("the one that waited (%d) heard %q", i, line)
				}
			}
		},
		"A28 until one ends": func(_ *testing.T, network stuck, busy []*raw) {
			for _, c := range busy {
				c.CloseWrite() // it still waits for its answer
			}
			close(network.release)
		},
		"A6 until those who asked have left": func(t *testing.T, network stuck, busy []*raw) {
			for _, c := range busy {
				c.Close() // and the network still does not answer
			}
			t.Cleanup(func() { close(network.release) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			socket, network, serve := crowded(t)
			var busy []*raw
			for range places + 1 {
				c := dialRaw(t, socket)
				c.say(t, tokenRequest)
				busy = append(busy, c)
			}
			serve()
			<-network.arrived
			late := dialRaw(t, socket)
			late.say(t, probe)
			late.SetReadDeadline(time.Now().Add(3 * rest))
			if n, err := late.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("there was no room, and yet: %d bytes, %v", n, err)
			}
			late.SetReadDeadline(time.Now().Add(patience))
			end(t, network, busy)
			if line, ok := late.hear(t); !ok {
				t.Errorf("heard %q", line)
			}
		})
	}
}

// short is a listener of a system that is short of something. It counts how often it is asked.
type short struct {
	err    error
	asked  []time.Time
	closed chan struct{}
	once   sync.Once
}

func (s *short) AcceptUnix() (*net.UnixConn, error) {
	s.asked = append(s.asked, time.Now())
	select {
	case <-s.closed:
		return nil, net.ErrClosed
	default:
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", s.err)}
	}
}

func (s *short) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// A system that is short of descriptors is asked again, ever more slowly, for as long as it takes.
func TestA29AcceptFails(t *testing.T) {
	for name, err := range map[string]error{
		"A29 EMFILE": syscall.EMFILE, "A29 ENFILE": syscall.ENFILE, "A29 ENOBUFS": syscall.ENOBUFS,
		"A29 ENOMEM": syscall.ENOMEM, "A29 ECONNABORTED": syscall.ECONNABORTED,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &short{err: err, closed: make(chan struct{})}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				if err := newIsolated(t, nowhere{}).newServer(places).serve(ctx, l); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took != time.Hour {
					t.Errorf("it gave up after %v", took)
				}
				if n := len(l.asked); n < 3600 || n > 3620 {
					t.Errorf("the system was asked %d times in an hour", n)
				}
				for i, at := range l.asked[1:] {
					if pause := at.Sub(l.asked[i]); pause < shortest || pause > longest {
						t.Errorf("a pause of %v", pause)
					}
				}
			})
		})
	}
}

// Of very many idle connections those go that have been idle for longest, and none that is in use.
func TestA28TheLongestIdleOfMany(t *testing.T) {
	ourselves := ourselves(t)
	dir := configIn(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(t, Options{Config: dir})
		defer d.Close(t.Context())
		s := d.newServer(2048)
		order := make([]*conn, 1000)
		for i := range order {
			_, there := net.Pipe()
			order[i] = d.newConn(there, ourselves)
			s.conns[order[i]] = struct{}{}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		busy := order[3]
		busy.room <- struct{}{}
		order = slices.Delete(order, 3, 4)
		for len(order) > 0 {
			n := s.Evict()
			if n != min(evicted, len(order)) {
				t.Fatalf("%d were closed, %d are idle", n, len(order))
			}
			for _, c := range order[:n] {
				if c.open.Err() == nil {
					t.Fatal("a younger one was closed first")
				}
			}
			order = order[n:]
		}
		if n := s.Evict(); n != 0 || busy.open.Err() != nil {
			t.Errorf("%d were closed, and one that is in use: %v", n, busy.open.Err())
		}
		busy.hangUp()
	})
}
