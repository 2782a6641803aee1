package grant

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// UserTokens describes the tokens that Earthdata Login keeps for a person: each ends 60 days after it was made, and a
// person has two at most ([1]). [Server.KeyLogin] answers with one that the person has, or makes the first. The token
// is the credential: the password is not needed again until it ends.
//
// [1]: https://urs.earthdata.nasa.gov/documentation/for_users/user_token
type UserTokens struct {
	// Create makes one more; List answers with all that are valid.
	Create, List string
	// Page is where a person sees and deletes them. groat does not: the one way that is documented has the token in the
	// address, where servers and proxies log it, and takes the person's password once more.
	Page string
	// Lifetime is how long a token lives.
	Lifetime time.Duration
}

// EndingSoon is how much of its life a user token must have left so that it is worth keeping: one that ends sooner is
// what a person is warned of, and signs in again to replace.
const EndingSoon = 7 * 24 * time.Hour

// KeyEndedError means that an API key had an end, which has passed by this machine's clock.
type KeyEndedError struct{ At string }

func (e *KeyEndedError) Error() string {
	return fmt.Sprintf("the token ended at %s, by this machine's clock", e.At)
}

// userToken is one of a person's tokens, as the server describes it.
type userToken struct {
	token keystore.Secret
	ends  time.Time
}

func (u userToken) endsSoon(now time.Time) bool { return u.ends.Sub(now) < EndingSoon }

// UserToken signs in with a person's user name and password, by HTTP Basic, and returns an item that holds a token of
// that person's. Where the token that the server finds ends soon, UserToken asks for one more, and where the server
// refuses that, for the one that lasts longest. It sends at most three requests, all with the password, which stays the
// caller's to wipe. soon reports whether the token ends within [EndingSoon] all the same. The error is an [*Error]
// or [ErrNotOffered].
func (e *Endpoint) UserToken(ctx context.Context, username string,
	password keystore.Secret) (item keystore.Item, soon bool, err error) {
	tokens := e.server.UserTokens
	if tokens == nil || e.server.KeyLogin == "" {
		return keystore.Item{}, false, ErrNotOffered
	}
	if strings.Contains(username, ":") {
		colon := &Error{Class: Misconfigured, Reason: "cannot be sent a user name with a colon"}
		return keystore.Item{}, false, colon.withServer(e.server.KeyLogin)
	}
	credentials := basicCredentials(username, password.Reveal())
	ask := func(method, url string) (Answer, error) {
		a, _, err := e.send(ctx, e.ownDestinations(ByKeyLogin), httpRequest{
			method: method, url: url, authorization: "Basic " + credentials,
			carried: []keystore.Secret{password, keystore.SecretString(credentials)},
		})
		return a, err
	}
	best, err := oneUserToken(ask, e.server.KeyLogin)
	if err != nil {
		return keystore.Item{}, false, err
	}
	now := e.now().Wall
	if best.endsSoon(now) {
		if made, err := oneUserToken(ask, tokens.Create); err == nil {
			best.token.Wipe()
			best = made
		} else if a, err := ask(http.MethodGet, tokens.List); err == nil {
			best = longestLived(best, a)
		}
	}
	if !best.ends.After(now) {
		best.token.Wipe()
		ended := &Error{Class: Misconfigured, Reason: "has no token for you that ends after today, and makes none"}
		return keystore.Item{}, false, ended.withServer(tokens.Create)
	}
	item = e.server.NewItem("", ByKeyLogin)
	item.APIKey, item.KeyEnds = best.token, best.ends.UTC().Format(time.RFC3339)
	return item, best.endsSoon(now), nil
}

// oneUserToken sends one POST, which is answered with one token.
func oneUserToken(ask func(method, url string) (Answer, error), url string) (userToken, error) {
	a, err := ask(http.MethodPost, url)
	if err != nil {
		return userToken{}, err
	}
	defer clear(a.Body)
	if verdict := classifyKeyLogin(a); verdict.Class != OK {
		return userToken{}, verdict.withServer(url)
	}
	body, flaw := a.object()
	if flaw != "" {
		return userToken{}, malformed(a, flaw).withServer(url)
	}
	u, flaw := readUserToken(body)
	if flaw != "" {
		return userToken{}, malformed(a, flaw).withServer(url)
	}
	return u, nil
}

// longestLived returns best, or one of the tokens that an answer lists and that ends later. An answer that cannot be
// read changes nothing. The other tokens are wiped.
func longestLived(best userToken, a Answer) userToken {
	defer clear(a.Body)
	var list []object
	if a.Err != nil || a.Status != http.StatusOK || a.Flaw != "" || strictjson.Check(a.Body) != nil ||
		json.Unmarshal(a.Body, &list) != nil {
		return best
	}
	for _, body := range list {
		u, flaw := readUserToken(body)
		if flaw != "" {
			continue
		}
		if !u.ends.After(best.ends) {
			u.token.Wipe()
			continue
		}
		best.token.Wipe()
		best = u
	}
	return best
}

// readUserToken reads {access_token, token_type, expiration_date}. It wipes the body's copy of the token.
func readUserToken(body object) (u userToken, flaw string) {
	raw := body["access_token"]
	defer clear(raw)
	if u.token, flaw = accessToken(raw); flaw != "" {
		return userToken{}, flaw
	}
	text := u.token.AppendTo(nil)
	defer clear(text)
	if !IsB64Token(text) || CheckAPIKey(u.token) != nil {
		u.token.Wipe()
		return userToken{}, "holds an access token that cannot be kept"
	}
	if u.ends = KeyEnd(u.token); u.ends.IsZero() {
		day, _ := body.text("expiration_date")
		u.ends = startOf(day)
	}
	if u.ends.IsZero() {
		u.token.Wipe()
		return userToken{}, "does not say when the token ends"
	}
	return u, ""
}

// startOf reads Earthdata Login's expiration_date, a day without a time and a zone: "12/15/2021", the month first
// ([1]). The token ends on that day; the day's first moment, in UTC, is the last one of which that is sure everywhere
// in America. It returns the zero time for any other text.
//
// [1]: https://github.com/nsidc/earthaccess/blob/main/tests/unit/test_auth.py
func startOf(day string) time.Time {
	t, err := time.Parse("1/2/2006", day)
	if err != nil {
		return time.Time{}
	}
	return t
}

// KeyEnd returns when an API key ends that is a JWT, which says so itself (RFC 7519 §4.1.4). It is the zero time where
// the key is none, says nothing, or could not be handed out as an access token.
func KeyEnd(key keystore.Secret) time.Time {
	text := key.AppendTo(nil)
	defer clear(text)
	if !IsB64Token(text) {
		return time.Time{}
	}
	exp, _, ok := jwtTimes(key.Reveal())
	if !ok || exp <= 0 || exp > maxUnix {
		return time.Time{}
	}
	return time.Unix(int64(exp), 0).UTC()
}

// LatestEnd returns the latest time at which a token that a person brings can end, where neither it nor the server says
// more: it was made before now. It is the zero time for a key that could not be handed out as an access token, and
// where the server has no such tokens.
func (s Server) LatestEnd(key keystore.Secret, now time.Time) time.Time {
	text := key.AppendTo(nil)
	defer clear(text)
	if s.UserTokens == nil || !IsB64Token(text) {
		return time.Time{}
	}
	return now.Add(s.UserTokens.Lifetime).UTC()
}

// maxUnix is the last second of the year 9999, which RFC 3339 can write.
const maxUnix = 253402300799
