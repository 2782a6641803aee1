package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// What happened once, to a fleet with a client library that took a refusal for an accident: 832 workers asked a token
// endpoint 351,735 times in a little more than four hours, and got the same answer each time.
const (
	workers      = 832
	requestsThen = 351_735
	incidentTook = 4 * time.Hour
	retriedAfter = workers * incidentTook / requestsThen // by each worker: half a minute
	// fewer calls stand for all of them where the rows are many: this many times fewer.
	fewer = 30
	// requestsMost is what groat may ask in its place.
	requestsMost = 50
	// answersIn is how long the server takes.
	answersIn = 50 * time.Millisecond
	// answeredIn is how long a worker waits for its answer.
	answeredIn = 100 * time.Millisecond
)

// incident is a fleet in front of one daemon after the other.
type incident struct {
	*env
	// asking has an element of each worker that asks, and is full while another daemon is started. It is no
	// sync.RWMutex: a goroutine that waits for one stops the time of a bubble, and with it the request that the
	// mutex's holder waits for.
	asking  chan struct{}
	store   testKeystore
	client  *http.Client
	state   string
	calls   atomic.Int64
	longest atomic.Int64
	refused atomic.Pointer[protocol.Error] // the last answer
}

func TestTheIncident(t *testing.T) {
	tier.Long(t, "it lives through ten incidents")
	busy := func(status int, header ...string) func(i *incident) {
		return func(i *incident) {
			f := sandbox.Fault{Status: status,
				Body: `{"error":"too_many_requests","error_description":"Global limit has been reached"}`, Times: -1,
				Header: http.Header{}}
			if len(header) > 0 {
				f.Header.Set(header[0], header[1])
			}
			i.server.Script(i.server.TokenPath(), f)
		}
	}
	for nth, c := range []struct {
		name string
		hit  func(i *incident)
		kind protocol.Kind
		says string
	}{
		{"a blocked user", func(i *incident) { i.server.BlockUser(person, true) }, protocol.LoginRequired,
			"invalid_grant"},
		{"a storm of 429", busy(http.StatusTooManyRequests), protocol.Temporary, "too_many_requests"},
		{"429 with a wish", busy(http.StatusTooManyRequests, "Retry-After", "120"), protocol.Temporary,
			"too_many_requests"},
		{"a server that fails", func(i *incident) {
			f := sandbox.HTML(http.StatusBadGateway)
			f.Times = -1
			i.server.Script(i.server.TokenPath(), f)
		}, protocol.Temporary, "HTTP 502"},
		{"a server that is down", func(i *incident) {
			i.client.Transport.(*http.Transport).DialContext = refusedDial
		}, protocol.Temporary, "connection refused"},
	} {
		for restarts := range 2 {
			name := c.name
			if restarts > 0 {
				name += ", and a groatd that is started anew each half hour"
			}
			every := retriedAfter
			if raced || nth+restarts > 0 { // else as it was
				every *= fewer
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					i := newIncident(t)
					c.hit(i)
					before := i.server.Count(i.server.TokenPath())
					i.rage(t, every, restarts*7)
					sent := i.server.Count(i.server.TokenPath()) - before
					if sent > requestsMost {
						t.Errorf("%d requests, want %d at most", sent, requestsMost)
					}
					if n := i.calls.Load(); n < int64(requestsThen*retriedAfter/every) {
						t.Errorf("only %d calls: this shows nothing", n)
					}
					if waited := time.Duration(i.longest.Load()); waited > answeredIn {
						t.Errorf("a worker waited %s", waited)
					}
					if e := i.refused.Load(); e.Kind() != c.kind || !strings.Contains(e.Message, c.says) ||
						e.Hint() == "" {
						t.Errorf("the workers were told %v (%q)", e, e.Hint())
					}
					var st protocol.StatusResult
					if err := i.visit(t).Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{Profile: "p"},
						&st); err != nil {
						t.Fatal(err)
					}
					if p := st.Profiles[0]; p.State != string(c.kind) || !strings.Contains(p.Message, c.says) ||
						p.Hint == "" {
						t.Errorf("the status says %+v", p)
					}
					if item := stored(t, i.store, "p"); item.RefreshToken.IsZero() {
						t.Error("the session was erased")
					}
					t.Attr("incident.calls", fmt.Sprint(i.calls.Load()))
					t.Attr("incident.requests", fmt.Sprint(sent))
					t.Attr("incident.longest-wait", time.Duration(i.longest.Load()).String())
				})
			})
		}
	}
}

