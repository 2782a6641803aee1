package protocol

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

// Errors of a [Reader] besides those of the connection.
var (
	// ErrLineTooLong: more than [MaxLine] bytes came without a newline.
	ErrLineTooLong = errors.New("the line is longer than 64 KiB")
	// ErrLineTooSlow: a line was begun and not finished within [LineTimeout].
	ErrLineTooSlow = errors.New("the line was not finished within 5 seconds")
)

const firstBuffer = 512 // most requests are 80 bytes long, and ten thousand idle connections should cost little

// Reader reads lines within the protocol's bounds. It waits without limit for a line to begin, and [LineTimeout] for
// it to end. Not safe for concurrent use.
type Reader struct {
	conn     net.Conn
	buf      []byte
	start    int // the unread bytes are buf[start:end]
	end      int
	deadline bool // a read deadline is set on conn
	err      error
}

// NewReader returns a Reader that owns the read deadline of conn.
func NewReader(conn net.Conn) *Reader {
	return &Reader{conn: conn, buf: make([]byte, firstBuffer)}
}

// ReadLine returns the next line without its newline. The bytes are the reader's and valid, and may be wiped, until the next call. Bytes
// before the end of input that no newline ends are a line too.
func (r *Reader) ReadLine() ([]byte, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(r.buf[r.start+scanned:r.end], '\n'); i >= 0 {
			line := r.buf[r.start : r.start+scanned+i]
			r.start += scanned + i + 1
			return line, nil
		}
		scanned = r.end - r.start
		if scanned >= MaxLine {
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

// fill reads once. Where a line has begun, the read must not outlast what is left of its time; the deadline is set once
// a line, so that a request that comes in one piece costs none.
func (r *Reader) fill() error {
	begun := r.end > r.start
	if begun != r.deadline {
		var t time.Time
		if begun {
			t = time.Now().Add(LineTimeout)
		}
		if err := r.conn.SetReadDeadline(t); err != nil {
			return err
		}
		r.deadline = begun
	}
	r.makeRoom()
	n, err := r.conn.Read(r.buf[r.end:])
	r.end += n
	var timeout net.Error
	if begun && errors.As(err, &timeout) && timeout.Timeout() {
		return ErrLineTooSlow
	}
	r.err = err
	return nil
}

// makeRoom moves or grows the buffer, or gives a grown one back once it is empty.
func (r *Reader) makeRoom() {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if len(r.buf) > 8*firstBuffer {
			r.buf = make([]byte, firstBuffer)
		}
		return
	}
	if r.end < len(r.buf) {
		return
	}
	grown := r.buf
	if r.end-r.start > len(r.buf)/2 {
		grown = make([]byte, 2*len(r.buf))
	}
	n := copy(grown, r.buf[r.start:r.end])
	if &grown[0] != &r.buf[0] {
		clear(r.buf) // it may hold the beginning of a secret
	}
	r.buf, r.start, r.end = grown, 0, n
}
