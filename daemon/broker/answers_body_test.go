package broker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// raw is a whole answer.
func raw(status int, media, body string) sandbox.Fault {
	return sandbox.Fault{Status: status, Header: http.Header{"Content-Type": {media}}, Body: body}
}

// set changes members of a good answer, whose token is then nothing that could be read.
func set(members ...any) sandbox.Fault {
	m := map[string]any{"access_token": "opaque-token-of-the-table"}
	for i := 0; i < len(members); i += 2 {
		m[members[i].(string)] = members[i+1]
		if text, ok := members[i+1].(json.RawMessage); ok && len(text) == 0 {
			m[members[i].(string)] = nil
		}
	}
	return sandbox.Fault{Set: m}
}

// as is JSON as it stands; nothing removes a member.
func as(text string) json.RawMessage { return json.RawMessage(text) }

func pages() []answerCase {
	return []answerCase{
		{
			name: "C1 a captive portal's page", fault: sandbox.HTML(200), class: grant.Malformed,
			action: grant.RetryOnceSoon, wait: once, says: "captive portal",
		},
		{
			name: "C1 a captive portal's page for a client", fault: sandbox.HTML(200), class: grant.Malformed,
			action: grant.Retry, wait: soon, says: "captive portal", machine: true,
		},
		{
			name: "C1 JSON that says it is a page", fault: raw(200, "text/html", `{"access_token":"x"}`),
			class: grant.Malformed, action: grant.Retry, wait: soon, says: "web page", machine: true,
		},
		{
			name: "C2 an error under 200", fault: sandbox.Refuse(200, "invalid_grant"), class: grant.Refused,
			action: grant.Park, wait: never, says: "has ended the session",
		},
		{
			name: "C3 no access token", fault: set("access_token", as("")), class: grant.Malformed,
			action: grant.RetryOnceSoon, wait: once, says: "holds no access token",
		},
		{
			name: "C3 an empty access token", fault: set("access_token", ""), class: grant.Malformed,
			action: grant.Retry, wait: soon, says: "holds no access token", machine: true,
		},
		{
			name:  "C28 two access tokens",
			fault: raw(200, "application/json", `{"access_token":"x","access_token":"y"}`), class: grant.Malformed,
			action: grant.Retry, wait: soon, says: "ambiguous", machine: true,
		},
		{
			name: "C28 two errors", fault: raw(400, "application/json", `{"error":"invalid_grant","error":"x"}`),
			class: grant.TransientSlow, action: grant.RetrySeldom, wait: slow,
		},
	}
}

func sizes() []answerCase {
	headers := strings.Repeat("X-Filler: "+strings.Repeat("x", 20)+"\r\n", 10_000)
	large := answerCase{
		class: grant.Malformed, action: grant.Retry, wait: soon, says: "larger than 1 MiB", machine: true,
	}
	of := func(name string, f sandbox.Fault) answerCase { large.name, large.fault = name, f; return large }
	return []answerCase{
		{
			name: "C4 a gzip bomb", fault: sandbox.Fault{Gunzipped: 64 << 10}, class: grant.Malformed,
			action: grant.Retry, wait: soon, says: "compressed", machine: true,
		},
		{
			name: "C4 a gzip bomb under 503", fault: sandbox.Fault{Status: 503, Gunzipped: 64 << 10},
			class: grant.Transient, action: grant.Retry, wait: soon, machine: true,
		},
		of("C5 2 MB", sandbox.Fault{Body: strings.Repeat(" ", 2<<20)}),
		of("C5 without end", sandbox.Fault{Endless: true}),
		{
			name: "C6 11 MB of header", fault: sandbox.Fault{HeaderBytes: 11 << 20}, class: grant.Ambiguous,
			action: grant.RetryOnceSoon, wait: once, says: "too large a header",
		},
		{
			name: "C6 10,000 headers", fault: sandbox.Fault{Raw: "HTTP/1.1 200 OK\r\n" + headers + "\r\n"},
			class: grant.Ambiguous, action: grant.RetryOnceSoon, wait: once, says: "too large a header",
		},
	}
}

