package wire

import (
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

const scopeOpenID = "openid"

// noIDToken is the row for a profile that has an access token and no ID token.
func noIDToken(n *broker.NoIDToken, c Context) *protocol.Error {
	name := c.Profile
	scope := c.Scope
	if n.Scope != "" {
		scope = strings.Fields(n.Scope)
	}
	if len(c.Scope) == 0 {
		c.Scope = scope
	}
	anew := "groat login " + name + " --replace"
	switch {
	case n.Key:
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q: %s", name, n.Error()), "groat list")
	case n.Last:
		return protocol.NewError(protocol.LoginRequired, n.Error()+": sign in again", anew)
	case c.Key:
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q has a key, and %s: groat login %s "+
			"--target-audience AUDIENCE says whom one is for, such as the client id of an IAP", name, n, name),
			"groat login --help")
	case c.Client:
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q signs in as a client and not as a person, "+
			"and %s: sign in another profile as a person", name, n), "groat login")
	case len(scope) > 0 && !slices.Contains(scope, scopeOpenID):
		return protocol.NewError(protocol.Config, fmt.Sprintf("the sign-in of profile %q was not for openid, "+
			"and so brought no ID token: sign in again for that too", name), WithOpenID(c))
	case len(scope) == 0:
		return protocol.NewError(protocol.Config, fmt.Sprintf("%s for profile %q: sign in again for openid", n, name),
			WithOpenID(c))
	case n.Renewed:
		return protocol.NewError(protocol.LoginRequired, n.Error()+": only a new sign-in brings one", anew)
	}
	return protocol.NewError(protocol.Config, n.Error()+", although openid was asked for", "groat profile show "+name)
}

// WithOpenID is the command that signs in anew for all that was asked for before, and for openid.
func WithOpenID(c Context) string {
	scope := slices.DeleteFunc(slices.Clone(c.Scope), func(s string) bool { return s == scopeOpenID })
	return "groat login " + c.Profile + " --scope " +
		visible.Word(strings.Join(append([]string{scopeOpenID}, scope...), " "))
}
