package grant

import (
	"context"
	"net/http"

	"github.com/groat-dev/groat/keystore"
)

// Active asks the server whether one of its access tokens is still good (RFC 7662 §2). It sends one request, or two
// where an assertion is dated by another clock. A server that does not tell this client says that no token is (§2.2).
// The error is an [*Error] or [ErrNotOffered], or wraps [ErrEndpointChanged] (nothing was sent).
func (e *Endpoint) Active(ctx context.Context, item keystore.Item, token Token) (bool, error) {
	at := e.server.IntrospectionEndpoint
	if at == "" {
		return false, ErrNotOffered
	}
	// The request holds an access token, also that of a client without a secret.
	if err := e.checkDestination(e.DestinationsOf(item), at, Anything); err != nil {
		return false, err
	}
	c := httpRequest{method: http.MethodPost, url: at}
	c.body = form{}.add("token", c.reveal(token.Access)).add("token_type_hint", "access_token")
	a, err := e.requestBeside(ctx, c, item, e.server.refreshAuth())
	if err != nil {
		return false, err
	}
	defer clear(a.Body)
	body, flaw := a.object()
	active := string(body["active"])
	if flaw == "" && active != "true" && active != "false" {
		flaw = "does not say whether the token is active"
	}
	if flaw != "" {
		return false, malformed(a, flaw).withServer(at)
	}
	return active == "true", nil
}
