package login

import (
	"errors"
	"fmt"
	"maps"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/protocol/visible"
)

// agreeOnChars asks whether tokens with characters that RFC 6750 does not allow are taken, where the first one has
// such.
func (l *Login) agreeOnChars(t grant.Token) error {
	err := l.profile.Endpoint.Server().CheckToken(t)
	if !errors.Is(err, grant.ErrTokenChars) {
		return err
	}
	refusal := l.logins.Wire(err, l.params.Profile)
	agreed := l.asked
	agreed.Set = maps.Clone(agreed.Set)
	if agreed.Set == nil {
		agreed.Set = map[string]string{}
	}
	agreed.Set[tokenChars] = grant.VisibleChars
	refusal.Data.Hint = Command(agreed)
	if err := l.confirm(fmt.Sprintf("The access tokens of %s have characters that RFC 6750 does not allow. groat "+
		"would hand them out as a header and as JSON only, since they mean something to a shell. Take them?",
		visible.Name(l.server().Issuer)), refusal); err != nil {
		return err
	}
	p := &profile.Profile{Profile: l.profile.Profile, APIs: l.profile.APIs, Ephemeral: l.profile.Ephemeral}
	p.TokenChars = grant.VisibleChars
	server, _, err := p.Server()
	if err != nil {
		return err
	}
	p.Endpoint = l.profile.Endpoint.With(server)
	if err := l.logins.Profiles.CheckSave(p); err != nil {
		return err
	}
	l.profile = p
	return nil
}
