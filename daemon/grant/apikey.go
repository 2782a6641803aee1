package grant

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// ErrAPIKey means that an API key could not be the value of a header.
var ErrAPIKey = errors.New("an API key is 1 to 4096 characters of printable ASCII without a space at either end")

// maxKey is twice what Earthdata's tokens, the longest keys that are known, may come to: "up to 2k" ([1]).
//
// [1]: https://wiki.earthdata.nasa.gov/pages/viewpage.action?pageId=197006765
const maxKey = 4 << 10

// CheckAPIKey returns [ErrAPIKey] unless the key can be sent as it is.
func CheckAPIKey(key keystore.Secret) error {
	text := key.AppendTo(nil)
	defer clear(text)
	if !printableASCII(text) || len(text) == 0 || len(text) > maxKey || text[0] == ' ' || text[len(text)-1] == ' ' {
		return ErrAPIKey
	}
	return nil
}

// APIKey returns an item's API key in the form of a token, and sends nothing. A key whose end is known is a token like
// any other, the last one until a person signs in again; every other key does not expire, see [Token.Static]. The error
// is a [*KeyEndedError] where the end has passed.
func (e *Endpoint) APIKey(item keystore.Item) (Token, error) {
	to := e.DestinationsOf(item)
	if err := e.checkDestination(to, to.home(), Anything); err != nil {
		return Token{}, err
	}
	if err := CheckAPIKey(item.APIKey); err != nil {
		return Token{}, err
	}
	t := Token{Access: item.APIKey.Clone(), Sent: e.now(), Lifetime: lifetimeMost, Static: true, Destinations: to}
	if item.KeyEnds == "" {
		return t, nil
	}
	ends, err := time.Parse(time.RFC3339, item.KeyEnds)
	if err != nil || !ends.After(t.Sent.Wall) {
		t.Access.Wipe()
		return Token{}, &KeyEndedError{At: item.KeyEnds}
	}
	left := ends.Sub(t.Sent.Wall)
	t.Static, t.Last, t.Lifetime, t.SessionLeft = false, true, left, left
	if e.server.Header == nil {
		t.Type = "Bearer"
	}
	return t, nil
}

// Keep makes a session's access token its item's credential, where the server gave no refresh token and says that such
// tokens do not end ([Server.TokensLast]), and reports whether it did. Nothing is sent.
func (e *Endpoint) Keep(item *keystore.Item, s Session) bool {
	if !e.server.TokensLast || !s.Refresh.IsZero() || !s.Token.LifetimeAssumed {
		return false
	}
	item.APIKey = s.Token.Access.Clone()
	return true
}

// KeptToken returns the access token that an item holds by [Endpoint.Keep], and sends nothing. It cannot be had with
// less scope, or for another audience: then the error is an [*Error] of the class [Misconfigured].
func (e *Endpoint) KeptToken(item keystore.Item, req Request) (Token, error) {
	to := e.DestinationsOf(item)
	if err := e.checkDestination(to, to.home(), Anything); err != nil {
		return Token{}, err
	}
	if req.Narrow || req.Audience != "" && req.Audience != e.server.Audience {
		err := &Error{Class: Misconfigured, Reason: "gave one token for this sign-in, which does not end: sign in " +
			"another profile for another scope"}
		return Token{}, err.withServer(e.server.TokenEndpoint)
	}
	access := item.APIKey.Clone()
	return Token{Access: access, Visible: !IsB64Token([]byte(access.Reveal())), Type: "Bearer", Sent: e.now(),
		Lifetime: lifetimeMost, Kept: true, Destinations: to}, nil
}

// KeyLogin exchanges a person's email and password for their API key (Planet's login from before OAuth): the answer to
// a JSON object is a JWT whose api_key claim is the key. It sends one request; the password is in nothing else and
// stays the caller's to wipe. The error is an [*Error] or [ErrNotOffered].
func (e *Endpoint) KeyLogin(ctx context.Context, email string, password keystore.Secret) (keystore.Item, error) {
	if e.server.KeyLogin == "" {
		return keystore.Item{}, ErrNotOffered
	}
	c := httpRequest{method: http.MethodPost, url: e.server.KeyLogin, json: true}
	body, err := json.Marshal(struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}{email, c.reveal(password)})
	if err != nil {
		return keystore.Item{}, err
	}
	c.body = body
	defer clear(body)
	a, _, err := e.send(ctx, e.ownDestinations(ByKeyLogin), c)
	if err != nil {
		return keystore.Item{}, err
	}
	defer clear(a.Body)
	if verdict := classifyKeyLogin(a); verdict.Class != OK {
		return keystore.Item{}, verdict.withServer(c.url)
	}
	answer, flaw := a.object()
	if flaw != "" {
		return keystore.Item{}, malformed(a, flaw).withServer(c.url)
	}
	token, _ := answer.text("token")
	claims, _ := jwtClaims(token)
	raw := claims["api_key"]
	defer clear(raw)
	key, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	item := e.server.NewItem("", ByKeyLogin)
	if item.APIKey = keystore.NewSecret(key); err != nil || CheckAPIKey(item.APIKey) != nil {
		item.Wipe()
		return keystore.Item{}, malformed(a, "holds no API key").withServer(c.url)
	}
	return item, nil
}

// classifyKeyLogin is [Classify] for an endpoint that refuses by a bare 401, without a body or with a line of text. A
// web page comes from something in between.
func classifyKeyLogin(a Answer) Error {
	e := Classify(a, Password)
	media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if a.Err == nil && a.Status == http.StatusUnauthorized && media != "text/html" && e.Class == TransientSlow {
		e.Class, e.RetryAfter = Refused, 0
		e.Reason = reason(e, Password, "")
	}
	return e
}
