//go:build !race

package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// The world of the model: the shipped Source and Fleet on each machine, an engine, a server and one clock. Every call
// of the engine, every request and every wait is a point at which the machine stands until the checker lets it go on.

// place is where a machine stands.
type place int

const (
	ahead   place = iota // it has not begun
	reading              // a Read of the engine
	swapping
	sending  // before the deadline is looked at
	flying   // the request has left, and is not handled
	answered // it is handled, its answer on its way
	waiting  // for another machine, or for its own next try
	over     // it has what it wanted, or has given up
	gone     // it has crashed
)

// order is what the checker lets a machine find where it stands.
type order int

const (
	goOn     order = iota
	end            // the machine is no more
	refuse         // the engine is not reached
	lose           // the engine does it, and the answer is lost
	breakOff       // the connection to the server breaks
)

// modelMachine is one machine.
type modelMachine struct {
	w        *world
	name     string
	f        *Fleet
	source   *credential.Source
	client   *engine.Client
	stands   place
	until    time.Duration // of a wait
	changed  <-chan struct{}
	holds    bool // it has written an intent, and its request is not over
	got      bool // the answer has come, the result is not written
	paused   bool
	cut      bool
	flightTo time.Duration // until when a request that has left is handled
	err      error         // of its last try
	made     int           // renewals that nobody asked for
	watched  int           // the changes of the engine that it has seen
	here     chan struct{} // it has come to a point
	orders   chan order
	history  uint64 // of all results
}

// world is one execution.
type world struct {
	kind      serverKind
	now       time.Duration
	mem       *engine.Memory
	keys      *keyring.Keyring
	machines  []*modelMachine
	server    modelServer
	posts     int
	presented map[string]int
	plain     map[string]string // :: sealed → plain
	changes   int               // counts the changes of the engine
	text      string            // the engine's state
	textOf    int               // the changes that text is of
	free      bool              // nobody waits for orders any more
}

const (
	modelStart = time.Hour
	modelTries = 3
)

var modelEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var modelKeys = keyring.New()

func newWorld(kind serverKind, machines int, r rules) *world {
	w := &world{kind: kind, now: modelStart, keys: modelKeys, presented: map[string]int{}, plain: map[string]string{}}
	w.server = newModelServer(kind)
	w.mem = engine.NewMemory(func() time.Time { return modelEpoch.Add(w.now) })
	for i := range machines {
		w.machines = append(w.machines, w.newMachine(fmt.Sprintf("m%d", i), r))
	}
	first := w.machines[0]
	w.free = true
	server := first.source.Endpoint.Server()
	item := server.NewItem("app", grant.ByDeviceCode)
	item.RefreshToken = keystore.SecretString("rt0")
	if err := first.f.Replace(context.Background(), "work", item, nil); err != nil {
		panic(err)
	}
	w.free = false
	w.changes++
	for _, m := range w.machines {
		m.history = 0
		go m.run()
	}
	return w
}

func (w *world) newMachine(name string, r rules) *modelMachine {
	m := &modelMachine{w: w, name: name, client: w.mem.Client(), here: make(chan struct{}), orders: make(chan order)}
	now := func() clock.Instant { return clock.Instant{Wall: modelEpoch.Add(w.now), Boot: w.now} }
	f, err := Open(m.client, w.keys, name, "", now, Callbacks{})
	if err != nil {
		panic(err)
	}
	intents := 0
	f.nonce = func() string { intents++; return fmt.Sprintf("%s-%d", name, intents) }
	f.draw = func() float64 { return 0 }
	f.wait = m.wait
	f.rules = r
	m.f = f
	m.client.Inject(m.call)
	server := grant.Server{
		Issuer: "https://as.example", TokenEndpoint: "https://as.example/token", ClientAuth: grant.None,
	}
	endpoint := grant.NewEndpoint(server, &http.Client{Transport: m}, now)
	m.source = f.Source("work", endpoint, "", "").(*credential.Source)
	return m
}

// run is what a machine does: it wants a token; and then it does what is due, as the minder has it done.
func (m *modelMachine) run() {
	m.stand(ahead)
	m.want()
	for {
		m.history = 0
		m.stand(over)
		if _, flush := m.due(); flush != 0 && flush <= m.w.now {
			m.f.doDue(context.Background())
			m.got = m.f.PendingError("work") != nil
			continue
		}
		m.made++
		m.f.mu.Lock()
		m.f.profiles["work"].due = 0
		m.f.mu.Unlock()
		m.want()
	}
}

// want asks as the broker does, and again where an answer was lost or the engine did not answer.
func (m *modelMachine) want() {
	for range modelTries {
		_, m.err = m.source.Obtain(context.Background(), grant.Request{}, broker.Now)
		m.holds, m.got = false, m.f.PendingError("work") != nil
		if m.err == nil || broker.NeedsLogin(m.err) {
			return
		}
		m.wait(context.Background(), nil, m.w.now+4*time.Second)
	}
}

// stand waits for the checker.
func (m *modelMachine) stand(at place) order {
	if m.w.free {
		return goOn
	}
	m.stands = at
	m.here <- struct{}{}
	o := <-m.orders
	if o == end {
		runtime.Goexit()
	}
	return o
}

// note adds a result to the machine's history, which decides all that it does.
func (m *modelMachine) note(what string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x|%d|%s", m.history, m.w.now, what)
	m.history = h.Sum64()
}

