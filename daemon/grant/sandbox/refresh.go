package sandbox

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// family is a person's consent and every token that comes of it.
type family struct {
	authorization
	used  time.Time // when a token was last issued for it
	ended bool
	// access are the digests of its latest access tokens, so that they can be revoked with it.
	access []string
}

// refreshToken is one of a family's.
type refreshToken struct {
	family     *family
	parent     *refreshToken // the one it came in exchange for
	rotated    time.Time     // when it was first exchanged for another; zero: not yet
	superseded bool          // one that came in exchange for it was used
}

func (t *refreshToken) gone(time.Time) bool { return t.family.ended }

const maxAccess = 256 // digests of access tokens that a family remembers

// session begins what a person has allowed: the tokens of the first answer.
func (s *Server) session(ask *asking, a *authorization) (*issue, *oauthError) {
	f := &family{authorization: *a, used: ask.r.now}
	f.asked = ask.r.now
	i := &issue{client: ask.client, user: a.user, scope: a.scope, audience: a.audience, family: f}
	if has(a.scope, "openid") { // OpenID Connect Core §3.1.2.1
		i.id = &idClaims{nonce: a.nonce, signedIn: a.signedIn}
	}
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	mayRefresh := len(a.client.Grants) == 0 || slices.Contains(a.client.Grants, grantRefresh)
	wants := s.sess.mode.Always || has(a.scope, "offline_access") || a.offline ||
		a.realm.refreshes && ask.form.Get("grant_type") != grantDevice
	if mayRefresh && wants {
		if i.refresh = s.newRefreshLocked(f, nil, ask.r.now); i.refresh == "" {
			return nil, errFull
		}
	}
	return i, nil
}

func (s *Server) newRefreshLocked(f *family, parent *refreshToken, now time.Time) string {
	if !room(s.sess.refresh, maxRefresh, now) {
		return ""
	}
	v := newSecret()
	s.sess.refresh[Digest(v)] = &refreshToken{family: f, parent: parent}
	return v
}

// remember lets an access token end with its family.
func (s *Server) remember(f *family, access string) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	f.access = append(f.access, Digest(access))
	f.access = f.access[max(0, len(f.access)-maxAccess):]
	if f.ended {
		s.endLocked(f)
	}
}

// endLocked ends a family and its access tokens.
func (s *Server) endLocked(f *family) {
	f.ended = true
	s.endAccess(f)
}

// endAccess ends a family's access tokens.
func (s *Server) endAccess(f *family) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range f.access {
		s.revoked[d] = true
	}
}

// unknownRefresh is Auth0's sentence; RFC 6749 §5.2 leaves it open.
var unknownRefresh = invalidGrant("Unknown or invalid refresh token.")

// refreshGrant is RFC 6749 §6, with rotation as in RFC 9700 §4.14.2.
func (s *Server) refreshGrant(ask *asking) (*issue, *oauthError) {
	presented := ask.form.Get("refresh_token")
	if presented == "" {
		return nil, invalidRequest("refresh_token is missing")
	}
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	t := s.sess.refresh[Digest(presented)]
	// §6: the token must be bound to the client that presents it.
	if t == nil || t.family.ended || t.family.realm != ask.realm || t.family.client.ID != ask.client.ID {
		return nil, unknownRefresh
	}
	f, mode, now := t.family, s.sess.mode, ask.r.now
	if mode.Absolute > 0 && !now.Before(f.asked.Add(mode.Absolute)) ||
		mode.Idle > 0 && !now.Before(f.used.Add(mode.Idle)) {
		s.endLocked(f)
		return nil, unknownRefresh
	}
	if s.userByID(f.user.ID) == nil {
		return nil, invalidGrant("user is blocked")
	}
	scope, audience, e := s.narrower(ask, f)
	if e != nil {
		return nil, e // before anything is used up
	}
	if !t.usable(mode, now) {
		if !mode.KeepFamily {
			s.endLocked(f) // reuse: the server cannot tell the thief from the owner
		}
		return nil, unknownRefresh
	}
	return s.refreshLocked(ask, t, mode, scope, audience)
}

// usable reports whether the token may be exchanged now.
func (t *refreshToken) usable(mode Refresh, now time.Time) bool {
	switch {
	case t.rotated.IsZero():
		return true
	case t.superseded: // only the immediately previous one may be tried again
		return false
	}
	return mode.UntilUsed || now.Before(t.rotated.Add(mode.Overlap))
}

// narrower is RFC 6749 §6: the scope MUST NOT include any that was not granted; left out, it is what was granted.
func (s *Server) narrower(ask *asking, f *family) (scope, audience string, e *oauthError) {
	scope, audience, e = s.wants(ask.realm, ask.form)
	if e != nil {
		return "", "", e
	}
	if e := within(scope, f.scope); e != nil {
		return "", "", e
	}
	if scope == "" {
		scope = f.scope
	}
	if audience == "" {
		audience = f.audience
	}
	return scope, audience, nil
}

// within refuses a scope that goes beyond what was granted.
func within(scope, granted string) *oauthError {
	for token := range strings.FieldsSeq(scope) {
		if !has(granted, token) {
			return &oauthError{code: "invalid_scope", description: "more than was granted"}
		}
	}
	return nil
}

func (s *Server) refreshLocked(ask *asking, t *refreshToken, mode Refresh, scope,
	audience string) (*issue, *oauthError) {
	f := t.family
	i := &issue{client: ask.client, user: f.user, scope: scope, audience: audience, family: f}
	if has(scope, "openid") && !s.sess.id.omit {
		i.id = &idClaims{signedIn: f.signedIn} // OpenID Connect Core §12.2: without the nonce
	}
	if mode.Rotate {
		if i.refresh = s.newRefreshLocked(f, t, ask.r.now); i.refresh == "" {
			return nil, errFull
		}
		if t.rotated.IsZero() {
			t.rotated = ask.r.now
		}
	}
	if t.parent != nil {
		t.parent.superseded = true
	}
	f.used = ask.r.now
	if mode.Narrow {
		f.scope = scope
	}
	if mode.EndAccess {
		s.endAccess(f)
	}
	return i, nil
}

// presented counts a refresh token.
func (s *Server) presented(token string) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	if hash := Digest(token); len(s.sess.uses) < maxRefresh || s.sess.uses[hash] > 0 {
		s.sess.uses[hash]++
	}
}

// RefreshUses returns how often each refresh token was presented, by its [Digest]: also where it was refused, but not
// where a fault kept the request from being carried out. Those are in the log.
func (s *Server) RefreshUses() map[string]int {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	return maps.Clone(s.sess.uses)
}

// EndSessions ends every session of the person: refresh tokens and access tokens.
func (s *Server) EndSessions(name string) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	for _, t := range s.sess.refresh {
		if t.family.user.Name == name {
			s.endLocked(t.family)
		}
	}
}
