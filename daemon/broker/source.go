package broker

import (
	"context"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// Credential is the [Source] of a profile whose credential is an item of a keystore. The item is read for each request and
// wiped after it.
type Credential struct {
	Profile  string
	Store    *keystore.Holder
	Endpoint *grant.Endpoint
	// Scope and Audience are the profile's defaults; empty where the server's own are meant.
	Scope    string
	Audience string
}

// Request implements [Source].
func (c *Credential) Request(scope, audience string) grant.Request {
	if scope == "" {
		scope = c.Scope
	}
	if audience == "" {
		audience = c.Audience
	}
	return grant.Request{Scope: strings.Fields(canonical(scope)), Audience: audience}
}

// Obtain implements [Source]. A rotated refresh token is durable before the token that came with it is returned; where it
// cannot be made so, the token is returned all the same, for it is good, and the store holds the new one in memory.
func (c *Credential) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	item, err := c.Store.Get(ctx, c.Profile)
	if err != nil {
		return grant.Token{}, err
	}
	defer func() { item.Wipe() }()
	if grant.Kind(item.Grant).Session() {
		if item.RefreshToken.IsZero() {
			return grant.Token{}, ErrEnded
		}
		if err := c.Store.Held(c.Profile); err != nil && need == Ahead {
			return grant.Token{}, &putOff{err}
		}
	}
	t, rotated, err := c.Endpoint.Renew(ctx, item, r)
	if !rotated.IsZero() {
		presented := item.RefreshToken
		defer presented.Wipe()
		item.RefreshToken = rotated
		c.Store.Rotate(context.WithoutCancel(ctx), c.Profile, presented, item) // see Degraded for what it could not store
	}
	return t, err
}

// Degraded returns why the newest credential is in memory only, or nil.
func (c *Credential) Degraded() error { return c.Store.Held(c.Profile) }

// Origin is the server whose budget a request is charged to.
func (c *Credential) Origin() string {
	u, err := url.Parse(c.Endpoint.Server().TokenEndpoint)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Requests implements [Source].
func (c *Credential) Requests() int64 { return c.Endpoint.Requests() }
