package sandbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Entry is one request as the log keeps it. It holds no secret: no query, no body, no token, no assertion.
type Entry struct {
	// Time is the server's, when the request had been read.
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	// GrantType, Scope, Audience and Resource are what the form said.
	GrantType string `json:"grant_type,omitempty"`
	Scope     string `json:"scope,omitempty"`
	Audience  string `json:"audience,omitempty"`
	Resource  string `json:"resource,omitempty"`
	// Auth is what the request authenticated with: a client authentication method, "basic" for a person's password,
	// "bearer", "several", or empty.
	Auth     string `json:"auth,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	// Assertion is the SHA-256 of the jti of the client assertion, Token that of the access token that was presented.
	Assertion string `json:"assertion,omitempty"`
	Token     string `json:"token,omitempty"`
	// Refresh is the SHA-256 of the refresh token that was presented, as [Digest] writes it.
	Refresh string `json:"refresh,omitempty"`
	// Status is that of the answer; 0 where none was sent (yet).
	Status int `json:"status"`
	// Fault is set where a scripted fault took part.
	Fault bool `json:"fault,omitempty"`
}

// maxLog bounds the memory of the log; the older half goes when it is full.
const maxLog = 1 << 16

type requestLog struct {
	mu      sync.Mutex
	entries []Entry
	dropped int // how many entries were before entries[0]
	changed chan struct{}
}

func newRequestLog() *requestLog { return &requestLog{changed: make(chan struct{})} }

// add appends e and returns its number for setStatus.
func (l *requestLog) add(e Entry) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == maxLog {
		l.entries = slices.Delete(l.entries, 0, maxLog/2)
		l.dropped += maxLog / 2
	}
	l.entries = append(l.entries, e)
	l.notifyLocked()
	return l.dropped + len(l.entries) - 1
}

func (l *requestLog) setStatus(n, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := n - l.dropped; i >= 0 {
		l.entries[i].Status = status
		l.notifyLocked()
	}
}

func (l *requestLog) notifyLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *requestLog) snapshot() ([]Entry, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries), l.changed
}

// Log returns every request since the start, oldest first; of more than 65,536, the newest.
func (s *Server) Log() []Entry {
	entries, _ := s.log.snapshot()
	return entries
}

// Count returns how many requests for the path have arrived.
func (s *Server) Count(path string) int { return count(s.Log(), path) }

// Wait blocks until the log satisfies done, or ctx or the server ends.
func (s *Server) Wait(ctx context.Context, done func([]Entry) bool) error {
	for {
		entries, changed := s.log.snapshot()
		if done(entries) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("sandbox: %w after these requests: %s", ctx.Err(), summary(entries))
		case <-s.ctx.Done():
			return fmt.Errorf("sandbox: closed after these requests: %s", summary(entries))
		}
	}
}

// WaitFor blocks until n requests for the path have arrived; they need not have been answered.
func (s *Server) WaitFor(ctx context.Context, path string, n int) error {
	return s.Wait(ctx, func(entries []Entry) bool { return count(entries, path) >= n })
}

func count(entries []Entry, path string) int {
	n := 0
	for _, e := range entries {
		if e.Path == path {
			n++
		}
	}
	return n
}

// summary tells a person why a wait failed: the last few requests.
func summary(entries []Entry) string {
	if len(entries) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, e := range entries[max(0, len(entries)-8):] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s %d", e.Method, e.Path, e.Status)
	}
	return b.String()
}
