package frame

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patience is how long a call may take that should take no time.
const patience = 30 * time.Second

// serve has f answer each connection to a socket, whose path it returns.
func serve(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return path
}

// dial connects to a server and closes the connection at the test's end, before the server is waited for.
func dial(t *testing.T, socket string, limit time.Duration) *Conn {
	t.Helper()
	c, err := Dial(socket, time.Now().Add(limit))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

const tokenReply = `{"jsonrpc":"2.0","id":1,"result":{"access_token":"t","token_type":"Bearer","expires_at":5,` +
	`"expires_in":4,"profile":"work","header":"Authorization: Bearer t"}}` + "\n"

func TestToken(t *testing.T) {
	var got string
	socket := serve(t, func(c net.Conn) {
		got, _ = bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, tokenReply)
	})
	c := dial(t, socket, patience)
	c.At(Place{Home: "/home/alice", Configuration: "/home/alice/.config/groat",
		State: "/home/alice/.local/state/groat"})
	token, err := c.Token(TokenParams{Profile: "work", MinTTL: new(int64(60))})
	want := Token{AccessToken: "t", TokenType: "Bearer", ExpiresAt: 5, ExpiresIn: 4, Profile: "work",
		Header: "Authorization: Bearer t"}
	if err != nil || token != want {
		t.Errorf("%+v, %v", token, err)
	}
	if want := `{"jsonrpc":"2.0","id":1,"method":"token","place":"3267fabbe410c563","params":{"profile":"work",` +
		`"min_ttl":60}}` + "\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestReject(t *testing.T) {
	for _, test := range []struct {
		params TokenParams
		want   string
	}{
		{TokenParams{}, `{"access_token":"a\"b"}`},
		{TokenParams{Target: "https://h/"}, `{"target":"https://h/","access_token":"a\"b"}`},
	} {
		var got string
		c := dial(t, serve(t, func(c net.Conn) {
			got, _ = bufio.NewReader(c).ReadString('\n')
			io.WriteString(c, tokenReply)
		}), patience)
		if token, err := c.Reject(test.params, `a"b`); err != nil || token.AccessToken != "t" {
			t.Errorf("%+v, %v", token, err)
		}
		if want := `{"jsonrpc":"2.0","id":1,"method":"reject","params":` + test.want + "}\n"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// replyVector is a line of testdata/replies.jsonl; PROTOCOL.md says what its members mean.
type replyVector struct {
	Name    string
	Lines   []string
	Base64  string
	Parts   [][2]any
	Newline *bool
	Expect  struct {
		Result map[string]any
		Broken bool
		Error  *replyError
	}
}

type replyError struct {
	Code       int
	Kind       Kind
	Hint       string
	RetryAfter int64 `json:"retry_after"`
	MaxMinTTL  int64 `json:"max_min_ttl"`
}

// bytes returns what the server sends.
func (v replyVector) bytes(t *testing.T, id string) string {
	t.Helper()
	var text strings.Builder
	for i, line := range v.Lines {
		text.WriteString(strings.ReplaceAll(line, "$ID", id))
		if i < len(v.Lines)-1 || v.Newline == nil || *v.Newline {
			text.WriteByte('\n')
		}
	}
	raw, err := base64.StdEncoding.DecodeString(v.Base64)
	if err != nil {
		t.Fatal(err)
	}
	text.Write(raw)
	for _, part := range v.Parts {
		text.WriteString(strings.Repeat(part[0].(string), int(part[1].(float64))))
	}
	return text.String()
}

// The vectors for clients: each reply is read as PROTOCOL.md says, or is an error that says why not.
func TestReplyVectors(t *testing.T) {
	file, err := os.ReadFile("../testdata/replies.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(file) {
		var v replyVector
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		n++
		t.Run(v.Name, func(t *testing.T) { v.play(t) })
	}
	if n < 20 {
		t.Errorf("only %d vectors", n)
	}
}

func (v replyVector) play(t *testing.T) {
	text := v.bytes(t, "1")
	c := dial(t, serve(t, func(c net.Conn) {
		bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, text)
	}), patience)
	result, err := c.ask("hello", nil)
	refused, isRefusal := errors.AsType[*Error](err)
	switch {
	case v.Expect.Broken:
		if err == nil || isRefusal || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, %v", result, err)
		}
	case v.Expect.Error != nil:
		if !isRefusal {
			t.Fatalf("%s, %v", result, err)
		}
		got := replyError{refused.Code, refused.Kind, refused.Hint, refused.RetryAfter, refused.MaxMinTTL}
		if diff := cmp.Diff(*v.Expect.Error, got); diff != "" || refused.Message == "" {
			t.Errorf("%+v %s", refused, diff)
		}
	default:
		var got map[string]any
		if err := errors.Join(err, json.Unmarshal(result, &got)); err != nil {
			t.Fatalf("%s, %v", result, err)
		}
		if diff := cmp.Diff(v.Expect.Result, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestARefusalIsReadWhole(t *testing.T) {
	c := dial(t, serve(t, func(c net.Conn) {
		bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, `{"jsonrpc":"2.0","id":1,"error":{"code":-32006,"message":"m","data":{"kind":"config",`+
			`"hint":"h","retry_after":3,"max_min_ttl":4,`+
			`"network":{"proxy":{"value":"http://p","from":"f:1"},"no_proxy":{"value":"x","from":"y"},`+
			`"ca_file":{"value":"/ca","from":"f:2"},"pid":7,"started_at":9},`+
			`"choices":{"home":"https://h","work":"https://h"},`+
			`"place":{"home":"/h","configuration":"/c","state":"/s"}}}}`+"\n")
	}), patience)
	err := c.Hello()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal(err)
	}
	if e.Network == nil || *e.Network != (Network{Proxy: "http://p", CAFile: "/ca", PID: 7, StartedAt: 9}) {
		t.Errorf("network: %+v", e.Network)
	}
	if place := OtherPlace(err); place == nil || *place != (Place{"/h", "/c", "/s"}) {
		t.Errorf("place: %+v", place)
	}
	e.Network, e.Place = nil, nil
	if !cmp.Equal(*e, Error{Code: -32006, Kind: Config, Message: "m", Hint: "h", RetryAfter: 3, MaxMinTTL: 4,
		Choices: []Choice{{"home", "https://h"}, {"work", "https://h"}}}) || !e.HasChoice("work") || e.HasChoice("no") {
		t.Errorf("%+v", e)
	}
}

// The deadline is for all of a request, however the reply comes: not at all, byte by byte, or as notifications without
// end.
func TestDeadline(t *testing.T) {
	const limit = 150 * time.Millisecond
	for name, answer := range map[string]func(net.Conn) error{
		"no reply":      func(c net.Conn) error { _, err := io.Copy(io.Discard, c); return err },
		"byte by byte":  func(c net.Conn) error { _, err := io.WriteString(c, " "); return err },
		"notifications": func(c net.Conn) error { _, err := io.WriteString(c, `{"method":"later"}`+"\n"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := serve(t, func(c net.Conn) {
				for tick := time.NewTicker(limit / 10); answer(c) == nil && name != "no reply"; {
					<-tick.C
				}
			})
			begun := time.Now()
			c, err := Dial(socket, begun.Add(limit))
			if err != nil {
				t.Fatal(err)
			}
			err = c.Hello()
			took := time.Since(begun)
			c.Close()
			if !errors.Is(err, os.ErrDeadlineExceeded) || took < limit || took > limit+patience/10 {
				t.Errorf("%v after %v", err, took)
			}
			if err := c.Hello(); err == nil {
				t.Error("it goes on")
			}
			if err := c.Close(); err != os.ErrClosed {
				t.Errorf("it is closed twice: %v", err)
			}
		})
	}
	if _, err := Dial("/nowhere", time.Time{}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without a deadline: %v", err)
	}
}

// A groatd that reads nothing holds a long request up until the deadline and no longer.
func TestAServerThatDoesNotRead(t *testing.T) {
	const limit = 150 * time.Millisecond
	end := make(chan struct{})
	socket := serve(t, func(net.Conn) { <-end })
	defer close(end)
	begun := time.Now()
	c := dial(t, socket, limit)
	if err := syscall.SetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4096); err != nil {
		t.Fatal(err)
	}
	_, err := c.Token(TokenParams{Scope: strings.Repeat("s", MaxLine/2)})
	if took := time.Since(begun); !errors.Is(err, os.ErrDeadlineExceeded) || took < limit || took > limit+patience/10 {
		t.Errorf("%v after %v", err, took)
	}
}

