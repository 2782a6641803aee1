package broker

import (
	"context"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// ClientCredentials is the [Source] of a profile that signs in with a client id and secret (RFC 6749 §4.4). The secret
// is read from the keystore for each request and forgotten after it.
type ClientCredentials struct {
	Profile  string
	Store    keystore.Store
	Endpoint *grant.Endpoint
	// Scope and Audience are the profile's defaults.
	Scope    string
	Audience string
}

// Request implements [Source].
func (c *ClientCredentials) Request(scope, audience string) grant.Request {
	if scope == "" {
		scope = c.Scope
	}
	if audience == "" {
		audience = c.Audience
	}
	return grant.Request{Scope: strings.Fields(canonical(scope)), Audience: audience}
}

// Obtain implements [Source].
func (c *ClientCredentials) Obtain(ctx context.Context, r grant.Request) (grant.Token, error) {
	item, err := c.Store.Get(ctx, c.Profile)
	if err != nil {
		return grant.Token{}, err
	}
	defer item.ClientSecret.Wipe()
	return c.Endpoint.ClientCredentials(ctx, item, r)
}

// Requests implements [Source].
func (c *ClientCredentials) Requests() int64 { return c.Endpoint.Requests() }
