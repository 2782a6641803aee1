package handover

import (
	"encoding/json"
	"io"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// record is a [Token] without the access token itself, which follows it, and the ID token, which follows that. Times
// are in nanoseconds relative to the moment of sending, since two processes need not have the same boot clock.
type record struct {
	Profile         string              `json:"profile"`
	Configuration   string              `json:"configuration"`
	Scope           string              `json:"scope,omitempty"`
	Audience        string              `json:"audience,omitempty"`
	Granted         string              `json:"granted,omitempty"`
	TypeAssumed     bool                `json:"type_assumed,omitempty"`
	LifetimeAssumed bool                `json:"lifetime_assumed,omitempty"`
	Last            bool                `json:"last,omitempty"`
	Kept            bool                `json:"kept,omitempty"`
	Age             time.Duration       `json:"age"`
	Lifetime        time.Duration       `json:"lifetime"`
	RenewIn         time.Duration       `json:"renew_in"`
	Unused          time.Duration       `json:"unused"`
	MaxMinTTL       time.Duration       `json:"max_min_ttl"`
	Sealed          *grant.Destinations `json:"sealed"`
	ID              *idRecord           `json:"id,omitempty"`
}

// idRecord is an ID token without the token itself.
type idRecord struct {
	Age      time.Duration `json:"age"`
	Lifetime time.Duration `json:"lifetime"`
	Subject  string        `json:"subject"`
	Verified bool          `json:"verified,omitempty"`
}

// writeToken writes a token, and takes its size from left. One that the successor would not read is left out: without
// it that one asks the server for another.
func writeToken(w io.Writer, t Token, now clock.Instant, left *int) error {
	var identity []byte
	r := record{
		Profile: t.Profile, Configuration: t.Configuration, Scope: t.Scope, Audience: t.Audience,
		Granted: t.Token.Scope, TypeAssumed: t.Token.TypeAssumed, LifetimeAssumed: t.Token.LifetimeAssumed,
		Last: t.Token.Last, Kept: t.Token.Kept,
		Age: now.Sub(t.Token.Sent), Lifetime: t.Token.Lifetime, RenewIn: t.Renew - now.Boot, Unused: now.Boot - t.Used,
		MaxMinTTL: t.MaxMinTTL, Sealed: t.Token.Destinations,
	}
	if i := t.Token.ID; i != nil {
		r.ID = &idRecord{Age: now.Sub(i.Sent), Lifetime: i.Lifetime, Subject: i.Subject, Verified: i.Verified()}
		identity = i.Text.AppendTo(nil)
		defer clear(identity)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	access := t.Token.Access.AppendTo(nil)
	defer clear(access)
	size := len(text) + len(access) + len(identity) + 3*headerSize
	if len(text) > maxMessage || len(access) > maxAccess || size > *left {
		return nil
	}
	*left -= size
	if err := writeBytes(w, text); err != nil {
		return err
	}
	if err := writeBytes(w, access); err != nil || r.ID == nil {
		return err
	}
	return writeBytes(w, identity)
}

// readToken returns io.EOF after the last token.
func (s *Successor) readToken(r io.Reader) (Token, error) {
	text, err := readBytes(r, maxMessage)
	if err != nil {
		return Token{}, err
	}
	if len(text) == 0 {
		return Token{}, io.EOF
	}
	access, err := readBytes(r, maxAccess)
	if err != nil {
		return Token{}, err
	}
	var e record
	if json.Unmarshal(text, &e) != nil || !grant.IsVisibleToken(access) {
		return Token{}, ErrBroken
	}
	durations := []time.Duration{e.Age, e.Lifetime, e.RenewIn, e.Unused, e.MaxMinTTL}
	if e.ID != nil {
		durations = append(durations, e.ID.Age, e.ID.Lifetime)
	}
	for _, d := range durations {
		if d > longest || d < -longest {
			return Token{}, ErrBroken
		}
	}
	identity, err := s.readIDToken(r, e)
	if err != nil {
		return Token{}, err
	}
	// The record was sent after this end asked. Counting from there, the token may be taken for older than it is, but
	// never for younger.
	now := s.now()
	return Token{Configuration: e.Configuration, Cached: broker.Cached{
		Profile: e.Profile, Scope: e.Scope, Audience: e.Audience,
		Renew: now.Boot + e.RenewIn, Used: now.Boot - max(e.Unused, 0), MaxMinTTL: max(e.MaxMinTTL, 0),
		Token: grant.Token{
			Access: keystore.NewSecret(access), Visible: !grant.IsB64Token(access), Type: "Bearer",
			TypeAssumed: e.TypeAssumed, Scope: e.Granted,
			Sent: s.instant(e.Age), Lifetime: e.Lifetime,
			LifetimeAssumed: e.LifetimeAssumed, Last: e.Last, Kept: e.Kept,
			Destinations: e.Sealed, ID: identity,
		},
	}}, nil
}

// readIDToken reads the ID token of a record, if it has one.
func (s *Successor) readIDToken(r io.Reader, e record) (*grant.IDToken, error) {
	if e.ID == nil {
		return nil, nil
	}
	text, err := readBytes(r, maxAccess)
	if err != nil {
		return nil, err
	}
	if !grant.IsB64Token(text) || e.Sealed == nil {
		return nil, ErrBroken
	}
	sent := s.instant(e.ID.Age)
	return grant.AdoptIDToken(keystore.NewSecret(text), sent, e.ID.Lifetime, e.ID.Subject, e.Sealed, e.ID.Verified), nil
}

// instant is when something was sent that was so old when the record was.
func (s *Successor) instant(age time.Duration) clock.Instant {
	now := s.now()
	sent := s.asked.Boot - max(age, 0)
	return clock.Instant{Wall: now.Wall.Add(sent - now.Boot), Boot: sent}
}
