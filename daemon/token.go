package daemon

import (
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// Bounds of what a caller may ask of a token.
const (
	maxScope    = 2 << 10
	maxAudience = 1 << 10
	maxTarget   = 4 << 10
)

// query is a token request, understood.
type query struct {
	broker.Query
	wait time.Duration
	// target is the origin whose requests the token is for; empty where a profile was named.
	target string
}

// issued is a token on its way out.
type issued struct {
	token   grant.Token
	profile string
}

// query understands the parameters of "token".
func (d *Daemon) query(params []byte) (query, error) { return d.queryOfBytes(d.profiles.Find, params) }

// finder is [profile.Table.Find], or [profile.Set.Pick], which does not wait.
type finder func(name, origin string) (*profile.Profile, error)

func (d *Daemon) queryOfBytes(pick finder, params []byte) (query, error) {
	var p protocol.TokenParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return query{}, err
	}
	q, _, err := d.queryBy(pick, p)
	return q, err
}

// queryOf returns the profile too, as it is configured now; a token may have been issued by what it was before.
func (d *Daemon) queryOf(p protocol.TokenParams) (query, *profile.Profile, error) {
	return d.queryBy(d.profiles.Find, p)
}

func (d *Daemon) queryBy(pick finder, p protocol.TokenParams) (query, *profile.Profile, error) {
	q := query{Query: broker.Query{Scope: p.Scope, Audience: p.Audience, MinTTL: broker.Unset}, wait: protocol.DefaultWait}
	if p.MinTTL != nil {
		if *p.MinTTL < 0 || *p.MinTTL > int64(protocol.MaxMinTTL/time.Second) {
			return q, nil, protocol.InvalidParams("min_ttl must be from 0 to %d seconds", int64(protocol.MaxMinTTL/time.Second))
		}
		q.MinTTL = time.Duration(*p.MinTTL) * time.Second
	}
	if p.Wait != nil {
		if *p.Wait < 0 || *p.Wait > int64(protocol.MaxWait/time.Second) {
			return q, nil, protocol.InvalidParams("wait must be from 0 to %d seconds", int64(protocol.MaxWait/time.Second))
		}
		q.wait = time.Duration(*p.Wait) * time.Second
	}
	if len(p.Scope) > maxScope || !printable(p.Scope, ' ') {
		return q, nil, protocol.InvalidParams("scope must be words of printable ASCII, 2048 bytes at most (RFC 6749 §3.3)")
	}
	if len(p.Audience) > maxAudience || !printable(p.Audience, 0) {
		return q, nil, protocol.InvalidParams("audience must be printable ASCII without spaces, 1024 bytes at most")
	}
	if len(p.Target) > maxTarget {
		return q, nil, protocol.InvalidParams("target must be a URL of 4096 bytes at most")
	}
	if p.Profile != "" && p.Target != "" {
		return q, nil, protocol.InvalidParams("name a profile or a target, not both")
	}
	if err := checkName(p.Profile); err != nil {
		return q, nil, err
	}
	if p.Target != "" {
		api, err := origin.WithPort(p.Target)
		if err != nil {
			return q, nil, protocol.InvalidParams("target: %s", err)
		}
		q.target = api
	}
	found, err := pick(p.Profile, q.target)
	if err != nil {
		return q, nil, err
	}
	q.Profile = found.Name
	return q, found, nil
}

// admit refuses a token whose credential was not sealed for the target: that a file lists it now is nobody's word.
func (q *query) admit(t grant.Token) error {
	if q.target == "" || t.Destinations.AllowsAPI(q.target) {
		return nil
	}
	api := origin.WithoutPort(q.target)
	return protocol.NewError(protocol.Config, fmt.Sprintf("profile %s lists %s in its file, but its credential was not sealed for it", q.Profile, api),
		"groat login "+q.Profile+" --api "+api)
}

// printable reports whether s is made of RFC 6749's NQCHAR (visible ASCII but '"' and '\') and one more byte.
func printable(s string, also byte) bool {
	for i := range len(s) {
		if c := s[i]; c != also && (c <= ' ' || c >= 0x7f || c == '"' || c == '\\') {
			return false
		}
	}
	return true
}

// find returns the profile of a name, or of none where there is only one. It may read the configuration again.
func (d *Daemon) find(name string) (*profile.Profile, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return d.profiles.Find(name, "")
}

func checkName(name string) error {
	if name != "" && !config.ValidName(name) {
		return protocol.InvalidParams("a profile's name is made of a-z, 0-9, '.', '_' and '-', 64 at most")
	}
	return nil
}

// token answers "token" where it takes waiting.
func token(c *conn, params []byte) (any, error) {
	q, err := c.d.query(params)
	if err != nil {
		return nil, err
	}
	return c.issue(q)
}

// reject answers "reject".
func reject(c *conn, params []byte) (any, error) {
	var r protocol.RejectParams
	if err := jsonrpc.DecodeParams(params, &r); err != nil {
		return nil, err
	}
	if r.AccessToken == "" || !printable(r.AccessToken, 0) {
		return nil, protocol.InvalidParams("access_token must be the token that an API refused")
	}
	q, _, err := c.d.queryOf(r.TokenParams)
	if err != nil {
		return nil, err
	}
	q.Refused = keystore.SecretString(r.AccessToken)
	return c.issue(q)
}

// issue waits for a token. The wait is the caller's; what it sets in motion goes on.
func (c *conn) issue(q query) (any, error) {
	ctx, cancel := c.waiting(q.wait)
	defer cancel()
	t, err := c.d.broker.Token(ctx, q.Query)
	if err != nil {
		return nil, c.d.wire(err, q.Profile)
	}
	if err := q.admit(t); err != nil {
		return nil, err
	}
	return issued{token: t, profile: q.Profile}, nil
}
