package protocol

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

// The errors of a [Client] that are no [*Error], for [errors.Is].
var (
	// ErrNotRunning means that no groatd serves this user's place. "groat status" starts one, or says why it cannot.
	ErrNotRunning = frame.ErrNotRunning
	// ErrForeignServer means that another user's process listens at the socket. Nothing was sent to it.
	ErrForeignServer = frame.ErrForeignServer
	// ErrAnswer means that what came back is not a reply of this protocol.
	ErrAnswer = frame.ErrAnswer
	// ErrClosed means that groatd closed the connection before it replied. The request may have been carried out.
	ErrClosed = frame.ErrClosed
	// ErrLineTooLong means that the request, or the reply, is longer than [MaxLine]. Such a request is not sent.
	ErrLineTooLong = frame.ErrLineTooLong
	// ErrLineTooSlow means that groatd began a line and did not finish it within [LineTimeout].
	ErrLineTooSlow = frame.ErrLineTooSlow
)

const (
	// dialTime bounds connect(2), and helloTime how long groatd may take to say that it is this place's.
	dialTime, helloTime = 3 * time.Second, 10 * time.Second
	// answerTime is how long groatd may take for an answer that no authorization server has to give.
	answerTime = 10 * time.Second
)

// Client asks groatd over one connection.
//
// All methods may be called concurrently: requests are sent as they come, at most [MaxInFlight] at once, and a slow one
// holds no other one up. Keep one Client for the life of a program.
//
// A refusal of groatd's is an [*Error], whose Kind says what can be done; after it the Client is as good as before.
// Other errors are about the connection: a [*frame.DialError] if there is none, the variables of this package, and
// those of package net. A Client that [Connect] or [Dial] made connects again at the next call, and repeats by itself
// what an ended connection left unanswered and may be asked twice. One that [NewClient] or [FromConn] made returns the
// same error from then on.
//
// If the context of a call ends, the call returns the context's error. groatd goes on with the request, and the
// connection stays in use.
type Client struct {
	dial  func(context.Context) (*link, error) // nil if the connection cannot be made again
	turn  chan struct{}                        // held by the caller that connects
	login chan struct{}                        // held by the login that runs: a connection has one at a time

	mu        sync.Mutex
	link      *link // of all requests
	loginLink *link // of the login, if it has one of its own
	watches   map[*link]struct{}
	closed    bool
}

// Connect returns a client of the groatd that serves this process's user and environment; PROTOCOL.md, "Transport",
// says where that is. It sends nothing to another user's groatd, and nothing but a "hello" to one of another place. It
// starts no groatd: if none runs the error is [ErrNotRunning]. It takes 13 s at most, and less if ctx ends.
func Connect(ctx context.Context) (*Client, error) {
	c := newClient()
	c.dial = func(ctx context.Context) (*link, error) {
		return blocking(ctx, dialTime+helloTime, func(deadline time.Time) (*frame.Conn, error) {
			route, err := frame.FindRoute(os.Getenv)
			if err != nil {
				return nil, err
			}
			conn, err := route.Reach(deadline, false)
			if conn == nil && err == nil {
				conn = route.ReachHolder(deadline)
			}
			if conn == nil && err == nil {
				err = fmt.Errorf("%w at %s", ErrNotRunning, route.OwnSocket())
			}
			return conn, err
		})
	}
	return c, c.connect(ctx)
}

// Dial returns a client of the groatd that listens at a socket, for whichever place it runs. It takes 3 s at most, and
// less if ctx ends. Before anything is sent it makes sure that a process of this user listens there: a socket in a
// shared directory may be a trap. The error is then [ErrForeignServer].
func Dial(ctx context.Context, socket string) (*Client, error) {
	c := newClient()
	c.dial = func(ctx context.Context) (*link, error) {
		return blocking(ctx, dialTime, func(deadline time.Time) (*frame.Conn, error) {
			return frame.Dial(socket, deadline)
		})
	}
	return c, c.connect(ctx)
}

// NewClient returns a client that speaks over conn, which it owns. Who is at the other end is for the caller to know.
func NewClient(conn net.Conn) *Client {
	c := newClient()
	c.link = newLink(conn, "")
	return c
}

// FromConn returns a client that goes on with a connection of package frame's, which it owns, and with its place. Like
// that of [NewClient] it cannot connect again.
func FromConn(conn *frame.Conn) (*Client, error) {
	l, err := detach(conn)
	if err != nil {
		return nil, err
	}
	c := newClient()
	c.link = l
	return c, nil
}

// detach goes on with a connection of package frame's.
func detach(conn *frame.Conn) (*link, error) {
	place, file := conn.PlaceID(), conn.Detach()
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return newLink(c, place), nil
}

func newClient() *Client { return &Client{turn: make(chan struct{}, 1), login: make(chan struct{}, 1)} }

