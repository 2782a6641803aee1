package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// issued is a token to hand out: an ID token where id is set.
type issued struct {
	token   grant.Token
	id      *grant.IDToken
	profile string
	asked   wire.Asked
}

// append appends the reply.
func (i *issued) append(out, id []byte, now clock.Instant) []byte {
	if i.id != nil {
		return wire.AppendIDToken(out, id, i.id, i.profile, now)
	}
	return wire.AppendToken(out, id, i.token, i.profile, i.asked, now)
}

// checkTarget refuses a profile's token for a target if the credential was not sealed for it: a configuration file that
// lists the target is not a person's consent. It returns the API that the target belongs to, which the file lists and
// the credential is sealed for: the narrower of the two.
func checkTarget(p *profile.Profile, target origin.Target, to *grant.Destinations) (api string, err error) {
	if target.Origin == "" {
		return "", nil
	}
	listed, sealed := p.Lists(target), to.API(target)
	if sealed == "" {
		api := origin.WithoutPort(listed)
		message := fmt.Sprintf("profile %s lists %s in its file, but its credential was not sealed for it", p.Name, api)
		return "", protocol.NewError(protocol.Config, message, "groat login "+p.Name+" --api "+visible.Word(api))
	}
	if len(listed) > len(sealed) {
		return listed, nil
	}
	return sealed, nil
}

// errUnanswered leaves a request without an answer: the groatd that takes this one's place answers it when the client
// asks again, as clients do where a connection ends without an answer.
var errUnanswered = errors.New("another groatd answers")

// worded words the error of a request for a token, unless that is left to the groatd that takes this one's place.
func (d *Daemon) worded(err error, profile string) error {
	if d.replaced.Load() && errors.Is(err, broker.ErrStopped) {
		return errUnanswered
	}
	return d.wire(err, profile)
}

// find returns the profile of a name, or the only one where the name is empty. It may read the configuration again.
func (d *Daemon) find(name string) (*profile.Profile, error) {
	if name != "" {
		if err := wire.CheckName(name); err != nil {
			return nil, err
		}
	}
	return d.profiles.Find(profile.Wanted{Name: name})
}

// lookTime is how long the credentials of profiles are looked at, whose client or person a user name may be, for a
// caller who waits less: they are on this machine.
const lookTime = time.Second

// knows reports whether a user name is the person or the client of a profile's credential. One that does not exist is
// nobody's; whose one is that cannot be read, or not before ctx ends, is not known: a token of it may still be in
// memory.
func (d *Daemon) knows(ctx context.Context, p *profile.Profile, username string) (bool, error) {
	if ctx.Err() != nil {
		return false, protocol.NewError(protocol.Temporary, fmt.Sprintf("whether %s is the account of one of the "+
			"profiles that list this address was not found out in time: name the profile", visible.Quote(username)),
			"groat list")
	}
	item, err := d.stores.Of(p).Get(ctx, p.Name)
	switch {
	case errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrUndecided):
		return false, nil
	case err != nil:
		return false, d.wire(err, p.Name)
	}
	defer item.Wipe()
	return slices.Contains([]string{item.ClientID, item.Username, item.Account, item.Subject}, username), nil
}

// isNobodys reports whether a user name is known not to be the person or the client of a profile's credential.
func (d *Daemon) isNobodys(ctx context.Context, p *profile.Profile, username string) bool {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	its, err := d.knows(ctx, p, username)
	return err == nil && !its
}

// holder returns whose current token a request calls refused, or nil: a caller need not say again which of the profiles
// that list a target it was given the token of.
func (d *Daemon) holder(among []profile.Listing, r wire.TokenRequest) *profile.Profile {
	for _, l := range among {
		q := broker.Query{Profile: l.Name, Scope: r.Scope, Audience: r.Audience, MinTTL: broker.Unset}
		if t, ok := d.broker.Cached(q); ok && t.Access.Equal(r.Refused) {
			return l.Profile
		}
	}
	return nil
}

// token answers "token" where [conn.quick] does not.
func token(c *conn, params []byte) (any, error) {
	r, err := wire.ParseToken(params)
	if err != nil {
		return nil, err
	}
	return c.issue(r)
}

// reject answers "reject".
func reject(c *conn, params []byte) (any, error) {
	r, err := wire.ParseReject(params)
	if err != nil {
		return nil, err
	}
	return c.issue(r)
}

// issue waits for a token, as long as the caller does. A renewal that it started goes on after that.
func (c *conn) issue(r wire.TokenRequest) (any, error) {
	ctx, cancel := c.waiting(r.Wait)
	defer cancel()
	look, stop := c.waiting(max(r.Wait, lookTime))
	defer stop()
	p, err := c.d.profiles.Find(profile.Wanted{Name: r.Profile, Target: r.Target, Username: r.Username,
		Knows: func(p *profile.Profile) (bool, error) { return c.d.knows(look, p, r.Username) }})
	if several, ok := errors.AsType[*profile.UnknownError](err); ok && !r.Refused.IsZero() {
		if holder := c.d.holder(several.Choices, r); holder != nil {
			p, err = holder, nil
		}
	}
	if err != nil {
		return nil, err
	}
	unknown := userDecides(r, p) && c.d.isNobodys(look, p, r.Username)
	r.Profile = p.Name
	if r.ID {
		return c.issueID(ctx, r, p)
	}
	t, err := c.d.broker.Token(ctx, r.Query)
	if err != nil {
		return nil, c.d.worded(err, r.Profile)
	}
	api, err := checkTarget(p, r.Target, t.Destinations)
	if err != nil {
		return nil, err
	}
	return issued{token: t, profile: r.Profile, asked: wire.Asked{API: api, UnknownUser: unknown}}, nil
}

// userDecides reports whether a request means a profile by the user name alone, which is not the profile's name.
func userDecides(r wire.TokenRequest, p *profile.Profile) bool {
	return r.Username != "" && r.Profile == "" && r.Username != p.Name
}

// issueID is issue for an ID token. Its signature is checked here, when it is asked for the first time: that may need
// the server's keys.
func (c *conn) issueID(ctx context.Context, r wire.TokenRequest, p *profile.Profile) (any, error) {
	i, err := c.d.broker.IDToken(ctx, r.Query)
	if err == nil {
		_, err = checkTarget(p, r.Target, i.Destinations)
	}
	if err == nil {
		err = p.Endpoint.VerifyIDToken(ctx, i)
	}
	if err != nil {
		return nil, c.d.worded(err, r.Profile)
	}
	return issued{id: i, profile: r.Profile}, nil
}

// quickID answers a request for an ID token in the reading goroutine, if it is at hand and its signature was checked.
func (c *conn) quickID(id []byte, p *profile.Profile, q *wire.TokenRequest) bool {
	i, ok := c.d.broker.CachedID(q.Query)
	if !ok || !i.Verified() {
		return false
	}
	if _, err := checkTarget(p, q.Target, i.Destinations); err != nil {
		c.refuse(id, c.d.wire(err, q.Profile))
		return true
	}
	c.send(id, func(out []byte) []byte { return wire.AppendIDToken(out, id, i, q.Profile, c.d.Now()) })
	return true
}
