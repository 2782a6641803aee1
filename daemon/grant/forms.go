package grant

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/keystore"
)

// BasicFormsDiffer reports whether HTTP Basic carries an item's id and secret in two forms: form-encoded (RFC 6749
// §2.3.1) and as they are (RFC 7617). Servers take one of them.
func BasicFormsDiffer(item keystore.Item) bool {
	if strings.Contains(item.ClientID, ":") || item.ClientSecret.IsZero() {
		return false // as it is, the id could not be told from the secret (RFC 7617 §2)
	}
	plain := item.ClientID + item.ClientSecret.Reveal()
	return url.QueryEscape(plain) != plain
}

// DoubtsClient reports whether a server may have refused a request because it did not understand the form in which the
// client proved itself. Where the request carried nothing but that proof, any refusal may mean that which does not name
// another reason: servers answer with other codes than invalid_client, and with none (RFC 6749 §5.2).
func DoubtsClient(err error, nothingElse bool) bool {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return false
	case e.Class == InvalidClient:
		return true
	case !nothingElse:
		return false
	}
	switch e.Code {
	case "invalid_request", "invalid_grant", "unauthorized_client", "access_denied", "server_error":
		return true
	case "":
		return e.Status == http.StatusBadRequest || e.Status == http.StatusUnauthorized ||
			e.Status == http.StatusForbidden
	}
	_, known := codes[e.Code]
	return !known && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests
}
