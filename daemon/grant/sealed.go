package grant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
)

// Sealed is where a credential, and every token that was had with it, may be sent. It is stored in the credential's
// [keystore.Item], so that an edited configuration cannot change it. It is immutable and may be shared.
type Sealed struct {
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

// Seal returns where an item, and tokens that this endpoint obtains with it, may be sent.
func (e *Endpoint) Seal(item keystore.Item) *Sealed {
	s := &Sealed{
		Issuer: same(item.Issuer, e.server.Issuer), TokenEndpoint: same(item.TokenEndpoint, e.server.TokenEndpoint),
		ClientAuth: same(item.ClientAuth, string(e.server.ClientAuth)), Header: e.server.Header,
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

// same returns b where it equals a: ten thousand tokens then share one text.
func same(a, b string) string {
	if a == b {
		return b
	}
	return a
}

// own is the destination of what a person has just typed for this very server and what no item is sealed with yet.
func (e *Endpoint) own(kind Kind) *Sealed { return e.Seal(e.server.NewItem("", kind)) }

// AllowsAPI reports whether an API's origin, in the form of [Sealed.APIs], may be sent the tokens. A nil s allows none.
func (s *Sealed) AllowsAPI(origin string) bool { return s != nil && slices.Contains(s.APIs, origin) }

// Carries is how much of a credential a request carries. What a person agrees to for one is agreed to for what is less, and
// never for what is more.
type Carries int

const (
	// Anything: a secret, a password, a code, a refresh token, an assertion.
	Anything Carries = iota
	// AccessOnly: an access token, which ends.
	AccessOnly
	// SignInRequest: what a sign-in begins with, which holds no secret.
	SignInRequest
)

// agreed reports whether the person agreed that an origin receives as much.
func (s *Sealed) agreed(origin string, what Carries) bool {
	return slices.Contains(s.Origins, origin) || what == AccessOnly && slices.Contains(s.TokenOrigins, origin) ||
		what == SignInRequest && slices.Contains(s.PageOrigins, origin)
}

// home is the origin that everything sealed may go to: the token endpoint's, or the issuer's where there are only static keys.
func (s *Sealed) home() string {
	if s.TokenEndpoint != "" {
		return origin(s.TokenEndpoint)
	}
	return origin(s.Issuer)
}

// ForeignError says that a server, a document or a configuration names an endpoint on a host that the credential is not
// sealed for. Nothing was sent. It is an [ErrEndpointChanged].
type ForeignError struct {
	// Sealed is the host that the credential is sealed for, Named the origin that was named instead.
	Sealed, Named string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("the credential is sealed for %s, and %s is another host", e.Sealed, hostOf(e.Named))
}

// Is makes it an ErrEndpointChanged.
func (e *ForeignError) Is(target error) bool { return target == ErrEndpointChanged }

// allowed is the one rule for every address that a server, a document, a preset or a configuration names: what carries
// anything of a credential goes to the origin that the credential is sealed for, to one that the person agreed to, or to one
// that groat's own preset names. The error wraps [ErrEndpointChanged].
func (e *Endpoint) allowed(to *Sealed, address string, what Carries) error {
	s := e.server
	switch {
	case to == nil:
		return fmt.Errorf("%w: nothing says for which", ErrEndpointChanged)
	case to.TokenEndpoint != s.TokenEndpoint:
		return fmt.Errorf("%w: its token endpoint is %s, not %s", ErrEndpointChanged, shown(to.TokenEndpoint), shown(s.TokenEndpoint))
	case to.Issuer != s.Issuer:
		return fmt.Errorf("%w: its issuer is %s, not %s", ErrEndpointChanged, shown(to.Issuer), shown(s.Issuer))
	case to.ClientAuth != "" && to.ClientAuth != string(s.ClientAuth):
		// An assertion never shows the secret; an edit must not turn it into something that does.
		return fmt.Errorf("%w: its client authentication is %s, not %s", ErrEndpointChanged, shown(to.ClientAuth), shown(string(s.ClientAuth)))
	}
	o := origin(address)
	if o != "" && (o == to.home() || to.agreed(o, what) || slices.Contains(s.PresetOrigins, o)) {
		return nil
	}
	return &ForeignError{Sealed: shown(hostOf(to.home())), Named: shown(o)}
}

// send is the gate: the only way in which a request with anything of a credential leaves. to is where the credential, or the
// token, may go.
func (e *Endpoint) send(ctx context.Context, to *Sealed, c call) (Answer, clock.Instant, error) {
	if err := e.allowed(to, c.url, c.carries); err != nil {
		return Answer{}, clock.Instant{}, err
	}
	a, sent := e.exchange(ctx, c)
	return a, sent, nil
}

// Origin returns scheme://host[:port] of an address that [CheckURL] accepts, in lower case and without the scheme's own
// port, or "". It is the form of [keystore.Item.Origins].
func Origin(address string) string {
	if CheckURL(address, "") != nil {
		return ""
	}
	return origin(address)
}

// CheckOrigin returns the origin that a person named, or why it is none: a scheme and a host without a path.
func CheckOrigin(raw, what string) (string, error) {
	raw = strings.TrimSuffix(raw, "/")
	if err := checkOrigin(raw, what); err != nil {
		return "", err
	}
	if o := origin(raw); o != "" {
		return o, nil
	}
	return "", errors.New(what + " is not an origin")
}

// hostOf is what an origin is called in a sentence.
func hostOf(origin string) string {
	if _, host, ok := strings.Cut(origin, "://"); ok {
		return host
	}
	return origin
}
