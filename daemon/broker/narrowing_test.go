package broker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// narrower is a server that keeps, of a session's scope, what was last asked for. Where obeys is set it keeps all.
type narrower struct {
	*env
	scope string
	obeys bool
}

func (n *narrower) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	t, err := n.env.Obtain(ctx, r, need)
	n.mu.Lock()
	defer n.mu.Unlock()
	t.Refreshed, t.Scope = err == nil || errors.Is(err, errWider), n.scope
	if len(r.Scope) > 0 && t.Refreshed {
		t.Scope = r.Scope[0]
		if !n.obeys {
			n.scope = t.Scope
		}
	}
	return t, err
}

// narrowed runs a test in a bubble with a profile "p" at a narrower, signed in for "read write". told is what was told
// of it.
func narrowed(t *testing.T, test func(t *testing.T, n *narrower, b *Broker, told *[]string)) {
	t.Helper()
	in(t, func(t *testing.T, w *env, b *Broker) {
		var told []string
		b.Narrowed = func(_, lost string) { told = append(told, lost) }
		n := &narrower{env: w, scope: "read write"}
		n.signIn(b)
		test(t, n, b, &told)
	})
}

func (n *narrower) signIn(b *Broker) {
	n.has("read write")
	b.Install("p", n, grant.Token{
		Access: keystore.SecretString("first"), Sent: n.now(), Lifetime: life, Scope: "read write",
	})
}

// has makes the session one of another scope.
func (n *narrower) has(scope string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.scope = scope
}

func (n *narrower) configured(b *Broker, narrows *bool) {
	n.narrows = narrows
	b.Put(map[string]Source{"p": n})
}

func narrowingOf(b *Broker) Narrowing {
	st, _ := b.Status("p")
	return st.Narrowing
}

