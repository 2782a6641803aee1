package grant

import (
	"context"
	"crypto"
	"net/http"
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
	// keysApart is the least time between two readings, whatever tokens say of their keys.
	keysApart = 30 * time.Second
)

// serverKeys are the keys that a server signs with (RFC 7517), read when a signature is to be checked. Endpoints of one
// server may share them. It is safe for concurrent use.
type serverKeys struct {
	turn        chan struct{} // held by who uses what follows
	keys        []serverKey   // nil where none could be read
	tried, read time.Duration // boot time of the last reading, and of the last one that brought keys; 0: never
}

func newServerKeys() *serverKeys { return &serverKeys{turn: make(chan struct{}, 1)} }

// of returns the keys of e's server, or says why there are none. again asks for another reading: a signature fits none
// of them. Where the server does not answer, the keys that are known stay.
func (s *serverKeys) of(ctx context.Context, e *Endpoint, again bool) (keys []serverKey, flaw string) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, flawNoKeys
	}
	now := e.now().Boot
	stale := again || s.keys == nil || now-s.read >= keysLast
	if stale && (s.tried == 0 || now-s.tried >= keysApart) {
		if keys := e.readServerKeys(ctx); keys != nil {
			s.keys, s.read = keys, now
		}
		if ctx.Err() == nil {
			s.tried = now
		}
	}
	if s.keys == nil {
		return nil, flawNoKeys
	}
	return s.keys, ""
}

const flawNoKeys = "is signed, and the server's keys cannot be read"

// readServerKeys reads a server's keys from where its metadata says; nil where that fails. Both are documents that
// anybody may read, and the requests carry nothing.
func (e *Endpoint) readServerKeys(ctx context.Context) []serverKey {
	_, documents := wellKnown(e.server.Issuer)
	for _, document := range documents {
		a, _ := getDocument(ctx, e.client, document)
		body, _ := a.object()
		issuer, _ := body.text("issuer")
		at, _ := body.text("jwks_uri")
		if a.Status != http.StatusOK || issuer != e.server.Issuer || checkBeside(issuer, at, "") != "" {
			continue
		}
		a, _ = getDocument(ctx, e.client, at)
		set, _ := a.object()
		if keys := readKeys(set["keys"]); a.Status == http.StatusOK && len(keys) > 0 {
			return keys
		}
	}
	return nil
}
