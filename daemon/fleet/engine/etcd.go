package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// Options say where an etcd is and as whom to speak to it.
type Options struct {
	// Endpoints are its nodes' addresses for clients, at most [MaxEndpoints]: https, or http on a loopback address.
	Endpoints []string
	// Roots are the only authorities of the nodes' certificates that are trusted. Nil stands for the system's and those
	// of Network.
	Roots *x509.CertPool
	// Certificate is shown to the nodes; nil is none. etcd's JSON gateway does not take it for a user.
	Certificate *tls.Certificate
	// User authenticates with Password, unless it is empty. The password is sent to Endpoints and nowhere else. It
	// stays the caller's.
	User     string
	Password keystore.Secret
	// Network says through which proxy the nodes are reached; one on a loopback address is reached through none. Nil is
	// no proxy.
	Network *grant.Network
}

// MaxEndpoints is how many nodes an etcd may have here.
const MaxEndpoints = 16

// Limits of time. What is shorter than an election of etcd's (1 s to 2 s) would leave a node that is well.
const (
	connectTime = 2 * time.Second         // until a connection stands, with TLS
	readTime    = 2500 * time.Millisecond // of a read at one node
	swapTime    = 3 * time.Second         // of a Swap that was sent: what a leader took with it is not answered
	authTime    = 5 * time.Second         // etcd takes 0.1 s of a processor for a password, and a fleet may ask at once
	totalTime   = 12 * time.Second        // of a page of a Read, or of a Swap, at however many nodes
	wholeTime   = 30 * time.Second        // of a Read, however many pages it has
)

// maxCalls is how many requests of one [Etcd] run at a time; more wait.
const maxCalls = 16

// Etcd is an etcd of version 3.4 or later, through its JSON gateway. It is safe for concurrent use.
//
// Requests go to one node until that fails, then to the next one. A node that does not answer in time, or that has no
// majority behind it, has failed; its watches go on elsewhere. Which node is the first is drawn, so that the machines
// of a fleet spread over them.
type Etcd struct {
	transport http.RoundTripper
	user      string
	slots     chan struct{} // has one for each request that runs
	signIn    chan struct{} // holds one while a token is being asked for

	mu       sync.Mutex
	nodes    []*node // the one that failed last is the last
	password keystore.Secret
	session  keystore.Secret // the token; zero is none
	closed   bool
}

// node is one endpoint.
type node struct {
	url  string
	left chan struct{} // closed when it fails; guarded by Etcd.mu
}

// NewEtcd returns the engine that the options describe. Nothing is sent yet.
func NewEtcd(o Options) (*Etcd, error) {
	if n := len(o.Endpoints); n == 0 || n > MaxEndpoints {
		return nil, fmt.Errorf("an engine has 1 to %d endpoints, not %d", MaxEndpoints, n)
	}
	if (o.User == "") != o.Password.IsZero() {
		return nil, errors.New("an engine's user and its password belong together")
	}
	network := o.Network
	if network == nil {
		network = &grant.Network{}
	}
	e := &Etcd{
		transport: grant.NewPinnedTransport(network, o.Roots, o.Certificate), user: o.User,
		slots: make(chan struct{}, maxCalls), signIn: make(chan struct{}, 1),
	}
	for _, endpoint := range o.Endpoints {
		if err := origin.Check(endpoint, "an engine's endpoint"); err != nil {
			return nil, err
		}
		e.nodes = append(e.nodes, &node{url: endpoint, left: make(chan struct{})})
	}
	rand.Shuffle(len(e.nodes), func(i, j int) { e.nodes[i], e.nodes[j] = e.nodes[j], e.nodes[i] })
	e.password = o.Password.Clone()
	return e, nil
}

// errClosed is an error of the program.
var errClosed = errors.New("the engine was closed")

// Close forgets the password and closes the connections that no call uses. Later calls fail.
func (e *Etcd) Close() {
	e.mu.Lock()
	e.closed = true
	e.password.Wipe()
	e.session = keystore.Secret{}
	e.mu.Unlock()
	client := http.Client{Transport: e.transport}
	client.CloseIdleConnections()
}

// order returns the nodes in the order in which they are tried.
func (e *Etcd) order() []*node {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.nodes)
}

// leave makes a node the last, and ends its watches.
func (e *Etcd) leave(n *node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.nodes, n)
	e.nodes = append(slices.Delete(e.nodes, i, i+1), n)
	close(n.left)
	n.left = make(chan struct{})
}

// whenLeft returns a channel that is closed when the node is left.
func (e *Etcd) whenLeft(n *node) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return n.left
}

// failures are the nodes' failures during one call.
type failures struct {
	said      []string
	untrusted bool // all of them
}

func (f *failures) add(n *node, err error) {
	f.untrusted = errors.Is(err, ErrUntrusted) && (f.untrusted || f.said == nil)
	f.said = append(f.said, fmt.Sprintf("%s: %s", n.url, cause(err)))
}

