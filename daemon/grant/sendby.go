package grant

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

// ErrLate means that a request was not sent: its time was over, see [SendBy]. The server has seen nothing of its body.
var ErrLate = errors.New("the request was not sent in time, and not at all")

type sendByKey struct{}

// SendBy returns a context with which a request with a credential leaves before a boot time or not at all: from then on
// another machine may send the same refresh token. It is checked where the body is handed to the connection, so that a
// process that was stopped before (SIGSTOP, a suspend) sends nothing when it goes on. The error is [ErrLate].
func SendBy(ctx context.Context, until time.Duration) context.Context {
	return context.WithValue(ctx, sendByKey{}, until)
}

// sendLimit is one request's. A nil one has no end.
type sendLimit struct {
	now     clock.Func
	until   time.Duration
	begun   atomic.Bool // a part of the body has left
	refused atomic.Bool
}

func limitOf(ctx context.Context, now clock.Func) *sendLimit {
	if until, ok := ctx.Value(sendByKey{}).(time.Duration); ok {
		return &sendLimit{now: now, until: until}
	}
	return nil
}

// check returns [ErrLate] once the time is over, unless the request has begun to leave.
func (l *sendLimit) check() error {
	if l == nil || l.begun.Load() {
		return nil
	}
	if l.now().Boot >= l.until {
		l.refused.Store(true)
		return ErrLate
	}
	return nil
}

// late reports whether nothing of the body was sent because the time was over.
func (l *sendLimit) late() bool { return l != nil && l.refused.Load() }

// limitedBody checks before the first byte is taken.
type limitedBody struct {
	limit *sendLimit
	bytes.Reader
}

func (l *sendLimit) body(content []byte) io.ReadCloser {
	b := &limitedBody{limit: l}
	b.Reset(content)
	return b
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if err := b.limit.check(); err != nil {
		return 0, err
	}
	b.limit.begun.Store(true)
	return b.Reader.Read(p)
}

// WriteTo implements [io.WriterTo], in the place of the embedded reader's.
func (b *limitedBody) WriteTo(w io.Writer) (int64, error) {
	if err := b.limit.check(); err != nil {
		return 0, err
	}
	b.limit.begun.Store(true)
	return b.Reader.WriteTo(w)
}

// Close implements [io.Closer].
func (b *limitedBody) Close() error { return nil }
