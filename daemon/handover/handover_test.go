package handover_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

const place = "0123456789abcdef"

// holder listens as a holder does and lets each connection be handled.
func holder(t *testing.T, handle func(c *net.UnixConn)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			handle(c)
			c.Close()
		}
	}()
	return socket
}

// lockFile returns a file whose lock is taken.
func lockFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// free reports whether another process could take the lock.
func free(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

func sample(now clock.Instant) handover.Token {
	return handover.Token{Configuration: "digest", Cached: broker.Cached{
		Profile: "work", Scope: "a b", Audience: "api", MaxMinTTL: 10 * time.Minute,
		Renew: now.Boot + time.Minute, Used: now.Boot - time.Second,
		Token: grant.Token{
			Access: keystore.SecretString("not.a-real_token"), Type: "Bearer", Scope: "a",
			Sent:     clock.Instant{Wall: now.Wall, Boot: now.Boot - time.Minute},
			Lifetime: time.Hour, LifetimeAssumed: true, TypeAssumed: true, Last: true,
			Destinations: &grant.Destinations{
				TokenEndpoint: "https://auth.example/token", APIs: []string{"https://api.example:443"},
				Header: &grant.Header{Name: "X-Key"},
			},
		},
	}}
}

// The lock is held at every moment, and a token is what it was, but for an age that is a little too great.
func TestM1LockAndTokens(t *testing.T) {
	lock := lockFile(t)
	now := clock.Now()
	want := []handover.Token{sample(now), sample(now)}
	want[1].Profile = "other"
	want[1].Token.ID = grant.AdoptIDToken(keystore.SecretString("h.p.s"), want[1].Token.Sent, 30*time.Minute, "alice",
		want[1].Token.Destinations, true)
	given := make(chan struct{})
	socket := holder(t, func(c *net.UnixConn) {
		defer close(given)
		h, err := handover.Receive(c, place)
		if err != nil || h.OnlyAsks() {
			t.Error(err)
			return
		}
		if err := errors.Join(h.Accept(nil), h.Give(lock, nil, want, clock.Now()), lock.Close()); err != nil {
			t.Error(err)
		}
	})
	s, err := handover.Ask(socket, os.Getpid(), place, handover.ForService, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	taken, err := s.Take()
	passed, got := taken.Lock, taken.Tokens
	if err != nil || len(got) != 2 {
		t.Fatalf("%d tokens, %v", len(got), err)
	}
	if free(t, lock.Name()) {
		t.Error("the lock is free")
	}
	if flags, err := unix.FcntlInt(passed.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("a child would inherit the lock: %v", err)
	}
	passed.Close()
	<-given
	if !free(t, lock.Name()) {
		t.Error("the lock is held by no process's doing")
	}
	g, w := got[0], want[0]
	older := w.Token.Sent.Boot - g.Token.Sent.Boot
	if older < 0 || older > 10*time.Second {
		t.Errorf("it is %v older", older)
	}
	if d := g.Renew - w.Renew; d < 0 || d > 10*time.Second {
		t.Errorf("it is renewed %v later", d)
	}
	if g.Profile != w.Profile || g.Configuration != w.Configuration || g.Scope != w.Scope || g.Audience != w.Audience ||
		g.MaxMinTTL != w.MaxMinTTL ||
		!g.Token.Access.Equal(w.Token.Access) || g.Token.Type != "Bearer" || g.Token.Scope != "a" ||
		g.Token.Lifetime != time.Hour ||
		!g.Token.LifetimeAssumed || !g.Token.TypeAssumed || !g.Token.Last || g.Token.Static ||
		g.Token.Destinations.API(origin.Target{Origin: "https://api.example:443"}) == "" ||
		g.Token.Destinations.TokenEndpoint != w.Token.Destinations.TokenEndpoint ||
		*g.Token.Destinations.Header != *w.Token.Destinations.Header {
		t.Errorf("%+v\nwant %+v", g, w)
	}
	if i := got[1].Token.ID; got[1].Profile != "other" || i == nil || g.Token.ID != nil || i.Text.Reveal() != "h.p.s" ||
		i.Subject != "alice" || i.Lifetime != 30*time.Minute || !i.Verified() || i.Sent.Boot != got[1].Token.Sent.Boot {
		t.Errorf("%+v", got[1])
	}
}

// A holder answers no other place and no other version, and reads no more than it must.
func TestM6WhoAsks(t *testing.T) {
	frame := func(text string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) + text }
	for name, c := range map[string]struct {
		said    string
		refusal string // else an error that is not told
	}{
		"another place":   {frame(`{"version":1,"place":"fedcba9876543210"}`), "it serves another place"},
		"another version": {frame(`{"version":2,"place":"` + place + `"}`), "version 1"},
		"no JSON":         {frame("oops"), ""},
		"nothing":         {"", ""},
		"cut short":       {frame(`{"version":1}`)[:9], ""},
		"a great length":  {"\xff\xff\xff\xff", ""},
		"another program": {"GET / HTTP/1.1\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan error, 1)
			socket := holder(t, func(c *net.UnixConn) {
				_, err := handover.Receive(c, place)
				got <- err
			})
			conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(c.said)); err != nil {
				t.Fatal(err)
			}
			conn.CloseWrite()
			err = <-got
			why, refused := errors.AsType[*handover.Refusal](err)
			if err == nil || refused != (c.refusal != "") || refused &&
				(!strings.Contains(why.Message, c.refusal) || why.Hint == "") {
				t.Errorf("%v", err)
			}
		})
	}
}

