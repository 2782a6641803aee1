package broker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

// place is a profile whose session works, at a server that can be made to misbehave, all of it in a bubble's time. What
// is between them are real bytes: HTTP over pipes, over TLS or over TCP.
type place struct {
	box      *sandbox.Server
	endpoint *grant.Endpoint
	store    *counted
	b        *broker.Broker
	now      clock.Func
	item     keystore.Item // as it was stored
	first    grant.Token

	mu     sync.Mutex
	dial   func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the sandbox's
	inner  func(ctx context.Context, network, addr string) (net.Conn, error)
	tls    *tls.Config // the server's; nil: no TLS
	good   *tls.Config // what it was
	dialed map[string]int
	spoke  []string // what ALPN settled
	wrong  atomic.Int64
}

// counted is a keystore in memory that counts what is written.
type counted struct {
	keystore.Memory
	sets, deletes atomic.Int64
}

func (c *counted) Set(ctx context.Context, profile string, item keystore.Item) error {
	c.sets.Add(1)
	return c.Memory.Set(ctx, profile, item)
}

func (c *counted) Delete(ctx context.Context, profile string) error {
	c.deletes.Add(1)
	return c.Memory.Delete(ctx, profile)
}

const (
	lifetime = 900 * time.Second
	host     = "auth.example.org"
	machine  = "machine"
	person   = "alice@example.com"
	secret   = "client-secret-of-the-table"
)

// newPlace must be called in a bubble.
func newPlace(t *testing.T, c answerCase) *place {
	t.Helper()
	p := &place{store: &counted{}, dialed: map[string]int{}, tls: c.tls, good: c.tls}
	o := sandbox.Options{
		URL: "http://127.0.0.1", TokenLifetime: lifetime, Dialect: c.dialect, Refresh: sandbox.Refresh{
			Always: true, Rotate: c.rotate,
		},
		Users: []sandbox.User{{Name: person, Password: "dummy-password"}},
		Clients: []sandbox.Client{
			{ID: "app", Method: sandbox.None}, {ID: machine, Secret: secret, Method: sandbox.ClientSecretPost},
		},
	}
	if c.tls != nil {
		o.URL = "https://" + host
	}
	p.box = sandbox.New(o)
	p.inner = p.box.StartPipe()
	client := grant.NewHTTPClient(new(grant.Network))
	transport := client.Transport.(*http.Transport)
	transport.DialContext = p.connect
	if c.tls != nil {
		transport.TLSClientConfig.RootCAs = c.roots
	}
	begin := time.Now()
	p.now = func() clock.Instant {
		return clock.Instant{Wall: time.Now().Add(time.Duration(p.wrong.Load())), Boot: time.Hour + time.Since(begin)}
	}
	method := grant.None
	if c.machine {
		method = grant.ClientSecretPost
	}
	found, err := grant.Discover(t.Context(), client, p.box.Issuer(), method)
	if err != nil {
		t.Fatal(err)
	}
	p.endpoint = grant.NewEndpoint(found.Server, client, p.now)
	p.signIn(t, c)
	holder := &keystore.PendingStore{Store: p.store}
	p.b = broker.New(p.now)
	p.b.Put(map[string]broker.Source{
		"p": &credential.Source{Profile: "p", Store: holder, Endpoint: p.endpoint, Scope: c.scope},
	})
	if p.first, err = p.get(t, broker.Unset); err != nil {
		t.Fatal(err)
	}
	p.item, _ = p.store.Get(t.Context(), "p")
	t.Cleanup(func() {
		p.b.Close(context.Background())
		p.box.Close()
		time.Sleep(time.Minute) // sleeping goroutines find it closed
		synctest.Wait()
	})
	return p
}

