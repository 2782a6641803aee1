// Package status makes the listings of the methods "status" and "profiles" (PROTOCOL.md). It changes nothing.
package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/protocol"
)

// pageBytes is how much of a line the profiles of one page fill; the rest is for what stands around them.
const pageBytes = protocol.MaxLine - 8<<10

// Page returns what describe says of the profiles after a name, as a JSON array of as many as a line holds, and the name
// after which the next page begins, or "".
func Page[T any](all *profile.Set, after string, describe func(*profile.Profile) T) (
	list json.RawMessage, next string, err error,
) {
	if err := all.Err(); err != nil {
		return nil, "", err
	}
	if after != "" && !config.ValidName(after) {
		return nil, "", protocol.InvalidParams("after must be the next of the page before")
	}
	// Each is encoded once, into one piece of memory: the listing of ten thousand is not to make much garbage.
	var text bytes.Buffer
	text.Grow(min(pageBytes+512, 512*(1+all.Len())))
	text.WriteByte('[')
	encoder, last := json.NewEncoder(&text), ""
	var entry T
	for p := range all.After(after) {
		before := text.Len()
		entry = describe(p)
		if err := encoder.Encode(&entry); err != nil {
			return nil, "", err
		}
		switch {
		case text.Len()-before > pageBytes:
			return nil, "", protocol.NewError(protocol.Config,
				fmt.Sprintf("profile %q is too long for a listing", p.Name), "shorten it in the configuration")
		case text.Len() > pageBytes:
			return closed(text.Bytes()[:before]), last, nil
		}
		text.Bytes()[text.Len()-1] = ',' // where the encoder has put a line's end
		last = p.Name
	}
	return closed(text.Bytes()), "", nil
}

// closed returns a list whose last element, if there is one, has a comma behind it, with its end.
func closed(list []byte) json.RawMessage {
	return append(bytes.TrimSuffix(list, []byte(",")), ']')
}

// Reporter reports the state of profiles.
type Reporter struct {
	Broker *broker.Broker
	// Wire returns what a client is told for an error about a profile; see [wire.Error].
	Wire func(err error, profile string) *protocol.Error
	Now  clock.Func
}

// Profile returns one profile's entry in the result of "status".
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
	st.SessionEndsSoon = b.Session.Soon && b.Session.Absolute.After(r.Now().Wall)
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
		st.Message, st.Hint, st.RetryIn = e.Message, e.Hint(), seconds(b.RetryIn)
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
