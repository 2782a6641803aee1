package broker

import (
	"errors"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// NeedsLogin reports whether err says that only a new sign-in helps: the server has refused the credential for good, the session
// has ended or its newest refresh token is lost, or nothing is stored that this groat could read.
func NeedsLogin(err error) bool {
	if errors.Is(err, ErrRotationLost) {
		return true
	}
	if _, ok := errors.AsType[*Outage](err); ok { // the refusal in its chain was another request's
		return false
	}
	if e, ok := errors.AsType[*grant.Error](err); ok {
		return e.Class == grant.Refused || e.Class == grant.InvalidClient
	}
	return errors.Is(err, ErrEnded) || errors.Is(err, keystore.ErrNotFound) ||
		errors.Is(err, keystore.ErrCorrupt) && !errors.Is(err, keystore.ErrNewer)
}