func lives() (rows []answerCase) {
	assumed := func(t *testing.T, p *place) {
		if st, _ := p.b.Status("p"); !st.LifetimeAssumed {
			t.Error("the status does not say that the lifetime is a guess")
		}
	}
	for _, r := range []struct {
		name string
		in   json.RawMessage
		life time.Duration // 0: refused
		flag bool
	}{
		{"C11 no expires_in", nil, 300 * time.Second, true},
		{"C12 null", as("null"), 300 * time.Second, true},
		{"C12 empty", as(`""`), 300 * time.Second, true},
		{"C12 true", as("true"), 300 * time.Second, true},
		{"C12 list", as("[]"), 300 * time.Second, true},
		{"C12 object", as("{}"), 300 * time.Second, true},
		{"C13 a string", as(`"900"`), 900 * time.Second, false},
		{"C13 a string of eleven digits", as(`"90000000000"`), 300 * time.Second, true},
		{"C14 900.0", as("900.0"), 900 * time.Second, false},
		{"C14 900.9", as("900.9"), 900 * time.Second, false},
		{"C14 9e2", as("9e2"), 900 * time.Second, false},
		{"C15 zero", as("0"), 300 * time.Second, true},
		{"C15 negative", as("-5"), 0, false},
		{"C16 one second", as("1"), time.Second, false},
		{"C16 five seconds", as("5"), 5 * time.Second, false},
		{"C16 29 seconds", as("29"), 29 * time.Second, false},
		{"C17 2^31", as("2147483648"), 24 * time.Hour, false},
		{"C17 2^63-1", as("9223372036854775807"), 24 * time.Hour, false},
		{"C17 1e30", as("1e30"), 24 * time.Hour, false},
		{"C17 NaN", as(`"NaN"`), 300 * time.Second, true},
	} {
		c := answerCase{name: r.name, fault: set("expires_in", r.in), life: r.life, machine: true}
		switch {
		case r.life == 0:
			c.class, c.action, c.wait, c.says = grant.Malformed, grant.Retry, soon, "says that the token has expired"
		case r.flag:
			c.check = assumed
		}
		rows = append(rows, c)
	}
	return append(rows,
		answerCase{
			name: "C18 expires_at in the past", fault: set("expires_in", 900, "expires_at", 1), life: 900 * time.Second,
			machine: true,
		})
}

func members() []answerCase {
	flawed := func(name, says string, members ...any) answerCase {
		return answerCase{
			name: name, fault: set(members...), class: grant.Malformed, action: grant.Retry, wait: soon, says: says,
			machine: true,
		}
	}
	rows := []answerCase{
		{name: "C19 no token_type", fault: set("token_type", as("")), life: lifetime,
			check: func(t *testing.T, p *place) {
				if st, _ := p.b.Status("p"); !st.TypeAssumed {
					t.Error("the status does not say that the type is a guess")
				}
			}},
		{name: "C19 BEARER", fault: set("token_type", "BEARER"), life: lifetime},
		flawed("C19 mac", "another type", "token_type", "mac"),
		flawed("C19 DPoP, not asked for", "DPoP", "token_type", "DPoP"),
		flawed("C20 longer than 16 KiB", "too long", "access_token", strings.Repeat("a", 16<<10+1)),
		{name: "C21 the same token again", rig: again, life: vague, check: noHurry},
		{name: "C27 a narrower scope", fault: set("scope", "read"), life: lifetime, machine: true, scope: "read write"},
		{
			name: "C27 another order", fault: set("scope", "write read"), life: lifetime, machine: true,
			scope: "read write",
		},
		{
			name: "C27 a wider scope", fault: set("scope", "read write admin"), life: lifetime, machine: true,
			scope: "read write",
		},
	}
	for name, char := range map[string]string{"LF": "\n", "CR": "\r", "NUL": "\x00", "a space": " ", "UTF-8": "é"} {
		says := "RFC 6750"
		if char == "\x00" {
			says = "JSON"
		}
		rows = append(rows, flawed("C20 an access token with "+name, says, "access_token", "abc"+char+"host=evil"))
	}
	return rows
}

// again lets the server answer with the token that it gave before.
func again(t *testing.T, p *place) {
	p.box.Script(p.box.TokenPath(),
		sandbox.Fault{
			Times: -1,
			Set:   map[string]any{"access_token": p.first.Access.Reveal(), "expires_in": int(p.left().Seconds())},
		})
}