// err says that no node answers, and why each does not.
func (f *failures) err() error {
	kind := ErrUnavailable
	if f.untrusted {
		kind = ErrUntrusted
	}
	return fmt.Errorf("%w (%s)", kind, strings.Join(f.said, "; "))
}

// atNodes makes a call at one node after the other, until one says something that ends it. The call is made at another
// node only if it certainly had no effect.
func (e *Etcd) atNodes(ctx context.Context, call func(context.Context, *node) error) error {
	ctx, cancel := context.WithTimeout(ctx, totalTime)
	defer cancel()
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // select draws where both are ready
		return ended(ctx)
	}
	var all failures
	for _, n := range e.order() {
		began := time.Now()
		err := call(ctx, n)
		failed, ok := errors.AsType[*nodeError](err)
		if !ok {
			return err
		}
		// A caller that has gone says nothing about the node, unless it has waited for long.
		if ctx.Err() == nil || time.Since(began) > time.Second {
			e.leave(n)
		}
		if failed.maybeDone {
			return fmt.Errorf("%w (%s: %s)", ErrUnknown, n.url, cause(err))
		}
		if all.add(n, err); ctx.Err() != nil {
			return ended(ctx)
		}
	}
	return e.nobody(all)
}

// nobody is the error where every node has failed. The token may be why: one that comes from a later state than the
// engine is in, because a backup was restored, is waited for until that state (isValidSimpleToken in etcd's
// auth/store.go).
func (e *Etcd) nobody(all failures) error {
	e.mu.Lock()
	e.session = keystore.Secret{}
	e.mu.Unlock()
	return all.err()
}

// ended says why a call's context ended: the caller's reason, or that the time of a call is over.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
}

// pages are how many entries a Read asks for at once: the first, and less where that is too much for one answer.
var pages = []int{500, 60, 8}

// maxRead bounds what one Read returns, in bytes; entryCost is what an entry takes beside its key and its value.
const (
	maxRead   = 64 << 20
	entryCost = 64
)

// size is how much memory entries take.
func size(entries []Entry) (n int) {
	for _, e := range entries {
		n += len(e.Key) + len(e.Value) + entryCost
	}
	return n
}

// Read implements [Engine].
func (e *Etcd) Read(ctx context.Context, prefix string) ([]Entry, State, error) {
	if err := checkKey(prefix); err != nil {
		return nil, State{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, wholeTime)
	defer cancel()
	for again := false; ; again = true {
		entries, state, err := e.read(ctx, prefix)
		// The revision of the first page may be gone before the last one.
		if again || !errors.Is(err, ErrCompacted) {
			return entries, state, err
		}
	}
}

func (e *Etcd) read(ctx context.Context, prefix string) (entries []Entry, state State, err error) {
	from, page, total := prefix, 0, 0
	for {
		found, err := e.readPage(ctx, from, prefix, state.Revision, pages[page])
		if errors.Is(err, errTooLarge) && page < len(pages)-1 {
			page++
			continue
		}
		if err != nil {
			return nil, State{}, err
		}
		if state.Revision == 0 {
			state = found.state
		}
		state.Now = found.state.Now
		entries = append(entries, found.entries...)
		if total += size(found.entries); total > maxRead {
			return nil, State{}, fmt.Errorf("more than %d MiB are stored below %s", maxRead>>20, prefix)
		}
		if !found.more {
			return entries, state, nil
		}
		from = found.entries[len(found.entries)-1].Key + "\x00"
	}
}

// readPage makes one request for entries below prefix, from a key on.
func (e *Etcd) readPage(ctx context.Context, from, prefix string, revision int64, limit int) (f found, err error) {
	body := rangeRequest(from, prefix, revision, limit)
	err = e.atNodes(ctx, func(ctx context.Context, n *node) error {
		a, err := e.call(ctx, n, readTime, request{path: "/v3/kv/range", body: body, repeatable: true})
		if err != nil {
			return err
		}
		if f, err = decodeRange(a, from, prefix); err != nil {
			return &nodeError{err: err}
		}
		return nil
	})
	return f, err
}

// Swap implements [Engine].
func (e *Etcd) Swap(ctx context.Context, conditions []Condition, changes []Change) (
	swapped bool, state State, err error) {
	if err := check(conditions, changes); err != nil {
		return false, State{}, err
	}
	body := txnRequest(conditions, changes)
	err = e.atNodes(ctx, func(ctx context.Context, n *node) error {
		a, err := e.call(ctx, n, swapTime, request{path: "/v3/kv/txn", body: body})
		if err != nil {
			return err
		}
		if swapped, state, err = decodeTxn(a); err != nil {
			return &nodeError{err: err, maybeDone: true}
		}
		return nil
	})
	return swapped, state, err
}
