package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// witness is something that says what time it is.
type witness int

const (
	nobody witness = iota
	dateHeader
	ageHeader
	localClock
	jwtExp
	jwtIat
	expiresAt
	issuerClock // of which exp, iat and expires_at are made
	witnesses
)

func (w witness) String() string {
	return [...]string{"none", "Date", "Age", "the local clock", "exp", "iat", "expires_at", "the issuer's clock"}[w]
}

// client is a healthy profile.
type client struct {
	name   string
	method grant.Method
	device bool // it signs in by device code, and has a refresh token that rotates
	// claims are in the JWT that an access token is; none: it is opaque.
	claims string
	in     bool // there is an expires_in
}

var healthyClients = []client{
	{name: "an opaque token", method: grant.ClientSecretPost, in: true},
	{name: "client_secret_basic", method: grant.ClientSecretBasic, in: true},
	{name: "a JWT with iat", method: grant.ClientSecretBasic, claims: "exp iat"},
	{name: "a JWT with iat and expires_in", method: grant.ClientSecretBasic, claims: "exp iat", in: true},
	{name: "a JWT without iat", method: grant.ClientSecretBasic, claims: "exp", in: true},
	{name: "a JWT without iat or expires_in", method: grant.ClientSecretBasic, claims: "exp"},
	{name: "client_secret_jwt", method: grant.ClientSecretJWT, claims: "exp iat", in: true},
	{
		name: "private_key_jwt with a refresh token", method: grant.PrivateKeyJWT, device: true, claims: "exp iat",
		in: true,
	},
	{name: "a device login", method: grant.None, device: true, in: true},
}

// provider is an authorization server whose own sense of time is right, and one machine that asks it. One witness is
// wrong.
type provider struct {
	t      *testing.T
	client client
	begin  time.Time

	mu      sync.Mutex
	rng     *mathrand.Rand
	liar    witness
	wrong   time.Duration
	jumps   bool
	ends    map[string]time.Time // :: access token → when it stops being accepted
	issued  int
	in      time.Duration // expires_in; 0: what is true
	noDate  bool
	refuses bool   // whatever the assertion's time is
	refresh string // the one that is good
	posts   int
	longest time.Duration // until the exp of an assertion, by this machine's clock
}

const (
	shortLife = 900 * time.Second
	origin    = "https://auth.example.com"
)

func (p *provider) now() clock.Instant {
	p.mu.Lock()
	defer p.mu.Unlock()
	return clock.Instant{Wall: time.Now().Add(p.lie(localClock)), Boot: time.Hour + time.Since(p.begin)}
}

// lie is by how much a witness is wrong. A clock that jumps does so at random moments; what is written jumps each time.
func (p *provider) lie(w witness) time.Duration {
	if w != p.liar {
		return 0
	}
	if p.jumps && w != localClock {
		p.wrong = randomShift(p.rng)
	}
	return p.wrong
}

// randomShift is 90 s to ten years, in either direction, small ones being as likely as great ones.
func randomShift(rng *mathrand.Rand) time.Duration {
	const least, most = 90 * time.Second, 10 * 365 * 24 * time.Hour
	d := min(max(time.Duration(rng.Int64N(int64(most)))>>rng.IntN(22), least), most)
	if rng.IntN(2) == 0 {
		return -d
	}
	return d
}

// RoundTrip is the server.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	here := time.Now().Add(p.wrongHere()) // what this machine's clock said when it signed
	p.mu.Unlock()
	time.Sleep(200 * time.Millisecond)
	p.mu.Lock()
	p.posts++
	status, answer := p.answer(r.URL.Path, form, here)
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set("Date", time.Now().Add(p.lie(dateHeader)).UTC().Format(http.TimeFormat))
	if p.noDate {
		h.Del("Date")
	}
	if p.liar == ageHeader {
		h.Set("Age", strconv.Itoa(int(p.lie(ageHeader)/time.Second)))
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(string(text)))}, nil
}

