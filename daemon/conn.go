package daemon

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/peer"
	"github.com/groat-dev/groat/protocol"
)

// conn is one connection. Its own goroutine reads; requests that take no waiting are answered there, the others in
// goroutines of their own, at most [protocol.MaxInFlight].
type conn struct {
	d    *Daemon
	net  net.Conn
	peer *peer.Peer
	r    *protocol.Reader

	work   sync.WaitGroup
	room   chan struct{} // one element a request under way
	active atomic.Int64  // when the last request came, Unix ns

	writing sync.Mutex
	out     []byte

	mu     sync.Mutex
	logins map[string]*login // :: login id → login

	// ctx ends when the connection is closed; logins end with it, requests to providers do not.
	ctx    context.Context
	cancel context.CancelFunc
}

// serve reads requests until the input ends or makes no sense, and answers all that were complete.
func (c *conn) serve() {
	defer c.close()
	for {
		line, err := c.r.ReadLine()
		if err != nil {
			c.unreadable(err)
			return
		}
		c.active.Store(time.Now().UnixNano())
		if !c.request(line) {
			return
		}
	}
}

// unreadable tells the peer why it is not read any further, where it can know.
func (c *conn) unreadable(err error) {
	if errors.Is(err, protocol.ErrLineTooLong) || errors.Is(err, protocol.ErrLineTooSlow) {
		c.refuse(nil, &protocol.Error{Code: protocol.CodeParse, Message: err.Error()})
	}
}

// request deals with one line and reports whether to go on.
func (c *conn) request(line []byte) bool {
	r, fatal, err := protocol.ParseRequest(line)
	if err != nil {
		c.refuse(r.ID, c.d.wire(err, ""))
		return !fatal
	}
	if r.ID == nil {
		return true // a client's notification
	}
	if c.quick(r) {
		return true
	}
	h, ok := handlers[r.Method]
	if !ok {
		c.refuse(r.ID, &protocol.Error{Code: protocol.CodeMethodNotFound, Message: "there is no such method"})
		return true
	}
	c.room <- struct{}{} // back-pressure: nothing more is read
	id := append([]byte(nil), r.ID...)
	params := append([]byte(nil), r.Params...)
	clear(line) // it may have held a passphrase
	c.work.Go(func() {
		defer func() { clear(params); <-c.room }()
		result, err := h(c, params)
		if err != nil {
			c.refuse(id, c.d.wire(err, ""))
			return
		}
		c.reply(id, result)
	})
	return true
}

// quick answers what needs no waiting: nearly every token request.
func (c *conn) quick(r protocol.Request) bool {
	if r.Method != protocol.MethodToken {
		return false
	}
	q, p, err := c.d.query(r.Params)
	if err != nil {
		c.refuse(r.ID, c.d.wire(err, ""))
		return true
	}
	token, ok := c.d.broker.Cached(q.Query)
	if !ok {
		return false
	}
	c.send(func(out []byte) []byte { return appendToken(out, r.ID, token, p, c.d.Now()) })
	return true
}

func (c *conn) reply(id []byte, result any) {
	if t, ok := result.(issued); ok {
		c.send(func(out []byte) []byte { return appendToken(out, id, t.token, t.profile, c.d.Now()) })
		return
	}
	c.send(func(out []byte) []byte {
		line, err := protocol.AppendResult(out, id, result)
		if err != nil {
			c.d.Log.Error("a result cannot be encoded", zap.Error(err))
			return protocol.AppendError(out, id, protocol.NewError(protocol.Internal, "the answer cannot be encoded", ""))
		}
		return line
	})
}

func (c *conn) refuse(id []byte, e *protocol.Error) {
	c.send(func(out []byte) []byte { return protocol.AppendError(out, id, e) })
}

func (c *conn) notify(method string, params any) {
	c.send(func(out []byte) []byte {
		line, err := protocol.AppendNotification(out, method, params)
		if err != nil {
			c.d.Log.Error("a notification cannot be encoded", zap.Error(err))
			return out
		}
		return line
	})
}

// send writes one line. A peer that does not take it within [protocol.WriteTimeout], or is not there any more, has
// nobody to blame; the connection ends.
func (c *conn) send(appendTo func([]byte) []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	if !c.peer.Alive() {
		c.d.Log.Info("the peer ended before its answer", zap.Int("pid", c.peer.PID))
		c.hangUp()
		return
	}
	c.out = appendTo(c.out[:0])
	c.net.SetWriteDeadline(time.Now().Add(protocol.WriteTimeout))
	_, err := c.net.Write(c.out)
	clear(c.out) // it may hold an access token
	if cap(c.out) > 8<<10 {
		c.out = nil
	}
	if err != nil {
		c.hangUp()
	}
}

// hangUp makes the reading goroutine return.
func (c *conn) hangUp() {
	c.cancel()
	c.net.Close()
}

// close answers what is under way, then ends the connection. Input that has ended (a half-closed connection) is no
// reason not to answer; a login, though, has nobody left to type.
func (c *conn) close() {
	c.endLogins()
	c.work.Wait()
	c.hangUp()
	c.peer.Close()
}

// idleSince returns when the connection last did anything, or false while it works.
func (c *conn) idleSince() (int64, bool) { return c.active.Load(), len(c.room) == 0 }