// noHurry makes sure that a server that gives the same token again is not asked more often for that.
func noHurry(t *testing.T, p *place) {
	requests := p.endpoint.Requests()
	for until := p.left() / 2; p.left() > until+10*time.Second; time.Sleep(time.Second) {
		if _, err := p.get(t, broker.Unset); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.endpoint.Requests() - requests; n != 0 {
		t.Errorf("asked %d times more", n)
	}
	p.box.ClearFaults()
}

func rotations() []answerCase {
	untouched := func(t *testing.T, p *place) { p.untouched(t) }
	lost := func(name string, members ...any) answerCase {
		return answerCase{
			name: name, fault: set(members...), class: grant.Malformed, action: grant.RetryOnceSoon, wait: once,
			says: "refresh token",
		}
	}
	return []answerCase{
		{name: "C22 no refresh token", life: lifetime, check: untouched},
		{name: "C23 a new refresh token", life: lifetime, rotate: true, check: func(t *testing.T, p *place) {
			now, err := p.store.Get(t.Context(), "p")
			if err != nil || now.RefreshToken.Equal(p.item.RefreshToken) || now.RefreshToken.IsZero() {
				t.Errorf("the new refresh token is not stored: %v", err)
			}
		}},
		{name: "C24 the same refresh token", life: lifetime, check: untouched, rig: func(t *testing.T, p *place) {
			p.box.Script(p.box.TokenPath(),
				sandbox.Fault{Set: map[string]any{"refresh_token": p.item.RefreshToken.Reveal()}})
		}},
		{name: "C25 an empty refresh token", fault: set("refresh_token", ""), life: lifetime, check: untouched},
		lost("C26 a refresh token with LF", "refresh_token", "a\nb"),
		lost("C26 a refresh token of 20 KiB", "refresh_token", strings.Repeat("r", 20<<10)),
	}
}

func times() []answerCase {
	return []answerCase{
		{name: "C50 the clock is set while the answer is on its way", life: lifetime - 3*time.Second,
			fault: sandbox.Fault{Delay: 3 * time.Second}, rig: func(t *testing.T, p *place) {
				begun := p.box.Count(p.box.TokenPath())
				go func() {
					for p.box.Count(p.box.TokenPath()) == begun && p.left() > 0 {
						time.Sleep(100 * time.Millisecond)
					}
					p.wrong.Store(int64(time.Hour))
				}()
			}, check: func(t *testing.T, p *place) { p.wrong.Store(-int64(time.Hour)) }},
		{name: "C51 an answer after the callers have left", life: lifetime - 3*time.Second,
			fault: sandbox.Fault{Delay: 3 * time.Second}, rig: func(t *testing.T, p *place) {
				before := p.endpoint.Requests()
				p.later(t)
				if p.endpoint.Requests() != before {
					t.Error("the answer came at once: no caller has left before it")
				}
				time.Sleep(4 * time.Second)
				if token, ok := p.b.Cached(broker.Query{Profile: "p", MinTTL: 850 * time.Second}); !ok ||
					token.Access.Equal(p.first.Access) {
					t.Error("the answer was thrown away")
				}
			}},
		{name: "C52 metadata that names another token endpoint", life: lifetime, rig: moved,
			check: func(t *testing.T, p *place) {
				p.mu.Lock()
				defer p.mu.Unlock()
				for addr := range p.dialed {
					if !strings.HasPrefix(addr, "127.0.0.1:") {
						t.Errorf("%s was called", addr)
					}
				}
			}},
	}
}

// moved lets the server's metadata name a token endpoint elsewhere.
func moved(t *testing.T, p *place) {
	elsewhere := "https://elsewhere.example.org/token"
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		p.box.Script(path, sandbox.Fault{Times: -1, Set: map[string]any{"token_endpoint": elsewhere}})
	}
	// A new discovery finds another server, to which the stored credential does not belong: nothing is sent.
	server := p.endpoint.Server()
	server.TokenEndpoint = elsewhere
	other := grant.NewEndpoint(server, &http.Client{Transport: forbidden{t}}, p.now)
	if _, _, err := other.Renew(t.Context(), p.item, grant.Request{}); !errors.Is(err, grant.ErrEndpointChanged) {
		t.Errorf("the stored credential is sent elsewhere: %v", err)
	}
}

// forbidden is a network that nothing may go over.
type forbidden struct{ t *testing.T }

func (f forbidden) RoundTrip(r *http.Request) (*http.Response, error) {
	f.t.Errorf("%s was sent a request", r.URL.Host)
	return nil, fmt.Errorf("forbidden")
}
