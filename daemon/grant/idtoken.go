package grant

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// IDToken is one ID token (OpenID Connect Core §2): it says to a client who signed in, and is no access token. What it
// claims was checked when it came; its signature is checked by [Endpoint.VerifyIDToken], which reads the server's keys
// and so waits until somebody asks for the token. It may be shared, and is not changed but for what is known of its
// signature.
type IDToken struct {
	Text keystore.Secret
	// Sent is when the request that brought it was sent, and Lifetime how long after that it may be used.
	Sent     clock.Instant
	Lifetime time.Duration
	// Subject is its sub, which a renewal must not change (§12.2).
	Subject string
	// Account is what it calls the person, for people to read: nothing is decided by it.
	Account string
	// Flaw says why it is never handed out, as a predicate of the answer that brought it; empty where its claims are
	// right.
	Flaw string
	// Destinations are those of the access token that came with it.
	Destinations *Destinations

	signed atomic.Bool  // a key of the server's, or the client's secret, has signed it
	unfit  atomic.Int64 // the last reading of the server's keys that did not fit it, see keySet
}

// Remaining returns how long the token is still valid at an instant; not above zero once it has expired.
func (i *IDToken) Remaining(now clock.Instant) time.Duration { return i.Lifetime - now.Sub(i.Sent) }

// Verified reports whether the token may be handed out: its claims are right and its signature was checked.
func (i *IDToken) Verified() bool { return i.Flaw == "" && i.signed.Load() }

// AdoptIDToken returns an ID token that another process of the same user held, with what that knew of it.
func AdoptIDToken(text keystore.Secret, sent clock.Instant, life time.Duration, subject string, to *Destinations,
	verified bool) *IDToken {
	i := &IDToken{Text: text, Sent: sent, Lifetime: life, Subject: subject, Destinations: to}
	i.signed.Store(verified)
	return i
}

// maxSubject is how long a sub may be: 255 ASCII characters (OpenID Connect Core §2). No control character is taken.
const maxSubject = 255

// parseIDToken reads the id_token of an answer for an item's client. It returns nil where the answer has none. One that
// cannot be used has its Flaw: that takes nothing from the access token.
func (e *Endpoint) parseIDToken(body object, item keystore.Item, sent clock.Instant, date time.Time) *IDToken {
	raw := body["id_token"]
	if missing(raw) || string(raw) == `""` {
		return nil
	}
	i := &IDToken{Sent: sent, Destinations: e.DestinationsOf(item)}
	text, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	if err != nil || len(text) > maxToken || !IsB64Token(text) {
		i.Flaw = "holds an ID token that cannot be read"
		return i
	}
	i.Text = keystore.NewSecret(text)
	claims, ok := jwtClaims(i.Text.Reveal())
	if !ok {
		i.Flaw = "holds an ID token that cannot be read (an encrypted one needs a key that groat does not have)"
		return i
	}
	i.Subject, _ = claims.text("sub")
	i.Account = account(claims)
	if !isIDType(i.Text.Reveal()) {
		i.Flaw = "holds a JWT of another type than an ID token's"
		return i
	}
	if i.Flaw = e.checkClaims(claims, item); i.Flaw == "" {
		i.Lifetime, i.Flaw = idLifetime(claims, sent.Wall, date)
	}
	if i.Flaw == "" && signedBySecret(i.Text.Reveal()) {
		i.Flaw = i.verifySecret(item.ClientSecret)
	}
	return i
}

// account is the first claim that a person is known by to others (OpenID Connect Core §5.1), where there is one of a
// reasonable length: an address has 254 characters at most (RFC 5321, erratum 1690).
func account(claims object) string {
	for _, name := range []string{"email", "preferred_username"} {
		if text, ok := claims.text(name); ok && text != "" && len(text) < 256 {
			return text
		}
	}
	return ""
}

// claimTypes are the types of the claims that groat looks at (RFC 7519 §4.1, OpenID Connect Core §2).
var claimTypes = map[string]func(raw json.RawMessage) bool{
	"iss": isText, "sub": isText, "azp": isText, "nonce": isText, "aud": isTextOrList,
	"exp": isNumber, "iat": isNumber, "nbf": isNumber,
}

func isText(raw json.RawMessage) bool { return raw[0] == '"' }

func isNumber(raw json.RawMessage) bool {
	_, ok := number(raw)
	return ok
}

func isTextOrList(raw json.RawMessage) bool {
	var all []json.RawMessage
	return isText(raw) || json.Unmarshal(raw, &all) == nil &&
		!slices.ContainsFunc(all, func(one json.RawMessage) bool { return !isText(one) })
}

// illTyped returns the first claim by name that is there and of another type than it must be, or "": such a claim never
// counts as missing. A null does (OpenID Connect Core §5.3.2).
func (o object) illTyped() (name string) {
	for _, name := range slices.Sorted(maps.Keys(claimTypes)) {
		if raw := o[name]; !missing(raw) && !claimTypes[name](raw) {
			return name
		}
	}
	return ""
}

// idTypes are the types that ID tokens are marked with, in small letters. OpenID Connect Core names none; nearly all
// have "JWT", those of Connect2id's server may have "id_token+jwt"
// (https://connect2id.com/products/server/docs/guides/explicitly-typed-id-token-and-userinfo-jwt).
var idTypes = []string{"jwt", "id_token+jwt"}

// isIDType reports whether a JWT may be an ID token by the type in its header, if it has one. Another type is another
// kind of JWT, such as an access token (at+jwt, RFC 9068 §2.1) or a logout token (logout+jwt, OpenID Connect
// Back-Channel Logout §2.4), which the same server signs for the same client: RFC 8725 §3.11 and §3.12.
func isIDType(token string) bool {
	raw := joseHeader(token)["typ"]
	if missing(raw) {
		return true
	}
	typ, _ := object{"typ": raw}.text("typ")
	return slices.Contains(idTypes, strings.TrimPrefix(strings.ToLower(typ), "application/")) // RFC 7515 §4.1.9
}

