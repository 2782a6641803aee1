package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/groat-dev/groat/protocol/strict"
)

// ErrForeignServer: the socket is served by another user's process, so nothing was sent to it.
var ErrForeignServer = errors.New("the socket belongs to another user")

// Client is one connection to the daemon. Its methods may be called concurrently; they take turns.
type Client struct {
	mu   sync.Mutex
	conn net.Conn
	r    *Reader
	id   int64
}

// Dial connects to the socket at path and makes sure, before anything is sent, that this user's own process listens
// there (a socket in a shared directory may be somebody else's trap).
func Dial(ctx context.Context, path string) (*Client, error) {
	// DialUnix and not Dial: the latter links the resolver into a client that is started thousands of times.
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	uid, err := serverUID(conn)
	if err == nil && uid != os.Geteuid() {
		err = fmt.Errorf("%w (uid %d)", ErrForeignServer, uid)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return NewClient(conn), nil
}

// NewClient speaks over conn, which it owns.
func NewClient(conn net.Conn) *Client { return &Client{conn: conn, r: NewReader(conn)} }

// Close ends the conversation; requests under way at the daemon go on.
func (c *Client) Close() error { return c.conn.Close() }

// Call sends one request and decodes its result. An error of the daemon's is a [*Error]. After any other error the
// connection is of no further use.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	return c.call(ctx, method, params, "", LoginSecret{}, result, nil)
}

// CallSecret is Call with one more member of params, which holds a secret and is wiped once it is written.
func (c *Client) CallSecret(ctx context.Context, method string, params any, member string, secret LoginSecret, result any) error {
	defer secret.Wipe()
	return c.call(ctx, method, params, member, secret, result, nil)
}

// Login runs one login. answer is called for each prompt, one at a time; what it returns for a [PromptNotice] is ignored.
func (c *Client) Login(ctx context.Context, params LoginParams, answer func(context.Context, Prompt) (LoginSecret, error)) (LoginResult, error) {
	var result LoginResult
	err := c.call(ctx, MethodLogin, params, "", LoginSecret{}, &result, answer)
	return result, err
}

type answerFunc = func(context.Context, Prompt) (LoginSecret, error)

// message is anything the daemon sends.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error"`
}

func (c *Client) call(ctx context.Context, method string, params any, member string, secret LoginSecret, result any, answer answerFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A context that ends unblocks whatever read or write is under way; the reader owns the deadlines.
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	err := c.exchange(ctx, method, params, member, secret, result, answer)
	if ctx.Err() != nil && err != nil {
		if _, ok := errors.AsType[*Error](err); !ok {
			return ctx.Err()
		}
	}
	return err
}

func (c *Client) exchange(ctx context.Context, method string, params any, member string, secret LoginSecret, result any, answer answerFunc) error {
	id, err := c.send(method, params, member, secret)
	if err != nil {
		return err
	}
	for {
		m, err := c.receive()
		if err != nil {
			return err
		}
		switch {
		case m.Method == NotePrompt && answer != nil:
			if err := c.prompted(ctx, m.Params, answer); err != nil {
				return err
			}
		case m.Method != "":
			// A notification of a later version: not for us.
		case string(m.ID) == id && m.Error != nil:
			return m.Error
		case string(m.ID) == id:
			return json.Unmarshal(m.Result, result)
		case string(m.ID) == "null" && m.Error != nil:
			return m.Error // the daemon could not read the request's id
		}
	}
}

// prompted passes one prompt on and sends the answer. The reply to login_input is read, and found uninteresting, by the
// caller's loop.
func (c *Client) prompted(ctx context.Context, params json.RawMessage, answer answerFunc) error {
	var p Prompt
	if err := json.Unmarshal(params, &p); err != nil {
		return fmt.Errorf("the daemon's prompt cannot be read: %w", err)
	}
	secret, err := answer(ctx, p)
	if err != nil || p.Kind == PromptNotice {
		secret.Wipe()
		return err
	}
	defer secret.Wipe()
	_, err = c.send(MethodLoginInput, loginInput{p.LoginID}, "value", secret)
	return err
}

type loginInput struct {
	LoginID string `json:"login_id"`
}

// send writes one request line and returns its id as it stands in the reply.
func (c *Client) send(method string, params any, member string, secret LoginSecret) (string, error) {
	c.id++
	id := fmt.Sprint(c.id)
	p, err := json.Marshal(params)
	if err != nil {
		return "", err
	}
	if member != "" {
		if p, err = withSecret(p, member, secret); err != nil {
			return "", err
		}
		defer clear(p)
	}
	line := make([]byte, 0, len(p)+len(method)+64)
	line = append(line, `{"jsonrpc":"2.0","id":`...)
	line = append(line, id...)
	line = append(line, `,"method":"`...)
	line = append(line, method...)
	line = append(line, `","params":`...)
	line = append(line, p...)
	line = append(line, '}', '\n')
	defer clear(line)
	if len(line) > MaxLine {
		return "", ErrLineTooLong
	}
	if _, err := c.conn.Write(line); err != nil {
		return "", err
	}
	return id, nil
}

func (c *Client) receive() (message, error) {
	var m message
	line, err := c.r.ReadLine()
	if err != nil {
		return m, err
	}
	if err := strict.Check(line); err != nil {
		return m, fmt.Errorf("the daemon's answer cannot be read: %w", err)
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("the daemon's answer cannot be read: %w", err)
	}
	return m, nil
}
