package frame

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// routeEnv is a runtime directory and a state directory, with the groatds that a test starts in them.
type routeEnv struct {
	t     *testing.T
	dir   string
	env   map[string]string
	hello sync.Map // :: socket → how often it was asked
}

func newRouteEnv(t *testing.T) *routeEnv {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "gr") // a path that leaves room for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &routeEnv{t: t, dir: dir,
		env: map[string]string{"HOME": dir, "XDG_RUNTIME_DIR": dir, "GROAT_STATE_DIR": dir}}
}

func (w *routeEnv) route() *Route {
	w.t.Helper()
	r, err := FindRoute(func(name string) string { return w.env[name] })
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// listen has a groatd of a place listen at a socket; a nil place is one that answers nothing.
func (w *routeEnv) listen(socket string, place *Place) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		w.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					var q struct {
						ID     json.RawMessage
						Method string
						Place  string
					}
					json.Unmarshal(lines.Bytes(), &q)
					if q.Method == "hello" {
						w.hello.Store(socket, true)
					}
					switch {
					case place == nil:
						return
					case q.Place != "" && q.Place != place.ID():
						theirs, _ := json.Marshal(place)
						fmt.Fprintf(c, `{"id":%s,"error":{"code":-32006,"message":"m","data":{"kind":"config",`+
							`"place":%s}}}`+"\n", q.ID, theirs)
					default:
						fmt.Fprintf(c, `{"id":%s,"result":{"access_token":"t"}}`+"\n", q.ID)
					}
				}
			})
		}
	})
	w.t.Cleanup(func() { l.Close(); all.Wait() })
}

// record writes the record of a groatd that listens at a socket.
func (w *routeEnv) record(h Holder) {
	w.t.Helper()
	host, boot := ThisHost()
	if h.Host == "" {
		h.Host, h.Boot = host, boot
	}
	h.PID = os.Getpid()
	text, err := json.Marshal(h)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, LockFile), text, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// asks makes a request on a connection, which it closes, and returns who refused it.
func asks(t *testing.T, c *Conn) *Place {
	t.Helper()
	if c == nil {
		t.Fatal("there is no connection")
	}
	defer c.Close()
	_, err := c.Token(TokenParams{})
	if place := OtherPlace(err); place != nil || err == nil {
		return place
	}
	t.Error(err)
	return nil
}

func soon() time.Time { return time.Now().Add(patience) }

func TestReach(t *testing.T) {
	other := Place{Home: "/other", Configuration: "/other/c", State: "/other/s"}
	for name, test := range map[string]struct {
		own, plain, named bool // a groatd of this place listens there
		otherPlain        bool // another place's has the plain socket
		reached           bool
	}{
		"none":                         {},
		"its own socket":               {own: true, reached: true},
		"the plain socket":             {plain: true, reached: true},
		"both":                         {own: true, otherPlain: true, reached: true},
		"another place's plain socket": {otherPlain: true},
		"a named socket":               {named: true, otherPlain: true, reached: true},
	} {
		for _, repeatable := range []bool{false, true} {
			t.Run(fmt.Sprint(name, repeatable), func(t *testing.T) {
				w := newRouteEnv(t)
				r := w.route()
				if test.named {
					w.env["GROAT_SOCKET"] = filepath.Join(w.dir, "named")
					r = w.route()
					w.listen(r.OwnSocket(), r.Place)
				}
				if test.own {
					w.listen(r.Sockets.Own, r.Place)
				}
				plain := filepath.Join(w.dir, "groat", "agent.sock")
				if test.plain {
					w.listen(plain, r.Place)
				}
				if test.otherPlain {
					w.listen(plain, &other)
				}
				c, err := r.Reach(soon(), repeatable)
				if err != nil {
					t.Fatal(err)
				}
				_, said := w.hello.Load(plain)
				if want := (test.plain || name == "another place's plain socket") && !repeatable; said != want {
					t.Errorf("the plain socket was asked who it is: %v", said)
				}
				if c != nil && repeatable && name == "another place's plain socket" {
					if place := asks(t, c); place == nil || *place != other || !r.PlainIsAnothers() ||
						r.PlainIsAnothers() {
						t.Errorf("refused by %v", place)
					}
					c, err = r.Reach(soon(), repeatable)
				}
				if (c != nil) != test.reached || err != nil {
					t.Fatalf("%v, %v", c, err)
				}
				if c != nil && asks(t, c) != nil {
					t.Error("it is another place's")
				}
			})
		}
	}
}