// call is the machine's way to the engine.
func (m *modelMachine) call(c engine.Call) engine.Fault {
	at := reading
	if c.Kind == engine.Swapping {
		at = swapping
	}
	o := m.stand(at)
	if m.cut && o == goOn {
		o = refuse
	}
	switch o {
	case refuse:
		m.note("refused")
		return engine.Refuse
	case lose:
		m.note("lost")
		if c.Kind == engine.Reading {
			return engine.Refuse
		}
		m.wrote(c)
		return engine.LoseAnswer
	}
	if c.Kind == engine.Swapping {
		m.note(fmt.Sprint(m.wrote(c)))
	} else {
		m.note(m.w.engineText())
	}
	return engine.None
}

// wrote follows what a change of the record means, if it is going to be made; it reports whether it is.
func (m *modelMachine) wrote(c engine.Call) bool {
	entries := m.w.mem.Entries()
	for _, condition := range c.Conditions {
		i := slices.IndexFunc(entries, func(e engine.Entry) bool { return e.Key == condition.Key })
		if i >= 0 && entries[i].Revision != condition.Revision || i < 0 && condition.Revision != 0 {
			return false
		}
	}
	m.w.changes++
	if strings.HasSuffix(c.Changes[0].Key, "/record") {
		m.holds = strings.Contains(m.w.open(c.Changes[0].Key, c.Changes[0].Value), `"intent":{"machine":"`+m.name+`"`)
		m.got = m.got && m.holds
	}
	return true
}

// wait stands in for sleeping.
func (m *modelMachine) wait(_ context.Context, changed <-chan struct{}, until time.Duration) {
	if m.w.free {
		m.w.now = max(m.w.now, until)
		return
	}
	m.changed, m.until = changed, until
	m.stand(waiting)
	m.changed, m.until = nil, 0
	m.note("waited")
}

// RoundTrip is the machine's way to the server.
func (m *modelMachine) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.stand(sending) == breakOff {
		m.note("broken")
		return nil, io.ErrUnexpectedEOF
	}
	body, err := io.ReadAll(r.Body) // where the deadline is looked at
	if err != nil {
		m.note("late")
		return nil, err
	}
	form, _ := url.ParseQuery(string(body))
	sent := form.Get("refresh_token")
	m.w.presented[sent]++
	m.w.posts++
	if t := httptrace.ContextClientTrace(r.Context()); t != nil {
		t.GotConn(httptrace.GotConnInfo{})
	}
	m.flightTo = m.w.now + grant.RequestLimit
	if m.stand(flying) == breakOff {
		m.note("broken")
		return nil, io.ErrUnexpectedEOF
	}
	m.flightTo = 0
	status, text := m.w.server.handle(sent, m.w.now)
	if m.stand(answered) == breakOff {
		m.note("unanswered")
		return nil, io.ErrUnexpectedEOF
	}
	m.got = true
	m.note(text)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(text)), ProtoMajor: 1, ProtoMinor: 1, Request: r}, nil
}

// open returns what is sealed.
func (w *world) open(key string, sealed []byte) string {
	if text, ok := w.plain[string(sealed)]; ok {
		return text
	}
	kind := kindRecord
	if strings.Contains(key, "/token/") {
		kind = kindToken
	} else if strings.HasSuffix(key, "/config") {
		kind = kindConfig
	}
	plain, _, err := w.keys.Open(key, kind, sealed)
	if err != nil {
		panic(err)
	}
	text := plain.Reveal()
	w.plain[string(sealed)] = text
	return text
}

// engineText is the engine's state.
func (w *world) engineText() string {
	if w.textOf == w.changes {
		return w.text
	}
	var b bytes.Buffer
	for _, e := range w.mem.Entries() {
		fmt.Fprintf(&b, "%s %d %s\n", e.Key[len(e.Key)-6:], e.Revision, w.open(e.Key, e.Value))
	}
	w.text, w.textOf = b.String(), w.changes
	return w.text
}

// serverKind is how a server treats refresh tokens.
type serverKind string

var serverKinds = []serverKind{"not rotating", "strict", "strict, ends the session", "30 s grace", "FAPI"}

// modelServer is an authorization server, no kinder than any of its kind: a use again within the grace voids the
// successor that was given before.
type modelServer struct {
	kind    serverKind
	dead    bool
	current int                   // the one that was given last
	before  int                   // the one that it was given for, -1: none
	used    map[int]time.Duration // :: number → first use
	handled int
}

func newModelServer(kind serverKind) modelServer {
	return modelServer{kind: kind, before: -1, used: map[int]time.Duration{}}
}

var errRefusal = errors.New("refused")

func (s *modelServer) handle(token string, now time.Duration) (int, string) {
	n := -1
	fmt.Sscanf(token, "rt%d", &n)
	s.handled++
	if err := s.take(n, now); err != nil {
		return http.StatusBadRequest, `{"error":"invalid_grant"}`
	}
	rotated := ""
	if s.kind != "not rotating" {
		s.before = n
		s.current++
		rotated = fmt.Sprintf(`,"refresh_token":"rt%d"`, s.current)
	}
	return http.StatusOK,
		fmt.Sprintf(`{"access_token":"at%d","token_type":"Bearer","expires_in":900%s}`, s.handled, rotated)
}

// take says whether a refresh token is taken.
func (s *modelServer) take(n int, now time.Duration) error {
	first, used := s.used[n]
	good := !s.dead && n == s.current
	switch {
	case s.dead || n < 0:
	case s.kind == "not rotating":
		return nil
	case good:
	case s.kind == "30 s grace":
		good = n == s.before && used && now-first <= 30*time.Second
	case s.kind == "FAPI":
		good = n == s.before
	}
	if !good {
		s.dead = s.dead || s.kind != "strict"
		return errRefusal
	}
	if !used {
		s.used[n] = now
	}
	return nil
}

func (s *modelServer) text() string {
	return fmt.Sprint(s.dead, s.current, s.before, s.used, s.handled)
}
