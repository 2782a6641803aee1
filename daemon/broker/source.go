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

// Obtain implements [Source].
func (c *Credential) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	item, err := c.read(ctx)
	if err != nil {
		return grant.Token{}, err
	}
	defer item.Wipe()
	switch {
	case !grant.Kind(item.Grant).Session():
		t, _, err := c.Endpoint.Renew(ctx, item, r)
		return t, err
	case item.RefreshToken.IsZero():
		return grant.Token{}, ErrEnded
	}
	return c.rotate(ctx, item, r, need)
}

func (c *Credential) read(ctx context.Context) (keystore.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	return c.Store.Get(ctx, c.Profile)
}

// Degraded returns why the newest credential is in memory only, or nil.
func (c *Credential) Degraded() error { return c.Store.Held(c.Profile) }

// URL implements [Source].
func (c *Credential) URL() string { return c.Endpoint.Server().TokenEndpoint }

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