type fields map[string]any

func (p *provider) answer(path string, form url.Values, here time.Time) (int, fields) {
	if strings.HasSuffix(string(p.client.method), "_jwt") {
		if why := p.dated(form.Get("client_assertion"), here); why != "" || p.refuses {
			return http.StatusUnauthorized, fields{"error": "invalid_client", "error_description": why}
		}
	}
	if path == "/device" {
		return http.StatusOK, fields{
			"device_code": "device-code", "user_code": "ABCD", "verification_uri": origin + "/activate",
			"expires_in": 600, "interval": 5,
		}
	}
	if form.Get("grant_type") == "refresh_token" && form.Get("refresh_token") != p.refresh {
		p.refresh = "-" // it was used twice: the session ends
		return http.StatusBadRequest, fields{"error": "invalid_grant"}
	}
	return http.StatusOK, p.issue()
}

// dated looks at an assertion's times, as a server without leeway but for what clocks differ by; here is when it was
// signed, by this machine's clock.
func (p *provider) dated(assertion string, here time.Time) (why string) {
	var claims struct{ Iat, Exp int64 }
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return "there is no assertion"
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return "it cannot be read"
	}
	now := time.Now()
	p.longest = max(p.longest, time.Unix(claims.Exp, 0).Sub(here))
	switch {
	case !now.Before(time.Unix(claims.Exp, 0)):
		return "it has expired"
	case now.Add(30 * time.Second).Before(time.Unix(claims.Iat, 0)):
		return "it is from the future"
	}
	return ""
}

func (p *provider) wrongHere() time.Duration {
	if p.liar == localClock {
		return p.wrong
	}
	return 0
}

func (p *provider) issue() fields {
	now := time.Now()
	p.issued++
	byIssuer := now.Add(p.lie(issuerClock))
	claims := fields{"n": p.issued}
	if strings.Contains(p.client.claims, "exp") {
		claims["exp"] = byIssuer.Add(shortLife + p.lie(jwtExp)).Unix()
	}
	if strings.Contains(p.client.claims, "iat") {
		claims["iat"] = byIssuer.Add(p.lie(jwtIat)).Unix()
	}
	access := fmt.Sprintf("opaque-%d", p.issued)
	if p.client.claims != "" {
		text, err := json.Marshal(claims)
		if err != nil {
			p.t.Error(err)
		}
		access = "e30." + base64.RawURLEncoding.EncodeToString(text) + ".c2ln"
	}
	p.ends[access] = time.Unix(now.Unix(), 0).Add(shortLife)
	answer := fields{"access_token": access, "token_type": "Bearer"}
	if p.client.in {
		answer["expires_in"] = int(shortLife/time.Second) - 1
		if p.in > 0 {
			answer["expires_in"] = int(p.in / time.Second)
		}
	}
	if p.liar == expiresAt && p.client.in {
		answer["expires_at"] = byIssuer.Add(shortLife + p.lie(expiresAt)).Unix()
	}
	if p.client.device {
		p.refresh = fmt.Sprintf("refresh-%d", p.issued)
		answer["refresh_token"] = p.refresh
	}
	return answer
}

// set makes one witness wrong, and no other.
func (p *provider) set(w witness, wrong time.Duration, jumps bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.liar, p.wrong, p.jumps = w, wrong, jumps
}

func (p *provider) good(token grant.Token) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.ends[token.Access.Reveal()])
}

func (p *provider) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.posts
}

func (p *provider) longestAssertion() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.longest
}

func (p *provider) tokens() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.issued
}

