package login

import (
	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
)

// Stores is where the credentials of profiles are: those of ephemeral ones in memory, all others in the keystore.
type Stores struct {
	Kept, Memory keystore.PendingStore
}

// Of returns where a profile's credential is.
func (s *Stores) Of(p *profile.Profile) *keystore.PendingStore {
	if p.Ephemeral {
		return &s.Memory
	}
	return &s.Kept
}

// Source returns a profile's credential as the broker uses it.
func (s *Stores) Source(p *profile.Profile) broker.Source {
	c := &credential.Source{Profile: p.Name, Store: s.Of(p), Endpoint: p.Endpoint}
	if !p.Kind().Session() { // a session's tokens are what was signed in for; servers refuse to hear it again
		c.Scope, c.Audience = p.Scope, p.Audience
	}
	return c
}