// A socket that is named alone is asked without a place; with another thing that is groat's, as one of this place.
func TestANamedSocketIsOfAnyPlace(t *testing.T) {
	other := Place{Home: "/other", Configuration: "/other/c", State: "/other/s"}
	for _, c := range []struct {
		variable string
		served   bool
	}{{"", true}, {"XDG_CONFIG_HOME", true}, {"GROAT_CONFIG", false}, {"GROAT_STATE_DIR", false}} {
		w := newRouteEnv(t)
		w.env = map[string]string{"HOME": w.dir, "XDG_RUNTIME_DIR": w.dir, "GROAT_SOCKET": filepath.Join(w.dir, "named")}
		if c.variable != "" {
			w.env[c.variable] = filepath.Join(w.dir, "given")
		}
		r := w.route()
		w.listen(r.OwnSocket(), &other)
		conn, err := r.Reach(soon(), false)
		if err != nil {
			t.Fatal(err)
		}
		if place := asks(t, conn); (place == nil) != c.served {
			t.Errorf("with %q: refused by %v", c.variable, place)
		}
	}
}

// A plain socket that was another place's may become this one's.
func TestThePlainSocketBecomesOurs(t *testing.T) {
	w := newRouteEnv(t)
	r := w.route()
	r.PlainIsAnothers()
	w.listen(r.Sockets.Plain, r.Place)
	if c, err := r.Reach(soon(), false); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	r.PlainMayBeOurs()
	if c, err := r.Reach(soon(), false); err != nil || asks(t, c) != nil {
		t.Error(err)
	}
}

// What listens at a socket and does not answer is an error, and no reason to start another one.
func TestReachWhatDoesNotAnswer(t *testing.T) {
	w := newRouteEnv(t)
	r := w.route()
	w.listen(r.Sockets.Plain, nil)
	if c, err := r.Reach(soon(), false); c != nil || !errors.Is(err, ErrClosed) {
		t.Errorf("%v, %v", c, err)
	}
	long := newRouteEnv(t)
	long.env["GROAT_SOCKET"] = filepath.Join(long.dir, "s")
	if err := os.Symlink(strings.Repeat("x", 300), long.env["GROAT_SOCKET"]); err != nil {
		t.Fatal(err)
	}
	_, err := long.route().Reach(soon(), false)
	if e, ok := errors.AsType[*DialError](err); !ok || e.Socket != long.env["GROAT_SOCKET"] || e.Error() == "" {
		t.Errorf("%v", err)
	}
}

