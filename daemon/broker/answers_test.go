package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// answerCase is one thing that a token endpoint, or what is on the way to it, does to a profile whose token is due.
type answerCase struct {
	name  string // begins with its number in the catalogue
	fault sandbox.Fault
	rig   func(t *testing.T, p *place) // instead of a fault, or besides

	// Where it fails:
	class  grant.Class
	action grant.Action
	wait   [2]time.Duration // until the next request: at least, at most
	says   string

	// Where it succeeds (life is set):
	life  time.Duration
	check func(t *testing.T, p *place)

	machine bool // a client with a secret, not a session
	scope   string
	dialect string
	rotate  bool
	tls     *tls.Config
	roots   *x509.CertPool
}

// The waits of an action's first occurrence.
var (
	soon      = [2]time.Duration{0, time.Second}
	slow      = [2]time.Duration{time.Second, 8 * time.Second}
	once      = [2]time.Duration{2 * time.Second, 5 * time.Second}
	confirmed = [2]time.Duration{time.Minute, time.Minute}
	never     = [2]time.Duration{}
)

// vague is a life that cannot be known beforehand.
const vague = 1

// The catalogue of what token endpoints answer, C1 to C52, from the bytes on the wire to what a program and a keystore
// see of it. In every row: the class, the action and the wait; nothing is parked but by the server's own word, and that
// is not erased; the keystore's item stays as it is; a token that is still valid is served until its end; and when the
// server is well again, so is the profile.
func TestAnswers(t *testing.T) {
	for _, list := range [][]answerCase{pages(), sizes(), lives(), members(), rotations(), refusals(), delays(t),
		networks(t), framings(t), times()} {
		for _, c := range list {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPlace(t, c)
					if c.life > 0 {
						p.succeeds(t, c)
					} else {
						p.fails(t, c)
					}
				})
			})
		}
	}
}

// begin lets the case begin, when the token is nearly due.
func (p *place) begin(t *testing.T, c answerCase) {
	t.Helper()
	time.Sleep(p.first.Lifetime*60/100 - 2*time.Second - time.Since(p.first.Sent.Wall))
	f := c.fault
	if c.life == 0 {
		f.Times = -1
	}
	if c.rig == nil || !reflect.ValueOf(c.fault).IsZero() {
		p.box.Script(p.box.TokenPath(), f)
	}
	if c.rig != nil {
		c.rig(t, p)
	}
}

// fails goes through a case that brings no token.
func (p *place) fails(t *testing.T, c answerCase) {
	t.Helper()
	p.begin(t, c)
	var st broker.Status
	for st.Err == nil {
		if p.left() < lifetime/10 {
			t.Fatal("nothing happened")
		}
		p.served(t)
		time.Sleep(50 * time.Millisecond)
		st, _ = p.b.Status("p")
	}
	e := asGrant(t, st.Err)
	if e.Class != c.class || e.Action() != c.action {
		t.Errorf("%v: class %s, action %q; want %s, %q", e, e.Class, e.Action(), c.class, c.action)
	}
	if !strings.Contains(e.Error(), c.says) || strings.Contains(e.Error(), secret) {
		t.Errorf("it says %q, without %q", e, c.says)
	}
	if st.RetryIn < c.wait[0]-50*time.Millisecond || st.RetryIn > c.wait[1] {
		t.Errorf("the next request is in %s, want %s to %s", st.RetryIn, c.wait[0], c.wait[1])
	}
	for p.left() > 6*time.Second { // the whole of the token's life
		p.served(t)
		time.Sleep(5 * time.Second)
	}
	time.Sleep(6 * time.Second)
	if c.action.Parks() {
		p.parked(t, e)
	} else {
		p.heals(t, max(16*time.Minute, c.wait[1]+time.Minute))
	}
	p.untouched(t)
	if c.check != nil {
		c.check(t, p)
	}
}

// parked makes sure that nothing is asked for most of an hour, though programs do, and that the credential is still
// there when a person asks.
func (p *place) parked(t *testing.T, e *grant.Error) {
	t.Helper()
	dials := p.dials()
	for range 50 {
		_, err := p.get(t, broker.Unset)
		u, ok := errors.AsType[*broker.Unavailable](err)
		if !ok || u.RetryAfter != 0 || asGrant(t, err).Code != e.Code {
			t.Fatalf("parked, a program gets %v", err)
		}
		time.Sleep(time.Minute)
	}
	if n := p.dials() - dials; n != 0 {
		t.Errorf("%d requests of a parked credential", n)
	}
	p.well()
	if _, err := p.b.Verify(t.Context(), "p"); err != nil {
		t.Errorf("a person asks, and the server is well: %v", err)
	}
}

// heals makes sure that a profile is well by itself when the server is.
func (p *place) heals(t *testing.T, within time.Duration) {
	t.Helper()
	if _, err := p.get(t, broker.Unset); err == nil {
		t.Error("a token of a server that gives none")
	}
	p.well()
	for began := time.Now(); ; time.Sleep(5 * time.Second) {
		token, err := p.get(t, broker.Unset)
		if err == nil && !token.Access.Equal(p.first.Access) {
			return
		}
		if time.Since(began) > within {
			t.Fatalf("%s after the server is well: %v", within, err)
		}
	}
}

// well makes the server one that works.
func (p *place) well() {
	p.box.ClearFaults()
	p.box.BlockUser(person, false)
	p.rig(nil, p.good)
}

// succeeds goes through a case that brings a token, once.
func (p *place) succeeds(t *testing.T, c answerCase) {
	t.Helper()
	requests := p.endpoint.Requests()
	p.begin(t, c)
	for p.endpoint.Requests() == requests {
		if p.left() < 6*time.Second {
			t.Fatal("nothing happened")
		}
		if _, err := p.get(t, broker.Unset); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	synctest.Wait()
	st, _ := p.b.Status("p")
	if st.Err != nil || !st.Held || c.life != vague && (st.Lifetime < c.life-time.Second || st.Lifetime > c.life) {
		t.Errorf("a token of %s, want %s; %v", st.Lifetime, c.life, st.Err)
	}
	if c.check != nil {
		c.check(t, p)
	}
	if _, err := p.get(t, broker.Unset); err != nil { // a short one is renewed
		t.Error(err)
	}
}

// later lets a caller leave at once and its request go on.
func (p *place) later(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	p.b.Token(ctx, broker.Query{Profile: "p", MinTTL: 850 * time.Second})
}
