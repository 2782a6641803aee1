package sandbox

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	defaultInterval = 5 * time.Second   // RFC 8628 §3.2
	slowDownBy      = 5 * time.Second   // §3.5
	deviceLifetime  = 900 * time.Second // Auth0's
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
)

// device is a pair of codes (RFC 8628 §3.2).
type device struct {
	authorization
	userCode string
	expires  time.Time
	interval time.Duration
	answered time.Time // when the last poll was answered; zero: none yet
	decided  bool      // by the person
	allowed  bool
	over     bool // a final answer was given
}

func (d *device) gone(now time.Time) bool { return now.After(d.expires.Add(keptFor)) }

// pending reports whether a person can still decide.
func (d *device) pending(now time.Time) bool { return !d.decided && !d.over && now.Before(d.expires) }

// deviceEndpoint is RFC 8628 §3.1 and §3.2.
func (s *Server) deviceEndpoint(m *realm, r *request) answer {
	form, e := m.parameters(r)
	if e != nil {
		return m.refuse(e, grantDevice)
	}
	c, e := s.clientOf(m, r, form)
	if e == nil && len(c.Grants) > 0 && !slices.Contains(c.Grants, grantDevice) {
		e = &oauthError{code: "unauthorized_client", description: "the client may not use device codes"}
	}
	if e != nil {
		return m.refuse(e, grantDevice)
	}
	a := authorization{realm: m, client: c, asked: r.now, challenge: form.Get("code_challenge")}
	if c.DevicePKCE && (!challenge.MatchString(a.challenge) || form.Get("code_challenge_method") != "S256") {
		return m.refuse(invalidRequest("code_challenge is missing, or no S256 hash"), grantDevice)
	}
	if a.scope, a.audience, e = s.wants(m, form); e != nil {
		return m.refuse(e, grantDevice)
	}
	return s.startDevice(a, r.now)
}

func (s *Server) startDevice(a authorization, now time.Time) answer {
	value, d := newSecret(), &device{authorization: a, userCode: newUserCode()}
	s.sess.mu.Lock()
	how, consent, ok := s.sess.device, s.sess.consent, room(s.sess.devices, maxOpen, now)
	if ok {
		d.expires, d.interval = now.Add(orElse(how.Lifetime, deviceLifetime)), orElse(how.Interval, defaultInterval)
		if how.OmitInterval {
			d.interval = defaultInterval // §3.2: what clients must then use
		}
		s.sess.devices[Digest(value)] = d
	}
	s.sess.mu.Unlock()
	if !ok {
		return a.realm.refuse(errFull, grantDevice)
	}
	if consent != ConsentForm {
		s.decideDevice(d.userCode, consent == ConsentAllow)
	}
	page := s.URL() + a.realm.activate
	body := map[string]any{
		"device_code": value, "user_code": d.userCode, "verification_uri": page,
		"expires_in": int64(d.expires.Sub(now).Seconds()),
	}
	if !how.OmitComplete {
		body["verification_uri_complete"] = page + "?user_code=" + url.QueryEscape(d.userCode)
	}
	if !how.OmitInterval {
		body["interval"] = d.interval.Seconds()
	}
	if a.realm.codes != nil {
		a.realm.codes(body)
	}
	return jsonAnswer(http.StatusOK, body, "Cache-Control", "no-store")
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// newUserCode is RFC 8628 §6.1: eight letters without vowels.
func newUserCode() string {
	var b strings.Builder
	for i := range 8 {
		if i == 4 {
			b.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters))))
		if err != nil {
			panic(err)
		}
		b.WriteByte(userCodeLetters[n.Int64()])
	}
	return b.String()
}

// deviceGrant is RFC 8628 §3.4 and §3.5.
func (s *Server) deviceGrant(ask *asking) (*issue, *oauthError) {
	if !ask.form.Has("device_code") {
		return nil, invalidRequest("device_code is missing")
	}
	d, e := s.poll(ask)
	if e != nil {
		return nil, e
	}
	if d.challenge != "" && !verifies(ask.form.Get("code_verifier"), d.challenge) {
		return nil, invalidGrant("code_verifier does not match")
	}
	if s.userByID(d.user.ID) == nil {
		return nil, invalidGrant("user is blocked")
	}
	return s.session(ask, &d.authorization)
}

