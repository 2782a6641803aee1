package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// The errors of a [Client] that are no [*Error], for [errors.Is].
var (
	// ErrForeignServer means that another user's process listens at the socket. Nothing was sent to it.
	ErrForeignServer = frame.ErrForeignServer
	// ErrAnswer means that what came back is not a reply of this protocol.
	ErrAnswer = frame.ErrAnswer
	// ErrClosed means that groatd closed the connection before it replied. The request may have been carried out.
	ErrClosed = frame.ErrClosed
	// ErrLineTooLong means that the request, or the reply, is longer than [MaxLine].
	ErrLineTooLong = frame.ErrLineTooLong
)

// Client is one connection to the daemon. Its methods may be called concurrently; they take turns. After an error that is
// no [*Error] the connection is closed and every later call fails with the same error.
type Client struct {
	mu   sync.Mutex
	conn net.Conn
	r    *frame.Reader
	id   int64
	// place is the id of the caller's place, or empty: then whoever listens is asked.
	place string
	err   error // why the connection is of no further use
}

// A full backlog is the one failure of connect(2) that passes by itself.
const (
	dialPatience = 3 * time.Second
	dialPause    = 10 * time.Millisecond
)

// Dial connects to the socket at path and makes sure, before anything is sent, that this user's own process listens
// there (a socket in a shared directory may be somebody else's trap). It takes 3 s at most.
func Dial(ctx context.Context, path string) (*Client, error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	uid, err := serverUID(conn)
	if err == nil && uid != os.Geteuid() {
		err = fmt.Errorf("%w (uid %d)", ErrForeignServer, uid)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return NewClient(conn), nil
}

func dial(ctx context.Context, path string) (*net.UnixConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// DialUnix and not Dial: the latter links the resolver into a client that is started thousands of times.
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(dialPause):
		}
	}
}

// NewClient speaks over conn, which it owns.
func NewClient(conn net.Conn) *Client { return &Client{conn: conn, r: frame.NewReader(conn)} }

// At has every further request name the caller's place, so that the daemon of another one refuses it. It is called before
// the first request.
func (c *Client) At(place frame.Place) { c.place = place.ID() }

// Close ends the conversation; requests under way at the daemon go on.
func (c *Client) Close() error { return c.conn.Close() }

// Call sends one request and decodes its result into result, where that is not nil; nil params are left out. An error of
// the daemon's is a [*Error]. It waits as long as ctx allows, which should have a deadline.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	return c.call(ctx, &call{method: method, params: params, result: result})
}

// CallSecret is Call with one more member of params, which holds a secret and is wiped once it is written.
func (c *Client) CallSecret(ctx context.Context, method string, params any, member string, secret LoginSecret, result any) error {
	return c.CallSecrets(ctx, method, params, []Member{{member, secret}}, result)
}

// Member is one member of a request's parameters that holds a secret.
type Member struct {
	Name  string
	Value LoginSecret
}

// CallSecrets is CallSecret for more than one member. All are wiped, also where nothing was sent.
func (c *Client) CallSecrets(ctx context.Context, method string, params any, secrets []Member, result any) error {
	defer func() {
		for _, s := range secrets {
			s.Value.Wipe()
		}
	}()
	return c.call(ctx, &call{method: method, params: params, secrets: secrets, result: result})
}

// call is one request and where its answer goes.
type call struct {
	method  string
	params  any
	secrets []Member
	result  any
	login   *dialogue // nil but in a login

	id string
}

// message is anything the daemon sends.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error"`
}

func (c *Client) call(ctx context.Context, q *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	// A context that ends unblocks whatever read or write is under way; the reader owns the deadlines.
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	err := c.exchange(ctx, q)
	if q.login != nil {
		err = q.login.end(err)
	}
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	c.err = err
	c.conn.Close()
	return err
}

func (c *Client) exchange(ctx context.Context, q *call) error {
	var err error
	if q.id, err = c.send(q.method, q.params, q.secrets...); err != nil {
		return closed(err)
	}
	for {
		m, err := c.receive()
		if err != nil {
			return err
		}
		if done, err := c.take(ctx, q, m); done || err != nil {
			return err
		}
	}
}

// take deals with one message and reports whether it was the answer.
func (c *Client) take(ctx context.Context, q *call, m message) (done bool, err error) {
	switch id := string(m.ID); {
	case m.Method == NotePrompt && q.login != nil:
		return false, q.login.prompted(ctx, m.Params)
	case m.Method != "":
		return false, nil // a notification of a later version: not for us
	case q.login != nil && q.login.sent(id): // good or bad, the login's own answer will say more
		return false, nil
	case id != q.id && (id != "null" || m.Error == nil):
		return true, fmt.Errorf("%w: it is for another request", ErrAnswer)
	case m.Error != nil:
		return true, m.Error
	case m.Result == nil:
		return true, fmt.Errorf("%w: neither a result nor an error", ErrAnswer)
	}
	if q.result == nil {
		return true, nil
	}
	if err := unmarshalResult(m.Result, q.result); err != nil {
		return true, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return true, nil
}

// send writes one request line and returns its id as it stands in the reply.
func (c *Client) send(method string, params any, secrets ...Member) (string, error) {
	c.id++
	id := strconv.FormatInt(c.id, 10)
	var p []byte
	if params != nil {
		var err error
		if p, err = marshalParams(params); err != nil {
			return "", err
		}
	}
	for _, m := range secrets {
		var err error
		if p, err = withSecret(p, m.Name, m.Value); err != nil {
			return "", err
		}
		defer clear(p)
	}
	line := make([]byte, 0, len(p)+len(method)+128) // no growing, which would leave a copy
	line = append(line, `{"jsonrpc":"2.0","id":`...)
	line = append(line, id...)
	line = append(line, `,"method":"`...)
	line = append(line, method...)
	line = append(line, '"')
	if c.place != "" {
		line = append(line, `,"place":"`...)
		line = append(line, c.place...)
		line = append(line, '"')
	}
	if p != nil {
		line = append(line, `,"params":`...)
		line = append(line, p...)
	}
	line = append(line, '}', '\n')
	defer clear(line)
	if len(line) > MaxLine {
		return "", ErrLineTooLong
	}
	_, err := c.conn.Write(line)
	return id, err
}

func (c *Client) receive() (message, error) {
	var m message
	line, err := c.r.ReadLine()
	if err != nil {
		return m, closed(err)
	}
	if err := strictjson.Check(line); err != nil {
		return m, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if err := m.decode(line); err != nil {
		return m, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return m, nil
}

// closed names the ways in which a connection ends, and leaves other errors alone.
func closed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}
