package grant

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

// issued is an answer of a token endpoint, with every witness of a token's life. Times are seconds from noon; nil:
// missing.
type issued struct {
	in, at, exp, iat any
	date, local      time.Duration // by which these two clocks are wrong
	dateless         bool
}

func (i issued) life() (time.Duration, bool, error) {
	abs := func(v any) any {
		switch v := v.(type) {
		case int:
			return int(noon.Unix()) + v
		case float64:
			return fmt.Sprintf("%.2f", float64(noon.Unix())+v)
		}
		return v
	}
	var members, claims []string
	add := func(to *[]string, name string, v any) {
		if v != nil {
			*to = append(*to, fmt.Sprintf("%q:%v", name, v))
		}
	}
	add(&claims, "exp", abs(i.exp))
	add(&claims, "iat", abs(i.iat))
	access := "opaque"
	if claims != nil {
		access = jwtWith("{" + strings.Join(claims, ",") + "}")
	}
	add(&members, "access_token", `"`+access+`"`)
	add(&members, "expires_in", i.in)
	add(&members, "expires_at", abs(i.at))
	a := said(200, "{"+strings.Join(members, ",")+"}")
	a.Header.Set("Date", noon.Add(i.date).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	if i.dateless {
		a.Header.Del("Date")
	}
	t, err := parseToken(a, clock.Instant{Wall: noon.Add(i.local)}, nil, noteWider)
	return t.Lifetime, t.LifetimeAssumed, err
}

// Every combination of what says how long a token lives, and of clocks that are right, wrong and missing.
func TestG1TheLifeOfAToken(t *testing.T) {
	const hour, year = time.Hour, 365 * 24 * time.Hour
	for _, c := range []struct {
		name string
		issued
		want    int // seconds; 0: an error
		assumed bool
	}{
		{name: "two durations", issued: issued{in: 900, exp: 600, iat: 0, local: hour}, want: 599},
		{name: "two durations, the other way", issued: issued{in: 600, exp: 900, iat: 0, date: hour}, want: 600},
		{name: "exp - iat alone", issued: issued{exp: 900, iat: 0, date: -hour}, want: 899},
		{name: "exp - iat alone, without Date and years off",
			issued: issued{exp: 900, iat: 0, local: 10 * year, dateless: true}, want: 899},
		{name: "a JWT issued before it was asked for", issued: issued{exp: 400, iat: -500}, want: 399},
		{name: "a JWT issued before, the clocks disagree", issued: issued{exp: 400, iat: -500, date: hour}, want: 899},
		{name: "a JWT of a server whose clock is an hour behind",
			issued: issued{in: 900, exp: 900 - 3600, iat: -3600}, want: 899},
		{name: "a JWT of a server whose clock is an hour ahead", issued: issued{exp: 900 + 3600, iat: 3600}, want: 899},
		{name: "iat after exp", issued: issued{in: 900, exp: 900, iat: 1000}, want: 899},
		{name: "iat after exp, nothing else", issued: issued{exp: 900, iat: 1000}, want: 899},
		{name: "iat is exp", issued: issued{exp: 900, iat: 900, dateless: true}, want: 900},
		{name: "iat in 1970", issued: issued{exp: 900, iat: "1"}, want: 899},
		{name: "iat is negative", issued: issued{exp: 900, iat: "-5", dateless: true}, want: 900},
		{name: "fractions round down", issued: issued{exp: 900.25, iat: 0.5, date: hour}, want: 898},
		{name: "a second", issued: issued{in: 900, exp: 1, iat: 0, date: hour}, want: 1},
		{name: "less than a second", issued: issued{in: 900, exp: 0.75, iat: 0.25, date: hour}, want: 900},
		{name: "iat as a string says nothing", issued: issued{in: 900, exp: 500, iat: `"1"`, date: hour}, want: 900},
		{name: "exp beyond all", issued: issued{in: 900, exp: "1e999", iat: 0}, want: 900},
		{name: "exp and iat beyond all", issued: issued{in: 900, exp: "1e999", iat: "1e999"}, want: 900},
		{name: "a day", issued: issued{exp: 86400, iat: 0, date: hour}, want: 86399},
		{name: "two days", issued: issued{exp: 2 * 86400, iat: 0}, want: 86400},
		{name: "expires_in beyond a day", issued: issued{in: 2 * 86400}, want: 86400},
		{name: "expires_in is over, exp is not", issued: issued{in: -1, exp: 900, iat: 0}},
		{name: "expires_in is 0, exp says more", issued: issued{in: 0, exp: 900, iat: 0}, want: 899},

		{name: "expires_at shortens where the clocks agree", issued: issued{in: 900, at: 300}, want: 299},
		{name: "and not where Date is 90 s off", issued: issued{in: 900, at: 300, date: 90 * time.Second}, want: 900},
		{name: "and not where this machine is 90 s off",
			issued: issued{in: 900, at: 300, local: -90 * time.Second}, want: 900},
		{name: "and not without Date", issued: issued{in: 900, at: 300, dateless: true}, want: 900},
		{name: "expires_at in milliseconds", issued: issued{in: 900, at: "1767355800000"}, want: 900},

		{name: "exp without iat", issued: issued{exp: 900}, want: 899},
		{name: "exp without iat, Date an hour ahead", issued: issued{exp: 900, date: hour}, want: 900},
		{name: "exp without iat, Date an hour behind", issued: issued{exp: 900, date: -hour}, want: 900},
		{name: "exp without iat, Date 90 s ahead", issued: issued{exp: 900, date: 90 * time.Second}, want: 809},
		{name: "exp without iat, ten years ahead here", issued: issued{exp: 900, local: 10 * year}, want: 899},
		{name: "exp without iat, ten years behind here", issued: issued{exp: 900, local: -10 * year}, want: 899},
		{name: "exp without iat, ahead here by nearly the life", issued: issued{exp: 900, local: 890 * time.Second}, want: 60},
		{name: "exp without iat, ahead here by all but a minute", issued: issued{exp: 900, local: 840 * time.Second}, want: 60},
		{name: "exp without iat, Date ahead by nearly the life", issued: issued{exp: 900, date: 890 * time.Second}, want: 60},
		{name: "exp without iat, two minutes, Date 90 s ahead", issued: issued{exp: 120, date: 90 * time.Second}, want: 60},
		{name: "exp without iat, ten seconds, an hour behind here", issued: issued{exp: 10, local: -hour}, want: 60},
		{name: "exp without iat, ten seconds by both", issued: issued{exp: 10}, want: 9},
		{name: "exp without iat, ten seconds, an hour ahead here", issued: issued{exp: 10, local: hour}, want: 9},
		{name: "expires_at alone, an hour ahead here", issued: issued{at: 900, local: hour}, want: 899},
		{name: "expires_at has passed, exp has not", issued: issued{at: -900, exp: 900}, want: 899},
		{name: "expires_at and exp have passed", issued: issued{at: -900, exp: -900}},
		{name: "exp has passed here, without Date", issued: issued{exp: 900, local: hour, dateless: true}},
		{name: "nothing", issued: issued{}, want: 300, assumed: true},
		{name: "iat alone", issued: issued{iat: 0}, want: 300, assumed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			life, assumed, err := c.life()
			if e, ok := errors.AsType[*Error](err); c.want == 0 && ok && e.Class == Malformed {
				return
			}
			if err != nil || life != time.Duration(c.want)*time.Second || assumed != c.assumed {
				t.Errorf("got %v, assumed %v, %v", life, assumed, err)
			}
		})
	}
}

