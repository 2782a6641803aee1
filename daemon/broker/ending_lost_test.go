package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
)

// errWider: the server used the refresh token, and gave a token that may do too much.
var errWider error = &grant.Error{Class: grant.Misconfigured, Status: 200}

func endingOf(b *Broker) Ending {
	st, _ := b.Status("p")
	return st.Ending
}

// A renewal whose answer was lost may have ended the one token: nobody is given it any more, and the quick retry brings
// the next. An ordinary server's token is handed out as before.
func TestALostAnswerMayHaveEndedTheOneToken(t *testing.T) {
	for _, lost := range []error{&grant.Error{Class: grant.Ambiguous},
		&grant.Error{Class: grant.Malformed, Status: 200, RotationLost: true}} {
		for _, ends := range []bool{true, false} {
			session(t, func(t *testing.T, e *ender, b *Broker) {
				e.configured(b, ends)
				first := mustHave(t, b, Query{})
				e.refuse(func(n int) error {
					if n == 2 {
						return lost
					}
					return nil
				})
				b.Verify(t.Context(), "p")
				got, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset})
				switch {
				case !ends && (err != nil || !got.Access.Equal(first.Access)):
					t.Errorf("%v: an ordinary server's token: %v, %v", lost, got, err)
				case ends && err == nil:
					t.Errorf("%v: a token that may be dead: %v", lost, got)
				case ends:
					if u := wantUnavailable(t, err); u.RetryAfter == 0 || u.RetryAfter > 6*time.Second {
						t.Errorf("%v: retry after %s", lost, u.RetryAfter)
					}
				}
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if got := mustHave(t, b, Query{}); !e.takes(got) || e.count() != 3 {
					t.Errorf("%v: %v after %d requests", lost, got, e.count())
				}
			})
		}
	}
}

// So may a renewal that brought a token which is not taken.
func TestATokenThatIsNotTakenHasEndedTheOneToken(t *testing.T) {
	for _, ends := range []bool{true, false} {
		session(t, func(t *testing.T, e *ender, b *Broker) {
			e.configured(b, ends)
			mustHave(t, b, Query{})
			e.refuse(always(errWider))
			b.Verify(t.Context(), "p")
			if _, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset}); (err != nil) != ends {
				t.Errorf("where it ends: %v: %v", ends, err)
			}
		})
	}
}
