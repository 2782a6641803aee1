package fleet

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// clockSlack is by how much a published token is taken for older than it is: the engine tells its time in whole
// seconds, and two of its nodes may differ.
const clockSlack = 2 * time.Second

// sharedToken is an access token as it lies in the engine. Times are the engine's.
type sharedToken struct {
	Version    int   `json:"v"`
	Generation int64 `json:"generation"`
	// Endpoint is the token endpoint that gave the token: it is for what its credential is sealed for.
	Endpoint string `json:"endpoint"`
	// Sent is when the request was sent, in milliseconds since 1970; Life is what the token was good for then.
	Sent int64         `json:"sent"`
	Life time.Duration `json:"life"`

	Scope           string        `json:"scope,omitempty"`
	Wider           []string      `json:"wider,omitempty"`
	TypeAssumed     bool          `json:"type_assumed,omitempty"`
	LifetimeAssumed bool          `json:"lifetime_assumed,omitempty"`
	Refreshed       bool          `json:"refreshed,omitempty"`
	Rotated         bool          `json:"rotated,omitempty"`
	SessionLeft     time.Duration `json:"session_left,omitempty"`

	ID *sharedID `json:"id,omitempty"`
	// access and the ID token are the last members.
}

// sharedID is an ID token without its text.
type sharedID struct {
	Life     time.Duration `json:"life"`
	Subject  string        `json:"subject"`
	Verified bool          `json:"verified,omitempty"`
}

// sharedTokenMembers is sharedToken as JSON with its secrets.
type sharedTokenMembers struct {
	sharedToken
	Access  json.RawMessage `json:"access"`
	IDToken json.RawMessage `json:"id_token,omitempty"`
}

// longest bounds each duration.
const longest = 10 * 365 * 24 * time.Hour

// encodeToken returns a token as JSON, which the caller wipes.
func encodeToken(t grant.Token, generation int64, offset time.Duration) ([]byte, error) {
	p := sharedToken{
		Version: format, Generation: generation, Sent: (t.Sent.Boot + offset).Milliseconds(), Life: t.Lifetime,
		Scope: t.Scope, Wider: t.Wider, TypeAssumed: t.TypeAssumed, LifetimeAssumed: t.LifetimeAssumed,
		Refreshed: t.Refreshed, Rotated: t.Rotated, SessionLeft: t.SessionLeft,
	}
	if t.Destinations != nil {
		p.Endpoint = t.Destinations.TokenEndpoint
	}
	access := t.Access.AppendTo(nil)
	defer clear(access)
	var identity []byte
	if i := t.ID; i != nil && i.Flaw == "" {
		p.ID = &sharedID{Life: i.Lifetime, Subject: i.Subject, Verified: i.Verified()}
		identity = i.Text.AppendTo(nil)
		defer clear(identity)
	}
	head, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	text := make([]byte, 0, len(head)+6*(len(access)+len(identity))+32)
	text = append(text, head[:len(head)-1]...)
	text = strictjson.AppendString(append(text, `,"access":`...), access)
	if p.ID != nil {
		text = strictjson.AppendString(append(text, `,"id_token":`...), identity)
	}
	return append(text, '}'), nil
}

// decodeToken reads what encodeToken wrote, as a token of this machine: to says where it may be sent, and offset is the
// engine's time less the boot time here.
func decodeToken(
	plain keystore.Secret, to *grant.Destinations, now clock.Instant, offset time.Duration,
) (t grant.Token, generation int64, err error) {
	text := plain.AppendTo(nil)
	defer clear(text)
	var m sharedTokenMembers
	if err := decode(text, &m, &m.Version); err != nil {
		return grant.Token{}, 0, err
	}
	defer clear(m.Access)
	defer clear(m.IDToken)
	access, err := strictjson.AppendUnquoted(make([]byte, 0, len(m.Access)), m.Access)
	if err != nil || !grant.IsVisibleToken(access) || m.Generation < 1 || m.Endpoint != to.TokenEndpoint ||
		m.Life < 0 || m.Life > longest || m.SessionLeft < 0 || m.SessionLeft > longest {
		clear(access)
		return grant.Token{}, 0, errRecord
	}
	// One that seems to come from the future is as old as this moment: it is taken for older, never for younger.
	age := max(now.Boot+offset-time.Duration(m.Sent)*time.Millisecond, 0) + clockSlack
	sent := clock.Instant{Wall: now.Wall.Add(-age), Boot: now.Boot - age}
	t = grant.Token{
		Access: keystore.NewSecret(access), Visible: !grant.IsB64Token(access), Type: "Bearer",
		TypeAssumed: m.TypeAssumed, Scope: m.Scope, Wider: m.Wider, Sent: sent, Lifetime: m.Life,
		LifetimeAssumed: m.LifetimeAssumed, Refreshed: m.Refreshed, Rotated: m.Rotated, SessionLeft: m.SessionLeft,
		Destinations: to, Shared: true,
	}
	if m.ID != nil {
		identity, err := strictjson.AppendUnquoted(make([]byte, 0, len(m.IDToken)), m.IDToken)
		if err == nil && grant.IsB64Token(identity) && m.ID.Life >= 0 && m.ID.Life <= longest {
			t.ID = grant.AdoptIDToken(keystore.NewSecret(identity), sent, m.ID.Life, m.ID.Subject, to, m.ID.Verified)
		}
	}
	return t, m.Generation, nil
}

// serves reports whether a token has enough left that none need be asked for.
func serves(t grant.Token, now clock.Instant) bool {
	left := t.Remaining(now)
	return left > clockSlack && left > t.Lifetime/10
}

// variant is the name of the token of a request: the same on all machines.
func (f *Fleet) variant(profile string, r grant.Request) string {
	return f.keys.Name("variant", profile, strings.Join(r.Scope, " "), r.Audience, strconv.FormatBool(r.Narrow))
}
