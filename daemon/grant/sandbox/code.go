package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"time"
)

// code is an authorization code (RFC 6749 §4.1.2).
type code struct {
	*authorization
	expires time.Time
	used    bool
	family  *family // what came of it
}

func (c *code) gone(now time.Time) bool { return now.After(c.expires.Add(keptFor)) }

// newCode makes a code for what the person has allowed.
func (s *Server) newCode(a *authorization, now time.Time) (string, *oauthError) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	if !room(s.sess.codes, maxOpen, now) {
		return "", errFull
	}
	v := newSecret()
	s.sess.codes[Digest(v)] = &code{authorization: a, expires: now.Add(codeFor)}
	return v, nil
}

func invalidGrant(description string) *oauthError {
	return &oauthError{code: "invalid_grant", description: description}
}

// codeGrant is RFC 6749 §4.1.3 with RFC 7636 §4.6.
func (s *Server) codeGrant(ask *asking) (*issue, *oauthError) {
	if !ask.form.Has("code") {
		return nil, invalidRequest("code is missing")
	}
	c, e := s.spend(ask)
	if e != nil {
		return nil, e
	}
	if s.userByID(c.user.ID) == nil {
		return nil, invalidGrant("user is blocked")
	}
	i, e := s.session(ask, c.authorization)
	if e != nil {
		return nil, e
	}
	s.sess.mu.Lock()
	c.family = i.family
	s.sess.mu.Unlock()
	return i, nil
}

// spend uses a code up. One that its client presents wrongly is used up too.
func (s *Server) spend(ask *asking) (*code, *oauthError) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	c := s.sess.codes[Digest(ask.form.Get("code"))]
	// §4.1.3: ensure that the code was issued to this client.
	if c == nil || c.realm != ask.realm || c.client.ID != ask.client.ID {
		return nil, invalidGrant("the code is not known")
	}
	if c.used { // §4.1.2: MUST NOT be used more than once; on a second use SHOULD revoke all tokens that came of it
		if c.family != nil {
			s.endLocked(c.family)
		}
		return nil, invalidGrant("the code was used before")
	}
	c.used = true
	if !ask.r.now.Before(c.expires) {
		return nil, invalidGrant("the code has expired")
	}
	if ask.form.Get("redirect_uri") != c.redirect { // §4.1.3: identical
		return nil, invalidGrant("redirect_uri is another one")
	}
	if !verifies(ask.form.Get("code_verifier"), c.challenge) {
		return nil, invalidGrant("code_verifier does not match")
	}
	return c, nil
}

// verifier is RFC 7636 §4.1, challenge the S256 result of §4.2.
var (
	verifier  = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
	challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// verifies is RFC 7636 §4.6. A verifier for a code without a challenge is refused too: an attacker took the challenge
// out of the authorization request (RFC 9700 §4.8.2).
func verifies(v, challenge string) bool {
	if challenge == "" {
		return v == ""
	}
	sum := sha256.Sum256([]byte(v))
	return verifier.MatchString(v) && sameSecret(base64.RawURLEncoding.EncodeToString(sum[:]), challenge)
}
