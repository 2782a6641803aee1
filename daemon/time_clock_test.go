package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// the ways in which profiles are renewed: with a secret, with a refresh token, with an assertion that says what time it
// is, signed with a secret or a key.
var ways = []string{"machine", "session", "secret-assertion", "key-assertion"}

// everyWay signs in a profile of each way, named after it.
func (h *clockEnv) everyWay(t *testing.T) {
	t.Helper()
	file, public := keyPair(t)
	h.server.AddClient(sandbox.Client{ID: "keyed", Key: public})
	h.signIn(t, h.ofMachine("machine"))
	h.signIn(t, h.ofDevice("session"))
	h.signIn(t, protocol.LoginParams{
		Profile: "key-assertion", Issuer: h.server.URL(), ClientID: "keyed", ClientAuth: string(grant.PrivateKeyJWT),
		Key: file,
	})
	spatiafi := protocol.LoginParams{Profile: "secret-assertion", Provider: "spatiafi", AuthServer: h.server.URL(),
		Username: person}
	if _, err := h.visit(t).Login(t.Context(), spatiafi, typing(password)); err != nil {
		t.Fatal(err)
	}
}

// keyPair makes a key for assertions, and the file that it is in.
func keyPair(t *testing.T) (file string, public *ecdsa.PublicKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, &key.PublicKey
}

// renewals are the moments at which the server was asked for tokens, per client.
func (h *clockEnv) renewals() map[string][]time.Time {
	all := map[string][]time.Time{}
	for _, e := range h.server.Log() {
		if e.Path == h.server.TokenPath() || e.Path == sandbox.SpatiafiTokenPath {
			all[e.ClientID] = append(all[e.ClientID], e.Time)
		}
	}
	return all
}

func (h *clockEnv) renewed() (n int) {
	for _, at := range h.renewals() {
		n += len(at)
	}
	return n
}

// hours lets callers ask every minute, and makes sure that all is as on any other day: each token is renewed once in
// its life, at the point that was drawn.
func (h *clockEnv) hours(t *testing.T, n int) { h.hoursOf(t, n, ways) }

// hoursOf is hours with some of the profiles.
func (h *clockEnv) hoursOf(t *testing.T, n int, profiles []string) {
	t.Helper()
	began := h.truth()
	clients := map[string]bool{}
	for _, p := range profiles {
		clients[stored(t, h.store, p).ClientID] = true
	}
	for range 30 * n {
		time.Sleep(2 * time.Minute)
		for _, p := range profiles {
			h.must(t, p)
		}
	}
	for client, at := range h.renewals() {
		if !clients[client] {
			continue
		}
		at = slices.DeleteFunc(at, func(at time.Time) bool { return at.Before(began) })
		for i := 1; i < len(at); i++ {
			if life := at[i].Sub(at[i-1]); life < 838*time.Second*60/100 || life > 900*time.Second*75/100+latency {
				t.Errorf("a token of %s was renewed after %s", client, life)
			}
		}
		if len(at) < n*4 {
			t.Errorf("%d renewals for %s in %d hours", len(at), client, n)
		}
	}
}

// The wall clock is set while tokens are held. They are as good as they were: the seconds left are the same, only the
// time of day at which they end is told by the new clock. Nothing is asked of the server for it, then or later.
// Assertions go on by the clock that was confirmed before, but not where it is more than a day from this machine's: see
// the next test.
func TestE14TheClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{-2 * time.Hour, time.Hour, 23 * time.Hour, 10 * year, -30 * year} {
		t.Run(step.String(), func(t *testing.T) {
			withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
				h.everyWay(t)
				for _, to := range []time.Duration{step, 0} { // there and back
					before := map[string]protocol.TokenResult{}
					for _, p := range ways {
						before[p] = h.must(t, p)
					}
					requests, moved := h.renewed(), to-time.Duration(h.wrong.Load())
					h.set(to)
					for _, p := range ways {
						r, was := h.must(t, p), before[p]
						if r.AccessToken != was.AccessToken || r.ExpiresIn != was.ExpiresIn ||
							r.ExpiresAt != was.ExpiresAt+int64(moved/time.Second) {
							t.Errorf("%s: %d s left until %d, was %d s until %d", p, r.ExpiresIn, r.ExpiresAt,
								was.ExpiresIn, was.ExpiresAt)
						}
						if st := h.state(t, p); st.ClockOffset != 0 && !slices.Contains(withAssertions, p) ||
							st.ClockOffset < -86400 || st.ClockOffset > 86400 {
							t.Errorf("%s: %+v", p, st)
						}
						if st := h.state(t, p); st.State != "fresh" || st.ExpiresAt != r.ExpiresAt ||
							st.ExpiresIn != r.ExpiresIn {
							t.Errorf("%s: %+v", p, st)
						}
					}
					if n := h.renewed() - requests; n != 0 {
						t.Errorf("%d requests because the clock was set", n)
					}
					if step.Abs() < 24*time.Hour {
						h.hours(t, 1)
					}
				}
			})
		})
	}
}

const year = 365 * 24 * time.Hour

// withoutAssertions and withAssertions are the halves of ways.
var withoutAssertions, withAssertions = ways[:2], ways[2:]