// With one clock wrong, whichever it is and by how much, a token is never taken to live longer than it does, and never
// for dead. A server with a wrong clock of its own makes exp, iat and expires_at by it.
func TestG1NoSingleWrongClockChangesALife(t *testing.T) {
	const life = 900
	rng := rand.New(rand.NewPCG(7, 7))
	for range 20_000 {
		wrong := time.Duration(90+rng.Int64N(10*365*86400)>>rng.IntN(22)) * time.Second
		wrong = max(wrong, 90*time.Second)
		if rng.IntN(2) == 0 {
			wrong = -wrong
		}
		s := int(wrong / time.Second)
		i := issued{}
		ends := 0 // what only a clock can measure is all there is
		switch rng.IntN(5) {
		case 0: // opaque
			i.in = life
		case 1:
			i.in, i.at = life, life
		case 2:
			i.exp, i.iat = life, 0
		case 3:
			i.in, i.at, i.exp, i.iat = life, life, life, 0
		case 4:
			i.exp, ends = life, 1
		}
		which := rng.IntN(3 + 3*(1-ends))
		switch {
		case which == 0:
			i.date = wrong
		case which == 1:
			i.local = wrong
		case which == 2 && i.exp != nil && ends == 0: // the server's own clock
			i.exp, i.iat = life+s, s
			if i.at != nil {
				i.at = life + s
			}
		case which == 3 && i.exp != nil && i.in != nil:
			i.exp = life + s
		case which == 4 && i.iat != nil:
			i.iat = s
		case which == 5 && i.at != nil:
			i.at = life + s
		}
		got, assumed, err := i.life()
		if err != nil || got < time.Second || got > life*time.Second || assumed {
			t.Fatalf("%+v: %v, %v, %v", i, got, assumed, err)
		}
		if clocks := i.date != 0 || i.local != 0; clocks && ends == 0 && got < (life-1)*time.Second {
			t.Fatalf("%+v: %v: a wrong clock has shortened it", i, got)
		}
	}
}

// What a server says of the refresh token's end, in its own words; 0 and nonsense say nothing.
func TestHowLongASessionIsLeft(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`{"refresh_expires_in":3600}`: time.Hour, `{"refresh_expires_in":"3600"}`: time.Hour,
		`{"refresh_expires_in":0}`: 0, `{"refresh_expires_in":-1}`: 0, `{"refresh_expires_in":null}`: 0, `{}`: 0,
		`{"refresh_expires_in":"soon"}`: 0, `{"refresh_token_expires_in":15811200}`: 183 * 24 * time.Hour,
		`{"refresh_expires_in":0,"refresh_token_expires_in":60}`: time.Minute,
		`{"refresh_expires_in":1e300}`:                           sessionMost,
	} {
		body, flaw := said(200, text).object()
		if got := sessionLeft(body); flaw != "" || got != want {
			t.Errorf("%s: %s, want %s (%s)", text, got, want, flaw)
		}
	}
}
