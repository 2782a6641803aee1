package grant

import (
	"slices"
	"strings"

	"github.com/groat-dev/groat/keystore"
)

// Destinations is where a credential, and every token that was had with it, may be sent. It is stored in the credential's
// [keystore.Item], so that an edited configuration cannot change it. It is immutable and may be shared.
type Destinations struct {
	// Issuer, TokenEndpoint and ClientAuth are the item's: the server that issued what is sealed.
	Issuer, TokenEndpoint, ClientAuth string
	// Origins, TokenOrigins and PageOrigins are those beside the token endpoint's that the person agreed to; see
	// [keystore.Item].
	Origins, TokenOrigins, PageOrigins []string
	// APIs are the origins that may be sent the tokens, with their ports.
	APIs []string
	// Header is how an API is sent a token; nil: "Authorization: Bearer T".
	Header *Header
}

// DestinationsOf returns where an item, and tokens that this endpoint obtains with it, may be sent.
func (e *Endpoint) DestinationsOf(item keystore.Item) *Destinations {
	s := &Destinations{
		Issuer: intern(item.Issuer, e.server.Issuer), TokenEndpoint: intern(item.TokenEndpoint, e.server.TokenEndpoint),
		ClientAuth: intern(item.ClientAuth, string(e.server.ClientAuth)), Header: e.server.Header,
		Origins: item.Origins, TokenOrigins: item.TokenOrigins, PageOrigins: item.PageOrigins, APIs: item.APIs,
	}
	switch own := e.server.PresetAPIs; {
	case len(item.APIs) == 0:
		s.APIs = own
	case len(own) > 0:
		s.APIs = slices.Concat(item.APIs, own)
	}
	return s
}

// intern returns b where it equals a: ten thousand tokens then share one text.
func intern(a, b string) string {
	if a == b {
		return b
	}
	return a
}

// ownDestinations is the destination of what a person has just typed for this very server and what no item is sealed with yet.
func (e *Endpoint) ownDestinations(kind Kind) *Destinations {
	return e.DestinationsOf(e.server.NewItem("", kind))
}

// AllowsAPI reports whether an API's origin, in the form of [Destinations.APIs], may be sent the tokens. A nil s allows none.
func (s *Destinations) AllowsAPI(origin string) bool {
	return s != nil && slices.Contains(s.APIs, origin)
}

// hostOf is what an origin is called in a sentence.
func hostOf(origin string) string {
	if _, host, ok := strings.Cut(origin, "://"); ok {
		return host
	}
	return origin
}
