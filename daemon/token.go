package daemon

import (
	"fmt"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
)

// issued is a token to hand out.
type issued struct {
	token   grant.Token
	profile string
}

// checkTarget refuses a token for r's target if the credential was not sealed for it: a configuration file that lists
// the target is not a person's consent.
func checkTarget(r *wire.TokenRequest, t grant.Token) error {
	if r.Target == "" || t.Destinations.AllowsAPI(r.Target) {
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
	t, err := c.d.broker.Token(ctx, r.Query)
	if err != nil {
		return nil, c.d.wire(err, r.Profile)
	}
	if err := checkTarget(&r, t); err != nil {
		return nil, err
	}
	return issued{token: t, profile: r.Profile}, nil
}
