package login

import (
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

// goesOn reports whether the login goes on to a new sign-in after the stored credential could not be proven, and tells
// the person why. A login that a person typed must not end where the next one would end too: at a session that the
// server does not take, whatever it says of it, or at a secret that is not the client's any more. What is stored stays
// until the new credential works.
func (l *Login) goesOn(stored *keystore.Item, err error) bool {
	refusal, ok := errors.AsType[*grant.Error](err)
	wrongClient := ok && broker.NeedsLogin(err) && refusal.Class == grant.InvalidClient
	switch {
	case l.kind.Session() && wrongClient && !stored.ClientSecret.IsZero():
		l.reused = nil
		l.notice(fmt.Sprintf("%s: type the client's secret, and sign in again.", refusal))
	case l.kind.Session() && broker.NeedsLogin(err) && l.lastFor() > 0:
		l.notice(fmt.Sprintf("The sign-in of profile %s cannot be renewed, and ends in %s: sign in again.",
			l.params.Profile, words(l.lastFor())))
	case l.kind.Session() && broker.NeedsLogin(err):
		l.notice(fmt.Sprintf("The session of profile %s has ended: sign in again.", l.params.Profile))
	case l.kind.Session() && ok && unproven(err, refusal):
		l.notice(fmt.Sprintf("The session of profile %s could not be proven: %s. Sign in again; what is stored stays "+
			"until that has worked.", l.params.Profile, refusal))
	case l.kind == grant.ByClientCredentials && l.params.Confirm && !stored.ClientSecret.IsZero() && ok &&
		(broker.NeedsLogin(err) || unproven(err, refusal)):
		l.reused = nil
		l.notice(fmt.Sprintf("The stored client %s does not work any more: %s. Type its secret; what is stored stays "+
			"until that has worked.", visible.Name(stored.ClientID), refusal))
	default:
		return false
	}
	return true
}

// lastFor is how long the profile's last token is good for, where nothing renews it; else 0.
func (l *Login) lastFor() time.Duration {
	if now, ok := l.logins.Broker.Status(l.params.Profile); ok && now.Held && now.Last {
		return now.Remaining
	}
	return 0
}

// unproven reports whether a server has answered in a way that says neither that a credential is good nor why it is
// not. An outage, a redirect and a request to wait say nothing of the credential.
func unproven(err error, refusal *grant.Error) bool {
	if _, outage := errors.AsType[*broker.Outage](err); outage {
		return false
	}
	if errors.Is(err, grant.ErrTokenChars) { // a person may agree to such tokens
		return true
	}
	switch refusal.Class {
	case grant.TransientSlow, grant.Misconfigured:
		return refusal.Status >= 400 && refusal.Status < 500 && !refusal.WrongPlace()
	case grant.Malformed:
		return refusal.Status >= 200 && refusal.Status < 300
	case grant.Transient: // zitadel's word for a client that it does not take
		return refusal.Status < 500 && refusal.Code == "server_error"
	}
	return false
}