// signIn stores a session, or a client with a secret.
func (p *place) signIn(t *testing.T, c answerCase) {
	t.Helper()
	item := p.endpoint.Server().NewItem(machine, grant.ByClientCredentials)
	item.ClientSecret = keystore.SecretString(secret)
	if !c.machine {
		item = p.endpoint.Server().NewItem("app", grant.ByDeviceCode)
		d, err := p.endpoint.StartDevice(t.Context(), item, grant.Request{})
		if err == nil {
			err = p.box.ApproveDevice(d.UserCode)
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.endpoint.AwaitDevice(t.Context(), item, d)
		if err != nil {
			t.Fatal(err)
		}
		item.RefreshToken = s.Refresh
	}
	if err := p.store.Set(t.Context(), "p", item); err != nil {
		t.Fatal(err)
	}
}

// connect is what the client dials with.
func (p *place) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	dial := p.dial
	p.dialed[addr]++
	p.mu.Unlock()
	if dial != nil {
		return dial(ctx, network, addr)
	}
	c, err := p.inner(ctx, network, addr)
	if err != nil || p.tls == nil {
		return c, err
	}
	here, there := net.Pipe()
	go p.serveTLS(newEager(there), c)
	return here, nil
}

// eager is a connection whose writes never wait for the reader, as a kernel's do not: a client that breaks a handshake
// off reads no further.
type eager struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
}

func newEager(c net.Conn) *eager {
	e := &eager{c, make(chan []byte, 64), make(chan struct{})}
	go func() {
		defer c.Close()
		for {
			select {
			case b := <-e.out:
				if _, err := c.Write(b); err != nil {
					return
				}
			case <-e.closed:
				for len(e.out) > 0 {
					c.Write(<-e.out)
				}
				return
			}
		}
	}()
	return e
}

func (e *eager) Write(b []byte) (int, error) {
	select {
	case e.out <- slices.Clone(b):
		return len(b), nil
	case <-e.closed:
		return 0, net.ErrClosed
	}
}

func (e *eager) Close() error {
	close(e.closed)
	return nil
}

// serveTLS is TLS in front of a connection without.
func (p *place) serveTLS(outside, inside net.Conn) {
	defer outside.Close()
	defer inside.Close()
	p.mu.Lock()
	config := p.tls
	p.mu.Unlock()
	server := tls.Server(outside, config)
	if server.Handshake() != nil {
		return
	}
	p.mu.Lock()
	p.spoke = append(p.spoke, server.ConnectionState().NegotiatedProtocol)
	p.mu.Unlock()
	go func() {
		io.Copy(inside, server)
		inside.Close()
	}()
	io.Copy(server, inside)
}

// rig changes what the client dials, or the server's certificate.
func (p *place) rig(dial func(ctx context.Context, network, addr string) (net.Conn, error), config *tls.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dial = dial
	if config != nil {
		p.tls = config
	}
}

// dials is how often the client has dialed.
func (p *place) dials() (all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.dialed {
		all += n
	}
	return all
}

// get asks as a program does, and makes sure that it waits for no longer than one request takes.
func (p *place) get(t *testing.T, minTTL time.Duration) (grant.Token, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	asked := time.Now()
	token, err := p.b.Token(ctx, broker.Query{Profile: "p", MinTTL: minTTL})
	if waited := time.Since(asked); waited > 16*time.Second {
		t.Errorf("waited %s", waited)
	}
	return token, err
}

// served makes sure that the first token is handed out at once.
func (p *place) served(t *testing.T) {
	t.Helper()
	token, ok := p.b.Cached(broker.Query{Profile: "p", MinTTL: broker.Unset})
	if !ok { // little is left of it: an answer may take until it is known that there is no better one
		var err error
		if token, err = p.get(t, broker.Unset); err != nil {
			t.Fatalf("%s before its end, the token that is still valid is not served: %v", p.left(), err)
		}
	}
	if !token.Access.Equal(p.first.Access) {
		t.Fatalf("%s before the end of the first token: another one", p.left())
	}
}

// left is what the first token has left.
func (p *place) left() time.Duration { return p.first.Lifetime - time.Since(p.first.Sent.Wall) }

// untouched makes sure that the keystore's item is what it was.
func (p *place) untouched(t *testing.T) {
	t.Helper()
	now, err := p.store.Get(t.Context(), "p")
	if err != nil || !now.Equal(p.item) || p.store.sets.Load() != 1 || p.store.deletes.Load() != 0 {
		t.Errorf("the keystore's item was touched: %v, %d times written", err, p.store.sets.Load())
	}
}

func asGrant(t *testing.T, err error) *grant.Error {
	t.Helper()
	e, ok := errors.AsType[*grant.Error](err)
	if !ok {
		t.Fatalf("%v is no server's error", err)
	}
	return e
}
