package grant

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/groat-dev/groat/keystore"
)

const (
	callbackPath = "/callback"
	callbackWait = 2 * time.Minute
	callbackIdle = 5 * time.Second
	callbackLast = 200 * time.Millisecond
	callbackMost = 32 << 10 // of a request's header, which holds the code
)

// Receiver waits on a loopback address for the browser to come back (RFC 8252 §7.3). Only a GET of the exact path, with the right
// Host and the right state is an answer, and only the first; everything else gets a page that says so and changes nothing:
// a favicon, a prefetch, a scan of the port, a page in another tab that guesses.
type Receiver struct {
	listener net.Listener
	redirect *url.URL
}

// Listen binds the redirect URI that a client was registered with: http on 127.0.0.1, [::1] or localhost, with its port or,
// without one, any that is free (RFC 8252 §7.3). Empty means 127.0.0.1 and /callback. localhost is bound on 127.0.0.1.
func Listen(registered string) (*Receiver, error) {
	if registered == "" {
		registered = "http://127.0.0.1" + callbackPath
	}
	if err := CheckURL(registered, "the redirect URI"); err != nil {
		return nil, err
	}
	u, err := url.Parse(registered)
	if err != nil {
		return nil, err
	}
	name := u.Hostname()
	if u.Scheme != "http" || !loopback(name) || u.RawQuery != "" || u.ForceQuery {
		return nil, errors.New("the redirect URI must be http on 127.0.0.1, [::1] or localhost, without a query")
	}
	bind, port := name, u.Port()
	if strings.EqualFold(name, "localhost") {
		bind = "127.0.0.1"
	}
	if port == "" {
		port = "0"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(bind, port))
	if err != nil {
		return nil, &listenError{registered, err}
	}
	if port == "0" {
		_, port, _ = net.SplitHostPort(l.Addr().String())
	}
	u.Host = net.JoinHostPort(name, port)
	return &Receiver{l, u}, nil
}

type listenError struct {
	redirect string
	err      error
}

func (e *listenError) Error() string {
	return "cannot wait for the browser at " + e.redirect + ": " + words(e.err)
}
func (e *listenError) Unwrap() error { return e.err }

// RedirectURI is the address with the port that was bound: what goes into the request.
func (r *Receiver) RedirectURI() string { return r.redirect.String() }

// is reports whether a Host header names this address; browsers leave out port 80.
func (r *Receiver) is(host string) bool {
	return strings.EqualFold(host, r.redirect.Host) || r.redirect.Port() == "80" && strings.EqualFold(host+":80", r.redirect.Host)
}

// Close stops listening. It need not be called after Await.
func (r *Receiver) Close() error { return r.listener.Close() }

// Await returns the code that the browser brings for a, which must have been started with r's RedirectURI. It waits two
// minutes at most and is called once; the address is free again when it returns. The error is ctx's, or an [*Error]: the
// server's refusal, or that nobody came.
func (r *Receiver) Await(ctx context.Context, a *Authorization) (keystore.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callbackWait)
	defer cancel()
	c := &callback{receiver: r, a: a, done: make(chan struct{})}
	server := &http.Server{
		Handler: c, ReadHeaderTimeout: callbackIdle, ReadTimeout: callbackIdle, WriteTimeout: callbackIdle,
		MaxHeaderBytes: callbackMost, ErrorLog: log.New(io.Discard, "", 0), // its lines quote what was sent
	}
	server.SetKeepAlivesEnabled(false)
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(r.listener) })
	defer serving.Wait()
	select {
	case <-c.done:
		// The page is on its way already. Others that were asked for get a moment; a browser's spare connections say nothing.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackLast)
		defer cancel()
		if server.Shutdown(last) != nil {
			server.Close()
		}
		return c.code, c.err
	case <-ctx.Done():
		server.Close()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return keystore.Secret{}, ctx.Err()
		}
		return keystore.Secret{}, &Error{Class: Refused, Where: a.where, Reason: "has not sent the browser back within two minutes", Err: ctx.Err()}
	}
}

// callback is the handler; its answer is set once, before done is closed.
type callback struct {
	receiver *Receiver
	a        *Authorization
	done     chan struct{}

	mu       sync.Mutex
	answered bool
	code     keystore.Secret
	err      error
}

func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !c.receiver.is(r.Host): // a name that somebody made point here (DNS rebinding)
		showPage(w, http.StatusMisdirectedRequest, pageNotHere)
	case r.URL.EscapedPath() != c.path():
		showPage(w, http.StatusNotFound, pageNotHere)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		showPage(w, http.StatusMethodNotAllowed, pageNotHere)
	case strings.Contains(r.Header.Get("Sec-Purpose")+r.Header.Get("Purpose")+r.Header.Get("X-Moz"), "prefetch"):
		showPage(w, http.StatusServiceUnavailable, pageNotHere) // the browser asks again when it means it
	default:
		c.answer(w, r)
	}
}

func (c *callback) path() string {
	if p := c.receiver.redirect.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

func (c *callback) answer(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	var code keystore.Secret
	if err == nil {
		code, err = c.a.read(query)
	} else {
		err = ErrNotThisLogin
	}
	if errors.Is(err, ErrNotThisLogin) {
		showPage(w, http.StatusBadRequest, pageNotThis)
		return
	}
	c.mu.Lock()
	late := c.answered
	if c.answered = true; !late {
		c.code, c.err = code, err
	}
	c.mu.Unlock()
	switch {
	case late:
		code.Wipe()
		showPage(w, http.StatusConflict, pageLate)
		return
	case err != nil:
		showPage(w, http.StatusOK, pageFailed)
	default:
		showPage(w, http.StatusOK, pageDone)
	}
	http.NewResponseController(w).Flush()
	close(c.done)
}