// A holder that refuses says why, and one that is only asked goes on.
func TestM2TheAnswer(t *testing.T) {
	no := &handover.Refusal{Message: "busy", Hint: "wait"}
	var refuse bool
	socket := holder(t, func(c *net.UnixConn) {
		h, err := handover.Receive(c, place)
		switch {
		case err != nil || !h.OnlyAsks():
			t.Error(err)
		case refuse:
			if err := h.Refuse(no); err != error(no) {
				t.Error(err)
			}
		default:
			if err := h.Accept(nil); err != nil {
				t.Error(err)
			}
		}
	})
	s, err := handover.Ask(socket, os.Getpid(), place, handover.Only, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	refuse = true
	_, err = handover.Ask(socket, os.Getpid(), place, handover.Only, clock.Now)
	if why, ok := errors.AsType[*handover.Refusal](err); !ok || *why != *no {
		t.Errorf("%v", err)
	}
}

// A successor takes nothing from another process than the one that the lock names, and nothing that is no token.
func TestM7WhoAnswers(t *testing.T) {
	socket := holder(t, func(*net.UnixConn) {})
	if _, err := handover.Ask(socket, os.Getpid()+1, place, handover.ForService, clock.Now); !errors.Is(err, handover.ErrBroken) {
		t.Errorf("another process: %v", err)
	}
	frame := func(text string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) + text }
	const end = "\x00\x00\x00\x00"
	good := `{"profile":"work","lifetime":60000000000}`
	for name, test := range map[string]struct {
		says   string // after the byte that the lock comes with
		noLock bool
		tokens int // -1: an error
	}{
		"a token":               {says: frame(good) + frame("abc=") + end, tokens: 1},
		"no token":              {says: end},
		"no lock":               {says: end, noLock: true, tokens: -1},
		"nothing":               {tokens: -1},
		"no JSON":               {says: frame("oops") + frame("abc") + end, tokens: -1},
		"a quotation mark":      {says: frame(good) + frame(`a"b`) + end, tokens: -1},
		"an empty token":        {says: frame(good) + frame("") + end, tokens: -1},
		"a long token":          {says: frame(good) + frame(strings.Repeat("a", 16<<10+1)) + end, tokens: -1},
		"an end too early":      {says: frame(good) + frame("abc"), tokens: -1},
		"a time that overflows": {says: frame(`{"age":9223372036854775807}`) + frame("abc") + end, tokens: -1},
		"a time before all times": {says: frame(`{"renew_in":-9223372036854775808}`) + frame("abc") + end,
			tokens: -1},
		"a length without an end": {says: "\xff\xff\xff\xff", tokens: -1},
		"a token from the future": {says: frame(`{"age":-3600000000000,"lifetime":60000000000}`) + frame("abc") + end,
			tokens: 1},
		"a life that never ends":    {says: frame(`{"lifetime":9223372036854775807}`) + frame("abc") + end, tokens: -1},
		"a use that is yet to come": {says: frame(`{"unused":-3600000000000}`) + frame("abc") + end, tokens: 1},
	} {
		t.Run(name, func(t *testing.T) {
			lock := lockFile(t)
			defer lock.Close()
			socket := holder(t, func(c *net.UnixConn) {
				h, err := handover.Receive(c, place)
				if err == nil {
					err = h.Accept(nil)
				}
				var rights []byte
				if !test.noLock {
					rights = unix.UnixRights(int(lock.Fd()))
				}
				if err == nil {
					_, _, err = c.WriteMsgUnix([]byte{1}, rights, nil)
				}
				if err == nil {
					_, err = c.Write([]byte(test.says))
				}
				if err != nil && !errors.Is(err, unix.EPIPE) { // the successor may have had enough
					t.Error(err)
				}
			})
			s, err := handover.Ask(socket, os.Getpid(), place, handover.ForService, clock.Now)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			taken, err := s.Take()
			passed, tokens := taken.Lock, taken.Tokens
			if (err != nil) != (test.tokens < 0) || len(tokens) != max(test.tokens, 0) ||
				(passed == nil) != test.noLock {
				t.Errorf("%d tokens, the lock %v, %v", len(tokens), passed != nil, err)
			}
			if passed != nil {
				passed.Close()
			}
			for _, token := range tokens {
				if now := clock.Now(); token.Token.Remaining(now) > time.Minute || token.Used > now.Boot {
					t.Errorf("%v are left, used at %v", token.Token.Remaining(now), token.Used)
				}
			}
		})
	}
}

