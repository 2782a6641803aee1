package engine

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
	"github.com/groat-dev/groat/protocol/visible"
)

// maxAnswer bounds an answer, and a message of a watch. The largest value is 88 KB in base64, the largest change 1 MB;
// etcd divides what is larger where it is asked to.
const maxAnswer = 8 << 20

// request is one POST of the gateway.
type request struct {
	path       string
	body       []byte
	repeatable bool // it changes nothing
	secret     bool // what is made of body is wiped; body itself is the caller's
}

// answer is what a node answered.
type answer struct {
	body []byte
	now  time.Time // its Date; zero if it has none
}

// nodeError means that one node failed, and another one may be asked.
type nodeError struct {
	err       error
	maybeDone bool // the change may have been made
}

func (e *nodeError) Error() string { return e.err.Error() }
func (e *nodeError) Unwrap() error { return e.err }

var (
	errAnswer   = errors.New("an answer that is not etcd's")
	errTooLarge = fmt.Errorf("an answer of more than %d MiB", maxAnswer>>20)
	errToken    = errors.New("the token is not valid any more")
	errConnect  = fmt.Errorf("no connection in %v", connectTime)
)

// refusal is an error that etcd answered with; the codes are gRPC's
// (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
type refusal struct {
	code    int
	message string
}

func (r *refusal) Error() string { return visible.Line(r.message, 200) }

// call makes a request at a node with a token, and once more with a new one where the node does not know it: it forgets
// them when it restarts, and after 5 minutes (--auth-token-ttl).
func (e *Etcd) call(ctx context.Context, n *node, limit time.Duration, r request) (answer, error) {
	for again := false; ; again = true {
		token, err := e.token(ctx, n)
		if err != nil {
			return answer{}, err
		}
		a, err := e.send(ctx, n, limit, r, token)
		if errors.Is(err, errToken) && !again && e.user != "" {
			e.forget(token)
			continue
		}
		if errors.Is(err, errToken) {
			err = fmt.Errorf("%w (%s: %w)", ErrRefused, n.url, err)
		}
		return a, err
	}
}

// token returns the token that requests carry; zero where there is no user.
func (e *Etcd) token(ctx context.Context, n *node) (keystore.Secret, error) {
	if token, ok, err := e.known(); ok || err != nil {
		return token, err
	}
	select {
	case e.signIn <- struct{}{}:
		defer func() { <-e.signIn }()
	case <-ctx.Done():
		return keystore.Secret{}, ended(ctx)
	}
	if token, ok, err := e.known(); ok || err != nil { // another call has asked for it meanwhile
		return token, err
	}
	body := e.credentials()
	defer clear(body)
	a, err := e.send(ctx, n, authTime,
		request{path: "/v3/auth/authenticate", body: body, repeatable: true, secret: true}, keystore.Secret{})
	defer clear(a.body)
	if _, ok := errors.AsType[*nodeError](err); err != nil && !ok && !errors.Is(err, ErrRefused) {
		err = fmt.Errorf("%w (%s: %w)", ErrRefused, n.url, err)
	}
	if err != nil {
		return keystore.Secret{}, err
	}
	token, ok := decodeToken(a.body)
	if !ok {
		return keystore.Secret{}, &nodeError{err: errAnswer}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.session = token
	}
	return token, nil
}

// known returns the token that requests carry, and false where one is to be asked for.
func (e *Etcd) known() (token keystore.Secret, ok bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return keystore.Secret{}, false, errClosed
	}
	return e.session, e.user == "" || !e.session.IsZero(), nil
}

// credentials returns the body of a request for a token, which the caller wipes.
func (e *Etcd) credentials() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	password := e.password.AppendTo(nil)
	defer clear(password)
	// At most six bytes stand for one, so that no smaller copy is left behind by append.
	body := make([]byte, 0, 6*(len(e.user)+len(password))+64)
	body = strictjson.AppendString(append(body, `{"name":`...), e.user)
	body = strictjson.AppendString(append(body, `,"password":`...), password)
	return append(body, '}')
}

// forget drops a token, unless there is a newer one.
func (e *Etcd) forget(token keystore.Secret) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session.Equal(token) {
		e.session = keystore.Secret{}
	}
}

// send makes a request at a node once, and reads its answer.
func (e *Etcd) send(ctx context.Context, n *node, limit time.Duration, r request, token keystore.Secret) (
	answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	response, sent, err := e.open(ctx, n, r, token)
	if err != nil {
		return answer{}, r.failed(err, sent)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return answer{}, r.failed(err, true)
	}
	if response.StatusCode != http.StatusOK {
		return answer{}, r.refused(response.StatusCode, body)
	}
	if len(body) > maxAnswer {
		return answer{}, errTooLarge
	}
	return answer{body, date(response)}, nil
}

