package grant

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are made by the test.
type pipes struct {
	silent
	coming chan net.Conn
}

func (l pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.coming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// comes returns the other end of a new connection.
func (l pipes) comes() net.Conn {
	here, there := net.Pipe()
	l.coming <- here
	return there
}

func inDoor(t *testing.T, test func(t *testing.T, l pipes)) {
	synctest.Test(t, func(t *testing.T) {
		l := pipes{silent{make(chan struct{})}, make(chan net.Conn)}
		r := newReceiver([]net.Listener{l}, &url.URL{Scheme: "http", Host: "127.0.0.1:4711", Path: "/callback"},
			func() {})
		r.serve(&callback{receiver: r, a: &Authorization{state: "s"}, done: make(chan struct{})})
		defer r.Close()
		test(t, l)
	})
}

// A connection has five seconds in all, whatever it sends and however slowly.
func TestI7AConnectionHasFiveSeconds(t *testing.T) {
	for name, send := range map[string]func(c net.Conn) error{
		"nothing": func(net.Conn) error { time.Sleep(time.Second); return nil },
		"a byte a second": func(c net.Conn) error {
			time.Sleep(time.Second)
			_, err := c.Write([]byte("G"))
			return err
		},
		"header by header": func(c net.Conn) error {
			time.Sleep(time.Second)
			_, err := io.WriteString(c, "X: y\r\n")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inDoor(t, func(t *testing.T, l pipes) {
				begin := time.Now()
				c := l.comes()
				defer c.Close()
				if name == "header by header" {
					io.WriteString(c, "GET /callback HTTP/1.1\r\n")
				}
				over := make(chan struct{})
				go func() {
					io.Copy(io.Discard, c)
					close(over)
				}()
				go func() {
					for send(c) == nil && time.Since(begin) < time.Minute {
					}
				}()
				<-over
				if took := time.Since(begin); took > callbackTime {
					t.Errorf("it was closed after %v", took)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// Silent connections do not keep the browser out: the one that has been served longest is closed.
func TestI6SilentConnectionsMakeRoom(t *testing.T) {
	inDoor(t, func(t *testing.T, l pipes) {
		var silent []net.Conn
		for range callbackConns {
			silent = append(silent, l.comes())
			time.Sleep(time.Millisecond)
		}
		begin := time.Now()
		honest := l.comes()
		defer honest.Close()
		go io.WriteString(honest, "GET /callback HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\n")
		page, err := io.ReadAll(honest)
		if err != nil || !bytes.HasPrefix(page, []byte("HTTP/1.1 400 ")) {
			t.Fatalf("%q, %v", page, err)
		}
		if took := time.Since(begin); took > callbackGrace {
			t.Errorf("it waited %v", took)
		}
		if _, err := silent[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the longest visit: %v", err)
		}
		silent[1].SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := silent[1].Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			t.Error("more than one made room")
		}
		for _, c := range silent {
			c.Close()
		}
	})
}

// More of a header than a browser sends is refused, and the sign-in goes on waiting.
func TestI7TooLargeAHeader(t *testing.T) {
	inDoor(t, func(t *testing.T, l pipes) {
		for _, size := range []int{callbackHeader + 5<<10, 1 << 20} {
			c := l.comes()
			go io.WriteString(c, "GET /callback?state=s&code=c HTTP/1.1\r\nHost: 127.0.0.1:4711\r\nX: "+
				strings.Repeat("a", size)+"\r\n\r\n")
			answer, _ := io.ReadAll(c)
			if !bytes.HasPrefix(answer, []byte("HTTP/1.1 431 ")) {
				t.Errorf("%d bytes: %.60q", size, answer)
			}
			c.Close()
		}
	})
}

// Where the machine lacks one of the addresses, the other is enough; where a program has one, none is bound.
func TestI8BothHalvesOfLocalhost(t *testing.T) {
	listeners, _, err := bind([]string{"127.0.0.1", "203.0.113.1"}, "") // TEST-NET-3 is no machine's
	if err != nil || len(listeners) != 1 {
		t.Fatalf("%d listeners, %v", len(listeners), err)
	}
	listeners[0].Close()
	if _, _, err := bind([]string{"203.0.113.1", "203.0.113.2"}, ""); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("without any address: %v", err)
	}
	for _, half := range []string{"127.0.0.1", "::1"} {
		other, err := net.Listen("tcp", net.JoinHostPort(half, "0"))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(other.Addr().String())
		r, err := Listen("http://localhost:"+port+"/cb", nil)
		if err == nil {
			r.Close()
			t.Fatalf("%s belongs to another listener, and it was bound", other.Addr())
		}
		if text := err.Error(); !strings.Contains(text, other.Addr().String()+": address already in use") ||
			!strings.Contains(text, "on both") {
			t.Errorf("%s", text)
		}
		other.Close()
		if r, err = Listen("http://localhost:"+port+"/cb", nil); err != nil {
			t.Fatalf("the other half was kept: %v", err)
		}
		r.Close()
	}
}

// counts is a budget of so many descriptors.
type counts struct{ left int }

var errSpent = errors.New("spent")

func (c *counts) Take(n int) error {
	if n > c.left {
		return errSpent
	}
	c.left -= n
	return nil
}
func (c *counts) Give(n int) { c.left += n }

// Everything that a receiver may take is taken from the budget, and given back.
func TestI9AReceiverKeepsToItsBudget(t *testing.T) {
	b := &counts{30}
	var all []*Receiver
	for {
		r, err := Listen("http://localhost/cb", b)
		if err != nil {
			if !errors.Is(err, errSpent) {
				t.Error(err)
			}
			break
		}
		all = append(all, r)
	}
	if len(all) != 2 || b.left != 30-2*(callbackConns+4) {
		t.Errorf("%d receivers, %d left", len(all), b.left)
	}
	for _, r := range all {
		r.Close()
		r.Close()
	}
	if _, err := Listen("http://localhost:1/no", &counts{}); !errors.Is(err, errSpent) {
		t.Errorf("%v", err)
	}
	if b.left != 30 {
		t.Errorf("%d were given back", b.left)
	}
}
