package grant

import (
	"net/http"
	"strings"
	"time"
)

const (
	retryUnknown = time.Minute // for 429 without a wish, and for a wish that cannot be read
	retryLeast   = time.Second
	retryMost    = time.Hour
	longerMost   = 2 * time.Minute // by which a wait may be longer by the server's Date than by this machine's clock
)

// retryAfter returns the least wait that the server asks for (RFC 9110 §10.2.3), within bounds, or 0 where it asks for
// none. own is false for a default that is not the server's own. Where a quota is used up, the wait lasts at least
// until it is filled again.
func retryAfter(a Answer) (wish time.Duration, own bool) {
	wish, own = readRetryAfter(a)
	if full := quotaWait(a); full > 0 {
		return max(wish, full), true
	}
	if !own && a.Status == http.StatusTooManyRequests {
		return retryUnknown, false
	}
	return wish, own
}

// readRetryAfter reads the header Retry-After.
func readRetryAfter(a Answer) (wish time.Duration, own bool) {
	text := strings.TrimSpace(a.Header.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if n, ok := digits(text); ok {
		return bounded(n), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return retryUnknown, true
	}
	return bounded(a.until(at)), true
}

// until returns how long it is until a time that the server named, by the answer's Date. A proxy may have written Date:
// where the wait has passed by Date, or is minutes longer than by this machine's clock, this machine's clock is used.
// So one wrong clock alone cannot make a wait of seconds one of an hour. The result is not above zero where the time
// has passed by both.
func (a Answer) until(at time.Time) time.Duration {
	here := at.Sub(a.At)
	date := a.date()
	if date.IsZero() {
		return here
	}
	there := at.Sub(date)
	if here > 0 && (there <= 0 || there-here > longerMost) {
		return here
	}
	return there
}

// quotaWait returns how long the server grants nothing more, by the headers that count requests, or 0 where they do not
// say so. These are Auth0's quota of a machine's client, and the rate limit headers of many servers.
func quotaWait(a Answer) time.Duration {
	var wait time.Duration
	for bucket := range strings.SplitSeq(a.Header.Get("Auth0-Client-Quota-Limit"), ",") { // b=per_hour;q=10;r=0;t=3540
		left, resets := quotaField(bucket, "r"), quotaField(bucket, "t")
		if n, ok := digits(left); ok && n == 0 {
			t, _ := digits(resets)
			wait = max(wait, t)
		}
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} {
		left, said := digits(a.Header.Get(prefix + "Remaining"))
		resets, ok := digits(a.Header.Get(prefix + "Reset"))
		if !ok || left > 0 || !said && a.Status != http.StatusTooManyRequests {
			continue
		}
		if resets > absolute { // Auth0: Unix seconds; elsewhere: seconds from now
			resets = a.until(time.Unix(int64(resets/time.Second), 0))
		}
		wait = max(wait, resets)
	}
	if wait <= 0 {
		return 0
	}
	return bounded(wait)
}

// absolute tells a duration from a Unix time: every duration is below it, and every date in use is above.
const absolute = 1e9 * time.Second

// quotaField returns the value of one name in "name=value;name=value".
func quotaField(list, name string) string {
	for part := range strings.SplitSeq(list, ";") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(part), name+"="); ok {
			return value
		}
	}
	return ""
}

func bounded(wish time.Duration) time.Duration { return min(max(wish, retryLeast), retryMost) }

// digits reads a whole number of seconds. A number beyond every date is cut to the greatest.
func digits(s string) (time.Duration, bool) {
	if !isDigits(s) {
		return 0, false
	}
	var n int64
	for _, c := range []byte(s) {
		if n = 10*n + int64(c-'0'); n > 9e9 {
			return 9e9 * time.Second, true
		}
	}
	return time.Duration(n) * time.Second, true
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
