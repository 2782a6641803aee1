package daemon

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// recordingServer is a token endpoint that issues tokens of a minute and keeps a record of them.
type recordingServer struct {
	m *machine

	mu   sync.Mutex
	ends map[string]time.Time // :: token → when it expires
	at   []time.Time          // of each request
}

func (m *recordingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	now := m.m.truth()
	m.at = append(m.at, now)
	token := fmt.Sprintf("token-%d", len(m.at))
	m.ends[token] = now.Add(time.Minute)
	m.mu.Unlock()
	time.Sleep(latency)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":60}`, token)
}

// remaining is how long a token is still good, by the record.
func (m *recordingServer) remaining(token string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ends[token].Sub(m.m.truth())
}

func (m *recordingServer) requests() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.at)
}

// A day of 60 s tokens under a hundred clients who ask when they like, a third of them for a promise. Each answer is
// held against the server's record: none has expired, none has less life left than it says. And each token lives until
// the point that was drawn for it, so that there is not one request more. On another day the machine sleeps now and
// then and its clock is set.
func TestADayOf60SecondTokens(t *testing.T) {
	tier.Long(t, "it lives through two days")
	for name, restless := range map[string]bool{"an even day": false, "suspends and set clocks": true} {
		t.Run(name, func(t *testing.T) {
			withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
				m := &recordingServer{m: h.machine, ends: map[string]time.Time{}}
				defer h.from(t, m, nil)()
				h.signIn(t, protocol.LoginParams{
					Profile: "p", TokenURL: "http://127.0.0.1/token", ClientID: "machine",
					ClientAuth: string(grant.ClientSecretPost),
				})
				end := h.truth().Add(24 * time.Hour)
				if restless {
					go h.disturbClock(end)
				}
				asked := h.askAllDay(t, m, end)
				at := m.requests()
				for i := 1; i < len(at); i++ {
					lived := at[i].Sub(at[i-1])
					if lived < 36*time.Second || !restless && lived > 45*time.Second+time.Millisecond { // 0.60 to 0.75
						t.Errorf("a token was renewed after %s", lived)
					}
				}
				if last := at[len(at)-1]; asked < 20_000 || !restless && end.Sub(last) > time.Minute {
					t.Errorf("%d answers, %d requests, the last %s before the end", asked, len(at), end.Sub(last))
				}
				time.Sleep(time.Hour) // the sleeper finds that the day is over
			})
		})
	}
}

// disturbClock puts the machine to sleep and sets its clock, now and then.
func (h *clockEnv) disturbClock(end time.Time) {
	rng := rand.New(rand.NewPCG(1, 2))
	for h.truth().Before(end) {
		time.Sleep(time.Duration(rng.Int64N(int64(40 * time.Minute))))
		asleep := time.Duration(rng.Int64N(int64(time.Minute)))
		if rng.IntN(5) == 0 {
			asleep *= 30
		}
		h.suspend(asleep)
		steps := []time.Duration{-2 * time.Hour, time.Hour, 10 * 365 * 24 * time.Hour, -30 * 365 * 24 * time.Hour, 0}
		h.set(steps[rng.IntN(len(steps))])
	}
}

// askAllDay lets a hundred clients ask until the day is over, and returns how often they did.
func (h *clockEnv) askAllDay(t *testing.T, m *recordingServer, end time.Time) (asked int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range uint64(100) {
		c, rng := h.visit(t), rand.New(rand.NewPCG(3, i))
		wg.Go(func() {
			n := 0
			for time.Sleep(time.Duration(rng.Int64N(int64(12 * time.Minute)))); h.truth().Before(end); n++ {
				params := protocol.TokenParams{Profile: "p"}
				least := int64(0)
				if rng.IntN(3) == 0 {
					least = rng.Int64N(15)
					params.MinTTL = &least
				}
				r, err := tokenFor(c, params)
				if err != nil {
					t.Error(err)
					return
				}
				if left := m.remaining(r.AccessToken); left <= 0 || left < time.Duration(r.ExpiresIn)*time.Second ||
					r.ExpiresIn < least {
					t.Errorf("%s left by the record, %d s by the reply, asked for %d s", left, r.ExpiresIn, least)
				}
				time.Sleep(time.Duration(rng.Int64N(int64(12 * time.Minute))))
			}
			mu.Lock()
			defer mu.Unlock()
			asked += n
		})
	}
	wg.Wait()
	return asked
}