// A signal that comes while a call waits neither ends it nor gives it more time.
func TestSignalsDoNotEndACall(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	asked := make(chan struct{})
	c := dial(t, serve(t, func(c net.Conn) {
		bufio.NewReader(c).ReadString('\n')
		close(asked)
		for range 20 {
			syscall.Kill(os.Getpid(), syscall.SIGUSR1)
			<-signals
		}
		io.WriteString(c, tokenReply)
	}), patience)
	if token, err := c.Token(TokenParams{}); err != nil || token.AccessToken != "t" {
		t.Errorf("%+v, %v", token, err)
	}
	<-asked
}

// A request and a reply of the greatest length pass, although no call takes them whole; longer ones are refused.
func TestTheGreatestLength(t *testing.T) {
	frame := len(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"scope":""}}` + "\n")
	reply := `{"jsonrpc":"2.0","id":1,"result":{"access_token":""}}` + "\n"
	for _, more := range []int{0, 1} {
		c := dial(t, serve(t, func(c net.Conn) {
			c.(*net.UnixConn).SetReadBuffer(4096)
			n := 0
			for b := make([]byte, 1000); n < MaxLine; {
				got, err := c.Read(b)
				if err != nil {
					return
				}
				n += got
			}
			text := strings.Replace(reply, `""`, `"`+strings.Repeat("x", MaxLine-len(reply)+more)+`"`, 1)
			for len(text) > 0 {
				n := min(1000, len(text))
				if _, err := io.WriteString(c, text[:n]); err != nil {
					return
				}
				text = text[n:]
			}
		}), patience)
		token, err := c.Token(TokenParams{Scope: strings.Repeat("s", MaxLine-frame)})
		if more == 0 && (err != nil || len(token.AccessToken) != MaxLine-len(reply)) || more == 1 &&
			!errors.Is(err, ErrLineTooLong) {
			t.Errorf("%d more: %d bytes, %v", more, len(token.AccessToken), err)
		}
	}
	c := dial(t, serve(t, func(c net.Conn) { io.Copy(io.Discard, c) }), patience)
	if _, err := c.Token(TokenParams{Scope: strings.Repeat("s", MaxLine-frame+1)}); !errors.Is(err, ErrLineTooLong) {
		t.Error(err)
	}
}

// A groatd that ends says so before it has read the request, or after.
func TestTheServerEnds(t *testing.T) {
	closed := make(chan struct{}, 1)
	c := dial(t, serve(t, func(c net.Conn) { c.Close(); closed <- struct{}{} }), patience)
	<-closed
	if err := c.Hello(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	c = dial(t, serve(t, func(c net.Conn) { bufio.NewReader(c).ReadString('\n') }), patience)
	if err := c.Hello(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// What follows a reply without a request is not taken for the reply to the next one.
func TestAnotherRequestsReply(t *testing.T) {
	c := dial(t, serve(t, func(c net.Conn) {
		bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, tokenReply+tokenReply)
		io.Copy(io.Discard, c)
	}), patience)
	if _, err := c.Token(TokenParams{}); err != nil {
		t.Error(err)
	}
	if _, err := c.Token(TokenParams{}); !errors.Is(err, ErrAnswer) {
		t.Error(err)
	}
}

func TestDialErrors(t *testing.T) {
	dir := t.TempDir()
	stale, file := filepath.Join(dir, "stale"), filepath.Join(dir, "file")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, is := range map[string]error{filepath.Join(dir, "none"): syscall.ENOENT, stale: syscall.ECONNREFUSED} {
		_, err := Dial(path, time.Now().Add(patience))
		if e, ok := errors.AsType[*DialError](err); !ok || e.Socket != path || !errors.Is(err, is) ||
			!errors.Is(err, ErrNotRunning) {
			t.Errorf("%v", err)
		}
	}
	long := "/" + strings.Repeat("x", 200)
	if _, err := Dial(long, time.Now().Add(patience)); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("a path that no socket has: %v", err)
	}
	if _, err := Dial(file, time.Now().Add(patience)); !errors.Is(err, ErrNotRunning) { // ECONNREFUSED on Linux
		t.Errorf("a file: %v", err)
	}
}

// The connection goes on as one of package net's, without the deadline.
func TestDetach(t *testing.T) {
	socket := serve(t, func(c net.Conn) {
		for lines := bufio.NewScanner(c); lines.Scan(); {
			io.WriteString(c, tokenReply)
		}
	})
	c, err := Dial(socket, time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(); err != nil {
		t.Fatal(err)
	}
	f := c.Detach()
	if err := c.Close(); err != os.ErrClosed { // the descriptor is the file's now
		t.Error(err)
	}
	conn, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f.Close()
	io.WriteString(conn, "x\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != tokenReply || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}

// FuzzReply: a reply that is read means what encoding/json makes of it; nothing panics.
func FuzzReply(f *testing.F) {
	f.Add([]byte(tokenReply))
	f.Add([]byte(`{"id":null,"error":{"code":-32001,"message":"m","data":{"kind":"temporary","retry_after":3,` +
		`"network":{"proxy":{"value":"p"}}}}}`))
	f.Add([]byte(`{"method":"prompt","params":{}}`))
	f.Add([]byte(`{"id":1,"result":null,"error":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		result, refused, err := readReply(line, "1")
		if err != nil {
			return
		}
		var want struct {
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatalf("%q is read, but: %v", line, err)
		}
		if result != nil && refused == nil && want.Result != nil && !bytes.Equal(result, want.Result) {
			t.Fatalf("%q: %q", line, result)
		}
		if refused != nil && want.Error == nil {
			t.Fatalf("%q: %+v", line, refused)
		}
		var token Token
		if result != nil {
			token.DecodeJSON(result)
		}
	})
}
