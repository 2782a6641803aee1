package grant

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
)

// keyServer publishes keys, each reading after a delay. It has no network, so it can live in a bubble.
type keyServer struct {
	mu       sync.Mutex
	delay    time.Duration
	keys     string // a JWK Set; empty: none can be read
	readings atomic.Int64
}

const keyIssuer = "https://as.example"

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	body := fmt.Sprintf(`{"issuer":%q,"jwks_uri":"%s/keys"}`, keyIssuer, keyIssuer)
	s.mu.Lock()
	delay, keys := s.delay, s.keys
	s.mu.Unlock()
	status := http.StatusOK
	if r.URL.Path == "/keys" {
		s.readings.Add(1)
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		if body = keys; keys == "" {
			status = http.StatusServiceUnavailable
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *keyServer) set(delay time.Duration, keys string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay, s.keys = delay, keys
}

// keyed returns an endpoint of the server, and an ID token that a key of its own has signed, with the set that has it.
func (s *keyServer) keyed(t *testing.T) (e *Endpoint, i *IDToken, set string) {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	text, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "alice"}).SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now() // of the bubble
	e = NewEndpoint(Server{Issuer: keyIssuer}, &http.Client{Transport: s}, func() clock.Instant {
		return clock.Instant{Wall: time.Now(), Boot: time.Since(begin)}
	})
	i = &IDToken{Text: keystore.SecretString(text), Destinations: &Destinations{Issuer: keyIssuer}}
	return e, i, ed25519Set(public)
}

func ed25519Set(key ed25519.PublicKey) string {
	return `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}]}`
}

func verify(e *Endpoint, i *IDToken, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return e.VerifyIDToken(ctx, i)
}

// However many callers ask, and however little they wait, the keys are read once in 30 seconds, by one reading that
// serves those who come later.
func TestImpatientCallersCauseOneReadingOfTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{}
		e, i, set := s.keyed(t)
		s.set(5*time.Second, set)
		for _, wait := range []time.Duration{0, time.Second, 0, time.Second, time.Second} {
			begin := time.Now()
			err := verify(e, i, wait)
			if err == nil || !strings.Contains(err.Error(), "has not sent its keys yet") || time.Since(begin) > wait {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		}
		if err := verify(e, i, 5*time.Second); err != nil || !i.Verified() {
			t.Errorf("who waits longer: %v", err)
		}
		if n := s.readings.Load(); n != 1 {
			t.Errorf("%d readings", n)
		}
	})
}

// A server that does not answer at all is asked once in 30 seconds, and each reading has an end.
func TestAReadingOfTheKeysEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{}
		e, i, set := s.keyed(t)
		s.set(time.Hour, set)
		begin := time.Now()
		for time.Since(begin) < 5*time.Minute {
			if err := verify(e, i, time.Second); err == nil {
				t.Fatal("verified without a key")
			}
			time.Sleep(time.Second)
		}
		if n := s.readings.Load(); n < 9 || n > 10 {
			t.Errorf("%d readings in five minutes", n)
		}
		s.set(0, set)
		time.Sleep(time.Minute)
		if err := verify(e, i, time.Second); err != nil {
			t.Errorf("then it answers: %v", err)
		}
		time.Sleep(time.Minute) // no reading is left behind
	})
}

// A token that no key fits is not tried again before the keys were read anew; then it is.
func TestAFailedCheckIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{}
		e, i, set := s.keyed(t)
		stranger, _, _ := ed25519.GenerateKey(rand.Reader)
		s.set(0, ed25519Set(stranger))
		if verify(e, i, time.Second) == nil || i.unfit.Load() != 1 {
			t.Fatalf("reading %d did not fit", i.unfit.Load())
		}
		e.keys.known.keys = []serverKey{{key: publicOf(t, set)}} // a check would find that it fits
		for range 100 {
			err := verify(e, i, 0)
			if err == nil || !strings.Contains(err.Error(), "is not signed by a key") {
				t.Fatalf("it was tried again: %v", err)
			}
		}
		s.set(0, set)
		time.Sleep(keysApart)
		if err := verify(e, i, time.Second); err != nil || s.readings.Load() != 2 {
			t.Errorf("%d readings: %v", s.readings.Load(), err)
		}
	})
}

func publicOf(t *testing.T, set string) any {
	var all struct{ Keys json.RawMessage }
	if err := json.Unmarshal([]byte(set), &all); err != nil {
		t.Fatal(err)
	}
	return readKeys(all.Keys)[0].key
}

// A key that would make a check dear is none.
func TestOnlyKeysOfABoundedCostAreUsed(t *testing.T) {
	enc := base64.RawURLEncoding.EncodeToString
	for _, c := range []struct {
		bits     int
		exponent int64
		used     bool
	}{
		{2048, 65537, true}, {4096, 65537, true}, {2048, 3, true}, {3072, 1<<17 - 1, true},
		{2047, 65537, false}, {4097, 65537, false}, {8192, 65537, false}, {2048, 1 << 16, false}, {2048, 1, false},
		{2048, 1<<17 + 1, false}, {2048, 1<<31 - 1, false}, {2048, 0, false},
	} {
		n := new(big.Int).SetBit(big.NewInt(1), c.bits-1, 1)
		text := fmt.Sprintf(`[{"kty":"RSA","n":%q,"e":%q}]`, enc(n.Bytes()), enc(big.NewInt(c.exponent).Bytes()))
		if keys := readKeys(json.RawMessage(text)); (len(keys) == 1) != c.used {
			t.Errorf("%d bits and the exponent %d: %d keys", c.bits, c.exponent, len(keys))
		}
	}
}