// open sends a request and returns when the answer begins. sent reports whether a part of it may have left.
func (e *Etcd) open(ctx context.Context, n *node, r request, token keystore.Secret) (*http.Response, bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(connectTime, cancel)
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		sent.Store(true)
		late.Stop()
	}})
	q, err := http.NewRequestWithContext(traced, http.MethodPost, n.url+r.path, bytes.NewReader(r.body))
	if err != nil {
		cancel()
		return nil, false, err
	}
	if r.secret {
		wipe(q, r.body)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "groat")
	// A node that knows no leader refuses, and ends its watches, instead of waiting for one (etcd's
	// clientv3.WithRequireLeader).
	q.Header.Set("Grpc-Metadata-Hasleader", "true")
	if !token.IsZero() {
		q.Header.Set("Authorization", token.Reveal())
	}
	response, err := e.transport.RoundTrip(q)
	if err != nil {
		if cancel(); !late.Stop() && !sent.Load() {
			err = errConnect
		}
		return nil, sent.Load(), err
	}
	response.Body = &cancelBody{response.Body, cancel}
	return response, true, nil
}

// wipe makes a copy of text, which is wiped when net/http closes it, the body of a request: it may do so after
// RoundTrip has returned.
func wipe(q *http.Request, text []byte) {
	q.GetBody = func() (io.ReadCloser, error) { return newWipedBody(text), nil }
	q.Body = newWipedBody(text)
}

// wipedBody is a body that is wiped when it is closed.
type wipedBody struct {
	mu   sync.Mutex
	text []byte
	read int // so many bytes of it were
}

func newWipedBody(text []byte) *wipedBody { return &wipedBody{text: bytes.Clone(text)} }

func (b *wipedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := copy(p, b.text[b.read:])
	if b.read += n; n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (b *wipedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.text)
	b.text, b.read = nil, 0
	return nil
}

// cancelBody releases the context of its request.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// date returns the Date of an answer.
func date(response *http.Response) time.Time {
	now, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return now
}

// failed says what it means that no answer came.
func (r request) failed(err error, sent bool) error {
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
		// A node that wants a certificate says so when it reads the request's first bytes (TLS 1.3).
		return fmt.Errorf("%w (%s: does it want a client's certificate?)", ErrRefused, cause(err))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		err = ErrUntrusted
	} else if _, ok := errors.AsType[x509.HostnameError](err); ok {
		err = fmt.Errorf("%w: it is for another address", ErrUntrusted)
	}
	return &nodeError{err: err, maybeDone: sent && !r.repeatable && !errors.Is(err, ErrUntrusted)}
}

// refused says what an answer with another status than 200 means.
func (r request) refused(status int, body []byte) error {
	said := decodeRefusal(body)
	if said == nil {
		if status == http.StatusNotFound {
			return &nodeError{err: errors.New("there is no etcd, or its JSON gateway is off")}
		}
		return &nodeError{err: fmt.Errorf("it answers with HTTP %d", status), maybeDone: !r.repeatable}
	}
	return said.meaning(r.repeatable)
}

// meaning says what etcd's error means for the request.
func (r *refusal) meaning(repeatable bool) error {
	const (
		invalidArgument, permissionDenied, exhausted, outOfRange, unavailable, unauthenticated = 3, 7, 8, 11, 14, 16
	)
	says := func(text string) bool { return strings.Contains(r.message, text) }
	switch {
	case r.code == unauthenticated, r.code == invalidArgument && says("revision of auth store is old"):
		return errToken
	case r.code == permissionDenied, r.code == invalidArgument && says("user name is empty"):
		return fmt.Errorf("%w (%w)", ErrRefused, r)
	case r.code == outOfRange:
		return fmt.Errorf("%w (%w)", ErrCompacted, r)
	case r.code == exhausted && says("larger than max"):
		return errTooLarge
	case r.code == exhausted, r.code == unavailable && says("no leader"):
		return &nodeError{err: r}
	case r.code == invalidArgument, r.code == 5, r.code == 9, r.code == 12:
		return r // another node would say the same
	}
	return &nodeError{err: r, maybeDone: !repeatable}
}

// cause is the text of an error for people: net/http's own begins with the method and the whole address.
func cause(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ended the connection"
	}
	return visible.Line(err.Error(), 300)
}

// decodeRefusal returns the error in an answer, or nil where there is none. Versions differ in the field of the text.
func decodeRefusal(body []byte) *refusal {
	var said struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	if strictjson.Check(body) != nil || json.Unmarshal(body, &said) != nil || said.Code == 0 {
		return nil
	}
	if said.Message == "" {
		said.Message = said.Error
	}
	return &refusal{said.Code, said.Message}
}
