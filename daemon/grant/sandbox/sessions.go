package sandbox

import (
	"sync"
	"time"
)

const (
	maxOpen    = 10_000  // of everything that waits for a person or a client
	maxRefresh = 1 << 17 // refresh tokens
	openFor    = 10 * time.Minute
	codeFor    = 60 * time.Second
	keptFor    = time.Hour // what was used or has expired is remembered, to be told from what never was
)

// sessions is what the server remembers of persons: what they are asked, what they allowed, what came of it.
type sessions struct {
	mu      sync.Mutex
	open    map[string]*authorization // :: handle in a form → what the person is asked
	pushed  map[string]*pushed        // :: request_uri → a pushed authorization request
	codes   map[string]*code          // :: digest of a code → what it is good for
	devices map[string]*device        // :: digest of a device code → what it is good for
	refresh map[string]*refreshToken  // :: digest of a refresh token → whose it is
	uses    map[string]int            // :: digest of a refresh token → how often it was presented
	opaque  map[string]*opaque        // :: digest of an access token that tells nothing → the token that tells
	limits  map[string]*window        // :: what is counted → how often in this window
	// standing has the token of each machine that gets the same one again, by client id.
	standing map[string]standing

	consent Consent
	granted string // what persons grant, whatever was asked; "": what was asked
	mode    Refresh
	device  Device
	par     bool
	id      idMode
}

func newSessions(o Options) *sessions {
	return &sessions{
		open: map[string]*authorization{}, pushed: map[string]*pushed{}, codes: map[string]*code{},
		devices: map[string]*device{}, refresh: map[string]*refreshToken{}, uses: map[string]int{},
		opaque: map[string]*opaque{}, limits: map[string]*window{}, standing: map[string]standing{},
		consent: o.Consent, mode: o.Refresh, device: o.Device, par: o.RequirePAR,
	}
}

// standing is a machine's token and its end, in Unix seconds.
type standing struct {
	access string
	exp    int64
}

// opaque is an access token that only this server can read.
type opaque struct {
	token   string // the JWT behind it
	expires time.Time
}

func (o *opaque) gone(now time.Time) bool { return !now.Before(o.expires) }

// room reports whether the map may grow, after it has forgotten what is gone if it must.
func room[V interface{ gone(time.Time) bool }](m map[string]V, bound int, now time.Time) bool {
	if len(m) < bound {
		return true
	}
	for k, v := range m {
		if v.gone(now) {
			delete(m, k)
		}
	}
	return len(m) < bound
}

// errFull is what a server says that can remember no more.
var errFull = &oauthError{code: "temporarily_unavailable", description: "too many open requests"}

// SetConsent changes Options.Consent.
func (s *Server) SetConsent(c Consent) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	s.sess.consent = c
}

// SetGrantedScope makes persons grant this scope whatever was asked (RFC 6749 §3.3); "" ends that.
func (s *Server) SetGrantedScope(scope string) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	s.sess.granted = scope
}

// SetRefresh changes Options.Refresh, for the refresh tokens that exist too.
func (s *Server) SetRefresh(mode Refresh) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	s.sess.mode = mode
}

// SetDevice changes Options.Device for codes that are asked for from now on.
func (s *Server) SetDevice(d Device) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	s.sess.device = d
}

// SetRequirePAR changes Options.RequirePAR.
func (s *Server) SetRequirePAR(required bool) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	s.sess.par = required
}

// window counts requests in a time that begins with the first of them.
type window struct {
	ends time.Time
	n    int
}

func (w *window) gone(now time.Time) bool { return !now.Before(w.ends) }

// count counts one more of what, and returns how many there were in this window, and when it ends.
func (s *Server) count(what string, length time.Duration, now time.Time) (int, time.Time) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	w := s.sess.limits[what]
	if w == nil || w.gone(now) {
		if !room(s.sess.limits, maxOpen, now) {
			return 0, now
		}
		w = &window{ends: now.Add(length)}
		s.sess.limits[what] = w
	}
	w.n++
	return w.n, w.ends
}