var witnessKey = sync.OnceValue(func() keystore.Secret {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return keystore.NewSecret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

// signIn makes a broker with the profile "p", signed in. A login that fails because of a clock is one that a person
// repeats.
func (p *provider) signIn(ctx context.Context) (*broker.Broker, *grant.Endpoint) {
	server := grant.Server{
		Issuer: origin, TokenEndpoint: origin + "/token", DeviceEndpoint: origin + "/device",
		ClientAuth: p.client.method,
		Grants:     []grant.Kind{grant.ByClientCredentials, grant.ByDeviceCode},
	}
	endpoint := grant.NewEndpoint(server, &http.Client{Transport: p}, p.now)
	item := server.NewItem("client", grant.ByClientCredentials)
	if p.client.device {
		item = server.NewItem("client", grant.ByDeviceCode)
	}
	switch p.client.method {
	case grant.PrivateKeyJWT:
		item.PrivateKey = witnessKey()
	case grant.None:
	default:
		item.ClientSecret = keystore.SecretString("the-secret-of-the-client-which-is-long-enough")
	}
	if p.client.device {
		d, err := endpoint.StartDevice(ctx, item, grant.Request{})
		if err == nil {
			var s grant.Session
			s, err = endpoint.AwaitDevice(ctx, item, d)
			item.RefreshToken = s.Refresh
		}
		if err != nil {
			p.t.Fatalf("%s: the login: %v", p, err)
		}
	}
	store := &keystore.Memory{}
	if err := store.Set(ctx, "p", item); err != nil {
		p.t.Fatal(err)
	}
	b := broker.New(p.now)
	b.Put(map[string]broker.Source{
		"p": &credential.Source{Profile: "p", Store: &keystore.PendingStore{Store: store}, Endpoint: endpoint},
	})
	return b, endpoint
}

func (p *provider) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s, %s wrong by %s, jumping %v", p.client.name, p.liar, p.wrong, p.jumps)
}

// ask asks once. It reports whether there was a token, which is good, or no reason to give the credential up.
func (p *provider) ask(ctx context.Context, b *broker.Broker) bool {
	token, err := b.Token(ctx, broker.Query{Profile: "p", MinTTL: broker.Unset})
	if err == nil {
		if !p.good(token) {
			p.t.Fatalf("%s: a dead token is served, with %s left", p, token.Remaining(p.now()))
		}
		return true
	}
	u, ok := errors.AsType[*broker.Unavailable](err)
	e, refusal := errors.AsType[*grant.Error](err)
	if !ok || u.RetryAfter <= 0 || refusal &&
		(e.Class == grant.InvalidClient || e.Class == grant.Refused || e.Class == grant.Misconfigured) {
		p.t.Fatalf("%s: the login is lost: %v", p, err)
	}
	return false
}

// One wrong witness of the time, whichever it is, by however much, constant or jumping, costs no healthy profile its
// login and serves no dead token. Only an assertion, and this machine's clock, can keep a token from coming at all.
func TestG3NoSingleWrongClockCostsALogin(t *testing.T) {
	tier.Long(t, "it lives through months")
	begin := mathrand.Uint64N(1<<32) * 4
	if said, err := strconv.ParseUint(os.Getenv("GROAT_SEED"), 10, 64); err == nil {
		begin = said
	}
	for _, c := range healthyClients {
		t.Run(c.name, func(t *testing.T) {
			for liar := nobody; liar < witnesses; liar++ {
				if !c.has(liar) {
					continue
				}
				for seed := begin; seed < begin+12; seed++ {
					synctest.Test(t, func(t *testing.T) { oneWrongClock(t, c, liar, seed) })
				}
				if t.Failed() {
					t.Fatalf("GROAT_SEED=%d repeats the waits and the wrong clocks, but not the broker's draws", begin)
				}
			}
		})
	}
}

// has reports whether a witness speaks of the client's tokens, and not alone.
func (c client) has(w witness) bool {
	switch w {
	case jwtExp:
		return c.claims != "" && c.in
	case jwtIat:
		return strings.Contains(c.claims, "iat")
	case expiresAt:
		return c.in
	case issuerClock:
		return strings.Contains(c.claims, "iat")
	}
	return true
}

func oneWrongClock(t *testing.T, c client, liar witness, seed uint64) {
	rng := mathrand.New(mathrand.NewPCG(seed, uint64(liar)))
	p := &provider{
		t: t, client: c, begin: time.Now(), ends: map[string]time.Time{}, rng: mathrand.New(mathrand.NewPCG(seed, 99)),
	}
	signs := strings.HasSuffix(string(c.method), "_jwt")
	wrong, jumps := randomShift(rng), seed%2 == 1
	early := seed%4 < 2 // wrong from the sign-in on
	if early && signs && liar == localClock {
		wrong %= 24 * time.Hour // by more, there is no sign-in
	}
	if early {
		p.set(liar, wrong, jumps)
	}
	ctx := t.Context()
	b, endpoint := p.signIn(ctx)
	defer func() {
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // sleeping goroutines find it closed
	}()
	if !early {
		if !p.ask(ctx, b) {
			t.Fatal("no first token")
		}
		p.set(liar, wrong, jumps)
	}
	without := 0
	for range 200 {
		if !p.ask(ctx, b) {
			without++
		}
		time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Minute))))
		if jumps && liar == localClock && rng.IntN(10) == 0 {
			p.set(liar, randomShift(rng), jumps)
		}
	}
	if without > 0 && !(signs && liar == localClock) {
		t.Errorf("%s: %d of 200 had no token", p, without)
	}
	// In 200 minutes there are 15 to 25 tokens. A clock that jumps by years and back costs a request each time.
	most := 40
	if signs && liar == localClock {
		most = 120
	}
	if (liar == nobody || liar == dateHeader || liar == localClock) && c.in && p.requests() > most {
		t.Errorf("%s: %d requests", p, p.requests())
	}
	if longest := p.longestAssertion(); longest > 24*time.Hour+3*time.Minute {
		t.Errorf("%s: an assertion was good for %s", p, longest)
	}
	if ahead := endpoint.ClockOffset(); liar != localClock && ahead != 0 || ahead.Abs() > 24*time.Hour {
		t.Errorf("%s: corrected by %s", p, ahead)
	}
	p.set(nobody, 0, false)
	time.Sleep(30 * time.Second)
	if !p.ask(ctx, b) {
		t.Errorf("%s: it does not heal", p)
	}
}

