package main

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// client implements [op.Client] and [op.HasRedirectGlobs]. Each has every grant that it can have.
type client struct {
	id     string
	method oidc.AuthMethod
	key    any // its public key, or nil
}

func (c *client) GetID() string                       { return c.id }
func (c *client) AuthMethod() oidc.AuthMethod         { return c.method }
func (c *client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }

// ApplicationType says what the library calls confidential.
func (c *client) ApplicationType() op.ApplicationType {
	if c.method == oidc.AuthMethodNone {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

func (c *client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c *client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeDeviceCode,
		oidc.GrantTypeClientCredentials, oidc.GrantTypeTokenExchange, oidc.GrantTypeBearer}
}

// RedirectURIs are a native client's: any port of them (RFC 8252 §7.3). RedirectURIGlobs say the same of the others.
func (c *client) RedirectURIs() []string     { return []string{"http://127.0.0.1/callback"} }
func (c *client) RedirectURIGlobs() []string { return []string{"http://127.0.0.1:*/callback"} }
func (c *client) DevMode() bool              { return true } // http, on loopback

func (c *client) PostLogoutRedirectURIs() []string     { return nil }
func (c *client) PostLogoutRedirectURIGlobs() []string { return nil }

// LoginURL is the example's page.
func (c *client) LoginURL(id string) string { return "/login/username?authRequestID=" + id }

func (c *client) IDTokenLifetime() time.Duration       { return time.Hour }
func (c *client) ClockSkew() time.Duration             { return 0 }
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return false }

func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return same }
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return same }

func same(scopes []string) []string { return scopes }

// IsScopeAllowed says of scopes beside OpenID Connect's that these two are there.
func (c *client) IsScopeAllowed(scope string) bool {
	return scope == "api:read" || scope == "api:write"
}
