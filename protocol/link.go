package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// link is one connection to groatd with any number of requests on it. One goroutine reads, and ends with the
// connection.
type link struct {
	conn  net.Conn
	place string // the id that requests name, or empty
	// slots bounds the requests that groatd works on at once, those too whose callers do not wait any more. writing is
	// held by the caller that writes.
	slots, writing chan struct{}

	mu       sync.Mutex
	id       int64
	pending  map[string]*exchange // :: id of a request that is not answered yet → who waits
	login    *exchange            // gets the prompts, or nil
	watching *exchange            // gets the changes, or nil
	err      error                // why the connection has ended, or nil

	ended chan struct{} // closed when err is set
}

// exchange is one request and where the messages about it go.
type exchange struct {
	method  string
	params  any
	secrets []Member
	result  any
	login   *dialogue // nil but in a login

	// messages has room for the answer, and in a login for some prompts; it is nil if no caller waits for the answer.
	messages chan message
}

// promptQueue is how many prompts of a login may wait for the one that is shown.
const promptQueue = 64

// message is anything that groatd sends.
type message struct {
	id     []byte // as it stands in the line, or nil
	method string
	params json.RawMessage
	result json.RawMessage
	err    *Error
}

// errHalfWritten is what the other calls on a connection get after one gave up in the middle of its line.
var errHalfWritten = fmt.Errorf("%w: half a request was written", ErrClosed)

func newLink(conn net.Conn, place string) *link {
	l := &link{
		conn: conn, place: place, slots: make(chan struct{}, MaxInFlight), writing: make(chan struct{}, 1),
		pending: map[string]*exchange{}, ended: make(chan struct{}),
	}
	go l.read()
	return l
}

// fail ends the connection; the first reason is the one that counts.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		l.conn.Close()
		close(l.ended)
	}
}

// reason returns why the connection has ended, or nil.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// do makes one request and waits for its answer, or for the end of ctx.
func (l *link) do(ctx context.Context, x *exchange) error {
	room := 1
	if x.login != nil {
		room = promptQueue
	}
	x.messages = make(chan message, room)
	if err := l.send(ctx, x); err != nil {
		return err
	}
	for {
		m, err := l.next(ctx, x)
		if err != nil {
			return err
		}
		if m.method == "" {
			err := x.answer(m)
			if errors.Is(err, ErrAnswer) {
				l.fail(err)
			}
			return err
		}
		if err := x.login.prompted(ctx, m.params); err != nil {
			return err
		}
	}
}

// next returns the next message about a request.
func (l *link) next(ctx context.Context, x *exchange) (message, error) {
	select {
	case m := <-x.messages:
		return m, nil
	default:
	}
	select {
	case m := <-x.messages:
		return m, nil
	case <-ctx.Done():
		return message{}, ctx.Err()
	case <-l.ended:
	}
	select {
	case m := <-x.messages: // it came before the end
		return m, nil
	default:
		return message{}, l.reason()
	}
}

// answer decodes a request's answer.
func (x *exchange) answer(m message) error {
	switch {
	case m.err != nil:
		return m.err
	case x.result == nil:
		return nil
	}
	if err := unmarshalResult(m.result, x.result); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return nil
}

// send writes the line of a request, and has its answer go to x.messages. If ctx ends before a byte of the line is
// written the connection is as it was; if only a part of the line is written it ends.
func (l *link) send(ctx context.Context, x *exchange) error {
	params, err := encodeParams(x.params, x.secrets)
	if err != nil {
		return err
	}
	defer clear(params)
	for _, turn := range []chan struct{}{l.slots, l.writing} {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			err = ctx.Err()
		case <-l.ended:
			err = l.reason()
		}
		if err != nil {
			if turn == l.writing {
				<-l.slots
			}
			return err
		}
	}
	defer func() { <-l.writing }()
	if err := ctx.Err(); err != nil { // a select takes any case that is ready
		<-l.slots
		return err
	}
	l.mu.Lock()
	l.id++
	id := strconv.FormatInt(l.id, 10)
	l.mu.Unlock()
	line := frame.AppendRequest(make([]byte, 0, len(params)+len(x.method)+128), id, x.method, l.place, params)
	defer clear(line)
	if len(line) > MaxLine {
		<-l.slots
		return ErrLineTooLong
	}
	l.mu.Lock()
	l.pending[id] = x
	if x.login != nil {
		l.login = x
	}
	l.mu.Unlock()
	return l.write(ctx, id, line)
}

