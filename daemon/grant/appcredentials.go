package grant

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// FirstToken exchanges a person's user name and password for a temporary token that can create App Credentials. It
// sends one request; the password is in nothing else and stays the caller's to wipe. The error is an [*Error] or wraps
// [ErrNotOffered].
func (e *Endpoint) FirstToken(ctx context.Context, username string, password keystore.Secret) (Token, error) {
	apps := e.server.Apps
	if apps == nil {
		return Token{}, ErrNotOffered
	}
	c := httpRequest{method: http.MethodPost, url: apps.FirstTokenEndpoint}
	secret := password.Reveal()
	switch apps.FirstToken {
	case PasswordGrant: // RFC 6749 §4.3 without client authentication
		c.body = form{}.add("grant_type", "password").add("username", username).add("password", secret)
		c.carried = []keystore.Secret{password, keystore.SecretString(url.QueryEscape(secret))}
	default:
		if strings.Contains(username, ":") {
			colon := &Error{Class: Misconfigured, Reason: "cannot be sent a user name with a colon"}
			return Token{}, colon.withServer(c.url)
		}
		credentials := basicCredentials(username, secret)
		c.method, c.authorization = http.MethodGet, "Basic "+credentials
		c.carried = []keystore.Secret{password, keystore.SecretString(credentials)}
	}
	return e.readTokenOnly(ctx, e.ownDestinations(ByAppCredentials), c, Password, Request{})
}

// AmbiguousCreateError means that the request to create App Credentials was sent, and that no usable answer came. A
// client whose secret is lost may exist at the provider for ever, and another attempt may add one more: a person has to
// decide.
type AmbiguousCreateError struct {
	// Cause is the failure; it may be of any class.
	Cause *Error
}

func (e *AmbiguousCreateError) Error() string {
	return "App Credentials may have been created, but their secret did not arrive: " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *AmbiguousCreateError) Unwrap() error { return e.Cause }

// CreateClient creates App Credentials for the person whose temporary token it is: a client that the provider never
// deletes. It sends one request and never repeats it. The error is an [*AmbiguousCreateError] where the client may
// exist nevertheless, else an [*Error] or [ErrNotOffered], and then no client was created. The item is not stored: the
// caller makes sure beforehand that it can be, since the secret is shown only once.
func (e *Endpoint) CreateClient(ctx context.Context, token Token) (keystore.Item, error) {
	if e.server.Apps == nil {
		return keystore.Item{}, ErrNotOffered
	}
	c := httpRequest{
		method: http.MethodPost, url: e.server.Apps.ClientsEndpoint,
		authorization: "Bearer " + token.Access.Reveal(), carried: []keystore.Secret{token.Access},
	}
	a, _, err := e.send(ctx, token.Destinations, c)
	if err != nil {
		return keystore.Item{}, err
	}
	defer clear(a.Body)
	verdict := Classify(a, AccessToken)
	switch {
	case verdict.Class == OK:
	case a.Sent && maybeCreated(a, verdict):
		return keystore.Item{}, &AmbiguousCreateError{verdict.withServer(c.url)}
	default:
		return keystore.Item{}, verdict.withServer(c.url)
	}
	item, flaw := e.item(a)
	if flaw != "" {
		return keystore.Item{}, &AmbiguousCreateError{malformed(a, flaw).withServer(c.url)}
	}
	return item, nil
}

// maybeCreated reports whether the server may have created the client. A header with a 3xx or 4xx says that it did not,
// even if the rest of the answer was lost; so does an OAuth error under a 2xx.
func maybeCreated(a Answer, verdict Error) bool {
	switch {
	case a.Status >= 300 && a.Status < 500:
		return false
	case a.Status == 0 || a.Status >= 500 || a.Err != nil:
		return true
	}
	return verdict.Class == Malformed
}

// item reads the created client. Both members must be there, so that an error document is never taken for a client.
func (e *Endpoint) item(a Answer) (item keystore.Item, flaw string) {
	body, flaw := a.object()
	if flaw != "" {
		return keystore.Item{}, flaw
	}
	id, ok := body.text("client_id")
	raw := body["client_secret"]
	defer clear(raw)
	secret := readSecret(raw)
	if !ok || !isVSCHAR([]byte(id)) || secret.IsZero() {
		return keystore.Item{}, "holds no client id and secret"
	}
	return keystore.Item{
		Issuer: e.server.Issuer, TokenEndpoint: e.server.TokenEndpoint, ClientAuth: string(e.server.ClientAuth),
		ClientID: id, ClientSecret: secret,
	}, ""
}

// readSecret returns the secret in a JSON string, or the zero Secret.
func readSecret(raw json.RawMessage) keystore.Secret {
	b, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	if err != nil || !isVSCHAR(b) {
		clear(b[:cap(b)])
		return keystore.Secret{}
	}
	return keystore.NewSecret(b)
}

const maxCredential = 1 << 10

// isVSCHAR reads RFC 6749 A.1 and A.2, but neither nothing nor without end.
func isVSCHAR(b []byte) bool { return printableASCII(b) && len(b) > 0 && len(b) <= maxCredential }

func printableASCII(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// AppCredentials describes SpatiaFi's and Climate Engine's "App Credentials": a client that a signed-in person creates
// for a program. It is permanent: neither provider documents a way to list or delete one.
type AppCredentials struct {
	// FirstToken is how the password is exchanged for a temporary token.
	FirstToken FirstTokenMethod
	// FirstTokenEndpoint is the endpoint that does that.
	FirstTokenEndpoint string
	// ClientsEndpoint takes the POST that creates a client; its trailing slash matters.
	ClientsEndpoint string
}

// FirstTokenMethod is how a user name and password are sent.
type FirstTokenMethod string

const (
	// BasicGET is a GET with HTTP Basic (SpatiaFi).
	BasicGET FirstTokenMethod = "basic_get"
	// PasswordGrant is RFC 6749 §4.3 by a public client (Climate Engine).
	PasswordGrant FirstTokenMethod = "password"
)
