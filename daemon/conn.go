package daemon

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/peer"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/watch"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// conn is one connection. Its own goroutine reads, and answers requests that need no waiting. The others are answered
// in goroutines of their own, at most [protocol.MaxInFlight] at a time.
type conn struct {
	d    *Daemon
	net  net.Conn
	raw  syscall.RawConn // net's, or nil
	peer *peer.Peer
	r    *frame.Reader

	work   sync.WaitGroup
	room   chan struct{} // one element a request under way
	active atomic.Int64  // when a request last came or was answered: ns since the daemon's start

	writing sync.Mutex
	out     []byte
	wrote   int                // how much of it raw has taken
	atOnce  func(uintptr) bool // writeAtOnce, made once
	until   time.Time          // the write deadline that net has

	mu      sync.Mutex
	parts   int                     // requests that take part in a login
	watches map[string]*watch.Watch // :: profile → the watch of it

	// ctx ends when no more input can come. Logins end with it, since no answer to their questions can come either.
	ctx    context.Context
	cancel context.CancelFunc
	// open ends when the connection is closed and no answer can leave any more.
	open context.Context
	shut context.CancelFunc
}

// serve reads requests until the input ends or cannot be parsed, and answers all that were complete.
func (c *conn) serve() {
	defer c.close()
	defer c.logPanic()
	for {
		line, err := c.r.ReadLine()
		if err != nil {
			c.unreadable(err)
			return
		}
		c.touch()
		goOn := c.request(line)
		clear(line) // it may have held a passphrase
		if !goOn {
			return
		}
	}
}

// logPanic logs a panic of the reading goroutine, which then closes its connection and no other. It is deferred.
func (c *conn) logPanic() {
	if v := recover(); v != nil {
		c.d.Log.Error("a connection is closed", zap.Error(broker.Recovered(v)))
	}
}

// unreadable tells the peer why it is not read any further, if the line was too long or too slow. If the peer has left,
// the connection ends at once, and its pending requests with it: clients that ask and leave must not fill the daemon.
func (c *conn) unreadable(err error) {
	switch {
	case errors.Is(err, protocol.ErrLineTooLong), errors.Is(err, frame.ErrLineTooSlow):
		c.refuse(nil, &protocol.Error{Code: protocol.CodeParse, Message: err.Error()})
	case c.peer.Left():
		c.hangUp()
	}
}

// request handles one line and reports whether to read the next.
func (c *conn) request(line []byte) bool {
	r, fatal, err := jsonrpc.ParseRequest(line)
	if err != nil {
		c.refuse(r.ID, c.d.wire(err, ""))
		return !fatal
	}
	if r.ID == nil {
		return true // a client's notification
	}
	if r.Place != nil && !c.d.serves(r.Place) {
		c.refuse(r.ID, jsonrpc.OtherPlace(c.d.Place.Place, jsonrpc.PlaceID(r.Place)))
		return true
	}
	if c.quick(r) {
		return true
	}
	h, ok := handlers[r.Method]
	if !ok {
		c.refuse(r.ID, &protocol.Error{Code: protocol.CodeMethodNotFound, Message: "there is no such method"})
		return true
	}
	select {
	case c.room <- struct{}{}: // back-pressure: until there is room nothing more is read
	case <-c.open.Done():
		return false
	}
	id, params := bytes.Clone(r.ID), bytes.Clone(r.Params)
	c.work.Go(func() {
		defer func() { clear(params); <-c.room }()
		result, err := c.handle(h, params)
		c.touch() // before the answer leaves: a client that has it must not look younger because this goroutine is slow
		switch {
		case err == errUnanswered:
		case err != nil:
			c.refuse(id, c.d.wire(err, ""))
		default:
			c.reply(id, result)
		}
	})
	return true
}

// quick answers a token request in the reading goroutine if no waiting is needed, as for nearly all, and reports
// whether it did.
func (c *conn) quick(r jsonrpc.Request) bool {
	if r.Method != protocol.MethodToken {
		return false
	}
	q, err := wire.ParseToken(r.Params)
	if err != nil {
		c.refuse(r.ID, c.d.wire(err, ""))
		return true
	}
	p, err := c.d.profiles.Snapshot().Pick(profile.Wanted{Name: q.Profile, Target: q.Target, Username: q.Username})
	if err != nil || userDecides(q, p) {
		return false // the handler may read the files, or a keystore
	}
	q.Profile = p.Name
	if q.ID {
		return c.quickID(r.ID, p, &q)
	}
	token, ok := c.d.broker.Cached(q.Query)
	if !ok {
		return false
	}
	api, err := checkTarget(p, q.Target, token.Destinations)
	if err != nil {
		c.refuse(r.ID, c.d.wire(err, q.Profile))
		return true
	}
	asked := wire.Asked{API: api}
	c.send(r.ID, func(out []byte) []byte { return wire.AppendToken(out, r.ID, token, q.Profile, asked, c.d.Now()) })
	return true
}

// handle returns what a handler answers; a panic of the handler is an error.
func (c *conn) handle(h handler, params []byte) (result any, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, broker.Recovered(v)
		}
	}()
	return h(c, params)
}