// withdraw takes back a request of which nothing was written.
func (l *link) withdraw(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.pending[id]
	if !ok {
		return // it was answered all the same
	}
	delete(l.pending, id)
	if x == l.login {
		l.login = nil
	}
	<-l.slots
}

// write writes the line of the request id, as long as ctx allows.
func (l *link) write(ctx context.Context, id string, line []byte) error {
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		l.conn.SetWriteDeadline(time.Unix(1, 0))
		close(over)
	})
	n, err := l.conn.Write(line)
	if !stop() {
		<-over
		l.conn.SetWriteDeadline(time.Time{})
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && n == 0:
		l.withdraw(id)
		return ctx.Err()
	case ctx.Err() != nil:
		l.fail(errHalfWritten)
		return ctx.Err()
	}
	l.fail(closed(err))
	return l.reason()
}

// read reads until the connection ends.
func (l *link) read() {
	r := frame.NewReader(l.conn)
	for {
		line, err := r.ReadLine()
		if err != nil {
			l.fail(closed(err))
			return
		}
		m, err := decodeMessage(line)
		if err == nil {
			err = l.dispatch(m)
		}
		if err != nil {
			l.fail(fmt.Errorf("%w: %w", ErrAnswer, err))
			return
		}
	}
}

// dispatch passes a message to the caller whose request it is about.
func (l *link) dispatch(m message) error {
	x, err := l.addressee(m)
	if err != nil || x == nil || x.messages == nil {
		return err
	}
	select {
	case x.messages <- m:
	case <-l.ended:
	}
	return nil
}

// addressee returns the request that a message is about, or nil if it is about none.
func (l *link) addressee(m message) (*exchange, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.method != "" {
		switch m.method {
		case NotePrompt:
			return l.login, nil
		case NoteChange:
			return l.watching, nil
		}
		return nil, nil // a notification of a later version: not for us
	}
	id := string(m.id)
	if m.id == nil && m.err != nil && len(l.pending) == 1 {
		for id = range l.pending { // it cannot be about another one
		}
	}
	x, ok := l.pending[id]
	switch {
	case !ok && m.id == nil && m.err != nil:
		return nil, errors.New("it is an error about no request: " + m.err.Message)
	case !ok:
		return nil, errors.New("it is for another request")
	case m.err == nil && (m.result == nil || !strictjson.IsObject(m.result)):
		return nil, errors.New("neither a result nor an error")
	}
	delete(l.pending, id)
	if x == l.login {
		l.login = nil
	}
	<-l.slots
	return x, nil
}

// decodeMessage reads a line of groatd's. The message keeps no part of the line.
func decodeMessage(line []byte) (m message, err error) {
	if err := strictjson.Check(line); err != nil {
		return m, err
	}
	if !strictjson.IsObject(line) {
		return m, errors.New("it is no object")
	}
	for name, raw := range strictjson.Members(line) {
		if raw[0] == 'n' {
			continue // null
		}
		switch string(name) {
		case "id":
			m.id = bytes.Clone(raw)
		case "method":
			method, ok := strictjson.Text(raw)
			if !ok {
				return m, errors.New("method is no string")
			}
			m.method = method
		case "params":
			m.params = bytes.Clone(raw)
		case "result":
			m.result = bytes.Clone(raw)
		case "error":
			m.err = new(Error)
			if err := json.Unmarshal(raw, m.err); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

// encodeParams returns the parameters of a request as JSON, or nil if there are none.
func encodeParams(params any, secrets []Member) (p []byte, err error) {
	switch of := params.(type) {
	case nil:
	case TokenParams:
		p = frame.TokenParams(of).AppendJSON(nil)
	default:
		if p, err = json.Marshal(params); err != nil {
			return nil, err
		}
	}
	for _, s := range secrets {
		before := p
		p, err = withSecret(p, s.Name, s.Value)
		clear(before)
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// unmarshalResult is [json.Unmarshal], but decodes a token, the most frequent result, by hand in a third of the time.
func unmarshalResult(raw []byte, into any) error {
	switch into := into.(type) {
	case *TokenResult:
		return (*frame.Token)(into).DecodeJSON(raw)
	case *json.RawMessage:
		*into = raw
		return nil
	}
	return json.Unmarshal(raw, into)
}

// closed names the ways in which a connection ends, and leaves other errors alone.
func closed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}
