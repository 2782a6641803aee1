package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// newPassing returns a place whose socket is bound, in a directory of the user's alone.
func newPassing(t *testing.T) (location, *listener) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "s")
	place := frame.Place{Home: "/h", Configuration: "/c", State: dir}
	s := location{PlaceStatus: protocol.PlaceStatus{ID: place.ID(), Place: place}}
	s.sockets.Explicit = filepath.Join(dir, "agent.sock")
	l, err := bind(s.socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.release)
	return s, l
}

// The socket that a groatd passes on answers all the time, and its file goes with the last one.
func TestASocketIsPassedOn(t *testing.T) {
	for name, taken := range map[string]bool{"taken": true, "not taken": false} {
		t.Run(name, func(t *testing.T) {
			s, l := newPassing(t)
			file := l.pass()
			if file == nil {
				t.Fatal("it is not passed")
			}
			l.release()
			early, err := net.Dial("unix", s.socket())
			if err != nil {
				t.Fatal(err)
			}
			defer early.Close()
			var next *listener
			if taken {
				if next = adoptSocket(s, l.handed(), file); next == nil || next.path != s.socket() {
					t.Fatalf("%+v", next)
				}
			}
			l.passedOn(taken)
			if _, err := os.Lstat(s.socket()); (err == nil) != taken {
				t.Errorf("the file: %v", err)
			}
			if !taken {
				return
			}
			c, err := next.AcceptUnix()
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			late, err := frame.Dial(s.socket(), clock.Now().Wall.Add(startTime))
			if err != nil {
				t.Fatal(err)
			}
			if pid := late.ServerPID(); pid != os.Getpid() {
				t.Errorf("the server is process %d", pid)
			}
			late.Close()
			next.release()
			if _, err := os.Lstat(s.socket()); err == nil {
				t.Error("the file is left behind")
			}
		})
	}
	s, l := newPassing(t)
	os.Remove(s.socket())
	if l.pass() != nil {
		t.Error("a socket without a file is passed")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if adoptSocket(s, null, nil) != nil {
		t.Error("/dev/null is a socket")
	}
}

// The offer is in the state directory, however long that one's path is, and is not made anew without it.
func TestWhereAGroatdHandsOver(t *testing.T) {
	for name, below := range map[string]string{"short": "s", "long": strings.Repeat("x", frame.MaxSocketPath)} {
		t.Run(name, func(t *testing.T) {
			place := frame.Place{Home: "/h", Configuration: "/c", State: filepath.Join(t.TempDir(), below)}
			s := location{PlaceStatus: protocol.PlaceStatus{ID: place.ID(), Place: place}}
			for range 2 { // the second finds what the first has left
				o := newOffer(s.Place.State, s.ID, carried{}, zap.NewNop())
				if o == nil || filepath.Dir(o.path) != s.Place.State {
					t.Fatalf("%+v", o)
				}
				go o.serve(nil, make(chan struct{}, 1))
				h, err := handover.Ask(o.path, os.Getpid(), s.ID, handover.Only, clock.Now)
				if err != nil {
					t.Fatal(err)
				}
				h.Close()
				o.Close()
			}
			o := newOffer(s.Place.State, s.ID, carried{}, zap.NewNop())
			if o == nil {
				t.Fatal("no offer")
			}
			os.Remove(o.path)
			o.check(zap.NewNop())
			if _, err := os.Lstat(o.path); err != nil {
				t.Errorf("it is not made anew: %v", err)
			}
			defer o.release()
			os.RemoveAll(s.Place.State)
			o.check(zap.NewNop())
			if _, err := os.Lstat(s.Place.State); err == nil {
				t.Error("the state directory was made anew")
			}
		})
	}
}

// A socket whose file was replaced on the way is not served, and the other file stays.
func TestTheSocketsFileIsReplaced(t *testing.T) {
	s, l := newPassing(t)
	file := l.pass()
	if file == nil {
		t.Fatal("it is not passed")
	}
	os.Remove(s.socket())
	other, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if adopted := adoptSocket(s, l.handed(), file); adopted != nil {
		t.Errorf("%s is served", adopted.path)
		adopted.release()
	}
	l.keep()
	if c, err := net.Dial("unix", s.socket()); err != nil {
		t.Errorf("the other file: %v", err)
	} else {
		c.Close()
	}
}

// A service's groatd gives way at a restart only; any other one also to a service's.
func TestWhoGivesWay(t *testing.T) {
	tokens := carried{{Configuration: "digest", Cached: broker.Cached{Profile: "work",
		Token: grant.Token{Access: keystore.SecretString("not.a-real_token"), Type: "Bearer"}}}}
	for name, c := range map[string]struct {
		service bool
		q       handover.Question
		refused bool
	}{
		"a service, to another":        {true, handover.ForService, true},
		"a service, whether it would":  {true, handover.Only, true},
		"a service, at a restart":      {true, handover.ForRestart, false},
		"no service, to a service":     {false, handover.ForService, false},
		"no service, whether it would": {false, handover.Only, false},
		"no service, at a restart":     {false, handover.ForRestart, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newPassing(t)
			lock, err := lockState(s)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			o := newOffer(s.Place.State, s.ID, tokens, zap.NewNop())
			if o == nil {
				t.Fatal("no offer")
			}
			o.service = c.service
			given := make(chan struct{})
			go o.serve(func() { go func() { o.give(lock); close(given) }() }, make(chan struct{}, 1))
			defer o.release()
			h, err := handover.Ask(o.path, os.Getpid(), s.ID, c.q, clock.Now)
			why, refused := errors.AsType[*handover.Refusal](err)
			if refused != c.refused || !refused && err != nil {
				t.Fatalf("%v", err)
			}
			if refused {
				if !strings.Contains(why.Message, "service manager") {
					t.Errorf("%+v", why)
				}
				return
			}
			defer h.Close()
			if c.q == handover.Only {
				return
			}
			taken, err := h.Take()
			if taken.Lock == nil || taken.Socket != nil || len(taken.Tokens) != 1 || err != nil {
				t.Fatalf("%+v, %v", taken, err)
			}
			taken.Lock.Close()
			<-given
		})
	}
}