func refusedDial(ctx context.Context, network, addr string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
}

// newIncident is a fleet whose person has signed in, and whose token has just expired.
func newIncident(t *testing.T) *incident {
	store := &faultyStore{memory: memory{&keystore.Memory{}}}
	h := newBubbleEnv(t, sandbox.Options{Dialect: sandbox.Auth0, TokenLifetime: 15 * time.Minute, Latency: answersIn},
		store)
	i := &incident{env: h, asking: make(chan struct{}, workers+1), store: store, client: h.HTTP, state: t.TempDir()}
	i.restart(t)
	i.signIn(t, i.ofDevice("p"))
	time.Sleep(time.Hour) // no request comes: the token is left to expire
	i.restart(t)
	return i
}

// restart ends the daemon and starts another one with the same files.
func (i *incident) restart(t *testing.T) {
	t.Helper()
	for range cap(i.asking) {
		i.asking <- struct{}{}
	}
	defer func() {
		for range cap(i.asking) {
			<-i.asking
		}
	}()
	old := i.Daemon
	if err := old.Close(t.Context()); err != nil {
		t.Error(err)
	}
	i.Daemon = newDaemon(t, Options{
		Config: old.Config, Keystore: i.store, HTTP: i.client, Now: old.Now, Log: zap.NewNop(), StateDir: i.state,
	})
}

// rage is what the workers do for four hours, each of them asking again and again, while the daemon is started anew so
// many times.
func (i *incident) rage(t *testing.T, every time.Duration, restarts int) {
	var all sync.WaitGroup
	over := time.Now().Add(incidentTook)
	for n := range workers {
		all.Go(func() {
			time.Sleep(every * time.Duration(n) / workers)
			for time.Now().Before(over) {
				i.ask(t)
				time.Sleep(every)
			}
		})
	}
	for range restarts {
		time.Sleep(incidentTook / time.Duration(restarts+1))
		i.restart(t)
	}
	all.Wait()
	i.ask(t)
}

// ask is one worker's call.
func (i *incident) ask(t *testing.T) {
	i.asking <- struct{}{}
	defer func() { <-i.asking }()
	p, err := i.find("p")
	if err != nil {
		t.Error(err)
		return
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), protocol.DefaultWait)
	defer cancel()
	_, err = i.broker.Token(ctx, broker.Query{Profile: p.Name, MinTTL: broker.Unset})
	waited := int64(time.Since(asked))
	i.calls.Add(1)
	for was := i.longest.Load(); waited > was && !i.longest.CompareAndSwap(was, waited); was = i.longest.Load() {
	}
	if err == nil {
		t.Error("a worker got a token")
		return
	}
	i.refused.Store(i.wire(err, p.Name))
}

// A groatd is ended in the middle of a request that no caller waits for. What the server answers, the next one knows.
func TestAnAnswerDuringTheEndIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIncident(t)
		i.server.BlockUser(person, true)
		before := i.requests()
		i.broker.Recover("p")
		synctest.Wait() // it is on its way
		asked := make(chan struct{})
		go func() {
			time.Sleep(answersIn / 2)
			i.ask(t)
			close(asked)
		}()
		i.restart(t)
		<-asked
		if e := i.refused.Load(); e.Kind() != protocol.LoginRequired || i.requests() != before+1 {
			t.Errorf("%d requests, then %v", i.requests()-before, e)
		}
	})
}
