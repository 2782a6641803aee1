package daemon

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// patience is how long a test waits for what should come at once. No test resources time with it.
const patience = 2 * time.Minute

// raw is a connection without a client's manners.
type raw struct {
	*net.UnixConn
	r *bufio.Reader
}

func dialRaw(t testing.TB, socket string) *raw {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &raw{c, bufio.NewReader(c)}
}

// say writes what may well be refused half-way.
func (c *raw) say(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil && !hungUp(err) {
		t.Fatal(err)
	}
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// hear returns the next line, or false where the connection has ended.
func (c *raw) hear(t testing.TB) (string, bool) {
	t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil && !hungUp(err) {
		t.Fatalf("%v after %q", err, line)
	}
	if err != nil && line != "" {
		t.Fatalf("the connection ends inside a line: %q", line)
	}
	return strings.TrimSuffix(line, "\n"), err == nil
}

// answer is a reply as far as vectors look into it.
type answer struct {
	ID    json.RawMessage `json:"id"`
	Error *struct {
		Code int `json:"code"`
	} `json:"error"`
	Result json.RawMessage `json:"result"`
}

// vector is a line of protocol/testdata/requests.jsonl; PROTOCOL.md says what its members mean.
type vector struct {
	Name    string  `json:"name"`
	Line    *string `json:"line"`
	Base64  []byte  `json:"base64"`
	Parts   []part  `json:"parts"`
	Newline *bool   `json:"newline"`
	End     bool    `json:"end"`
	Answer  *struct {
		ID     json.RawMessage `json:"id"`
		Code   int             `json:"code"`
		Result bool            `json:"result"`
	} `json:"answer"`
	Closed bool `json:"closed"`
}

// part is a text and how often it is repeated.
type part struct {
	text  string
	times int
}

func (p *part) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&p.text, &p.times})
}

func (v vector) bytes() []byte {
	var b []byte
	if v.Line != nil {
		b = []byte(*v.Line)
	}
	b = append(b, v.Base64...)
	for _, p := range v.Parts {
		b = append(b, strings.Repeat(p.text, p.times)...)
	}
	if v.Newline == nil || *v.Newline {
		b = append(b, '\n')
	}
	return b
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("../protocol/testdata/requests.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	for line := range bytes.Lines(text) {
		var v vector
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		vs = append(vs, v)
	}
	return vs
}

// TestRequestVectors plays protocol/testdata/requests.jsonl, which holds most of the bad lines there are, each on a
// connection of its own, and makes sure that the daemon is none the worse.
func TestRequestVectors(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) { v.play(t, dialRaw(t, h.socket)) })
	}
	if err := h.client(t).Call(t.Context(), protocol.MethodHello, nil, nil); err != nil {
		t.Error("after all that:", err)
	}
	if n := len(h.server.Log()); n != 0 {
		t.Errorf("the authorization server saw %d requests", n)
	}
}

const probe = `{"jsonrpc":"2.0","id":"probe","method":"hello"}` + "\n"

func (v vector) play(t *testing.T, c *raw) {
	go func() { // the daemon may stop reading before the line is over
		c.Write(v.bytes())
		if v.End {
			c.CloseWrite()
		} else if !v.Closed {
			io.WriteString(c, probe)
		}
	}()
	want := 0 // where the connection stays open: the answer, if there is one, and the probe's, in any order
	if !v.Closed {
		want = 1
		if v.Answer != nil {
			want = 2
		}
	}
	var got []string
	probed := false
	for v.Closed || want > 0 {
		line, ok := c.hear(t)
		if !ok {
			break
		}
		want--
		if strings.Contains(line, `"id":"probe"`) {
			probed = true
		} else {
			got = append(got, line)
		}
	}
	if probed == v.Closed {
		t.Fatalf("the connection was closed: %v, want %v; answers: %q", !probed, v.Closed, got)
	}
	v.compare(t, got)
}

func (v vector) compare(t *testing.T, got []string) {
	t.Helper()
	if v.Answer == nil {
		if len(got) != 0 {
			t.Fatalf("answered: %q", got)
		}
		return
	}
	if len(got) != 1 {
		t.Fatalf("%d answers: %q", len(got), got)
	}
	if len(got[0])+1 > protocol.MaxLine {
		t.Errorf("an answer of %d bytes", len(got[0])+1)
	}
	var a answer
	if err := json.Unmarshal([]byte(got[0]), &a); err != nil {
		t.Fatal(err)
	}
	code := 0
	if a.Error != nil {
		code = a.Error.Code
	}
	if code != v.Answer.Code || (a.Result != nil) != v.Answer.Result {
		t.Errorf("got %s, want code %d", got[0], v.Answer.Code)
	}
	if diff := cmp.Diff(string(v.Answer.ID), string(a.ID)); diff != "" {
		t.Errorf("id: %s", diff)
	}
}

// TestVectorsAreEncodedRight: base64 only where a line is no text.
func TestVectorsAreEncodedRight(t *testing.T) {
	names := map[string]bool{}
	for _, v := range vectors(t) {
		if names[v.Name] {
			t.Errorf("%q is there twice", v.Name)
		}
		names[v.Name] = true
		if v.Base64 != nil && json.Valid(v.Base64) && bytes.Equal(v.Base64, bytes.ToValidUTF8(v.Base64, nil)) {
			t.Errorf("%q need not be %s", v.Name, base64.StdEncoding.EncodeToString(v.Base64))
		}
	}
}
