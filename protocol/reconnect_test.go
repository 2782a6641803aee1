package protocol

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/protocol/frame"
)

// daemonAt answers at a socket: each connection is closed after a number of answers, or never if that is negative.
func daemonAt(t *testing.T, socket string, answers int) (connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int64)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := connections.Add(1)
			all.Go(func() {
				defer c.Close()
				lines := bufio.NewScanner(c)
				for i := 0; i != answers && lines.Scan(); i++ {
					fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%s,"result":{"access_token":"t%d","pid":%d,"profiles":[]}}`+
						"\n", idOf(t, lines.Text()), n, n)
				}
				if answers >= 0 {
					lines.Scan() // a request that is not answered
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return connections
}

// A client goes on over a new connection if groatd has ended the one before, as it does when it is restarted, and
// asks again what was not answered.
func TestTheClientConnectsAgain(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	connections := daemonAt(t, socket, 1)
	c, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		token, err := c.Token(t.Context(), TokenParams{Profile: "work"})
		if err != nil || token.AccessToken != fmt.Sprintf("t%d", i+1) {
			t.Errorf("%d: %+v, %v", i, token, err)
		}
	}
	if n := connections.Load(); n != 5 {
		t.Errorf("%d connections", n)
	}
	// What must not be done twice is not asked twice.
	if err := c.Call(t.Context(), MethodLogout, LogoutParams{Profile: "work"}, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// A groatd that closes every connection without an answer is asked twice, and not for ever.
func TestTheClientGivesUp(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	connections := daemonAt(t, socket, 0)
	c, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Token(t.Context(), TokenParams{}); !errors.Is(err, ErrClosed) || connections.Load() > 2 {
		t.Errorf("%v after %d connections", err, connections.Load())
	}
}

func TestAfterClose(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	daemonAt(t, socket, -1)
	c, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.Token(t.Context(), TokenParams{}); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// newPlace has the environment lead to a place of its own, whose directory it returns.
func newPlace(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "gr") // which leaves room for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, variable := range []string{"HOME", "XDG_RUNTIME_DIR", "GROAT_STATE_DIR"} {
		t.Setenv(variable, dir)
	}
	for _, variable := range []string{"GROAT_CONFIG", "XDG_CONFIG_HOME", "GROAT_SOCKET"} {
		t.Setenv(variable, "")
	}
	return dir
}

// A refusal that Connect meets is the same type of error as that of any call.
func TestConnectIsRefused(t *testing.T) {
	newPlace(t)
	route, err := frame.FindRoute(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(route.Sockets.Plain), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", route.Sockets.Plain)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, `{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"too many connections",`+
			`"data":{"kind":"temporary","hint":"try again","retry_after":1}}}`+"\n")
	}()
	defer func() { l.Close(); <-done }()
	_, err = Connect(t.Context())
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != -32002 || e.Message != "too many connections" {
		t.Fatalf("%#v", err)
	}
	if want := (&ErrorData{Kind: Temporary, Hint: "try again", RetryAfter: 1}); !cmp.Equal(e.Data, want) {
		t.Errorf("%+v, want %+v", *e.Data, *want)
	}
}

// Connect finds the groatd of the environment's place at each of the paths of PROTOCOL.md, and no other one.
func TestConnect(t *testing.T) {
	for name, socketOf := range map[string]func(frame.Sockets) string{
		"its own socket":   func(s frame.Sockets) string { return s.Own },
		"the plain socket": func(s frame.Sockets) string { return s.Plain },
		"a named socket":   func(s frame.Sockets) string { return filepath.Join(s.Dir, "named") },
		"the lock":         func(s frame.Sockets) string { return filepath.Join(s.Dir, "elsewhere") },
		"none":             nil,
	} {
		t.Run(name, func(t *testing.T) {
			dir := newPlace(t)
			route, err := frame.FindRoute(os.Getenv)
			if err != nil {
				t.Fatal(err)
			}
			if socketOf == nil {
				if _, err := Connect(t.Context()); !errors.Is(err, ErrNotRunning) {
					t.Error(err)
				}
				return
			}
			socket := socketOf(route.Sockets)
			if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
				t.Fatal(err)
			}
			daemonAt(t, socket, -1)
			switch name {
			case "a named socket":
				t.Setenv("GROAT_SOCKET", socket)
			case "the lock":
				host, boot := frame.ThisHost()
				record, err := json.Marshal(frame.Holder{PID: os.Getpid(), Host: host, Boot: boot, Place: *route.Place,
					Socket: socket})
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, frame.LockFile), record, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if token, err := c.Token(t.Context(), TokenParams{}); err != nil || token.AccessToken != "t1" {
				t.Errorf("%+v, %v", token, err)
			}
			if r, err := c.Reject(t.Context(), TokenParams{}, "t1"); err != nil || r.AccessToken != "t1" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A slow request holds no other one up, and one whose caller has left does no harm.
func TestRequestsDoNotWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go func() {
			for lines := bufio.NewScanner(there); lines.Scan(); {
				request := lines.Text()
				go func() {
					if strings.Contains(request, `"slow"`) {
						time.Sleep(time.Second)
					}
					io.WriteString(there, `{"jsonrpc":"2.0","id":`+idOf(t,
						request)+`,"result":{"access_token":"t"}}`+"\n")
				}()
			}
		}()
		c := NewClient(here)
		var slow sync.WaitGroup
		for range MaxInFlight - 1 {
			slow.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				if _, err := c.Token(ctx, TokenParams{Profile: "slow"}); err != context.DeadlineExceeded {
					t.Error(err)
				}
			})
		}
		slow.Wait()
		begun := time.Now()
		for range 2 * MaxInFlight {
			if _, err := c.Token(t.Context(), TokenParams{Profile: "quick"}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("they took %v", took)
		}
		// groatd works on no more than its bound at once: what is beyond it waits until one is answered, those included
		// that no caller waits for.
		slow.Go(func() { c.Token(t.Context(), TokenParams{Profile: "slow"}) })
		synctest.Wait()
		if _, err := c.Token(t.Context(), TokenParams{Profile: "quick"}); err != nil || time.Since(begun) == 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		slow.Wait()
		c.Close()
		there.Close()
	})
}

// A token request ends by itself, although the caller set no limit and groatd says nothing.
func TestTokenHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go io.Copy(io.Discard, there)
		c := NewClient(here)
		for _, test := range []struct {
			wait *int64
			want time.Duration
		}{{nil, DefaultWait}, {new(int64(0)), 0}, {new(int64(7)), 7 * time.Second}, {new(int64(1) << 40), MaxWait}} {
			begun := time.Now()
			if _, err := c.Token(t.Context(), TokenParams{Wait: test.wait}); err != context.DeadlineExceeded ||
				time.Since(begun) != test.want+answerTime {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		}
		begun := time.Now()
		if _, err := c.Status(t.Context(), ""); err != context.DeadlineExceeded || time.Since(begun) != answerTime {
			t.Errorf("status: %v after %v", err, time.Since(begun))
		}
		c.Close()
		there.Close()
	})
}

// A login that is given up takes no other request with it.
func TestALoginHasAConnectionOfItsOwn(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	release := make(chan struct{})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					if strings.Contains(lines.Text(), `"login"`) {
						io.WriteString(c, prompt(PromptSecret))
						continue
					}
					<-release
					fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%s,"result":{"access_token":"t"}}`+"\n",
						idOf(t, lines.Text()))
				}
			})
		}
	})
	defer func() { l.Close(); all.Wait() }()
	c, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make(chan error, 1)
	all.Go(func() {
		_, err := c.Token(t.Context(), TokenParams{})
		got <- err
	})
	stop := errors.New("the person left")
	for range 2 {
		if _, err := c.Login(t.Context(), LoginParams{Profile: "work"},
			func(context.Context, Prompt) (LoginSecret, error) {
				return LoginSecret{}, stop
			}); !errors.Is(err, stop) {
			t.Error(err)
		}
	}
	close(release)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// Close ends a login, which has a connection of its own; a login that waits for it ends with its context.
