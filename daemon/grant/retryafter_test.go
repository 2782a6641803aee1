package grant

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// A Retry-After that is a date is measured against the Date beside it, so that this machine's clock means nothing, and
// is an hour at most, whatever both say.
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

// A Date that is wrong alone, or this machine's clock that is, makes a wait longer by two minutes at most; a count of
// requests that names when it begins anew is no other.
func TestG10AWaitUntilATimeOfTheServers(t *testing.T) {
	const wait = 5 * time.Minute
	for _, off := range []time.Duration{
		-90 * time.Second, 90 * time.Second, -time.Hour, time.Hour, -30 * time.Minute, 24 * time.Hour,
		-10 * 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour,
	} {
		for who, a := range map[string]Answer{"Date": said(429, "{}"), "this machine's clock": said(429, "{}")} {
			server := a.At.Truncate(time.Second)
			a.Header.Set("Date", server.UTC().Format(http.TimeFormat))
			if who == "Date" {
				a.Header.Set("Date", server.Add(off).UTC().Format(http.TimeFormat))
			} else {
				a.At = a.At.Add(off)
			}
			for name, value := range map[string]string{
				"Retry-After":       server.Add(wait).UTC().Format(http.TimeFormat),
				"X-RateLimit-Reset": fmt.Sprint(server.Add(wait).Unix()),
			} {
				b := a
				b.Header = a.Header.Clone()
				b.Header.Set("X-RateLimit-Remaining", "0")
				b.Header.Set(name, value)
				if wish, own := retryAfter(b); wish > wait+longerMost+time.Second || !own {
					t.Errorf("%s, %s is %s off: a wait of %s", name, who, off, wish)
				}
			}
		}
	}
}