func (s *Server) poll(ask *asking) (*device, *oauthError) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	d, now := s.sess.devices[Digest(ask.form.Get("device_code"))], ask.r.now
	if d == nil || d.realm != ask.realm || d.client.ID != ask.client.ID || d.over {
		return nil, invalidGrant("Invalid or expired device code.")
	}
	if !now.Before(d.expires) { // said once; afterwards the code is as unknown as any
		d.over = true
		return nil, &oauthError{code: "expired_token", description: "The device code has expired."}
	}
	early := !d.answered.IsZero() && now.Before(d.answered.Add(d.interval))
	d.answered = now
	ask.sent = func() { // the interval counts from the answer, which may leave later than it was thought of
		s.sess.mu.Lock()
		defer s.sess.mu.Unlock()
		d.answered = s.now()
	}
	if early { // §3.5: for this and all subsequent requests
		said := d.interval
		d.interval += slowDownBy
		return nil, &oauthError{code: "slow_down", description: fmt.Sprintf(
			"You are polling faster than the specified interval of %g seconds.", said.Seconds())}
	}
	switch {
	case !d.decided:
		return nil, &oauthError{code: "authorization_pending", description: "User has yet to authorize device code."}
	case !d.allowed:
		d.over = true
		return nil, &oauthError{code: "access_denied", description: "User cancelled the confirmation prompt."}
	}
	d.over = true
	return d, nil
}

// Devices returns the user codes that wait for a person.
func (s *Server) Devices() []string {
	now := s.now()
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	codes := []string{}
	for _, d := range s.sess.devices {
		if d.pending(now) {
			codes = append(codes, d.userCode)
		}
	}
	slices.Sort(codes)
	return codes
}

// ApproveDevice allows what a device asks for in the name of the person who was added first.
func (s *Server) ApproveDevice(userCode string) error { return s.decideDevice(userCode, true) }

// DenyDevice refuses it.
func (s *Server) DenyDevice(userCode string) error { return s.decideDevice(userCode, false) }

func (s *Server) decideDevice(userCode string, allowed bool) error {
	d := s.deviceByCode(userCode)
	u := s.activeUser("")
	if d == nil || u == nil {
		return fmt.Errorf("the sandbox knows no open user code %q, or no person who may sign in", clip(userCode))
	}
	a := d.authorization
	a.device, a.user, a.signedIn = d, u, s.now()
	s.decide(&a, allowed)
	return nil
}

// deviceByCode finds an open user code; case and punctuation do not matter (RFC 8628 §6.1).
func (s *Server) deviceByCode(userCode string) *device {
	plain := func(code string) string { return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code)) }
	now := s.now()
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	for _, d := range s.sess.devices {
		if d.pending(now) && plain(d.userCode) == plain(userCode) {
			return d
		}
	}
	return nil
}

// decide records the person's decision about a device.
func (s *Server) decide(a *authorization, allowed bool) answer {
	s.narrow(a)
	now := s.now()
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	d := a.device
	if !d.pending(now) {
		return errorPage("this code is no longer open")
	}
	d.decided, d.allowed, d.user, d.signedIn, d.scope = true, allowed, a.user, a.signedIn, a.scope
	message := "The device is connected. You can close this page."
	if !allowed {
		message = "The device was refused. You can close this page."
	}
	return page{Problem: message}.answer(http.StatusOK, "said")
}

// activation is the verification URI (RFC 8628 §3.3): it asks for the user code, then for who is there.
func (s *Server) activation(m *realm, r *request) answer {
	params, e := authorizationParams(r)
	if e != nil {
		return errorPage(e.description)
	}
	typed := params.Get("user_code")
	d := s.deviceByCode(typed)
	if d == nil || d.realm != m {
		p := page{Action: m.activate}
		status := http.StatusOK
		if typed != "" {
			p.Problem, status = "this code is not known, or no longer open", http.StatusNotFound
		}
		return p.answer(status, "code")
	}
	a := d.authorization
	a.device, a.asked = d, r.now
	return s.ask(&a, r, ConsentForm, "")
}
