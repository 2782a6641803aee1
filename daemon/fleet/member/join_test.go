package member

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/keystore"
)

// A join that fails leaves no machine behind that nobody has the keys of.
func TestAJoinThatFails(t *testing.T) {
	full := errors.New("the disk is full")
	for name, c := range map[string]struct {
		fault   engine.Fault
		keep    error
		want    error
		members []string
	}{
		"the request's answer is lost": {fault: engine.LoseAnswer, members: []string{"a", "b"}},
		"the request is lost":          {fault: engine.LoseRequest, want: ErrNobody, members: []string{"a"}},
		"the identity cannot be kept":  {keep: full, want: full, members: []string{"a"}},
		"nothing fails":                {members: []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(s *site) {
				a := s.create("a")
				code, err := a.Invite(s.Context())
				if err != nil {
					t.Fatal(err)
				}
				x, o := s.options()
				asked := false
				x.client.Inject(func(call engine.Call) engine.Fault {
					if call.Kind != engine.Swapping || asked {
						return engine.None
					}
					asked = true
					return c.fault
				})
				if c.keep != nil {
					o.Keep = func(context.Context, string, keystore.Secret) error { return c.keep }
				}
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				if _, err := Join(ctx, o, code, "b"); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("it says %v", err)
				}
				s.agree(c.members, a)
				if left := invitations(s); len(c.members) == 1 && len(left) > 0 && c.keep == nil {
					t.Errorf("the invitation is left: %v", left)
				}
			})
		})
	}
}

// invitations returns the keys of invitations, requests and answers.
func invitations(s *site) (keys []string) {
	for _, e := range s.engine.Entries() {
		if strings.Contains(e.Key, "/m/invite/") {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// A machine that does not have the newest key yet leaves the invitations alone that are sealed with it.
func TestAnInvitationOfALaterEpoch(t *testing.T) {
	bubble(t, func(s *site) {
		a := s.create("a")
		b, c := s.join(a, "b"), s.join(a, "c")
		s.agree([]string{"a", "b", "c"}, a, b, c)
		b.stop()
		if err := a.Remove(s.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		a.stop()
		code, err := a.Invite(s.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.engine.Put(engine.Change{Key: a.key("m/invite/0011223344556677/" + useRequest), Value: []byte("of nobody")})
		if err := b.attend(s.Context()); err != nil {
			t.Fatal(err)
		}
		left := invitations(s)
		if !slices.Contains(left, code.key()) {
			t.Error("the invitation was deleted")
		}
		if slices.Contains(left, a.key("m/invite/0011223344556677/"+useRequest)) {
			t.Error("a request without an invitation is left")
		}
		time.Sleep(CodeLife + time.Second)
		if err := b.attend(s.Context()); err != nil || slices.Contains(invitations(s), code.key()) {
			t.Errorf("the invitation is left after its time: %v", err)
		}
	})
}