func TestCloseEndsALogin(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					io.WriteString(c, prompt(PromptBrowser))
				}
			}()
		}
	}()
	c, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	asked, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := c.Login(t.Context(), LoginParams{}, func(ctx context.Context, _ Prompt) (LoginSecret, error) {
			close(asked)
			<-ctx.Done()
			return LoginSecret{}, ctx.Err()
		})
		ended <- err
	}()
	<-asked
	second, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Login(second, LoginParams{}, nil); err != context.Canceled {
		t.Errorf("the second login: %v", err)
	}
	c.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the login goes on")
	}
	if _, err := c.Login(t.Context(), LoginParams{}, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A connection of package frame's goes on with the place that it had, which need not be the one of the environment: a
// link may lead to it by another name.
func TestFromConn(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		line, _ := bufio.NewReader(c).ReadString('\n')
		lines <- line
	}()
	conn, err := frame.Dial(socket, time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	place := frame.Place{Home: "/h", Configuration: "/c", State: "/s"}
	conn.At(place)
	c, err := FromConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Call(t.Context(), MethodHello, nil, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if want := `{"jsonrpc":"2.0","id":1,"method":"hello","place":"` + place.ID() + `"}` + "\n"; <-lines != want {
		t.Errorf("it is not %s", want)
	}
}