// checkClaims says why an ID token is not for an item's client, or not about its session (OpenID Connect Core §3.1.3.7
// numbers 2 to 5, §12.2).
func (e *Endpoint) checkClaims(claims object, item keystore.Item) (flaw string) {
	if name := claims.illTyped(); name != "" {
		return "holds an ID token whose claim " + name + " is of the wrong type"
	}
	issuer, _ := claims.text("iss")
	subject, _ := claims.text("sub")
	flaw = e.checkAudience(claims, item)
	switch {
	case issuer != e.server.Issuer:
		return "holds an ID token of another issuer: " + shown(issuer)
	case flaw != "":
		return flaw
	case subject == "":
		return "holds an ID token that names nobody"
	case len(subject) > maxSubject || !printableASCII([]byte(subject)):
		return "holds an ID token whose sub is not 1 to 255 characters of printable ASCII"
	case item.IDSubject != "" && subject != item.IDSubject:
		return "holds an ID token about somebody else than who signed in"
	}
	return ""
}

// checkAudience says why an ID token is not for an item's client. A service account's is for the audience that was
// asked for and for nothing else; its azp is the account, in one of several spellings, and says nothing more.
func (e *Endpoint) checkAudience(claims object, item keystore.Item) (flaw string) {
	audiences := claims.list("aud")
	if target := e.server.TargetAudience; target != "" {
		if len(audiences) != 1 || audiences[0] != target {
			return "holds an ID token for another audience"
		}
		return ""
	}
	party, named := claims.text("azp")
	switch {
	case !slices.Contains(audiences, item.ClientID):
		return "holds an ID token for another client"
	case named && party != item.ClientID, !named && len(audiences) > 1:
		return "holds an ID token that was issued to another client"
	}
	return ""
}

// idLifetime returns how long an ID token may be used, counted by boot time from sent: the lesser of exp - iat and of
// what is left until exp by the server's own clock, its Date header, or by this machine's where there is none. Both
// claims are required (OpenID Connect Core §2); nbf is not (RFC 7519 §4.1.5). Date and iat are cut to a second: the
// token is up to one older. A life is at most a day, as [lifetime] has it.
func idLifetime(claims object, sent, date time.Time) (life time.Duration, flaw string) {
	exp, ok := number(claims["exp"])
	iat, issued := number(claims["iat"])
	if !ok || !issued {
		return 0, "holds an ID token that does not say when it was issued and when it expires"
	}
	server := date.Add(time.Second)
	if date.IsZero() {
		server = sent
	}
	soon := unix(server) + signedSlow.Seconds()
	nbf, bounded := number(claims["nbf"])
	switch life := math.Floor(min(exp-unix(server), exp-iat-1)); {
	case iat > soon:
		return 0, "holds an ID token that is issued in the future"
	case bounded && nbf > soon:
		return 0, "holds an ID token that is not valid yet"
	case life < 1:
		return 0, "holds an ID token that has expired"
	default:
		return duration(life), ""
	}
}

// secretMethods are the algorithms that sign with the client's secret (RFC 7518 §3.2, OpenID Connect Core §10.1).
var secretMethods = []string{"HS256", "HS384", "HS512"}

// joseHeader returns the header of a signed JWT, which [jwtClaims] can read.
func joseHeader(token string) (header object) {
	part, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || strictjson.Check(text) != nil || json.Unmarshal(text, &header) != nil {
		return nil
	}
	return header
}

func signedBySecret(token string) bool {
	alg, _ := joseHeader(token).text("alg")
	return slices.Contains(secretMethods, alg)
}

// verifySecret checks a signature by the client's secret, which needs nothing of the server. It returns a flaw.
func (i *IDToken) verifySecret(secret keystore.Secret) (flaw string) {
	if secret.IsZero() {
		return "holds an ID token that is signed with a secret, which this client does not have"
	}
	key := secret.AppendTo(nil)
	defer clear(key)
	token := i.Text.Reveal()
	if unknownExtension(token) {
		return "holds an ID token with an extension that is not known"
	}
	parser := jwt.NewParser(jwt.WithValidMethods(secretMethods), jwt.WithoutClaimsValidation())
	if _, err := parser.Parse(token, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
		return "holds an ID token that the client's secret has not signed"
	}
	i.signed.Store(true)
	return ""
}

// VerifyIDToken checks the signature of an ID token of this server, unless that is known. It may read the server's
// metadata and keys, which anybody may read, and takes as long as ctx allows. That a key does not fit is remembered
// until the keys are read anew. The error is an [*Error], or wraps [ErrEndpointChanged]; the token must not be handed
// out then.
func (e *Endpoint) VerifyIDToken(ctx context.Context, i *IDToken) error {
	if to := i.Destinations; to.Issuer != e.server.Issuer || to.TokenEndpoint != e.server.TokenEndpoint {
		return ErrEndpointChanged
	}
	if i.Flaw != "" {
		refused := &Error{Class: Misconfigured, Reason: "gave an answer that " + i.Flaw}
		return refused.withServer(e.server.TokenEndpoint)
	}
	if i.signed.Load() {
		return nil
	}
	if flaw := e.signedByServer(ctx, i.Text.Reveal(), &i.unfit, jwt.WithoutClaimsValidation()); flaw != "" {
		refused := &Error{Class: Malformed, Reason: "gave an ID token that " + flaw}
		return refused.withServer(e.server.TokenEndpoint)
	}
	i.signed.Store(true)
	return nil
}
