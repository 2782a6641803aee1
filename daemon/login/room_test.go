package login

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

const (
	person       = "alice@example.com"
	password     = "dummy-password"
	clientSecret = "dummy-client-secret"
)

// room is logins without a daemon: at a sandbox, with a keystore in memory and viewers that are no connections.
type room struct {
	*Logins
	server    *sandbox.Server
	forgotten atomic.Int64 // how often refusals were to be forgotten
}

// budget counts the descriptors of browser logins.
type budget struct{ held atomic.Int64 }

func (b *budget) Take(n int) error { b.held.Add(int64(n)); return nil }
func (b *budget) Give(n int)       { b.held.Add(int64(-n)) }

// Forget implements Refusals.
func (r *room) Forget(context.Context, string) { r.forgotten.Add(1) }

// newRoom is a room whose server is reached by a client's transport that connect prepares.
func newRoom(t *testing.T, o sandbox.Options, connect func(*sandbox.Server, *http.Transport)) *room {
	t.Helper()
	o.Users = append(o.Users, sandbox.User{Name: person, Password: password})
	o.Clients = append(o.Clients, sandbox.Client{ID: "machine", Secret: clientSecret})
	o.Refresh = sandbox.Refresh{Always: true, Rotate: true}
	r := &room{server: sandbox.New(o)}
	client := grant.NewHTTPClient(new(grant.Network))
	connect(r.server, client.Transport.(*http.Transport))
	dir, err := config.At(filepath.Join(t.TempDir(), "config") + "/")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	now := func() clock.Instant {
		now := time.Now()
		return clock.Instant{Wall: now, Boot: time.Hour + now.Sub(begin)}
	}
	stores := &Stores{Kept: keystore.PendingStore{Store: &keystore.Memory{}}, Memory: keystore.PendingStore{Store: &keystore.Memory{}}}
	slots := broker.New(now)
	profiles := profile.New(profile.Options{
		Config: dir, HTTP: client, Now: now, Log: zaptest.NewLogger(t),
		Changed: func(old, now *profile.Set) {
			for p := range now.All() {
				if old.Named(p.Name) != p {
					slots.Put(map[string]broker.Source{p.Name: stores.Source(p)})
				}
			}
		},
	})
	r.Logins = New(Options{
		Profiles: profiles, Broker: slots, Stores: stores, Refusals: r, Keystore: func() string { return "memory" },
		Wire: func(err error, profile string) *protocol.Error {
			e, _ := wire.Error(err, wire.Context{Profile: profile, Configured: profiles.Named(profile) != nil})
			return e
		},
		HTTP: client, Budget: &budget{}, Now: now, Log: zaptest.NewLogger(t),
	})
	t.Cleanup(func() {
		r.Close(context.Background())
		slots.Close(context.Background())
		r.server.Close()
	})
	return r
}

// inBubble runs f with a room inside a synctest bubble, connected to its server by pipes.
func inBubble(t *testing.T, f func(t *testing.T, r *room)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := sandbox.Options{Clients: []sandbox.Client{{ID: "app", Method: sandbox.None}}}
		r := newRoom(t, o, func(s *sandbox.Server, to *http.Transport) { to.DialContext = s.StartPipe() })
		f(t, r)
		r.Close(t.Context())
		r.Broker.Close(t.Context())
		r.server.Close()
		time.Sleep(time.Minute) // what still sleeps finds it closed
		synctest.Wait()
	})
}

// viewer is who takes part in a login.
type viewer struct {
	r       *room
	prompts chan protocol.Prompt // all that was shown
	over    chan outcome
	leave   context.CancelFunc
}

// outcome is what a login came to for one of its viewers.
type outcome struct {
	result protocol.LoginResult
	err    error
}

// Notify implements Viewer.
func (v *viewer) Notify(p protocol.Prompt) { v.prompts <- p }

// watch begins or joins a login.
func (r *room) watch(params protocol.LoginParams) *viewer {
	ctx, cancel := context.WithCancel(context.Background())
	v := &viewer{r, make(chan protocol.Prompt, 256), make(chan outcome, 1), cancel}
	go func() {
		result, err := r.Run(ctx, v, params)
		v.over <- outcome{result, err}
	}()
	return v
}

// next is the next prompt that is no notice.
func (v *viewer) next(t *testing.T) protocol.Prompt {
	t.Helper()
	for {
		select {
		case p := <-v.prompts:
			if p.Kind != protocol.PromptNotice {
				return p
			}
		case o := <-v.over:
			t.Fatalf("the login is over: %+v, %v", o.result, o.err)
		}
	}
}

// answer types a text at a prompt, and reports whether it was taken.
func (v *viewer) answer(p protocol.Prompt, text string) bool {
	return v.r.Answer(v, p.LoginID, p.Question, keystore.SecretString(text))
}

// done is what the login came to; it must have succeeded.
func (v *viewer) done(t *testing.T) protocol.LoginResult {
	t.Helper()
	o := <-v.over
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.result
}

func (r *room) ofMachine(name string) protocol.LoginParams {
	return protocol.LoginParams{Profile: name, Issuer: r.server.URL(), ClientID: "machine", ClientAuth: "client_secret_post"}
}

func (r *room) ofDevice(name string) protocol.LoginParams {
	return protocol.LoginParams{
		Profile: name, Issuer: r.server.URL(), ClientID: "app", ClientAuth: "none", Grant: string(grant.ByDeviceCode),
	}
}

func (r *room) ofBrowser(name string) protocol.LoginParams {
	p := r.ofDevice(name)
	p.Grant = string(grant.ByAuthorizationCode)
	return p
}

// signIn signs a profile in as a person who approves of every device and knows the client secret.
func (r *room) signIn(t *testing.T, params protocol.LoginParams) protocol.LoginResult {
	t.Helper()
	v := r.watch(params)
	switch p := v.next(t); p.Kind {
	case protocol.PromptDevice:
		if err := r.server.ApproveDevice(p.Code); err != nil {
			t.Fatal(err)
		}
	default:
		if !v.answer(p, clientSecret) {
			t.Fatalf("%+v was not answered", p)
		}
	}
	return v.done(t)
}

// stored is the credential that a profile has; its Issuer is empty where there is none.
func (r *room) stored(t *testing.T, name string) keystore.Item {
	t.Helper()
	item, err := r.Stores.Kept.Get(t.Context(), name)
	if err != nil && !errors.Is(err, keystore.ErrNotFound) {
		t.Fatal(err)
	}
	return item
}

// wantError makes sure of an error's kind, and returns it.
func wantError(t *testing.T, err error, kind protocol.Kind) *protocol.Error {
	t.Helper()
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok || e.Kind() != kind {
		t.Fatalf("got %v (%T), want an error of kind %s", err, err, kind)
	}
	return e
}

// visit is a browser that does not follow where it is sent: it returns the page's status and where it was sent.
func visit(t *testing.T, page string) (status int, location string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("Location")
}
