// Package credential is the credential of a profile in use. It reads it from the store, obtains a token with it, and
// keeps the order of writes of ROTATION.md when a server replaces the refresh token: a note before it is sent, and its
// successor durable before the access token is published. The steps stand in renew.go. When a request leaves is decided
// by package broker, and what is sent by package grant.
package credential

import (
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// Source is the [broker.Source] of a profile whose credential is an item of a store.
type Source struct {
	Profile  string
	Store    Store
	Endpoint *grant.Endpoint
	// Scope and Audience are the profile's defaults. Where they are empty the server's own apply.
	Scope    string
	Audience string
}

var (
	_ broker.Source = (*Source)(nil)
	_ Store         = (*keystore.PendingStore)(nil)

	_ broker.Introspector = (*Source)(nil)
)

// Request implements [broker.Source]. Its scopes are sorted, each once.
func (s *Source) Request(scope, audience string) grant.Request {
	named := scope != ""
	if !named {
		scope = s.Scope
	}
	if audience == "" {
		audience = s.Audience
	}
	words := scopeSet(scope)
	return grant.Request{Scope: words, Audience: audience, Narrow: named && !slices.Equal(words, scopeSet(s.Scope))}
}

// scopeSet returns the words of a scope, sorted and once each.
func scopeSet(scope string) []string {
	words := strings.Fields(scope)
	slices.Sort(words)
	return slices.Compact(words)
}

// Degraded implements [broker.Source].
func (s *Source) Degraded() error { return s.Store.PendingError(s.Profile) }

// EndsTokens implements [broker.Source].
func (s *Source) EndsTokens() (ends, known bool) {
	said := s.Endpoint.Server().RefreshEndsTokens
	return said != nil && *said, said != nil
}

// NarrowsSession implements [broker.Source].
func (s *Source) NarrowsSession() (narrows, known bool) {
	said := s.Endpoint.Server().RefreshNarrows
	return said != nil && *said, said != nil
}

// SessionRules implements [broker.Source].
func (s *Source) SessionRules() broker.SessionRules {
	server := s.Endpoint.Server()
	return broker.SessionRules{
		Idle: server.SessionIdle, Absolute: server.SessionAbsolute, Keep: server.KeepSession,
	}
}

// Introspects implements [broker.Introspector].
func (s *Source) Introspects() bool { return s.Endpoint.Server().IntrospectionEndpoint != "" }

// URL implements [broker.Source].
func (s *Source) URL() string { return s.Endpoint.Server().TokenEndpoint }

// Origin implements [broker.Source].
func (s *Source) Origin() string {
	u, err := url.Parse(s.URL())
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Requests implements [broker.Source].
func (s *Source) Requests() int64 { return s.Endpoint.Requests() }