// A server that promises more than its opaque tokens live: that cannot be known. The first API that refuses one ends
// it, for all callers, and costs one request.
func TestG5AWrongExpiresInEndsWithTheFirstRefusal(t *testing.T) {
	for _, promised := range []time.Duration{time.Hour, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{
				t: t, client: healthyClients[0], begin: time.Now(), ends: map[string]time.Time{}, in: promised,
			}
			b, _ := p.signIn(t.Context())
			defer b.Close(t.Context())
			query := broker.Query{Profile: "p", MinTTL: broker.Unset}
			for n := 1; n <= 3; n++ {
				token, err := b.Token(t.Context(), query)
				if err != nil || !p.good(token) {
					t.Fatalf("%v", err)
				}
				time.Sleep(shortLife)
				query.Refused = token.Access
				for range 10 {
					fresh, err := b.Token(t.Context(), query)
					if err != nil || !p.good(fresh) || fresh.Access.Equal(token.Access) {
						t.Fatalf("after a refusal: %v", err)
					}
				}
				query.Refused = keystore.Secret{}
				if p.requests() != n+1 || p.tokens() != n+1 {
					t.Errorf("%d requests, %d tokens, want %d", p.requests(), p.tokens(), n+1)
				}
			}
		})
	}
}

// A server that refuses an assertion and sends no Date: only this machine's clock is left to ask, and it may be the one
// that is wrong. The profile is given up as with a wrong secret, the error names the clock, and the clock's being set
// ends it.
func TestG2WithoutDateTheClocksBeingSetEndsARefusal(t *testing.T) {
	for _, c := range healthyClients[6:8] {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{t: t, client: c, begin: time.Now(), ends: map[string]time.Time{}, noDate: true}
			b, _ := p.signIn(t.Context())
			defer b.Close(t.Context())
			if !p.ask(t.Context(), b) {
				t.Fatal("no first token")
			}
			p.set(localClock, -time.Hour, false)
			time.Sleep(2 * time.Hour)
			var err error
			for range 5 {
				_, err = b.Token(t.Context(), broker.Query{Profile: "p", MinTTL: broker.Unset})
				time.Sleep(2 * time.Minute)
			}
			u, ok := errors.AsType[*broker.Unavailable](err)
			if !ok || u.RetryAfter != 0 || !errors.Is(err, grant.ErrClock) ||
				!strings.Contains(err.Error(), "this machine's clock says ") {
				t.Errorf("%s: %v", c.name, err)
			}
			p.set(nobody, 0, false)
			time.Sleep(20 * time.Second)
			if !p.ask(t.Context(), b) {
				t.Errorf("%s: it does not heal", c.name)
			}
		})
	}
}

