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
)

// retryAfter returns the server's wish (RFC 9110 §10.2.3) within bounds, or 0 where it has none. A date is measured
// against the server's own clock.
func retryAfter(a Answer) time.Duration {
	wish := strings.TrimSpace(a.Header.Get("Retry-After"))
	if wish == "" {
		if a.Status == http.StatusTooManyRequests {
			return retryUnknown
		}
		return 0
	}
	if isDigits(wish) {
		if len(wish) > 9 {
			return retryMost
		}
		n := 0
		for _, c := range wish {
			n = 10*n + int(c-'0')
		}
		return min(max(time.Duration(n)*time.Second, retryLeast), retryMost)
	}
	at, err := http.ParseTime(wish)
	if err != nil {
		return retryUnknown
	}
	now := a.date()
	if now.IsZero() {
		now = a.At
	}
	return min(max(at.Sub(now), retryLeast), retryMost)
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
