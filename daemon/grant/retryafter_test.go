package grant

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// A Retry-After that is a date is measured against the Date beside it, so that this machine's clock means nothing, and is an
// hour at most, whatever both say.
func TestG6RetryAfterByTheServersOwnClock(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for range 2000 {
		shift := time.Duration(rng.Int64N(int64(20*365*24*time.Hour))-int64(10*365*24*time.Hour)) >> rng.IntN(24)
		a := said(503, "{}")
		a.Header.Set("Date", noon.Add(shift).Format(http.TimeFormat))
		a.Header.Set("Retry-After", noon.Add(shift+2*time.Minute).Format(http.TimeFormat))
		if wish, own := retryAfter(a); wish != 2*time.Minute || !own {
			t.Fatalf("a server that is %s off: %s", shift, wish)
		}
		a.Header.Set("Date", noon.Format(http.TimeFormat)) // the proxy's
		if wish, own := retryAfter(a); wish < time.Second || wish > time.Hour || !own {
			t.Fatalf("a proxy that is %s off: %s", shift, wish)
		}
		a.Header.Del("Date")
		if wish, own := retryAfter(a); wish < time.Second || wish > time.Hour || !own {
			t.Fatalf("without Date, %s off: %s", shift, wish)
		}
	}
}