// A server that refuses every assertion, behind any Date, is asked no more often than any other that refuses: callers
// ask for four hours, each ten seconds.
func TestG7ARefusedAssertionIsNoFlood(t *testing.T) {
	for _, c := range healthyClients[6:8] {
		for _, w := range []struct {
			wrong time.Duration
			jumps bool
			most  int
		}{{0, false, 4}, {time.Hour, false, 8}, {-23 * time.Hour, false, 8}, {48 * time.Hour, false, 50}, {time.Hour,
			true, 50}} {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{
					t: t, client: c, begin: time.Now(), ends: map[string]time.Time{},
					rng: mathrand.New(mathrand.NewPCG(1, 7)),
				}
				b, _ := p.signIn(t.Context())
				defer b.Close(t.Context())
				p.set(dateHeader, w.wrong, w.jumps)
				p.mu.Lock()
				p.refuses = true
				p.mu.Unlock()
				before := p.requests()
				for range 4 * 60 * 6 {
					if _, err := b.Token(t.Context(), broker.Query{Profile: "p", MinTTL: broker.Unset}); err == nil {
						t.Fatal("there is a token")
					}
					time.Sleep(10 * time.Second)
				}
				if n := p.requests() - before; n > w.most {
					t.Errorf("%s: %d requests, want %d at most", p, n, w.most)
				}
			})
		}
	}
}

// A token of which only its exp is known has little or nothing left by a clock that is wrong by about its life. That
// neither floods the server nor keeps the token from coming.
func TestAClockWrongByNearlyTheLife(t *testing.T) {
	i := slices.IndexFunc(healthyClients, func(c client) bool { return c.claims == "exp" && !c.in })
	for _, liar := range []witness{localClock, dateHeader} {
		for _, short := range []time.Duration{
			-time.Second, 0, 200 * time.Millisecond, 500 * time.Millisecond, 800 * time.Millisecond, time.Second,
			2 * time.Second, 5 * time.Second, 10 * time.Second, 59 * time.Second, 2 * time.Minute,
		} {
			synctest.Test(t, func(t *testing.T) {
				rng := mathrand.New(mathrand.NewPCG(1, uint64(short)))
				p := &provider{t: t, client: healthyClients[i], begin: time.Now(), ends: map[string]time.Time{}, rng: rng}
				b, _ := p.signIn(t.Context())
				defer b.Close(t.Context())
				p.set(liar, shortLife-short, false)
				for range 200 {
					if !p.ask(t.Context(), b) {
						t.Errorf("%s: no token", p)
					}
					time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Minute))))
				}
				if n := p.requests(); n > 300 { // one in 40 seconds
					t.Errorf("%s: %d requests in 200 minutes", p, n)
				}
			})
		}
	}
}