func (c *conn) reply(id []byte, result any) {
	if t, ok := result.(issued); ok {
		c.send(id, func(out []byte) []byte { return t.append(out, id, c.d.Now()) })
		return
	}
	if w, ok := result.(watching); ok {
		defer w.watch.Start() // no change is told before the answer
		result = w.now
	}
	c.send(id, func(out []byte) []byte {
		line, err := appendResult(out, id, result)
		if err != nil {
			c.d.Log.Error("a result cannot be encoded", zap.Error(err))
			e := protocol.NewError(protocol.Internal, "the answer cannot be encoded", "")
			return jsonrpc.AppendError(out, id, e)
		}
		return line
	})
}

func appendResult(out, id []byte, result any) ([]byte, error) {
	if p, ok := result.(page); ok {
		return p.line(id)
	}
	return jsonrpc.AppendResult(out, id, result)
}

func (c *conn) refuse(id []byte, e *protocol.Error) {
	c.send(id, func(out []byte) []byte { return jsonrpc.AppendError(out, id, e) })
}

func (c *conn) notify(method string, params any) {
	c.send(nil, func(out []byte) []byte {
		line, err := jsonrpc.AppendNotification(out, method, params)
		if err != nil {
			c.d.Log.Error("a notification cannot be encoded", zap.Error(err))
			return out
		}
		return line
	})
}

// send writes one line. The connection ends if the peer's process has ended, or if the peer does not take the line
// within [protocol.WriteTimeout].
func (c *conn) send(id []byte, appendTo func([]byte) []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.open.Err() != nil {
		return
	}
	if !c.peer.Alive() {
		c.d.Log.Info("the peer ended before its answer", zap.Int("pid", c.peer.PID))
		c.hangUp()
		return
	}
	c.out = appendTo(c.out[:0])
	if len(c.out) > protocol.MaxLine {
		c.d.Log.Error("an answer is longer than a line may be", zap.Int("bytes", len(c.out)))
		clear(c.out)
		e := protocol.NewError(protocol.Internal, "the answer is longer than a line may be", "")
		c.out = jsonrpc.AppendError(c.out[:0], id, e)
	}
	err := c.write()
	clear(c.out) // it may hold an access token
	if cap(c.out) > keepOut {
		giveBack(c.out)
		c.out = nil
	}
	if err != nil {
		c.hangUp()
	}
}

// write writes c.out. Nearly always the system has room for it at once. Only a wait needs a deadline: setting one costs
// more than all the rest of an answer.
func (c *conn) write() error {
	rest := c.out
	if c.raw != nil {
		c.wrote = 0
		c.raw.Write(c.atOnce)
		if rest = rest[max(c.wrote, 0):]; len(rest) == 0 {
			return nil
		}
	}
	c.extend()
	_, err := c.net.Write(rest)
	return err
}

// writeAtOnce writes to a descriptor what the system has room for. It never asks to be called again.
func (c *conn) writeAtOnce(fd uintptr) bool {
	c.wrote, _ = syscall.Write(int(fd), c.out)
	return true
}

// waiting returns the context of a caller's wait, which ends after limit. It also ends a second after the connection is
// closed: by then the renewal that was asked for has begun.
func (c *conn) waiting(limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	stop := context.AfterFunc(c.open, func() { time.AfterFunc(time.Second, cancel) })
	return ctx, func() { stop(); cancel() }
}

// keepOut is the largest buffer for answers that an idle connection keeps.
const keepOut = 8 << 10

// extend makes sure that the write deadline is at least [protocol.WriteTimeout] away. It moves the deadline at most
// once a second, so that a busy connection does not move a timer for every answer.
func (c *conn) extend() {
	now := time.Now()
	if c.until.Sub(now) < protocol.WriteTimeout {
		c.until = now.Add(protocol.WriteTimeout + time.Second)
		c.net.SetWriteDeadline(c.until)
	}
}

// hangUp closes the connection. The goroutines that read it or write to it return.
func (c *conn) hangUp() {
	c.cancel()
	c.shut()
	c.net.Close()
}

// stopReading ends the input from this side: what was received is answered, then the connection is closed.
func (c *conn) stopReading() {
	if half, ok := c.net.(interface{ CloseRead() error }); !ok || half.CloseRead() != nil {
		c.hangUp()
	}
}

// close waits until the requests under way are answered, then ends the connection. A half-closed connection still gets
// its answers; only logins are cancelled, which no answer to a question can reach any more.
func (c *conn) close() {
	c.cancel()
	c.work.Wait()
	c.endWatches()
	c.hangUp()
	c.peer.Close()
}

// touch notes that the connection is in use now, by the monotonic clock.
func (c *conn) touch() { c.active.Store(int64(time.Since(c.d.started))) }

// idleSince returns when the connection was last in use, since the daemon's start, and whether it is idle: it has no
// request under way and was last in use at least [rest] ago. Half a request does not count as use.
func (c *conn) idleSince() (time.Duration, bool) {
	since := time.Duration(c.active.Load())
	return since, len(c.room) == 0 && time.Since(c.d.started)-since >= rest
}
