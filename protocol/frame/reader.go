package frame

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// The bounds of a line (PROTOCOL.md, "Bounds").
const (
	// MaxLine is the longest line in bytes, its newline included.
	MaxLine = 64 << 10
	// LineTimeout is how long a line may take from its first byte to its newline.
	LineTimeout = 5 * time.Second
)

// Errors of a [Reader] besides those of the connection.
var (
	// ErrLineTooLong means that more than [MaxLine] bytes came without a newline.
	ErrLineTooLong = errors.New("the line is longer than 64 KiB")
	// ErrLineTooSlow means that a line was begun and not finished within [LineTimeout].
	ErrLineTooSlow = errors.New("the line was not finished within 5 seconds")
)

// A buffer begins small, because most requests are 80 bytes long and ten thousand idle connections should cost little,
// and goes back to that from more than keepBuffer.
const (
	firstBuffer = 512
	keepBuffer  = 4 << 10
	growth      = 8 // times, so that the page of a listing takes three steps
)

// Source is what a [Reader] reads from: a [net.Conn], or a [Conn].
type Source interface {
	Read(b []byte) (int, error)
	SetReadDeadline(t time.Time) error
}

// Reader reads lines within the protocol's bounds. It waits without limit for a line to begin, and [LineTimeout] for
// it to end; it holds at most [MaxLine] bytes. Not safe for concurrent use.
type Reader struct {
	conn  Source
	buf   []byte
	start int // the unread bytes are buf[start:end]
	end   int
	armed bool // conn has a read deadline
	timed bool // and it is that of the line that is being read
	err   error
}

// NewReader returns a Reader that owns the read deadline of conn.
func NewReader(conn Source) *Reader {
	return &Reader{conn: conn, buf: make([]byte, firstBuffer)}
}

// ReadLine returns the next line without its newline. The bytes are the caller's to change until the next call. What
// comes before the end of input is a line, too, without a newline. After an error every call returns it, and what was
// read is wiped.
func (r *Reader) ReadLine() ([]byte, error) {
	line, err := r.line()
	if err != nil {
		clear(r.buf) // the beginning of a secret, perhaps
		r.start, r.end, r.err = 0, 0, err
	}
	return line, err
}

func (r *Reader) line() ([]byte, error) {
	for scanned := 0; ; {
		if i := bytes.IndexByte(r.buf[r.start+scanned:r.end], '\n'); i >= 0 {
			line := r.buf[r.start : r.start+scanned+i]
			r.start += len(line) + 1
			r.timed = false
			return line, nil
		}
		scanned = r.end - r.start
		if scanned == MaxLine {
			return nil, ErrLineTooLong
		}
		if r.err != nil {
			return r.last()
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// last returns what is left when the input has ended.
func (r *Reader) last() ([]byte, error) {
	line := r.buf[r.start:r.end]
	r.start = r.end
	if len(line) == 0 || !errors.Is(r.err, io.EOF) {
		return nil, r.err
	}
	return line, nil
}

// fill reads once. If a line has begun, the read must not outlast what is left of its time; the deadline is set once
// a line, so that a request that comes in one piece costs none.
func (r *Reader) fill() error {
	begun := r.end > r.start
	r.setDeadline(begun)
	r.makeRoom()
	n, err := r.conn.Read(r.buf[r.end:])
	r.end += n
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && begun && timeout.Timeout() {
		return ErrLineTooSlow
	}
	r.err = err
	return nil
}

// setDeadline gives a line that has begun its time, or takes it away. If that fails the connection is closed, and
// Read says so better.
func (r *Reader) setDeadline(begun bool) {
	switch {
	case begun && !r.timed:
		r.armed, r.timed = true, true
		r.conn.SetReadDeadline(time.Now().Add(LineTimeout))
	case !begun && r.armed:
		r.armed = false
		r.conn.SetReadDeadline(time.Time{})
	}
}

// makeRoom moves or grows the buffer so that at least one more byte fits, or gives a grown one back once it is empty.
func (r *Reader) makeRoom() {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if len(r.buf) > keepBuffer {
			r.buf = make([]byte, firstBuffer)
		}
		return
	}
	if r.end < len(r.buf) {
		return
	}
	unread := r.buf[r.start:r.end]
	if len(unread) <= len(r.buf)/2 || len(r.buf) == MaxLine {
		n := copy(r.buf, unread)
		clear(r.buf[max(n, r.start):]) // where it stood before
		r.start, r.end = 0, n
		return
	}
	grown := make([]byte, min(growth*len(r.buf), MaxLine))
	n := copy(grown, unread)
	clear(r.buf)
	r.buf, r.start, r.end = grown, 0, n
}
