package grant

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/groat-dev/groat/keystore"
)

const (
	callbackPath   = "/callback"
	callbackWait   = 15 * time.Minute // for a person who signs in with a second factor
	callbackLinger = 200 * time.Millisecond
)

// Receiver waits on a loopback address for the browser to return from a sign-in (RFC 8252 §7.3). Only a GET of the
// exact path with the right Host and the right state is an answer, and only the first one. Every other request (a
// favicon, a prefetch, a port scan, a page in another tab that guesses) gets a page that says so, and changes nothing.
//
// The address stays bound, and requests get a page, until Close: a browser that returns late must not reach another
// user's program there.
type Receiver struct {
	redirect *url.URL
	door     *gatedListener
	release  func() // returns the descriptors to the budget
	closing  sync.Once

	mu       sync.Mutex
	server   *http.Server // nil before Await
	callback *callback
	served   chan struct{}
}

func newReceiver(listeners []net.Listener, redirect *url.URL, give func()) *Receiver {
	return &Receiver{redirect: redirect, door: newGatedListener(listeners), release: give, served: make(chan struct{})}
}

// RedirectURI returns the redirect URI with the port that was bound, as it stands in the authorization request.
func (r *Receiver) RedirectURI() string { return r.redirect.String() }

// hasHost reports whether a Host header names this address. Browsers leave out port 80.
func (r *Receiver) hasHost(host string) bool {
	return strings.EqualFold(host, r.redirect.Host) ||
		r.redirect.Port() == "80" && strings.EqualFold(host+":80", r.redirect.Host)
}

// Close frees the address. A page that is being written gets a moment to be completed. A call of Await that still waits
// returns only when its context ends. Close may be called more than once.
func (r *Receiver) Close() error {
	r.closing.Do(func() {
		r.mu.Lock()
		server := r.server
		r.mu.Unlock()
		if server != nil {
			// A browser's spare connections send nothing, and get no more time than this.
			last, cancel := context.WithTimeout(context.Background(), callbackLinger)
			defer cancel()
			if server.Shutdown(last) != nil {
				server.Close()
			}
			<-r.served
		}
		r.door.Close()
		r.release()
	})
	return nil
}

// Unanswered reports whether a person may still be signing in: Await was called, and the browser has not returned.
func (r *Receiver) Unanswered() bool {
	r.mu.Lock()
	c := r.callback
	r.mu.Unlock()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.answered
}

// serve answers connections from now on.
func (r *Receiver) serve(c *callback) {
	server := &http.Server{
		Handler: c, ReadHeaderTimeout: callbackTime, ReadTimeout: callbackTime, WriteTimeout: callbackTime,
		MaxHeaderBytes: callbackHeader, ErrorLog: log.New(io.Discard, "", 0), // its lines quote what was sent
	}
	server.SetKeepAlivesEnabled(false)
	r.mu.Lock()
	r.server, r.callback = server, c
	r.mu.Unlock()
	r.door.start()
	go func() {
		defer close(r.served)
		server.Serve(r.door)
	}()
}

// Await returns the code that the browser brings for a, which must have been started with r's RedirectURI. It waits for
// at most 15 minutes and is called once. After it has returned, requests until Close get a page that says that the
// sign-in is over. The error is ctx's, or an [*Error]: the server's refusal, or that the browser did not return.
func (r *Receiver) Await(ctx context.Context, a *Authorization) (keystore.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callbackWait)
	defer cancel()
	c := &callback{receiver: r, a: a, done: make(chan struct{})}
	r.serve(c)
	select {
	case <-c.done:
		return c.code, c.err
	case <-ctx.Done():
		if c.expire() { // it came at the same moment
			<-c.done
			return c.code, c.err
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return keystore.Secret{}, ctx.Err()
		}
		return keystore.Secret{}, &Error{Class: Refused, Where: a.where, Err: ctx.Err(),
			Reason: "has not sent the browser back within 15 minutes"}
	}
}

// callback is the HTTP handler. Its answer is set once, before done is closed.
type callback struct {
	receiver *Receiver
	a        *Authorization
	done     chan struct{}

	mu       sync.Mutex
	answered bool
	over     bool // Await has returned
	code     keystore.Secret
	err      error
}

// expire makes every later answer one that comes too late. It reports whether an answer had come before.
func (c *callback) expire() (answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	return c.answered
}

func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !c.receiver.hasHost(r.Host): // a name that was made to resolve to this address (DNS rebinding)
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
		code, err = c.a.codeFrom(query)
	} else {
		err = ErrNotThisLogin
	}
	if errors.Is(err, ErrNotThisLogin) {
		showPage(w, http.StatusBadRequest, pageNotThis)
		return
	}
	c.mu.Lock()
	late, over := c.answered, c.over && !c.answered
	if !late && !over {
		c.answered, c.code, c.err = true, code, err
	}
	c.mu.Unlock()
	switch {
	case over:
		code.Wipe()
		showPage(w, http.StatusGone, pageOver)
		return
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

// pageText is the content of one page. It never holds a part of a request.
type pageText struct{ title, body string }

var (
	pageDone = pageText{"You can close this tab",
		"groat has what it needs to go on. The terminal says whether the sign-in worked."}
	pageFailed = pageText{"The sign-in did not work",
		"The provider sent an error instead of a sign-in. The terminal says which. You can close this tab."}
	pageLate = pageText{"This sign-in has been answered already", "groat takes one answer. You can close this tab."}
	pageOver = pageText{"This sign-in is over",
		"groat did not wait any longer, and has not used what this page brought. Sign in again from the terminal. " +
			"You can close this tab."}
	pageNotThis = pageText{"This is not the sign-in that groat waits for",
		"Use the tab that groat opened, or the address that it printed. You can close this one."}
	pageNotHere = pageText{"There is nothing here", "groat only waits here for a sign-in to come back."}
)

// showPage answers with a page that loads nothing, runs nothing, cannot be framed, and sends no referrer.
func showPage(w http.ResponseWriter, status int, t pageText) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close")
	html := "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>" + t.title + "</title>\n<h1>" +
		t.title + "</h1>\n<p>" + t.body + "</p></html>\n"
	h.Set("Content-Length", strconv.Itoa(len(html)))
	w.WriteHeader(status)
	io.WriteString(w, html)
}
