package daemon

import (
	"context"
	"fmt"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
)

// issued is a token to hand out: an ID token where id is set.
type issued struct {
	token   grant.Token
	id      *grant.IDToken
	profile string
}

// append appends the reply.
func (i *issued) append(out, id []byte, now clock.Instant) []byte {
	if i.id != nil {
		return wire.AppendIDToken(out, id, i.id, i.profile, now)
	}
	return wire.AppendToken(out, id, i.token, i.profile, now)
}

// checkTarget refuses a token for r's target if the credential was not sealed for it: a configuration file that lists
// the target is not a person's consent.
func checkTarget(r *wire.TokenRequest, to *grant.Destinations) error {
	if r.Target == "" || to.AllowsAPI(r.Target) {
		return nil
	}
	api := origin.WithoutPort(r.Target)
	message := fmt.Sprintf("profile %s lists %s in its file, but its credential was not sealed for it", r.Profile, api)
	return protocol.NewError(protocol.Config, message, "groat login "+r.Profile+" --api "+api)
}

// find returns the profile of a name, or the only one where the name is empty. It may read the configuration again.
func (d *Daemon) find(name string) (*profile.Profile, error) {
	if name != "" {
		if err := wire.CheckName(name); err != nil {
			return nil, err
		}
	}
	return d.profiles.Find(name, "")
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
	p, err := c.d.profiles.Find(r.Profile, r.Target)
	if err != nil {
		return nil, err
	}
	r.Profile = p.Name
	ctx, cancel := c.waiting(r.Wait)
	defer cancel()
	if r.ID {
		return c.issueID(ctx, r, p)
	}
	t, err := c.d.broker.Token(ctx, r.Query)
	if err != nil {
		return nil, c.d.wire(err, r.Profile)
	}
	if err := checkTarget(&r, t.Destinations); err != nil {
		return nil, err
	}
	return issued{token: t, profile: r.Profile}, nil
}

// issueID is issue for an ID token. Its signature is checked here, when it is asked for the first time: that may need
// the server's keys.
func (c *conn) issueID(ctx context.Context, r wire.TokenRequest, p *profile.Profile) (any, error) {
	i, err := c.d.broker.IDToken(ctx, r.Query)
	if err == nil {
		err = checkTarget(&r, i.Destinations)
	}
	if err == nil {
		err = p.Endpoint.VerifyIDToken(ctx, i)
	}
	if err != nil {
		return nil, c.d.wire(err, r.Profile)
	}
	return issued{id: i, profile: r.Profile}, nil
}

// quickID answers a request for an ID token in the reading goroutine, if it is at hand and its signature was checked.
func (c *conn) quickID(id []byte, q *wire.TokenRequest) bool {
	i, ok := c.d.broker.CachedID(q.Query)
	if !ok || !i.Verified() {
		return false
	}
	if err := checkTarget(q, i.Destinations); err != nil {
		c.refuse(id, c.d.wire(err, q.Profile))
		return true
	}
	c.send(id, func(out []byte) []byte { return wire.AppendIDToken(out, id, i, q.Profile, c.d.Now()) })
	return true
}
