package grant

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	lifetimeAssumed = 5 * time.Minute
	lifetimeMost    = 24 * time.Hour
	// lifetimeLeast is the least life of a new token that one clock is believed against another one.
	lifetimeLeast = time.Minute
)

// lifetime returns how long a token may be used, counted by boot time from sent. A duration needs no clock: expires_in
// (RFC 6749 §5.1) is one, exp - iat of a JWT (RFC 7519 §4.1) another. expires_at and exp are times and need a clock,
// the server's Date or this machine's. Each of these may be wrong, as may the clock that set expires_at and exp.
//
//	expires_in  exp - iat  the life
//	there       there      the lesser of the two *
//	there       –          expires_in *
//	–           there      exp - iat *
//	0           any        as if expires_in were not there: servers that do not say so send a 0
//	below 1     any        an error: the server says that the token has expired
//	–           –          the least that is left, above zero, until expires_at or exp, by Date and by
//	                       this machine's clock; a minute where it is less by one of the two only:
//	                       else a clock that is wrong by nearly the life has a token renewed every
//	                       few seconds, or never
//	–           –          an error where a time is given and has passed by every clock there is
//	–           –          five minutes, assumed, where no time is given
//
//	* or less, where Date and this machine's clock agree on what is left until expires_at or exp, and this is above 0.
//	  Where they do not agree, or say that it has passed, the duration stands: an API that refuses the token ends it.
//
// exp - iat is reduced by a second, since servers round iat down to a second. An exp - iat that is not above zero, or
// is more than a day, is ignored: one of the two claims is wrong, or the value is of no use. Every lifetime is at most
// a day. Fractions of a second are rounded down. A string counts where [seconds] reads it, but never in a JWT. The Age
// header is ignored: a cache does not keep an answer with a token (RFC 6749 §5.1).
//
// SpatiaFi's and Climate Engine's three disagree: exp is 900 s away, expires_at 840 s, expires_in is 839 s.
func lifetime(body object, access string, sent, date time.Time) (life time.Duration, assumed bool, flaw string) {
	life = lifetimeMost
	known := false
	if in, ok := number(unquoted(body["expires_in"])); ok && in != 0 {
		if in < 1 {
			return 0, false, "says that the token has expired"
		}
		life, known = duration(math.Floor(in)), true
	}
	exp, span, isJWT := jwtTimes(access)
	if span > 0 {
		life, known = min(life, duration(span)), true
	}
	var ends []float64
	if at, ok := seconds(body["expires_at"]); ok {
		ends = append(ends, at)
	}
	if isJWT {
		ends = append(ends, exp)
	}
	if known {
		if agree := date.Sub(sent.Round(0)).Abs() <= wrongClock; agree {
			life = min(life, leastLeft(ends, date.Add(time.Second)))
		}
		return life, false, ""
	}
	if len(ends) == 0 {
		return lifetimeAssumed, true, ""
	}
	life = leastLeft(ends, sent)
	if !date.IsZero() {
		// Date is cut to a second; the server's time is at most this
		byDate := leastLeft(ends, date.Add(time.Second))
		longer := max(life, byDate)
		if life = min(life, byDate); longer >= lifetimeLeast && longer != never {
			life = max(life, lifetimeLeast)
		}
	}
	if life == never {
		return 0, false, "holds a token that has expired"
	}
	return min(life, lifetimeMost), false, ""
}

// sessionMost bounds what a server says of a session.
const sessionMost = 10 * 365 * 24 * time.Hour

// sessionLeft returns how long a session's refresh token may be used by the server's answer: refresh_expires_in is
// Keycloak's name, which is 0 where it does not end ([Keycloak]); refresh_token_expires_in is Microsoft's and GitHub's
// (docs.github.com, "Refreshing user access tokens"). 0 means that the server does not say.
//
// [Keycloak]: https://github.com/keycloak/keycloak/issues/8919
func sessionLeft(body object) time.Duration {
	for _, name := range []string{"refresh_expires_in", "refresh_token_expires_in"} {
		if in, ok := seconds(body[name]); ok && in > 0 {
			return time.Duration(min(in, sessionMost.Seconds())) * time.Second
		}
	}
	return 0
}

// never is longer than any lifetime.
const never time.Duration = math.MaxInt64

// leastLeft returns the shortest time above zero until one of ends; never where all have passed.
func leastLeft(ends []float64, now time.Time) time.Duration {
	life := never
	for _, end := range ends {
		if left := duration(end - unix(now)); left > 0 {
			life = min(life, left)
		}
	}
	return life
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// duration converts seconds without overflow: at most a day.
func duration(s float64) time.Duration {
	return time.Duration(min(max(s, -1), lifetimeMost.Seconds()) * float64(time.Second))
}

// seconds reads a number, rounded down, or a string of at most ten digits. It reports false for any other value.
func seconds(raw json.RawMessage) (float64, bool) {
	f, ok := number(unquoted(raw))
	return math.Floor(f), ok
}

// unquoted returns a string of at most ten digits as a number, any other string as nothing, and all else as it is.
func unquoted(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || raw[0] != '"' {
		return raw
	}
	if s := strings.Trim(string(raw), `"`); isDigits(s) && len(s) <= 10 {
		return json.RawMessage(s)
	}
	return nil
}

// number reads a JSON number; one that is out of range is infinite.
func number(raw json.RawMessage) (float64, bool) {
	s := string(raw)
	if s == "" || s[0] != '-' && !isDigits(s[:1]) {
		return 0, false
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range is ±Inf, which is as good
	return f, true
}

// jwtTimes returns exp (RFC 7519 §4.1.4), rounded down, and exp - iat as [lifetime] counts it, if the token is a JWT.
// An access token is opaque to the client (RFC 6749 §1.4), so its signature is not checked: the token came over TLS
// from the server that issued it, and no other claim is used. span is 0 where it says nothing.
func jwtTimes(access string) (exp, span float64, ok bool) {
	claims, ok := jwtClaims(access)
	if !ok {
		return 0, 0, false
	}
	if exp, ok = number(claims["exp"]); !ok {
		return 0, 0, false
	}
	if iat, ok := number(claims["iat"]); ok {
		if s := math.Floor(exp - iat); s >= 1 && s <= lifetimeMost.Seconds() {
			span = max(s-1, 1) // iat is cut to a second: the token was issued up to one later
		}
	}
	return math.Floor(exp), span, true
}
