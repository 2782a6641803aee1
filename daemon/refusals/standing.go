package refusals

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// standing is a [broker.Standing] as it is written down. What a server said is in it as it may be shown: cut, in ASCII, and
// cleaned of what was sent.
type standing struct {
	Whole    bool   `json:"whole,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Audience string `json:"audience,omitempty"`

	Class       string `json:"class"`
	Where       string `json:"where"`
	Reason      string `json:"reason"`
	Code        string `json:"code,omitempty"`
	Description string `json:"description,omitempty"`
	Status      int    `json:"status,omitempty"`
	// Because is why the refusal came where the server's words do not say it; see [becauses].
	Because string `json:"because,omitempty"`

	Parked   bool  `json:"parked,omitempty"`
	Wait     int64 `json:"wait,omitempty"`  // seconds
	Until    int64 `json:"until,omitempty"` // Unix seconds
	Failures int   `json:"failures,omitempty"`
}

// because is an explanation of a refusal that the server does not give.
type because struct {
	name string
	err  error // what is looked for in a chain
}

// becauses are those that there are. The later ones say more.
var becauses = []because{
	{"rotation_lost", broker.ErrRotationLost},
	{"unanswered", keystore.ErrUnanswered},
	{"interrupted", broker.ErrInterrupted},
	{"newest_damaged", keystore.ErrNewestDamaged},
	{"rolled_back", keystore.ErrRolledBack},
}

// becauseClock is [grant.ErrClock].
const becauseClock = "clock"

// classes are those that can stand in the way.
var classes = []grant.Class{
	grant.Transient, grant.TransientSlow, grant.Malformed, grant.Ambiguous, grant.InvalidClient, grant.Refused, grant.Misconfigured, grant.Pending,
}

func standingOf(b broker.Standing) standing {
	st := standing{Whole: b.Whole, Scope: b.Scope, Audience: b.Audience, Parked: b.Parked, Failures: b.Failures}
	if e, ok := errors.AsType[*grant.Error](b.Err); ok {
		st.Class, st.Where, st.Reason = e.Class.String(), e.Where, e.Reason
		st.Code, st.Description, st.Status = e.Code, e.Description, e.Status
	}
	for _, because := range becauses {
		if errors.Is(b.Err, broker.ErrRotationLost) && errors.Is(b.Err, because.err) {
			st.Because = because.name
		}
	}
	if errors.Is(b.Err, grant.ErrClock) {
		st.Because = becauseClock
	}
	if !b.Parked {
		st.Wait, st.Until = int64((b.Wait+time.Second-1)/time.Second), b.Until.Unix()
	}
	return st
}

// maxSaid bounds each text; what groatd writes is shorter.
const maxSaid = 4 << 10

// check refuses what standingOf does not write.
func (st standing) check() error {
	for _, text := range []string{st.Scope, st.Audience, st.Where, st.Reason, st.Code, st.Description} {
		if len(text) > maxSaid || slices.ContainsFunc([]byte(text), func(c byte) bool { return c < ' ' || c > '~' }) {
			return errors.New("a text in it cannot be shown")
		}
	}
	_, known := st.class()
	explained := st.Because == "" || st.Because == becauseClock || slices.ContainsFunc(becauses, func(b because) bool { return b.name == st.Because })
	longest := int64(2 * time.Hour / time.Second)
	if !known || !explained || st.Reason == "" || st.Wait < 0 || st.Wait > longest || st.Failures < 0 || st.Status < 0 || st.Status > 999 {
		return errors.New("a refusal in it is none")
	}
	return nil
}

func (st standing) class() (grant.Class, bool) {
	i := slices.IndexFunc(classes, func(c grant.Class) bool { return c.String() == st.Class })
	if i < 0 {
		return grant.OK, false
	}
	return classes[i], true
}

// restored is what was written down, checked before, as it was.
func (st standing) restored() broker.Standing {
	class, _ := st.class()
	e := &grant.Error{Class: class, Where: st.Where, Reason: st.Reason, Code: st.Code, Description: st.Description, Status: st.Status}
	b := broker.Standing{
		Whole: st.Whole, Scope: st.Scope, Audience: st.Audience, Err: e, Parked: st.Parked, Failures: st.Failures,
		Wait: time.Duration(st.Wait) * time.Second, Until: time.Unix(st.Until, 0),
	}
	if st.Because == becauseClock {
		e.Err = grant.ErrClock
	}
	for _, because := range becauses {
		if because.name == st.Because {
			b.Err = fmt.Errorf("%w: %w: %w", broker.ErrRotationLost, because.err, e)
		}
	}
	return b
}
