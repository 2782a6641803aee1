// Package status makes the listings of the methods "status" and "profiles" (PROTOCOL.md). It changes nothing.
package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/protocol"
)

// pageBytes is how much of a line the profiles of one page fill; the rest is for what stands around them.
const pageBytes = protocol.MaxLine - 8<<10

// maxName is the longest name in a listing, in bytes: one that is none is shown quoted.
const maxName = 4 << 10

// Page appends what describe says of the profiles after a name, with those that cannot be used, as a JSON array of as
// many as a line holds, and returns the name after which the next page begins, or "". A dst as long as a line is long
// enough.
func Page[T any](dst []byte, all *profile.Set, after string, describe func(name string) T) (
	list []byte, next string, err error,
) {
	if err := all.Err(); err != nil {
		return dst, "", err
	}
	if after != "" && !config.ValidName(after) && (!strings.HasPrefix(after, `"`) || len(after) > maxName) {
		return dst, "", protocol.InvalidParams("after must be the next of the page before")
	}
	text := bytes.NewBuffer(dst)
	text.WriteByte('[')
	encoder, last := json.NewEncoder(text), ""
	var entry T
	for name := range all.NamesAfter(after) {
		before := text.Len()
		entry = describe(name)
		if err := encoder.Encode(&entry); err != nil {
			return dst, "", err
		}
		switch {
		case text.Len()-before > pageBytes:
			return dst, "", protocol.NewError(protocol.Config,
				fmt.Sprintf("profile %q is too long for a listing", name), "groat profile show "+name)
		case text.Len()-len(dst) > pageBytes:
			return closed(text.Bytes()[:before]), last, nil
		}
		text.Bytes()[text.Len()-1] = ',' // where the encoder has put a line's end
		last = name
	}
	return closed(text.Bytes()), "", nil
}

// closed returns a list whose last element, if there is one, has a comma behind it, with its end.
func closed(list []byte) []byte {
	return append(bytes.TrimSuffix(list, []byte(",")), ']')
}

// Reporter reports the state of profiles.
type Reporter struct {
	Broker *broker.Broker
	// Wire returns what a client is told for an error about a profile; see [wire.Error].
	Wire func(err error, profile string) *protocol.Error
	Now  clock.Func
}

// Named returns the entry of a profile that the set knows in the result of "status".
func (r Reporter) Named(all *profile.Set, name string) protocol.ProfileStatus {
	p, broken := all.Named(name), all.Broken(name)
	st := protocol.ProfileStatus{Profile: name, State: string(protocol.Config), Blocked: protocol.Config}
	if p != nil {
		st = r.Profile(p)
	}
	if broken != nil {
		st.Broken = true
		st.Message, st.Hint = Unusable(broken, p != nil)
	}
	return st
}

// Unusable returns what people are told of a profile that cannot be used, and what to type. asBefore is set where it is
// in use as it was described before.
func Unusable(broken *config.Error, asBefore bool) (message, hint string) {
	if asBefore {
		return "in use as it was before, until this is right and groat reload reads it: " + broken.Error(), broken.Hint
	}
	return broken.Error(), broken.Hint
}

// Profile returns the entry of a profile that can be used.
func (r Reporter) Profile(p *profile.Profile) protocol.ProfileStatus {
	server := p.Endpoint.Server()
	st := protocol.ProfileStatus{
		Profile: p.Name, Provider: p.Provider, Issuer: server.Issuer, ClientAuth: string(server.ClientAuth),
		State: "idle",
	}
	b, ok := r.Broker.Status(p.Name)
	if !ok {
		return st
	}
	st.Requests, st.Tokens, st.EndsEarlier = b.Requests, b.Tokens, b.Ending.String()
	st.Narrows, st.ScopeLost = b.Narrowing.String(), b.Narrowing.Lost
	st.ClockOffset = seconds(p.Endpoint.ClockOffset())
	st.SessionIdleEndsAt, st.SessionEndsAt = broker.UnixOf(b.Session.Idle), broker.UnixOf(b.Session.Absolute)
	st.SessionEndsSoon = b.Session.Soon && (b.Last || b.Session.Absolute.After(r.Now().Wall))
	if b.Held {
		st.State, st.Static = "fresh", b.Static
	}
	if b.Held && !b.Static {
		st.ExpiresIn, st.Lifetime = seconds(b.Remaining), seconds(b.Lifetime)
		st.ExpiresAt = r.Now().Wall.Add(b.Remaining).Unix()
		st.RenewIn, st.Last = seconds(b.RenewIn), b.Last
		st.Assumed = assumed(b)
	}
	st.Degraded = b.Degraded != nil || b.AwaitsKeystore()
	if b.Degraded != nil {
		e := r.Wire(b.Degraded, p.Name)
		st.Message, st.Hint = "the newest credential is in groatd's memory only: "+e.Message, e.Hint()
	}
	if b.Err != nil {
		e := r.Wire(&broker.Unavailable{Err: b.Err, RetryAfter: b.RetryIn}, p.Name)
		st.Message, st.Hint, st.RetryIn = e.Message, e.Hint(), seconds(b.RetryIn+time.Second-1)
		st.Blocked = e.Kind()
		if !b.Held {
			st.State = string(e.Kind())
		}
	}
	return st
}

func assumed(b broker.Status) (what []string) {
	if b.LifetimeAssumed {
		what = append(what, "lifetime")
	}
	if b.TypeAssumed {
		what = append(what, "token_type")
	}
	return what
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