// The lock leads to a groatd that listens somewhere else, if it is this place's and this machine's.
func TestReachHolder(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(h *Holder)
		reached bool
	}{
		"this place's":        {func(*Holder) {}, true},
		"over a link":         {func(h *Holder) { h.Place.Home = h.Place.Home + "/link" }, true},
		"another host's":      {func(h *Holder) { h.Host = "node17" }, false},
		"another place's":     {func(h *Holder) { h.Place.Home = "/" }, false},
		"does not listen yet": {func(h *Holder) { h.Socket = "" }, false},
		"has ended":           {func(h *Holder) { h.Socket += "x" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRouteEnv(t)
			if err := os.Symlink(w.dir, filepath.Join(w.dir, "link")); err != nil {
				t.Fatal(err)
			}
			r := w.route()
			h := Holder{Place: *r.Place, Socket: filepath.Join(w.dir, "elsewhere")}
			socket := h.Socket
			test.change(&h)
			w.listen(socket, &h.Place)
			w.record(h)
			c := r.ReachHolder(soon())
			if (c != nil) != test.reached {
				t.Fatalf("%v", c)
			}
			if c != nil && asks(t, c) != nil {
				t.Error("it is another place's")
			}
		})
	}
	w := newRouteEnv(t)
	r := w.route()
	w.listen(filepath.Join(w.dir, "deaf"), nil)
	w.record(Holder{Place: *r.Place, Socket: filepath.Join(w.dir, "deaf")})
	if c := r.ReachHolder(soon()); c != nil {
		t.Error("one that does not answer is reached")
	}
	r.Sockets.Explicit = "/s"
	if c := r.ReachHolder(soon()); c != nil {
		t.Error("a named socket is the only way")
	}
	if _, ok := (&Route{}).Holder(); ok {
		t.Error("without a place there is no record")
	}
}

func TestSamePlace(t *testing.T) {
	dir := t.TempDir()
	for from, to := range map[string]string{"link": dir, "dangling": dir + "/none"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		p, q string
		want bool
	}{
		{"/a/b", "/a/b", true}, {"/", "/nonexistent", false}, {dir + "/new/x", dir + "/link/new/x", true}, {dir +
			"/new/x", dir + "/link/new/y", false},
		{dir + "/dangling", dir + "/none", false},
	} {
		p, q := Place{test.p, test.p, test.p}, Place{test.q, test.q, test.q}
		if got := SamePlace(p, q); got != test.want {
			t.Errorf("%s and %s: %v", test.p, test.q, got)
		}
	}
}

// A record is believed only if it is a file of this user's that can be read.
func TestReadHolder(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, LockFile)
	if _, err := ReadHolder(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for text, ok := range map[string]bool{
		`{"pid":1,"host":"x","later":[1]}`: true, `{"pid":1,"host":"x","boot":null}`: true,
		"": false, "4711\n": false, `{"pid":1,"ho`: false, `{"pid":0,"host":"x"}`: false, `{"pid":1}`: false,
		`{"pid":"1","host":"x"}`:          false,
		`{"pid":1,"host":"x","place":[]}`: false, strings.Repeat(" ", 2*MaxHolder): false,
	} {
		if err := os.WriteFile(lock, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if h, err := ReadHolder(dir); (err == nil) != ok || ok && (h.PID != 1 || h.Host != "x") || !ok &&
			!errors.Is(err, ErrNoHolder) {
			t.Errorf("%.40q: %+v, %v", text, h, err)
		}
	}
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadHolder(dir); !errors.Is(err, ErrNoHolder) {
		t.Error(err)
	}
}

// A state directory that others can enter is not believed, whatever its lock says.
func TestH11RecordOfAnOpenDirectory(t *testing.T) {
	state := t.TempDir()
	place := UsualPlace(t.TempDir())
	place.State = state
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	record := []byte(`{"pid":1,"host":"x","place":{"home":"/h","configuration":"/c","state":"/s"}}`)
	if err := os.WriteFile(filepath.Join(state, LockFile), record, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Route{Place: &place}
	if _, ok := r.Holder(); !ok {
		t.Error("the record is not read")
	}
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Holder(); ok {
		t.Error("it is believed")
	}
}

// Something else where the place's own directory would be does not hide the plain socket.
func TestSomethingElseIsInTheWay(t *testing.T) {
	for name, put := range map[string]func(dir string) error{
		"a file":           func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"a link to itself": func(dir string) error { return os.Symlink(filepath.Base(dir), dir) },
	} {
		w := newRouteEnv(t)
		r := w.route()
		if err := os.MkdirAll(r.Sockets.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := put(filepath.Dir(r.Sockets.Own)); err != nil {
			t.Fatal(err)
		}
		w.listen(r.Sockets.Plain, r.Place)
		c, err := r.Reach(soon(), true)
		if c == nil || err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.Close()
	}
}
