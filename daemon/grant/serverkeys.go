package grant

import (
	"context"
	"crypto"
	"net/http"
	"sync"
	"time"
)

// serverKey is a public key of a server and its name, which may be empty.
type serverKey struct {
	id  string
	key crypto.PublicKey
}

const (
	// keysLast is how long a server's keys are used before they are read again, so that one that was withdrawn is
	// forgotten.
	keysLast = time.Hour
	// keysApart is the least time between two readings, whatever tokens say of their keys, and whoever waits.
	keysApart = 30 * time.Second
	// keysTime is how long a reading may take. It is at most keysApart.
	keysTime = 30 * time.Second
)

// serverKeys are the keys that a server signs with (RFC 7517), read when a signature is to be checked. Endpoints of one
// server may share them. It is safe for concurrent use.
type serverKeys struct {
	mu      sync.Mutex // guards what follows
	known   keySet
	read    time.Duration // boot time of the reading that brought the known ones
	tried   time.Duration // boot time of the last reading
	reading chan struct{} // closed when the reading under way ends; nil where none is
}

// keySet is what one reading brought.
type keySet struct {
	keys   []serverKey // nil before the first reading that brought some
	number int64       // of the reading, from 1 on
}

func newServerKeys() *serverKeys { return &serverKeys{tried: -keysApart} }

// of returns the keys of e's server, or says why there are none. again asks for another reading: a signature fits none
// of them. A reading has a time of its own and goes on when ctx ends, for the next caller. Where the server does not
// answer, the keys that are known stay.
func (s *serverKeys) of(ctx context.Context, e *Endpoint, again bool) (known keySet, flaw string) {
	s.mu.Lock()
	now := e.now().Boot
	stale := again || s.known.keys == nil || now-s.read >= keysLast
	if stale && s.reading == nil && now-s.tried >= keysApart {
		s.tried, s.reading = now, make(chan struct{})
		go s.readAnew(context.WithoutCancel(ctx), e, now)
	}
	known, reading := s.known, s.reading
	s.mu.Unlock()
	if stale && reading != nil {
		select {
		case <-reading:
		case <-ctx.Done():
			return keySet{}, flawKeysAwaited
		}
		s.mu.Lock()
		known = s.known
		s.mu.Unlock()
	}
	if known.keys == nil {
		return keySet{}, flawNoKeys
	}
	return known, ""
}

// readAnew is the one reading that is under way. began is its boot time.
func (s *serverKeys) readAnew(ctx context.Context, e *Endpoint, began time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, keysTime)
	defer cancel()
	keys := e.readServerKeys(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if keys != nil {
		s.known, s.read = keySet{keys, s.known.number + 1}, began
	}
	close(s.reading)
	s.reading = nil
}

const (
	flawNoKeys      = "is signed, and the server's keys cannot be read"
	flawKeysAwaited = "is signed, and the server has not sent its keys yet"
)

// readServerKeys reads a server's keys from where its metadata says; nil where that fails. Both are documents that
// anybody may read, and the requests carry nothing.
func (e *Endpoint) readServerKeys(ctx context.Context) []serverKey {
	_, documents := wellKnown(e.server.Issuer)
	asked := "" // an address that two documents name is asked once
	for _, document := range documents {
		a, _ := getDocument(ctx, e.client, document)
		body, _ := a.object()
		issuer, _ := body.text("issuer")
		at, _ := body.text("jwks_uri")
		if a.Status != http.StatusOK || issuer != e.server.Issuer || checkBeside(issuer, at, "") != "" ||
			at == asked {
			continue
		}
		asked = at
		a, _ = getDocument(ctx, e.client, at)
		set, _ := a.object()
		if keys := readKeys(set["keys"]); a.Status == http.StatusOK && len(keys) > 0 {
			return keys
		}
	}
	return nil
}
