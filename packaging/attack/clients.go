package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// HalfOpen sends the beginning of a request and keeps the connection, which is the caller's to close. A server that
// reads one client to its end before the next serves no other client until then.
func HalfOpen(dial Dial, begun []byte) (*net.UnixConn, error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(begun); err != nil && !HungUp(err) {
		c.Close()
		return nil, err
	}
	return c, nil
}

// HalfClosed is HalfOpen with the end of the input behind the beginning. It returns what the server says to that, and
// when the server has closed the connection.
func HalfClosed(ctx context.Context, dial Dial, begun []byte) (answer []byte, err error) {
	c, err := HalfOpen(dial, begun)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.CloseWrite(); err != nil && !HungUp(err) {
		return nil, because(ctx, err)
	}
	answer, err = io.ReadAll(io.LimitReader(c, longestAnswer))
	if err != nil && !HungUp(err) {
		return answer, because(ctx, err)
	}
	return answer, nil
}

// HangUp asks and is gone before the answer, n times. It returns how often that could be done: a server that dies of it
// cannot be dialled any more.
func HangUp(ctx context.Context, dial Dial, q Question, n int) (done int, err error) {
	for ; done < n; done++ {
		if ctx.Err() != nil {
			return done, ctx.Err()
		}
		c, err := dial()
		if err != nil {
			return done, err
		}
		err = q.put(c)
		c.Close()
		if err != nil && !HungUp(err) {
			return done, err
		}
	}
	return done, nil
}

// Flood writes text again and again on one connection and reads nothing, until that is limit bytes, or the server
// closes the connection (see [HungUp]), or ctx ends. A text without the protocol's end of a request is a request
// without end; one with it is a client that never takes an answer.
func Flood(ctx context.Context, dial Dial, text []byte, limit int64) (sent int64, err error) {
	c, err := dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for sent < limit {
		n, err := c.Write(text[:min(int64(len(text)), limit-sent)])
		sent += int64(n)
		if err != nil {
			return sent, because(ctx, err)
		}
	}
	return sent, nil
}

// Crowd is connections that are kept open. Not safe for concurrent use.
type Crowd struct{ conns []*net.UnixConn }

// Idle opens n connections and says nothing on them. Where the server, or this process, has room for fewer, the crowd
// is what there was room for, and the error says why there are no more. It may take as long as ctx allows.
func Idle(ctx context.Context, dial Dial, n int) (*Crowd, error) {
	w := &Crowd{}
	for range n {
		if ctx.Err() != nil {
			return w, fmt.Errorf("connection %d: %w", len(w.conns)+1, ctx.Err())
		}
		c, err := dial()
		if err != nil {
			return w, fmt.Errorf("connection %d: %w", len(w.conns)+1, err)
		}
		w.conns = append(w.conns, c)
	}
	return w, nil
}

// Size is how many connections were opened.
func (w *Crowd) Size() int { return len(w.conns) }

// Open counts the connections that the server has not closed.
func (w *Crowd) Open() int {
	open := 0
	for _, c := range w.conns {
		if !ended(c) {
			open++
		}
	}
	return open
}

// ended looks, without taking anything, whether there is nothing more to come.
func ended(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	end := true
	raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		end = n <= 0 && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return end
}

// Drip writes one byte of text on each connection, then waits for pause, and so on: a request that is never quite
// there. It returns when the server has closed all of them, and how many bytes the most patient connection could write.
func (w *Crowd) Drip(ctx context.Context, text []byte, pause time.Duration) (bytes int, err error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for left := w.conns; len(left) > 0; bytes++ {
		var still []*net.UnixConn
		for _, c := range left {
			if _, err := c.Write(text[bytes%len(text):][:1]); err == nil {
				still = append(still, c)
			}
		}
		left = still
		select {
		case <-tick.C:
		case <-ctx.Done():
			return bytes, fmt.Errorf("%d connections are still open: %w", len(left), ctx.Err())
		}
	}
	return bytes, nil
}

// Close closes all of them.
func (w *Crowd) Close() {
	for _, c := range w.conns {
		c.Close()
	}
}

// PassDescriptors asks n times on one connection and passes a descriptor with each question (SCM_RIGHTS). It reads the
// answers and returns when they have come to their end.
func PassDescriptors(ctx context.Context, dial Dial, q Question, n int) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		read <- err
	}()
	rights := syscall.UnixRights(int(null.Fd()))
	for i := range n {
		if _, _, err := c.WriteMsgUnix(q.Text, rights, nil); err != nil {
			return fmt.Errorf("descriptor %d: %w", i+1, because(ctx, err))
		}
	}
	if err := c.CloseWrite(); err != nil {
		return because(ctx, err)
	}
	if err := <-read; err != nil && !HungUp(err) {
		return because(ctx, err)
	}
	return nil
}
