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
)

// lifetime returns how long a token may be used, counted from sent: the shortest of what the server says in up to three
// places. SpatiaFi's and Climate Engine's disagree: the JWT's exp is 900 s away, expires_at 840 s, expires_in 839 s.
//
// Absolute times are by the server's clock, so they are measured against its Date, and against this machine's clock
// only where it sent none. One that has passed is taken for a mistake if there is something better to go by, except for
// a JWT that is expired at the very moment at which the server says it was issued. flaw is not empty where nothing can
// be made of it.
func lifetime(body object, access string, sent, date time.Time) (life time.Duration, assumed bool, flaw string) {
	now, dated := date.Add(time.Second), !date.IsZero() // Date is cut to a second; the server's time is at most this
	if !dated {
		now = sent
	}
	life = lifetimeMost
	found, passed := false, false
	if in, ok := seconds(body["expires_in"]); ok {
		if in < 1 {
			return 0, false, "says that the token has expired"
		}
		life, found = min(life, duration(in)), true
	}
	if at, ok := seconds(body["expires_at"]); ok {
		if left := duration(at - unix(now)); left > 0 {
			life, found = min(life, left), true
		} else {
			passed = true
		}
	}
	if exp, ok := jwtExpiry(access); ok {
		switch left := duration(exp - unix(now)); {
		case left > 0:
			life, found = min(life, left), true
		case dated:
			return 0, false, "holds a token that has expired"
		default:
			passed = true
		}
	}
	switch {
	case found:
		return life, false, ""
	case passed:
		return 0, false, "holds a token that has expired"
	}
	return lifetimeAssumed, true, ""
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// duration converts without overflow: what is beyond a day does not matter.
func duration(s float64) time.Duration {
	return time.Duration(min(max(s, -1), lifetimeMost.Seconds()) * float64(time.Second))
}

// seconds reads a number, rounded down, or a string of at most ten digits. Everything else says nothing.
func seconds(raw json.RawMessage) (float64, bool) {
	if len(raw) == 0 {
		return 0, false
	}
	s := string(raw)
	if raw[0] == '"' {
		s = strings.Trim(s, `"`)
		if !isDigits(s) || len(s) > 10 {
			return 0, false
		}
	} else if raw[0] != '-' && !isDigits(s[:1]) {
		return 0, false
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range is ±Inf, which is as good
	return math.Floor(f), true
}

// jwtExpiry reads exp (RFC 7519 §4.1.4) if the token happens to be a JWT. To us a token is opaque (RFC 6749 §1.4) and meant
// for somebody else, so its signature is neither ours to check nor of use: the token came over TLS from the server
// that made it, and all that exp does here is to make us trust it for less time.
func jwtExpiry(access string) (float64, bool) {
	claims, ok := jwtClaims(access)
	if !ok || len(claims["exp"]) == 0 || claims["exp"][0] == '"' {
		return 0, false
	}
	return seconds(claims["exp"])
}