// blocking runs f, which makes blocking system calls, and does not wait for it once ctx has ended.
func blocking(
	ctx context.Context, limit time.Duration, f func(deadline time.Time) (*frame.Conn, error),
) (*link, error) {
	deadline := time.Now().Add(limit)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	type result struct {
		conn *frame.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := f(deadline)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, refusal(r.err)
		}
		return detach(r.conn)
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				r.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// Close ends the connection and every call that is waiting. Requests that groatd has begun go on there. Later calls
// fail with [net.ErrClosed].
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	all := slices.AppendSeq([]*link{c.link, c.loginLink}, maps.Keys(c.watches))
	c.mu.Unlock()
	for _, l := range all {
		if l != nil {
			l.fail(net.ErrClosed)
		}
	}
	return nil
}

// connect makes sure that there is a connection, or returns why there is none.
func (c *Client) connect(ctx context.Context) error {
	_, _, err := c.current(ctx)
	return err
}

// current returns the connection in use; fresh says that it was made by this call.
func (c *Client) current(ctx context.Context) (l *link, fresh bool, err error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	defer func() { <-c.turn }()
	c.mu.Lock()
	l, closed := c.link, c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return nil, false, net.ErrClosed
	case l != nil && l.reason() == nil:
		return l, false, nil
	case c.dial == nil:
		return nil, false, l.reason()
	}
	l, err = c.dialInto(ctx, &c.link)
	return l, err == nil, err
}

// dialInto makes a connection, and keeps it in a field of c for [Client.Close].
func (c *Client) dialInto(ctx context.Context, field **link) (*link, error) {
	l, err := c.dial(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		if err == nil {
			l.fail(net.ErrClosed)
		}
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	*field = l
	return l, nil
}

// Call sends one request and decodes its result into result, if that is not nil; nil params are left out. It is for the
// methods of PROTOCOL.md that have no Go method here. It waits as long as ctx allows, which should have a deadline.
// result must not be used before Call has returned.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	return c.call(ctx, &exchange{method: method, params: params, result: result})
}

// CallSecret is Call with one more member of params, which holds a secret and is wiped.
func (c *Client) CallSecret(ctx context.Context, method string, params any, member string, secret LoginSecret,
	result any) error {
	return c.CallSecrets(ctx, method, params, []Member{{member, secret}}, result)
}

// Member is one member of a request's parameters that holds a secret.
type Member struct {
	Name  string
	Value LoginSecret
}

// CallSecrets is CallSecret for more than one member. All are wiped, also if nothing was sent.
func (c *Client) CallSecrets(ctx context.Context, method string, params any, secrets []Member, result any) error {
	defer func() {
		for _, s := range secrets {
			s.Value.Wipe()
		}
	}()
	return c.call(ctx, &exchange{method: method, params: params, secrets: secrets, result: result})
}

// repeatable are the methods that may be asked again if the connection ended before the answer.
var repeatable = map[string]bool{
	MethodHello: true, MethodToken: true, MethodReject: true, MethodStatus: true, MethodProfiles: true,
	MethodProviders: true, MethodWhoami: true,
}

func (c *Client) call(ctx context.Context, x *exchange) error {
	for {
		l, fresh, err := c.current(ctx)
		if err != nil {
			return err
		}
		err = l.do(ctx, x)
		if err == nil || fresh || c.dial == nil || !repeatable[x.method] || !errors.Is(err, ErrClosed) {
			return err
		}
	}
}

// Token returns an access token, or an ID token where params.TokenUse is [UseID]. It comes from groatd's memory if it
// can; otherwise groatd asks the authorization server, once for however many callers, and the call takes params.Wait at
// most ([DefaultWait] without it) and 10 s more on a busy machine. The token is a secret of the caller's. It is of the
// kind that was asked for, or the error is [ErrUse].
func (c *Client) Token(ctx context.Context, params TokenParams) (TokenResult, error) {
	ctx, cancel := context.WithTimeout(ctx, params.wait()+answerTime)
	defer cancel()
	var t TokenResult
	err := c.Call(ctx, MethodToken, params, &t)
	return t.of(params.TokenUse, err)
}

// of is the result where it is of the kind that was asked for by use.
func (t TokenResult) of(use string, err error) (TokenResult, error) {
	if err != nil {
		return t, err
	}
	asked := frame.Token{AccessToken: t.AccessToken, IDToken: t.IDToken, TokenUse: t.TokenUse}
	if !asked.IsFor(use) {
		return TokenResult{}, ErrUse
	}
	return t, nil
}

// Reject says that an API refused a token that [Client.Token] returned for these params (with HTTP 401), and
// returns a better one. groatd renews a token at most once a minute, however many callers report it; so the same answer
// may come twice, but the refused token never. Call it once for a response, not in a loop.
func (c *Client) Reject(ctx context.Context, params TokenParams, refused string) (TokenResult, error) {
	ctx, cancel := context.WithTimeout(ctx, params.wait()+answerTime)
	defer cancel()
	var t TokenResult
	p := RejectParams{TokenParams: params, AccessToken: refused}
	if params.TokenUse == UseID {
		p.AccessToken, p.IDToken = "", refused
	}
	err := c.Call(ctx, MethodReject, p, &t)
	return t.of(params.TokenUse, err)
}