// renewed obtains another default token.
func renewed(t *testing.T, b *Broker) grant.Token {
	t.Helper()
	token, err := b.Verify(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A default token with less scope than the one before it, after a narrower scope was asked for, says what the server is
// and what the session has lost, once. The token is served all the same.
func TestADefaultTokenWithLessScopeSaysWhatTheServerIs(t *testing.T) {
	for _, c := range []struct {
		name  string
		lost  string
		noted string
		do    func(t *testing.T, n *narrower, b *Broker)
	}{
		{"after a narrower scope", "write", "noticed", func(t *testing.T, _ *narrower, b *Broker) {
			mustHave(t, b, Query{Scope: "read"})
			renewed(t, b)
		}},
		{"after one whose token was not taken", "write", "noticed", func(t *testing.T, n *narrower, b *Broker) {
			n.refuse(always(errWider))
			askFor(t, b, Query{Scope: "read"})
			n.refuse(nil)
			renewed(t, b)
		}},
		{"after one that was refused", "", "", func(t *testing.T, n *narrower, b *Broker) {
			n.refuse(always(refusal(grant.TransientSlow, "invalid_scope")))
			askFor(t, b, Query{Scope: "read"})
			n.refuse(nil)
			n.has("read")
			time.Sleep(time.Hour)
			mustHave(t, b, Query{})
		}},
		{"at a server that keeps the session's scope", "", "", func(t *testing.T, n *narrower, b *Broker) {
			n.obeys = true
			mustHave(t, b, Query{Scope: "read"})
			renewed(t, b)
		}},
		{"where nothing narrower was asked for", "", "", func(t *testing.T, n *narrower, b *Broker) {
			renewed(t, b)
			n.has("read")
			renewed(t, b)
		}},
		{"where the configuration says that it is not so", "", "", func(t *testing.T, n *narrower, b *Broker) {
			n.configured(b, new(bool))
			renewed(t, b)
			mustHave(t, b, Query{Scope: "read"})
			renewed(t, b)
		}},
		{"where it says no scope", "", "", func(t *testing.T, n *narrower, b *Broker) {
			mustHave(t, b, Query{Scope: "read"})
			n.has("")
			renewed(t, b)
		}},
		{"of a machine", "", "", func(t *testing.T, n *narrower, b *Broker) {
			b.Put(map[string]Source{"p": n.env})
			mustHave(t, b, Query{})
			mustHave(t, b, Query{Scope: "read"})
			renewed(t, b)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			narrowed(t, func(t *testing.T, n *narrower, b *Broker, told *[]string) {
				c.do(t, n, b)
				renewed(t, b)
				if got := narrowingOf(b); got.Lost != c.lost || got.String() != c.noted {
					t.Errorf("%+v", got)
				}
				if strings.Join(*told, ",") != c.lost {
					t.Errorf("told %q", *told)
				}
				mustHave(t, b, Query{})
			})
		})
	}
}

// At a server that is known to narrow sessions a scope of its own is refused without a request, also by who waits, and
// what is exactly the default token's is served with it. An audience is another matter.
func TestAServerThatKeepsOneScopeASession(t *testing.T) {
	for name, known := range map[string]func(*testing.T, *narrower, *Broker){
		"configured": func(_ *testing.T, n *narrower, b *Broker) { n.configured(b, new(true)) },
		"noticed": func(t *testing.T, n *narrower, b *Broker) {
			mustHave(t, b, Query{Scope: "read"})
			renewed(t, b)
			n.signIn(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			narrowed(t, func(t *testing.T, n *narrower, b *Broker, _ *[]string) {
				known(t, n, b)
				if got := narrowingOf(b); got.String() != name || got.Lost != "" {
					t.Errorf("%+v", got)
				}
				if got := mustHave(t, b, Query{Scope: "write read"}); got.Scope != "read write" {
					t.Errorf("got %v", got)
				}
				before := n.count()
				for range 3 {
					for _, q := range []Query{{Scope: "read"}, {Scope: "read", Audience: "https://a"}} {
						err := askFor(t, b, q)
						if u := wantUnavailable(t, err); !errors.Is(err, ErrOneScope) || u.RetryAfter != 0 {
							t.Errorf("%v: got %v", q, err)
						}
					}
				}
				if n.count() != before || n.scope != "read write" {
					t.Errorf("%d requests, and the session has %q", n.count()-before, n.scope)
				}
				mustHave(t, b, Query{Audience: "https://a"})
			})
		})
	}
}

// What the session has lost, and what the server is, outlives a restart, also one before the default token has shown
// it; a sign-in brings the scope back, and what was learned stays. Another server is not known.
func TestWhatASessionHasLostIsKept(t *testing.T) {
	narrowed(t, func(t *testing.T, n *narrower, b *Broker, told *[]string) {
		var kept recorded
		b.Recorder = kept.record
		restart := func() {
			last := kept.last()
			b.Close(t.Context())
			b = New(n.now)
			b.Recorder, b.Narrowed = kept.record, func(_, lost string) { *told = append(*told, lost) }
			b.Put(map[string]Source{"p": n})
			b.Restore("p", last)
		}
		defer func() { b.Close(t.Context()) }()
		mustHave(t, b, Query{Scope: "read"})
		restart()
		renewed(t, b)
		restart()
		renewed(t, b)
		b.Put(map[string]Source{"p": n}) // its configuration was read again
		if got := narrowingOf(b); got.Lost != "write" || got.String() != "noticed" || len(*told) != 1 {
			t.Errorf("after two restarts %+v, told %q", got, *told)
		}
		if err := askFor(t, b, Query{Scope: "write"}); !errors.Is(err, ErrOneScope) {
			t.Errorf("got %v", err)
		}
		n.signIn(b)
		if got := kept.last().Narrowing; got != (Narrowing{Noticed: true}) || narrowingOf(b) != got {
			t.Errorf("after a sign-in: %+v, recorded %+v", narrowingOf(b), got)
		}
		b.Put(map[string]Source{"p": elsewhere{n.env}})
		if got := narrowingOf(b); got != (Narrowing{}) || kept.last().Narrowing != got {
			t.Errorf("at another server: %+v, recorded %+v", got, kept.last())
		}
		n.configured(b, new(bool))
		b.Restore("p", Remembered{Narrowing: Narrowing{Noticed: true}})
		if got := narrowingOf(b); got != (Narrowing{}) {
			t.Errorf("configured otherwise: %+v", got)
		}
	})
}