// What a holder has besides the lock is left out, and every descriptor that came without need is closed.
func TestM11TooMuch(t *testing.T) {
	t.Run("M11 tokens that are too long", func(t *testing.T) {
		lock, now := lockFile(t), clock.Now()
		defer lock.Close()
		long, wide := sample(now), sample(now)
		long.Token.Access = keystore.SecretString(strings.Repeat("a", 16<<10+1))
		wide.Audience = strings.Repeat("a", 64<<10)
		socket := holder(t, func(c *net.UnixConn) {
			h, err := handover.Receive(c, place)
			if err == nil {
				err = errors.Join(h.Accept(nil), h.Give(lock, nil, []handover.Token{long, sample(now), wide}, now))
			}
			if err != nil {
				t.Error(err)
			}
		})
		s, err := handover.Ask(socket, os.Getpid(), place, handover.ForService, clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		taken, err := s.Take()
		passed, tokens := taken.Lock, taken.Tokens
		if err != nil || len(tokens) != 1 {
			t.Fatalf("%d tokens, %v", len(tokens), err)
		}
		passed.Close()
	})
	for _, c := range []struct {
		n int
		q handover.Question
	}{{0, handover.ForService}, {2, handover.ForService}, {3, handover.ForService}, {200, handover.ForService},
		{0, handover.ForRestart}, {3, handover.ForRestart}} {
		n := c.n
		t.Run(fmt.Sprintf("M11 %d descriptors for %d", n, c.q), func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			socket := holder(t, func(c *net.UnixConn) {
				h, err := handover.Receive(c, place)
				if err == nil {
					err = h.Accept(nil)
				}
				if err == nil {
					_, _, err = c.WriteMsgUnix([]byte{1}, unix.UnixRights(slices.Repeat([]int{int(w.Fd())}, n)...), nil)
				}
				if err != nil {
					t.Error(err)
				}
				w.Close()
			})
			s, err := handover.Ask(socket, os.Getpid(), place, c.q, clock.Now)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if taken, err := s.Take(); taken.Lock != nil || err == nil {
				t.Errorf("%v, %v", taken.Lock, err)
			}
			r.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := r.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the other end is still open: %v", err)
			}
		})
	}
}

// At a restart the clients' socket passes too, and its queue: a client that has connected before is answered after.
func TestTheSocketPasses(t *testing.T) {
	lock := lockFile(t)
	defer lock.Close()
	clients, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "c"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	clients.SetUnlinkOnClose(false)
	early, err := net.Dial("unix", clients.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	socket := holder(t, func(c *net.UnixConn) {
		h, err := handover.Receive(c, place)
		if err != nil || !h.Restarts() {
			t.Error(err)
			return
		}
		f, err := clients.File()
		if err := errors.Join(err, clients.Close(), h.Accept(&handover.File{Device: 1, Inode: 2}),
			h.Give(lock, f, nil, clock.Now()), f.Close()); err != nil {
			t.Error(err)
		}
	})
	s, err := handover.Ask(socket, os.Getpid(), place, handover.ForRestart, clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	taken, err := s.Take()
	if err != nil || taken.Socket == nil || taken.Bound == nil || *taken.Bound != (handover.File{Device: 1, Inode: 2}) {
		t.Fatalf("%+v, %v", taken, err)
	}
	taken.Lock.Close()
	l, err := net.FileListener(taken.Socket)
	taken.Socket.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("x"))
	c.Close()
	if got, err := io.ReadAll(early); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}
