package login

import (
	"errors"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/protocol"
)

// withLoginHint replaces a hint that names the profile where the profile is not configured (yet): the hint is then the
// command that was given.
func (l *Login) withLoginHint(e *protocol.Error) *protocol.Error {
	name := l.params.Profile
	if l.logins.Profiles.Named(name) == nil && e.Data != nil &&
		(e.Hint() == "groat login "+name || e.Hint() == "groat status "+name) {
		e.Data.Hint = Command(l.asked)
	}
	return e
}

// withRedirectHint puts the address that a server redirects to into the command that was given, where it is another
// address of the host that was named. One of another host is told by the error and not proposed: a secret would go
// there.
func (l *Login) withRedirectHint(e *protocol.Error, err error) *protocol.Error {
	with := l.asked
	named := &with.Issuer
	if with.TokenURL != "" {
		named = &with.TokenURL
	}
	answer, ok := errors.AsType[*grant.Error](err)
	if !ok || e.Data == nil || *named == "" || *named == answer.Redirect ||
		origin.CheckURL(answer.Redirect, "") != nil || hostname(*named) != hostname(answer.Redirect) {
		return e
	}
	*named = answer.Redirect
	e.Data.Hint = Command(with)
	return e
}

// hostname returns the host of an address without its port, in lower case.
func hostname(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