// The wall clock is set, while tokens are held, by more than an assertion's clock is ever corrected. Tokens are served
// to their end. Then the profiles with assertions are told by name which two clocks are apart; none of them is given
// up, and all of them have tokens as soon as the clock is right. The others do not notice.
func TestG2TheClockIsSetByYears(t *testing.T) {
	for _, step := range []time.Duration{25 * time.Hour, 10 * year, -30 * year} {
		t.Run(step.String(), func(t *testing.T) {
			withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
				h.everyWay(t)
				for _, p := range ways {
					h.must(t, p)
				}
				h.set(step)
				h.hoursOf(t, 4, withoutAssertions)
				before := h.renewed()
				for _, p := range withAssertions {
					h.saysTheClock(t, p)
				}
				if n := h.renewed() - before; n > len(withAssertions) {
					t.Errorf("%d requests for two questions", n)
				}
				for _, p := range withAssertions {
					if st := h.state(t, p); st.Requests > 50 || st.ClockOffset != 0 {
						t.Errorf("%+v", st)
					}
				}
				h.set(0)
				time.Sleep(20 * time.Second) // it is seen within 15
				h.hours(t, 1)
			})
		})
	}
}

// This machine's clock is an hour off: the profiles with assertions say so in their status, as long as it is.
func TestG4TheStatusSaysACorrection(t *testing.T) {
	for _, wrong := range []time.Duration{time.Hour, -time.Hour, 23 * time.Hour} {
		withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
			h.set(wrong)
			h.everyWay(t)
			for _, p := range ways {
				h.must(t, p)
				want := int64(0)
				if slices.Contains(withAssertions, p) {
					want = int64(-wrong / time.Second)
				}
				if st := h.state(t, p); st.State != "fresh" || st.ClockOffset < want-2 || st.ClockOffset > want+2 {
					t.Errorf("%s off, %s: %+v", wrong, p, st)
				}
			}
			h.set(0)
			for _, p := range ways {
				if st := h.state(t, p); st.ClockOffset != 0 {
					t.Errorf("%s: %+v", p, st)
				}
			}
		})
	}
}

// saysTheClock makes sure that a profile has no token because of the clock, and will have one.
func (h *clockEnv) saysTheClock(t *testing.T, profile string) {
	t.Helper()
	_, err := h.token(t, profile)
	e := wantError(t, err, protocol.Temporary)
	for _, clock := range []time.Time{h.truth(), h.now().Wall} {
		if !strings.Contains(e.Message, clock.UTC().Format("2006-01-02 ")) ||
			!strings.Contains(e.Message, "set this machine's clock") {
			t.Errorf("%s: %s does not say %s", profile, e.Message, clock)
		}
	}
	if st := h.state(t, profile); st.State != string(protocol.Temporary) || e.Data.RetryAfter == 0 ||
		st.Hint != e.Hint() || e.Hint() == "" {
		t.Errorf("%s: %+v, hint %q", profile, st, e.Hint())
	}
}

// The wall clock runs fast or slow while NTP puts it right by and by.
func TestE14TheClockIsSlewed(t *testing.T) {
	for _, ppm := range []int64{500, -500, 100_000} {
		withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
			h.everyWay(t)
			h.fast.Store(ppm)
			h.hours(t, 2)
		})
	}
}

// A machine without a battery thinks that it is 1970 until NTP sets its clock. Only a server that is shown an assertion
// notices: a profile that has one is told of the two clocks, and has its token soon after NTP has set this one.
func TestE14FiftyYearsSlowAtBoot(t *testing.T) {
	withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
		slow := time.Unix(0, 0).Sub(h.truth())
		h.set(slow)
		spatiafi := protocol.LoginParams{Profile: "secret-assertion", Provider: "spatiafi",
			AuthServer: h.server.URL(), Username: person}
		_, err := h.visit(t).Login(t.Context(), spatiafi, typing(password))
		if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message, "1970-01-01") || e.Hint() == "" {
			t.Errorf("%v", e)
		}
		h.set(0)
		h.everyWay(t)
		h.set(slow)
		h.start(t)
		requests := h.renewed()
		first := map[string]protocol.TokenResult{}
		for _, p := range withoutAssertions {
			first[p] = h.must(t, p)
			if year := time.Unix(first[p].ExpiresAt, 0).UTC().Year(); year != 1970 {
				t.Errorf("%s: good until %d", p, year)
			}
		}
		for _, p := range withAssertions {
			h.saysTheClock(t, p)
		}
		if n := h.renewed() - requests; n != len(ways) {
			t.Errorf("%d requests for %d profiles", n, len(ways))
		}
		time.Sleep(time.Minute)
		h.set(0)
		time.Sleep(20 * time.Second) // it is seen within 15
		for _, p := range ways {
			r := h.must(t, p)
			if was, ok := first[p]; ok && r.AccessToken != was.AccessToken ||
				time.Unix(r.ExpiresAt, 0).UTC().Year() < 2000 {
				t.Errorf("%s: %d", p, r.ExpiresAt)
			}
		}
		h.hours(t, 2)
	})
}

// A proxy in front of a server writes a Date of its own, which is wrong, or stands still. No clock is wrong, and no
// caller notices.
func TestG4AProxyWritesAnotherDate(t *testing.T) {
	tier.Long(t, "it lives through eighteen hours")
	for _, off := range []time.Duration{
		90 * time.Second, -90 * time.Second, time.Hour, -time.Hour, 10 * year, -10 * year,
	} {
		t.Run(off.String(), func(t *testing.T) {
			withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
				wrong := sandbox.Fault{Times: -1,
					Header: http.Header{"Date": {h.truth().Add(off).UTC().Format(http.TimeFormat)}}}
				for _, path := range []string{h.server.TokenPath(), sandbox.SpatiafiTokenPath,
					sandbox.SpatiafiBasicPath, sandbox.SpatiafiClientsPath} {
					h.server.Script(path, wrong)
				}
				h.everyWay(t)
				h.hours(t, 3)
				for _, p := range ways {
					if st := h.state(t, p); st.State != "fresh" || st.ClockOffset != 0 {
						t.Errorf("%+v", st)
					}
				}
			})
		})
	}
}
