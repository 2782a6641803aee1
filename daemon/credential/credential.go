// Package credential is the credential of a profile in use: it reads it from the keystore, obtains a token with it, and keeps
// the order of writes that ROTATION.md states when a server replaces the refresh token. When a request leaves is decided by
// package broker; what is sent, by package grant.
package credential

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// Source is the [broker.Source] of a profile whose credential is an item of a keystore. The item is read for each request and
// wiped after it.
type Source struct {
	Profile  string
	Store    *keystore.PendingStore
	Endpoint *grant.Endpoint
	// Scope and Audience are the profile's defaults; empty where the server's own are meant.
	Scope    string
	Audience string
}

// Request implements [broker.Source].
func (c *Source) Request(scope, audience string) grant.Request {
	if scope == "" {
		scope = c.Scope
	}
	if audience == "" {
		audience = c.Audience
	}
	words := strings.Fields(scope)
	slices.Sort(words)
	return grant.Request{Scope: slices.Compact(words), Audience: audience}
}

// Obtain implements [broker.Source].
func (c *Source) Obtain(ctx context.Context, r grant.Request, need broker.Need) (grant.Token, error) {
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
		return grant.Token{}, broker.ErrEnded
	}
	return c.rotate(ctx, item, r, need)
}

func (c *Source) read(ctx context.Context) (keystore.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	return c.Store.Get(ctx, c.Profile)
}

// Degraded returns why the newest credential is in memory only, or nil.
func (c *Source) Degraded() error { return c.Store.PendingError(c.Profile) }

// URL implements [broker.Source].
func (c *Source) URL() string { return c.Endpoint.Server().TokenEndpoint }

// Origin is the server whose budget a request is charged to.
func (c *Source) Origin() string {
	u, err := url.Parse(c.Endpoint.Server().TokenEndpoint)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Requests implements [broker.Source].
func (c *Source) Requests() int64 { return c.Endpoint.Requests() }
