package grant

import (
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// Destinations says where a credential, and every token that was obtained with it, may be sent. It is stored in the
// credential's [keystore.Item], so that an edited configuration cannot change it. It is immutable and may be shared.
type Destinations struct {
	// Issuer, TokenEndpoint and ClientAuth are the item's: the server that the credential is for.
	Issuer, TokenEndpoint, ClientAuth string
	// RefreshAuth and AssertionAudience are the item's too: the other ways in which the client may prove itself.
	RefreshAuth, AssertionAudience string
	// Origins, TokenOrigins and PageOrigins are further origins that the person agreed to; see [keystore.Item].
	Origins, TokenOrigins, PageOrigins []string
	// APIs are the APIs that may be sent the tokens, in the long form of package origin.
	APIs []string
	// Header is how an API is sent a token; nil means "Authorization: Bearer T".
	Header *Header
	// Subject is the item's IDSubject: whom an answer to the tokens' userinfo request must be about.
	Subject string
}

// DestinationsOf returns where an item, and tokens that this endpoint obtains with it, may be sent.
func (e *Endpoint) DestinationsOf(item keystore.Item) *Destinations {
	s := &Destinations{
		Issuer: intern(item.Issuer, e.server.Issuer), TokenEndpoint: intern(item.TokenEndpoint, e.server.TokenEndpoint),
		ClientAuth: intern(item.ClientAuth, string(e.server.ClientAuth)), Header: e.server.Header,
		RefreshAuth: item.RefreshAuth, AssertionAudience: item.AssertionAudience,
		Origins: item.Origins, TokenOrigins: item.TokenOrigins, PageOrigins: item.PageOrigins, APIs: item.APIs,
		Subject: item.IDSubject,
	}
	switch own := e.server.PresetAPIs; {
	case len(item.APIs) == 0:
		s.APIs = own
	case len(own) > 0:
		s.APIs = slices.Concat(item.APIs, own)
	}
	return s
}

// intern returns b where it equals a, so that ten thousand tokens share one string.
func intern(a, b string) string {
	if a == b {
		return b
	}
	return a
}

// ownDestinations returns where a credential that a person has just typed for this server may be sent. No item is
// stored yet.
func (e *Endpoint) ownDestinations(kind Kind) *Destinations {
	return e.DestinationsOf(e.server.NewItem("", kind))
}

// API returns the longest of the APIs that a request goes to, which may be sent the tokens, or "" where it goes to
// none. A nil s has none.
func (s *Destinations) API(target origin.Target) string {
	if s == nil {
		return ""
	}
	return target.Longest(s.APIs)
}

// hostOf returns an origin as sentences name it: without the scheme.
func hostOf(origin string) string {
	if _, host, ok := strings.Cut(origin, "://"); ok {
		return host
	}
	return origin
}
