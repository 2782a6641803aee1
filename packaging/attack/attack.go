// Package attack is the ways in which a client of a daemon on a Unix socket can be bad: too slow, too long, too many,
// gone too early. They know nothing of groat, so that the same ones can be turned on any other agent, and figures
// compared.
//
// The invariant: whatever the server does, every call comes back, by its context's end at the latest, and holds nothing
// open but what it returns. What it is not: a load generator; it asks whether anybody else is still served meanwhile.
package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

// Dial opens one connection to the socket under attack.
type Dial func() (*net.UnixConn, error)

// queueTime is how long a server may take to make room in its queue of connections: a busy machine is no answer.
const queueTime = 2 * time.Second

// To dials the socket at path.
func To(path string) Dial {
	return func() (*net.UnixConn, error) {
		for end := time.Now().Add(queueTime); ; time.Sleep(5 * time.Millisecond) {
			c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
			if !errors.Is(err, syscall.EAGAIN) || time.Now().After(end) {
				return c, err
			}
		}
	}
}

// HungUp reports whether an error says that the server has closed the connection.
func HungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// Question is what a well-behaved client asks, in the words of the server's own protocol.
type Question struct {
	Text []byte
	// End: the input ends behind the question, as protocols want it that have no other sign.
	End bool
	// Whole reports whether the answer so far is all of it; its error says that it is a bad one. Nil: whatever comes
	// until the server closes the connection, but not nothing.
	Whole func(answer []byte) (bool, error)
}

// longestAnswer bounds what a server can make its client read.
const longestAnswer = 1 << 20

// Ask asks on a connection of its own and returns how long it took from before the dial to the end of the answer.
func (q Question) Ask(ctx context.Context, dial Dial) (time.Duration, error) {
	begin := time.Now()
	c, err := dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := q.put(c); err != nil {
		return 0, because(ctx, err)
	}
	if err := q.hear(c); err != nil {
		return 0, because(ctx, err)
	}
	return time.Since(begin), nil
}

func (q Question) put(c *net.UnixConn) error {
	_, err := c.Write(q.Text)
	if err == nil && q.End {
		err = c.CloseWrite()
	}
	return err
}

func (q Question) hear(c *net.UnixConn) error {
	var answer []byte
	buf := make([]byte, 4<<10)
	for len(answer) < longestAnswer {
		n, err := c.Read(buf)
		answer = append(answer, buf[:n]...)
		switch {
		case q.Whole == nil && errors.Is(err, io.EOF) && len(answer) > 0:
			return nil
		case q.Whole != nil && n > 0:
			if whole, bad := q.Whole(answer); whole || bad != nil {
				return bad
			}
		}
		if err != nil {
			return fmt.Errorf("%d bytes of an answer: %w", len(answer), err)
		}
	}
	return fmt.Errorf("an answer of more than %d bytes", longestAnswer)
}

// Median asks n times, one after the other, and returns the median time.
func (q Question) Median(ctx context.Context, dial Dial, n int) (time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		var err error
		if took[i], err = q.Ask(ctx, dial); err != nil {
			return 0, fmt.Errorf("question %d of %d: %w", i+1, n, err)
		}
	}
	slices.Sort(took)
	return took[n/2], nil
}

// because names the context's end where that is what closed the connection.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
